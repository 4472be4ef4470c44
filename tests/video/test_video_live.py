"""Live watching end to end, on loopback and in real time: growing files, playlists, HTTP and RTSP."""

from __future__ import annotations

import shutil
import socket
import subprocess
import threading
import time
from pathlib import Path

import numpy as np
import pytest

from llmrec.errors import InputError
from llmrec.video.live import watch_live
from llmrec.video.live_clock import StreamClock
from llmrec.video.live_senses import Senses
from llmrec.video.live_settings import LiveSettings
from llmrec.video.live_windows import Rolling
from llmrec.video.settings import WatchSettings
from llmrec.video.watcher import Watcher
from tests.video.clips import picture, tone, write_clip
from tests.video.streams import (
    Beeps,
    Colours,
    Written,
    body_handler,
    folder_handler,
    follow,
    rtsp,
    scenes,
    serving,
    texts,
    write_stream,
    writing,
)

RED_THEN_BLUE = scenes(5, (0, "RED"), (2.5, "BLUE"))


def test_a_growing_file_gives_each_window_while_it_is_written(tmp_path: Path) -> None:
    path = tmp_path / "show.ts"
    path.touch()
    with writing(Written(path), "mpegts", 6, scenes(6, (0, "RED"), (3, "BLUE")), beep=(2.2, 2.6)) as writer:
        begun = time.monotonic()
        windows, times, ends = follow(path, window=2, hop=1.5, idle=1.5)
        assert not writer.is_alive()
    assert [window.content.id for window in windows] == [f"show@{s:06d}" for s in (0, 1, 3, 4)]
    assert {window.content.kind for window in windows} == {"live"}
    assert [window.content.media for window in windows] == [""] * 4, "'match' would watch the whole file again"
    # what is over is told at once: the window of 0-2 s before the stream is at 4 s
    assert times[0] - begun < 4.0
    assert max(window.lag for window in windows[:3]) < 1.5
    assert texts(windows[0], "screen")[0][2] == "RED"
    start, end, colour = texts(windows[1], "screen")[-1]
    assert colour == "BLUE" and start == pytest.approx(3.0, abs=0.4) and end <= 3.5
    assert texts(windows[2], "screen")[0][2] == "BLUE"
    (said,) = texts(windows[1], "speech")
    assert said[0] == pytest.approx(2.2, abs=0.15) and said[1] == pytest.approx(2.6, abs=0.15)
    assert not texts(windows[2], "speech")
    assert (ends[0].name, ends[0].reason) == ("show", "nothing came for 1.5 s")


@pytest.mark.parametrize(
    ("format", "options"),
    [
        ("matroska", {}),
        ("flv", {}),
        ("mp4", {"movflags": "frag_keyframe+empty_moov+default_base_moof"}),
    ],
)
def test_other_recordings_are_read_while_they_grow(tmp_path: Path, format: str, options: dict[str, str]) -> None:
    path = tmp_path / f"show.{format}"
    path.touch()
    with writing(Written(path), format, 5, RED_THEN_BLUE, speed=3, beep=(1.0, 1.4), options=options):
        windows, _, ends = follow(path, window=2, hop=2, idle=1)
    assert [window.content.id[-6:] for window in windows] == ["000000", "000002", "000004"]
    assert [texts(window, "screen")[-1][2] for window in windows] == ["RED", "BLUE", "BLUE"]
    assert texts(windows[0], "speech")[0][0] == pytest.approx(1.0, abs=0.15)
    assert not ends[0].failed


def test_a_plain_mp4_that_is_still_written_says_so(tmp_path: Path) -> None:
    whole, half = tmp_path / "whole.mp4", tmp_path / "half.mp4"
    write_stream(str(whole), "mp4", 2, RED_THEN_BLUE, speed=100)
    half.write_bytes(whole.read_bytes()[:-2000])
    with pytest.raises(InputError, match=r"half\.mp4: (cannot be opened as a stream|has neither)") as error:
        follow(half, window=2, hop=2, idle=0.3)
    assert "fragmented MP4" in error.value.next_step


