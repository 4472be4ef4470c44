"""What a stream may open: hostile playlists, redirects, other hosts, and addresses that hold secrets."""

from __future__ import annotations

import logging
from pathlib import Path
from threading import Event

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.video.live_bytes import HttpBytes, Over, Wait
from llmrec.video.live_reach import Reach
from llmrec.video.live_source import LiveSource, live_source, live_sources
from llmrec.video.source import public_address
from tests.video.streams import body_handler, folder_handler, follow, scenes, serving, texts, write_stream

SEGMENT = "#EXTM3U\n#EXT-X-TARGETDURATION:2\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:2,\n{}\n#EXT-X-ENDLIST\n"


@pytest.fixture(scope="module")
def media(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a stream, and outside of it a secret."""
    folder = tmp_path_factory.mktemp("media")
    (folder / "public").mkdir()
    write_stream(str(folder / "public" / "own.ts"), "mpegts", 2, scenes(2, (0, "GREEN")), speed=100)
    write_stream(str(folder / "secret.ts"), "mpegts", 2, scenes(2, (0, "RED")), speed=100)
    return folder


def test_the_threat_is_real(media: Path, tmp_path: Path) -> None:
    """PyAV by itself follows a playlist to any file and any host; if this fails the tests below prove nothing."""
    import av

    asked: list[str] = []
    with serving(folder_handler(media, asked)) as other:
        for named in (str(media / "secret.ts"), f"{other}/secret.ts"):
            (tmp_path / "evil.m3u8").write_text(SEGMENT.format(named))
            options = {"protocol_whitelist": "file,http,tcp"}
            with av.open(str(tmp_path / "evil.m3u8"), options=options) as container:
                assert sum(1 for _ in container.decode(video=0)) == 20
    assert asked == ["/secret.ts"]


def named(what: str, secret: Path, other: str) -> str:
    return {
        "absolute": str(secret),
        "file": f"file://{secret}",
        "short file": f"file:{secret}",
        "concat": f"concat:{secret}|{secret}",
        "subfile": f"subfile,,start,0,end,0,,:{secret}",
        "data": "data:video/mp2t;base64,R0A=",
        "cache": f"cache:{other}/secret.ts",
        "other port": f"{other}/secret.ts",
        "other host": f"{other.replace('127.0.0.1', 'localhost')}/secret.ts",
        "redirect": "away.ts",
        "key": f'own.ts\n#EXT-X-KEY:METHOD=AES-128,URI="file://{secret}"\n#EXTINF:2,\nown.ts',
        "map": f'own.ts\n#EXT-X-MAP:URI="file://{secret}"\n#EXTINF:2,\nown.ts',
    }[what]


NAMES = ["absolute", "file", "short file", "concat", "subfile", "data", "cache", "other port", "other host"]


@pytest.mark.parametrize("what", [*NAMES, "redirect", "key", "map"])
def test_a_remote_playlist_reaches_its_own_host_alone(media: Path, what: str) -> None:
    reader_saw: list[str] = []
    asked: list[str] = []

    with serving(folder_handler(media, asked)) as other:

        def answer(handler) -> None:
            if handler.path == "/evil.m3u8":
                body = SEGMENT.format(named(what, media / "secret.ts", other)).encode()
            elif handler.path == "/own.ts":
                body = (media / "public" / "own.ts").read_bytes()
            elif handler.path == "/away.ts":
                handler.send_response(302)
                handler.send_header("Location", f"{other}/secret.ts")
                return handler.end_headers()
            else:
                return handler.send_error(404)
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(body)))
            handler.end_headers()
            handler.wfile.write(body)

        with serving(body_handler(answer)) as address:
            try:
                windows, _, _ = follow(f"{address}/evil.m3u8", hears=False, window=2, hop=2, idle=1)
                reader_saw = [text for window in windows for *_, text in texts(window, "screen")]
            except InputError as error:
                assert "/evil.m3u8" in error.message
    assert "RED" not in reader_saw and asked == []


def test_a_host_can_be_allowed(media: Path) -> None:
    asked: list[str] = []
    with serving(folder_handler(media, asked)) as other:

        def answer(handler) -> None:
            handler.send_response(200)
            handler.end_headers()
            handler.wfile.write(SEGMENT.format(f"{other}/secret.ts").encode())

        with serving(body_handler(answer)) as address:
            with pytest.raises(InputError, match="names another host") as error:
                follow(f"{address}/a.m3u8", hears=False, window=2, hop=2, idle=1)
            place = other.removeprefix("http://")
            assert f"--allow-host {place}" in error.value.next_step
            windows, _, _ = follow(f"{address}/a.m3u8", hears=False, window=2, hop=2, idle=1, allow_hosts=(place,))
    assert texts(windows[0], "screen")[0][2] == "RED" and asked == ["/secret.ts"]


def test_a_playlist_on_disk_stays_in_its_folder(media: Path) -> None:
    folder = media / "public"
    (folder / "link.ts").symlink_to(media / "secret.ts")
    asked: list[str] = []
    with serving(folder_handler(media, asked)) as other:
        for what in (
            str(media / "secret.ts"),
            "../secret.ts",
            "link.ts",
            f"file://{media}/secret.ts",
            f"{other}/secret.ts",
        ):
            (folder / "evil.m3u8").write_text(SEGMENT.format(what))
            with pytest.raises(InputError, match=r"names (a file outside its folder|another host)"):
                follow(folder / "evil.m3u8", hears=False, window=2, hop=2, idle=1)
    assert asked == []
    (folder / "good.m3u8").write_text(SEGMENT.format("own.ts"))
    windows, _, _ = follow(folder / "good.m3u8", hears=False, window=2, hop=2, idle=1)
    assert texts(windows[0], "screen")[0][2] == "GREEN"


def test_a_recording_that_is_really_a_playlist_is_refused(media: Path, tmp_path: Path) -> None:
    (tmp_path / "show.ts").write_text(SEGMENT.format(media / "secret.ts"))
    with pytest.raises(InputError, match=r"show\.ts: is an HLS playlist, not a media file"):
        follow(tmp_path / "show.ts", idle=0.3)


def test_a_media_answer_that_is_really_a_concat_script_opens_nothing(media: Path) -> None:
    def answer(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(f"ffconcat version 1.0\nfile '{media / 'secret.ts'}'\n".encode())

    with serving(body_handler(answer)) as address, pytest.raises(InputError, match="cannot be opened as a stream"):
        follow(f"{address}/a.ts", hears=False, idle=1)


def test_passwords_go_to_their_host_and_to_nobody_else(media: Path, caplog: pytest.LogCaptureFixture, capfd) -> None:
    caplog.set_level(logging.DEBUG, logger="llmrec")
    given: list[str | None] = []

    def answer(handler) -> None:
        given.append(handler.headers["Authorization"])
        if len(given) > 2:
            return handler.send_error(500)
        body = SEGMENT.format("own.ts").encode() if "m3u8" in handler.path else (media / "public/own.ts").read_bytes()
        handler.send_response(200)
        handler.send_header("Content-Length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with serving(body_handler(answer)) as address:
        secret = address.replace("//", "//me:s3cret@")
        windows, _, ends = follow(f"{secret}/a.m3u8?token=s3cret", hears=False, window=2, hop=2, idle=1)
        with pytest.raises(InputError) as error:
            follow(f"{secret}/b.m3u8?token=s3cret", hears=False, idle=1)
    assert given[:2] == ["Basic bWU6czNjcmV0"] * 2
    said = f"{windows}{ends}{error.value}{caplog.text}{capfd.readouterr()}"
    assert "s3cret" not in said and "/b.m3u8?…" in str(error.value)


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("https://me:pw@h.example/a.m3u8?token=1#x", "https://h.example/a.m3u8?…"),
        ("rtsp://me:pw@10.0.0.1:554/cam", "rtsp://10.0.0.1:554/cam"),
        ("rtsp://me:p@w@10.0.0.1/cam", "rtsp://10.0.0.1/cam"),
        ("rtsp://me:p?w@10.0.0.1/cam", "rtsp://10.0.0.1/cam"),
        ("rtsp://me:p/w@10.0.0.1/cam", "rtsp://10.0.0.1/cam"),
        ("https://h.example/a@2x.m3u8", "https://h.example/a@2x.m3u8"),
        ("http:/me:pw@h.example/a.ts", "http://h.example/a.ts"),  # as pathlib gives it
        ("http://[::1]:8080/a.ts", "http://[::1]:8080/a.ts"),
    ],
)
def test_addresses_are_shown_without_secrets(address: str, shown: str) -> None:
    assert public_address(address) == shown


@given(st.text(alphabet="abc:/?#%", min_size=1), st.sampled_from(["rtsp", "https", "rtmp"]))
def test_no_password_is_ever_shown(password: str, scheme: str) -> None:
    address = f"{scheme}://user:{password}ZZZ@host.example/x"
    assert "ZZZ" not in public_address(address)
    try:
        assert "ZZZ" not in f"{live_source(address).shown} {live_source(address).name}"
    except InputError as error:
        assert "ZZZ" not in str(error)


@pytest.mark.parametrize(
    ("given", "name", "kind"),
    [
        ("https://shop.example/shows/knife-night.m3u8?t=1", "knife-night", "http"),
        ("https://shop.example/live.m3u8", "shop.example-live", "http"),
        ("rtsp://10.0.0.1:554/cam 1", "cam_1", "ffmpeg"),
        ("rtmps://host.example/app/stream", "host.example-stream", "ffmpeg"),
        ("-", "stdin", "pipe"),
    ],
)
def test_what_streams_are_called(given: str, name: str, kind: str) -> None:
    source = live_source(given)
    assert (source.name, source.kind) == (name, kind)


@pytest.mark.parametrize("given", ["concat:a|b", "file:///etc/passwd", "data:,x", "gopher://h/x", "https:///x", "tcp:"])
def test_other_schemes_are_no_streams(given: str) -> None:
    with pytest.raises(InputError):
        live_source(given)


def test_streams_have_names_of_their_own(tmp_path: Path) -> None:
    names = [source.name for source in live_sources(["rtsp://a/x", "rtsp://b/x", "rtsp://c/x"])]
    assert names == ["x", "x.2", "x.3"]
    with pytest.raises(InputError, match="named twice"):
        live_sources(["rtsp://a/x", "rtsp://a/x"])


def reach(address: str, *allowed: str) -> Reach:
    return Reach(LiveSource(address, address, "x", "http"), allowed, Wait(1.0, Event()))


@pytest.mark.parametrize(
    ("home", "address", "may"),
    [
        ("https://a.example/x.m3u8", "https://a.example/y.ts", True),
        ("https://a.example/x.m3u8", "https://a.example:443/y.ts", True),
        ("https://a.example/x.m3u8", "https://a.example:22/y.ts", False),
        ("https://a.example/x.m3u8", "http://a.example/y.ts", False),  # would tell the password
        ("http://a.example/x.m3u8", "https://a.example/y.ts", True),
        ("http://a.example:8080/x.m3u8", "http://a.example/y.ts", False),
        ("https://a.example/x.m3u8", "https://a.example@evil.example/y.ts", False),
        ("https://a.example/x.m3u8", "https://A.EXAMPLE/y.ts", True),
        ("https://a.example/x.m3u8", "https://cdn.example/y.ts", True),
        ("https://a.example/x.m3u8", "https://sub.cdn.example/y.ts", False),
        ("https://a.example/x.m3u8", "file:///etc/passwd", False),
    ],
)
def test_hosts(home: str, address: str, may: bool) -> None:
    assert reach(home, "cdn.example")._allows(address) is may


def test_a_playlist_without_end_is_not_read_to_its_end(media: Path) -> None:
    def answer(handler) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.wfile.write(b"#EXTM3U\n")
        try:
            for _ in range(400):
                handler.wfile.write(b"#EXTINF:1,\nown.ts\n" * 4000)
        except OSError:
            pass

    with serving(body_handler(answer)) as address:
        with reach(f"{address}/a.m3u8") as one:
            where, is_playlist = one.first()
            body = one.open(where, 1, {})
            assert is_playlist and isinstance(body, HttpBytes)
            count = 0
            while data := body.read(1 << 16):
                count += len(data)
            assert count <= 8 << 20 and "longer than 8 MiB" in str(one._wait.fault)


def test_a_stopped_stream_opens_nothing_more() -> None:
    one = reach("http://127.0.0.1:9/a.m3u8")
    one._wait.stop.set()
    assert one.open("http://127.0.0.1:9/b.ts", 1, {}).read(9) == b"" and isinstance(one._wait.fault, Over)


def test_a_segment_that_is_missing_is_passed_over_and_told(tmp_path: Path) -> None:
    options = {"hls_time": "1", "hls_list_size": "0"}
    write_stream(str(tmp_path / "a.m3u8"), "hls", 5, scenes(5, (0, "RED")), speed=100, options=options)
    (tmp_path / "a2.ts").unlink()
    with serving(folder_handler(tmp_path)) as address:
        windows, _, ends = follow(f"{address}/a.m3u8", hears=False, window=5, hop=5, idle=2)
    assert [problem for window in windows for problem in window.problems] == [
        f"a part is missing: {address}/a2.ts answers 404"
    ]
    assert windows[-1].content.keyframes == () and ends[0].reason == "the stream ended"