def test_a_playlist_over_http_is_followed_as_its_segments_appear(tmp_path: Path) -> None:
    asked: list[str] = []
    options = {"hls_time": "1", "hls_list_size": "4"}
    with serving(folder_handler(tmp_path, asked)) as address:
        with writing(
            str(tmp_path / "shop.m3u8"), "hls", 8, scenes(8, (0, "RED"), (4, "BLUE")), options=options
        ) as writer:
            while not (tmp_path / "shop.m3u8").exists():
                time.sleep(0.05)
            alive = []
            reader = Colours()
            reader.read, read = (lambda image: alive.append(writer.is_alive()) or read(image)), reader.read
            windows, _, ends = follow(f"{address}/shop.m3u8?token=5", reader, window=3, hop=2, idle=5)
    assert alive[0], "the first window was looked at while the stream went on"
    assert windows[0].content.id == "shop@000000"
    assert texts(windows[0], "screen")[0][2] == "RED" and texts(windows[-1], "screen")[-1][2] == "BLUE"
    assert max(window.lag for window in windows) < 2.5
    assert (ends[0].reason, ends[0].failed) == ("the stream ended", False)
    assert sum("shop.m3u8" in path for path in asked) > 3, "the playlist was asked for again"


def test_a_playlist_on_disk_with_segments_of_fragmented_mp4(tmp_path: Path) -> None:
    options = {"hls_time": "1", "hls_list_size": "0", "hls_segment_type": "fmp4"}
    write_stream(str(tmp_path / "shop.m3u8"), "hls", 5, RED_THEN_BLUE, speed=50, options=options)
    windows, _, _ = follow(tmp_path / "shop.m3u8", window=2, hop=2, idle=1)
    assert [texts(window, "screen")[-1][2] for window in windows] == ["RED", "BLUE", "BLUE"]


def test_of_several_renditions_one_is_fetched(tmp_path: Path) -> None:
    """Of two sizes the larger, up to 720p; what is not watched is not fetched either, once it is known what it is."""
    for name, size in (("small", (160, 120)), ("large", (320, 240))):
        still = picture(ground="rgb(200,30,30)", size=size)
        options = {"hls_time": "1", "hls_list_size": "0"}
        path = str(tmp_path / f"{name}.m3u8")
        write_stream(path, "hls", 12, lambda second, still=still: still, speed=100, size=size, options=options)
    head = "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH={},RESOLUTION={}\n{}.m3u8\n"
    master = head.format(100_000, "160x120", "small") + head.format(400_000, "320x240", "large").replace(
        "#EXTM3U\n", ""
    )
    (tmp_path / "master.m3u8").write_text(master)
    asked: list[str] = []
    seen = []
    reader = Colours()
    reader.read, read = (lambda image: seen.append(image.size) or read(image)), reader.read
    with serving(folder_handler(tmp_path, asked)) as address:
        windows, _, _ = follow(f"{address}/master.m3u8", reader, window=6, hop=6, idle=2)
    assert len(windows) == 2 and {size for size in seen if size != (640, 360)} == {(320, 240)}
    assert sum("large" in path and path.endswith(".ts") for path in asked) == 12
    assert sum("small" in path and path.endswith(".ts") for path in asked) < 6


def test_a_playlist_that_stops_growing_is_over(tmp_path: Path) -> None:
    write_stream(str(tmp_path / "a.m3u8"), "hls", 3, RED_THEN_BLUE, speed=50, options={"hls_time": "1"})
    text = (tmp_path / "a.m3u8").read_text().replace("#EXT-X-ENDLIST", "")
    (tmp_path / "a.m3u8").write_text(text)
    begun = time.monotonic()
    windows, _, ends = follow(tmp_path / "a.m3u8", window=2, hop=2, idle=2)
    assert time.monotonic() - begun < 6
    assert ends[0].reason == "nothing new came for 2 s" and windows


def test_rtsp(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    write_stream(str(path), "mpegts", 4, RED_THEN_BLUE, speed=50, beep=(1.0, 1.4))
    with rtsp(path.read_bytes(), 4.0) as address:
        begun = time.monotonic()
        windows, times, ends = follow(address, window=2, hop=2, duration=3.5, idle=2)
    assert [window.content.id for window in windows] == ["track@000000", "track@000002"]
    assert times[0] - begun < 3.9, "the first window came before the stream had ended"
    assert texts(windows[0], "speech")[0][0] == pytest.approx(1.0, abs=0.2)
    assert texts(windows[1], "screen")[-1][2] == "BLUE"
    assert ends[0].reason == "3.5 s were asked for"


def test_a_broken_connection_is_made_again(tmp_path: Path) -> None:
    """The server breaks off in the middle, refuses once, then goes on with a clock of its own."""
    path = tmp_path / "a.ts"
    write_stream(str(path), "mpegts", 3, scenes(3, (0, "RED")), speed=50)
    data, calls = path.read_bytes(), []

    def answer(handler) -> None:
        calls.append(time.monotonic())
        if len(calls) == 2:
            return handler.send_error(404)
        handler.send_response(200)
        whole = len(calls) > 2
        handler.send_header("Content-Length", str(len(data) if whole else 2 * len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    with serving(body_handler(answer)) as address:
        windows, _, ends = follow(f"{address}/a.ts", window=2, hop=2, idle=5)
    assert len(calls) == 3 and calls[1] - calls[0] >= 0.5
    problems = [problem for window in windows for problem in window.problems]
    assert sum("connected anew at 3 s" in problem for problem in problems) == 2
    ids = [window.content.id for window in windows]
    assert ids == sorted(set(ids)) and int(ids[-1][-6:]) >= 6, "times go on after the break"
    assert ends[0].reason == "the stream ended"


def test_a_server_that_is_gone_for_long_ends_the_stream(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    write_stream(str(path), "mpegts", 3, RED_THEN_BLUE, speed=50)
    calls: list[int] = []

    def answer(handler) -> None:
        calls.append(1)
        if len(calls) > 1:
            return handler.send_error(404)
        handler.send_response(200)
        handler.send_header("Content-Length", str(10**9))
        handler.end_headers()
        handler.wfile.write(path.read_bytes())

    with serving(body_handler(answer)) as address:
        windows, _, ends = follow(f"{address}/a.ts", window=2, hop=2, idle=2)
    assert [window.content.id for window in windows] == ["a@000000", "a@000002"]
    assert ends[0].reason == "nothing came for 2 s" and len(calls) >= 3


def test_slow_watching_looks_at_fewer_pictures_and_stays_near_the_stream(tmp_path: Path) -> None:
    """A new scene every half second, half a second for each picture: all of them would take twice the time there is."""
    stills = [picture(seed=seed, size=(160, 120)) for seed in range(1, 20)]
    path = tmp_path / "show.ts"
    path.touch()
    with writing(Written(path), "mpegts", 8, lambda second: stills[int(2 * second + 1e-6)]):
        windows, _, _ = follow(path, Colours(0.6), hears=False, window=2, hop=1, idle=1)
    assert all(2 <= window.pictures <= window.found for window in windows)
    told = [problem for window in windows for problem in window.problems]
    assert any("looked at 2 of " in problem for problem in told)
    assert max(window.lag for window in windows) < 4.0


def test_a_finished_file_is_read_whole_however_slow_watching_is(tmp_path: Path) -> None:
    path = tmp_path / "show.ts"
    write_stream(str(path), "mpegts", 9, scenes(9, (0, "RED"), (3, "GREEN"), (6, "BLUE")), speed=100)
    windows, _, _ = follow(path, Colours(0.1), hears=False, window=3, hop=3, idle=0.5)
    assert [texts(window, "screen")[-1][2] for window in windows] == ["RED", "GREEN", "BLUE"]
    assert not [problem for window in windows for problem in window.problems]
    assert windows[0].lag < 0, "ahead of real time"


def test_overlapping_windows_do_not_read_a_picture_twice(tmp_path: Path) -> None:
    path = tmp_path / "show.ts"
    write_stream(str(path), "mpegts", 8, scenes(8, (0, "RED")), speed=100)
    reader = Colours()
    windows, _, _ = follow(path, reader, hears=False, window=4, hop=1, idle=0.3)
    assert sum(window.pictures for window in windows) > reader.read_count


def test_several_streams_at_once(tmp_path: Path) -> None:
    for name, colour in (("one", "RED"), ("two", "GREEN")):
        (tmp_path / name).mkdir()
        write_stream(str(tmp_path / name / "show.ts"), "mpegts", 3, scenes(3, (0, colour)), speed=100)
    streams = [tmp_path / "one" / "show.ts", tmp_path / "two" / "show.ts"]
    windows, _, ends = follow(streams, hears=False, window=2, hop=2, idle=0.3)
    found = {window.content.id: texts(window, "screen")[0][2] for window in windows}
    assert found == {
        "show@000000": "RED",
        "show@000002": "RED",
        "show.2@000000": "GREEN",
        "show.2@000002": "GREEN",
    }
    assert sorted(end.name for end in ends) == ["show", "show.2"]


def test_one_bad_stream_costs_itself_alone(tmp_path: Path) -> None:
    write_stream(str(tmp_path / "good.ts"), "mpegts", 2, RED_THEN_BLUE, speed=100)
    (tmp_path / "bad.ts").write_bytes(bytes(range(256)) * 99)
    seen, ends = [], []

    watcher = Watcher(WatchSettings(speech="none"), screen_reader=Colours())
    with pytest.raises(InputError, match=r"bad\.ts"):
        for window in watch_live(
            [tmp_path / "bad.ts", tmp_path / "good.ts"], watcher, LiveSettings(idle=0.3), on_end=ends.append
        ):
            seen.append(window.content.id)
    assert seen == ["good@000000"]
    assert {end.name: end.failed for end in ends} == {"bad": True, "good": False}


def test_closing_the_iterator_ends_the_thread(tmp_path: Path) -> None:

    path = tmp_path / "show.ts"
    path.touch()
    with writing(Written(path), "mpegts", 5, RED_THEN_BLUE, speed=2):
        watcher = Watcher(WatchSettings(speech="none"), screen_reader=Colours())
        windows = watch_live(path, watcher, LiveSettings(window=1, hop=1, idle=20))
        assert next(windows).content.id == "show@000000"
        windows.close()
        assert not [thread for thread in threading.enumerate() if thread.name.startswith("live ")]


def test_rtmp_from_ffmpeg(tmp_path: Path) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("needs the ffmpeg program as a server of RTMP")
    write_stream(str(tmp_path / "a.flv"), "flv", 6, RED_THEN_BLUE, speed=100, beep=(1.0, 1.4))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        address = f"rtmp://127.0.0.1:{free.getsockname()[1]}/app/show"
    serve = [
        ffmpeg,
        "-v",
        "error",
        "-re",
        "-i",
        str(tmp_path / "a.flv"),
        "-c",
        "copy",
        "-f",
        "flv",
        "-listen",
        "1",
        address,
    ]
    with subprocess.Popen(serve, stderr=subprocess.DEVNULL) as server:
        try:
            until = time.monotonic() + 10
            while True:
                try:
                    windows, _, _ = follow(address, window=2, hop=2, duration=4, idle=2)
                    break
                except InputError:  # not listening yet
                    assert time.monotonic() < until
                    time.sleep(0.2)
        finally:
            server.kill()
    assert [window.content.id for window in windows] == ["show@000000", "show@000002"]
    assert texts(windows[1], "screen")[-1][2] == "BLUE"
    assert texts(windows[0], "speech")[0][0] == pytest.approx(1.0, abs=0.3)


def test_captions_in_the_stream_are_read(tmp_path: Path) -> None:
    ffmpeg = shutil.which("ffmpeg")
    if ffmpeg is None:
        pytest.skip("needs the ffmpeg program to write captions into a Matroska file")
    write_stream(str(tmp_path / "a.mkv"), "matroska", 5, RED_THEN_BLUE, speed=100)
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:01,800\n<i>Green</i> tea\nwith mint\n\n"
                                    "2\n00:00:03,000 --> 00:00:04,000\nSold out\n")  # fmt: skip
    both = [ffmpeg, "-v", "error", "-i", str(tmp_path / "a.mkv"), "-i", str(tmp_path / "a.srt"), "-c", "copy"]
    subprocess.run([*both, "-c:s", "srt", str(tmp_path / "b.mkv")], check=True)
    windows, _, _ = follow(tmp_path / "b.mkv", hears=False, window=2, hop=2, idle=0.3)
    assert [texts(window, "caption") for window in windows[:2]] == [
        [(1.0, 1.8, "Green tea with mint")],
        [(3.0, 4.0, "Sold out")],
    ]


def test_sound_alone(tmp_path: Path) -> None:
    beep = np.concatenate([np.zeros(24_000, np.float32), tone(0.5), np.zeros(24_000, np.float32)])
    write_clip(tmp_path / "radio.ts", sound=beep)
    windows, _, _ = follow(tmp_path / "radio.ts", window=2, hop=2, idle=0.3)
    (said,) = texts(windows[0], "speech")
    assert said[:2] == pytest.approx((1.5, 2.0), abs=0.15) and windows[0].pictures == 0
    with pytest.raises(InputError, match="no pictures, and sound is not listened to"):
        follow(tmp_path / "radio.ts", hears=False, idle=0.3)


def test_decoding_that_falls_behind_goes_from_keyframe_to_keyframe(tmp_path: Path) -> None:
    import av

    path = tmp_path / "a.ts"
    write_stream(str(path), "mpegts", 6, RED_THEN_BLUE, speed=100)
    rolling = Rolling(6, 6, 10)
    with av.open(str(path)) as container:
        senses = Senses(container, WatchSettings(), StreamClock(), rolling, hears=False)
        for number, packet in enumerate(container.demux(senses.streams)):
            # late during the first three seconds (30 packets), then in time
            senses.take(packet, 1.0, 4.0 if number < 30 else 0.0)
    assert senses.passed == 3 * 9, "one packet in ten is a keyframe"
    (window,) = rolling.finish()
    assert window.end > 5.5, "what came in time is seen whole again"


def test_what_nobody_expected_is_an_error_with_a_next_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "a.ts"
    write_stream(str(path), "mpegts", 2, RED_THEN_BLUE, speed=100)
    with pytest.raises(InputError, match="more than 1 tracks"):
        list(watch_live(path, Watcher(WatchSettings(max_tracks=1), screen_reader=Colours(), speech_reader=Beeps())))

    def fail(*_: object) -> None:
        raise ZeroDivisionError("rtsp://me:s3cret@h")

    monkeypatch.setattr(Senses, "take", fail)
    with pytest.raises(InputError, match=r"a\.ts: unexpected ZeroDivisionError") as error:
        follow(path, idle=0.3)
    assert "s3cret" not in str(error.value)


def test_damaged_packets_are_told(tmp_path: Path) -> None:
    path = tmp_path / "a.ts"
    write_stream(str(path), "mpegts", 6, lambda second: picture(seed=1 + int(second), size=(160, 120)), speed=100)
    data = bytearray(path.read_bytes())
    for at in range(len(data) // 3, len(data) // 2, 61):
        data[at] ^= 0xFF
    path.write_bytes(data)
    windows, _, ends = follow(path, window=3, hop=3, idle=0.3)
    assert len(windows) == 2 and not ends[0].failed
    assert any("could not be decoded" in problem for window in windows for problem in window.problems)
