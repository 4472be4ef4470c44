"""Files of many kinds, made on the fly: codecs, several tracks, strange clocks, changing sound, long ones."""

from __future__ import annotations

import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest

from llmrec.video import WatchSettings, watch
from llmrec.video.choosing import choose
from llmrec.video.coverage import Coverage
from llmrec.video.decoding import Clock
from llmrec.video.frames import Candidate, candidates
from llmrec.video.images import folder_candidates
from llmrec.video.languages import same_language
from llmrec.video.sound import RATE, sound_blocks
from llmrec.video.source import audio_stream, open_container, stream_length, video_stream
from tests.video.clips import picture, tone, write_clip

SETTINGS = WatchSettings(threads=1)


def looks(path: Path, settings: WatchSettings = SETTINGS) -> tuple[list[Candidate], Coverage]:
    """The frames that are looked at, and what could not be read."""
    with open_container(path, settings) as container:
        stream = video_stream(container)
        assert stream is not None
        coverage = Coverage("video", stream_length(stream))
        return list(candidates(container, stream, settings, coverage)), coverage


def colour(look: Candidate) -> list[int]:
    """Colour in the middle of the picture."""
    image = look.picture()
    return [int(part) for part in np.asarray(image)[image.height // 2, image.width // 2]]


def encode(path: Path, pictures, codec: str, pix_fmt: str, rate: int = 10, options: dict | None = None, **tags) -> Path:
    """Encode RGB(A) arrays; ``tags`` are attributes of the encoder (colour)."""
    import av

    with av.open(str(path), "w") as out:
        stream = out.add_stream(codec, rate=rate)
        stream.height, stream.width = pictures[0].shape[:2]
        stream.pix_fmt, stream.options = pix_fmt, options or {}
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        for number, pixels in enumerate(pictures):
            kind = {1: "gray", 3: "rgb24", 4: "rgba"}[pixels.shape[2]]
            if pixels.dtype == np.uint16:
                kind = "rgb48le"
            frame = av.VideoFrame.from_ndarray(pixels, format=kind)
            if "colorspace" in tags:
                frame = frame.reformat(format=pix_fmt, dst_colorspace=tags["colorspace"])
                frame.colorspace = tags["colorspace"]
            frame.pts, frame.time_base = number, Fraction(1, rate)
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    return path


def still(level: tuple[int, ...], frames: int = 10) -> list[np.ndarray]:
    pixels = np.full((96, 128, len(level)), level, np.uint8)
    pixels[:20, :20] = 255
    return [pixels] * frames


@pytest.mark.parametrize(
    ("name", "codec", "pix_fmt", "options"),
    [
        ("a.mp4", "libx265", "yuv420p", {"x265-params": "log-level=none:keyint=5"}),
        ("a.mkv", "libx265", "yuv420p10le", {"x265-params": "log-level=none"}),
        ("a.mov", "prores_ks", "yuv422p10le", {}),
        ("a.mkv", "ffv1", "yuv420p", {}),
        ("a.avi", "mjpeg", "yuvj420p", {}),
        ("a.mpg", "mpeg2video", "yuv420p", {"b": "2M"}),
        ("a.webm", "libvpx-vp9", "yuv420p", {}),
        ("a.mkv", "libsvtav1", "yuv420p", {}),
        ("a.mov", "qtrle", "argb", {}),
        ("a.wmv", "wmv2", "yuv420p", {"b": "2M"}),
        ("a.flv", "flv", "yuv420p", {"b": "2M"}),
    ],
)
@pytest.mark.parametrize("whole", [True, False])
def test_codecs(
    tmp_path: Path, name: str, codec: str, pix_fmt: str, options: dict, whole: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    import av

    if codec not in av.codecs_available:
        pytest.skip(f"this build of FFmpeg has no {codec}")
    monkeypatch.setattr("llmrec.video.decoding.CHEAP_PIXELS", 1e9 if whole else 0.5)
    rate = 25 if codec in {"mpeg2video"} else 10
    level = (192, 48, 32)
    clip = encode(tmp_path / name, still(level, 2 * rate), codec, pix_fmt, rate, options)
    seen, coverage = looks(clip)
    assert coverage.problem() == "" and seen
    assert seen[0].time == pytest.approx(0, abs=0.15)
    assert np.abs(np.array(colour(seen[-1])) - level).max() <= 12, colour(seen[-1])
    assert coverage.reached == pytest.approx(2, abs=0.2)


def test_hdr_is_neither_black_nor_washed_out(tmp_path: Path) -> None:
    import av

    if "libx265" not in av.codecs_available:
        pytest.skip("this build of FFmpeg has no libx265")
    # left black, middle paper white (58% of PQ), right half of that light (51%)
    wide = np.zeros((96, 192, 3), np.uint16)
    wide[:, 64:128], wide[:, 128:] = round(0.5807 * 65535), round(0.5104 * 65535)
    # HDR10 as phones and televisions have it: BT.2020 colours, PQ
    tags = {"color_trc": 16, "color_primaries": 9, "colorspace": 9}
    options = {"x265-params": "log-level=none:colorprim=9:transfer=16:colormatrix=9"}
    clip = encode(tmp_path / "hdr.mp4", [wide] * 5, "libx265", "yuv420p10le", 10, options, **tags)
    seen, _ = looks(clip)
    pixels = np.asarray(seen[0].picture())[48]
    assert pixels[32].max() <= 4
    assert np.abs(pixels[96].astype(int) - 242).max() <= 4
    assert np.abs(pixels[160].astype(int) - 188).max() <= 4  # half the light: 1.055 * 0.5 ** (1 / 2.4) - 0.055 = 0.735
    assert np.ptp(seen[0].small) > 200


def test_transparency_is_white(tmp_path: Path) -> None:
    seen, _ = looks(encode(tmp_path / "a.mov", still((250, 10, 10, 0)), "qtrle", "argb"))
    assert colour(seen[0]) == [255, 255, 255]


def test_interlaced_fields_do_not_comb(tmp_path: Path) -> None:
    pictures = []
    for number in range(25):
        pixels = np.full((96, 128, 3), 200, np.uint8)
        for field in (0, 1):
            left = 4 * (2 * number + field) % 90
            pixels[field::2, left : left + 30] = 20
        pictures.append(pixels)
    options = {"flags": "+ildct+ilme", "b": "4M"}
    seen, _ = looks(encode(tmp_path / "a.mpg", pictures, "mpeg2video", "yuv420p", 25, options))
    for look in seen:
        grey = np.asarray(look.picture().convert("L")).astype(int)
        assert np.abs(grey[1:-1] - (grey[:-2] + grey[2:]) / 2).mean() < 4


def test_of_several_sound_tracks_the_one_in_the_language_is_heard(tmp_path: Path) -> None:
    import av

    path = tmp_path / "two.mkv"
    with av.open(str(path), "w") as out:
        tracks = [out.add_stream("flac", rate=RATE, layout="mono") for _ in range(3)]
        for track, language in zip(tracks, ("eng", "ger", "ger"), strict=True):
            track.metadata["language"] = language
        for number, track in enumerate(tracks):
            samples = np.full((1, RATE), (number + 1) * 0.2 * 32767, np.int16)
            for start in range(0, RATE, 1000):
                frame = av.AudioFrame.from_ndarray(samples[:, start : start + 1000], format="s16", layout="mono")
                frame.rate, frame.pts, frame.time_base = RATE, start, Fraction(1, RATE)
                out.mux(track.encode(frame))
            out.mux(track.encode(None))
    for language, level in (("", 0.2), ("de", 0.4), ("en", 0.2), ("fr", 0.2)):
        with open_container(path, SETTINGS) as container:
            stream = audio_stream(container, language)
            assert stream is not None
            (block,) = sound_blocks(container, stream, SETTINGS, Coverage("audio"))
            assert block.samples.max() == pytest.approx(level, abs=0.01), language


def test_of_several_pictures_the_film_is_seen_not_the_cover(tmp_path: Path) -> None:
    import av

    path = tmp_path / "two.mp4"
    with av.open(str(path), "w") as out:
        small, large = out.add_stream("mjpeg", rate=10), out.add_stream("libx264", rate=10)
        for stream, size in ((small, (64, 48)), (large, (320, 240))):
            stream.width, stream.height = size
            stream.pix_fmt = "yuvj420p" if stream is small else "yuv420p"
        small.disposition = av.stream.Disposition.attached_pic
        for number in range(10):
            for stream in (small, large)[number > 0 :]:
                frame = av.VideoFrame.from_image(picture(seed=4, size=(stream.width, stream.height)))
                frame.pts, frame.time_base = number, Fraction(1, 10)
                out.mux(stream.encode(frame))
        for stream in (small, large):
            out.mux(stream.encode(None))
    assert {look.picture().size for look in looks(path)[0]} == {(320, 240)}


def test_sound_that_changes_on_the_way_is_heard_to_the_end(tmp_path: Path) -> None:
    parts = []
    for number, seconds in enumerate((1, 2)):
        part = write_clip(tmp_path / f"{number}.ts", sound=tone(seconds, 440 + 440 * number))
        parts.append(part.read_bytes())
    import av

    stereo = tmp_path / "stereo.ts"
    with av.open(str(stereo), "w") as out:
        track = out.add_stream("aac", rate=44_100, layout="stereo")
        for start in range(0, 44_100, 1024):
            frame = av.AudioFrame.from_ndarray(np.full((2, 1024), 0.3, np.float32), format="fltp", layout="stereo")
            frame.rate, frame.pts, frame.time_base = 44_100, start, Fraction(1, 44_100)
            out.mux(track.encode(frame))
        out.mux(track.encode(None))
    whole = tmp_path / "whole.ts"
    whole.write_bytes(parts[0] + stereo.read_bytes())
    with open_container(whole, SETTINGS) as container:
        stream = audio_stream(container)
        assert stream is not None
        blocks = list(sound_blocks(container, stream, SETTINGS, Coverage("audio")))
    assert sum(len(block.samples) for block in blocks) / RATE == pytest.approx(2, abs=0.25)


def test_times_go_on_where_a_clock_is_set_anew() -> None:
    clock = Clock(step=0.5)
    assert [clock.read(time) for time in (0.0, 10.0, 9.5, None, 0.0, 1.0)] == [0.0, 10.0, 9.5, 10.5, 11.0, 12.0]
    # a stamp far beyond the declared end is damage
    assert [Clock(0.5, length=10).read(time) for time in (1e6,)] == [0.0]


def test_recordings_joined_end_to_end_are_seen_to_the_end(tmp_path: Path) -> None:
    one = write_clip(tmp_path / "1.ts", [(6, picture(seed=1))])
    two = write_clip(tmp_path / "2.ts", [(6, picture(seed=2))])
    joined = tmp_path / "joined.ts"
    joined.write_bytes(one.read_bytes() + two.read_bytes())
    seen, _ = looks(joined)
    assert [round(look.time) for look in seen][-1] in (11, 12) and len(choose(seen, 12)) == 2


def test_what_is_shown_for_half_a_second_between_keyframes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.video.decoding.CHEAP_PIXELS", 1)
    shelf, pack = picture(seed=1), picture("NEW TASTE", seed=2)
    both = shelf.copy()
    both.paste(pack.resize((160, 120)), (20, 20))
    for shown in (pack, both):  # as a cut, and as something laid over
        scenes = [(3.2, shelf), (0.5, shown), (4.3, shelf)]
        clip = write_clip(tmp_path / "a.mp4", scenes, rate=20, gap=250, codec="libx264")
        seen, coverage = looks(clip)
        assert any(3.2 <= look.time < 3.7 for look in seen)
        assert coverage.decoded < 120 and coverage.problem() == ""
    everything, coverage = looks(clip, WatchSettings(threads=1, all_frames=True))
    assert len(everything) == 32  # four a second


def test_frames_that_no_other_refers_to_are_decoded_where_there_are_few_others(tmp_path: Path) -> None:
    pictures = [np.asarray(picture(seed=1 + number // 50)) for number in range(150)]
    options = {"bf": "16", "b_strategy": "0", "x264-params": "b-pyramid=none:scenecut=0:keyint=250"}
    seen, coverage = looks(encode(tmp_path / "a.mp4", pictures, "libx264", "yuv420p", 25, options))
    # of 17 frames one is referred to, 0.68 s apart: after the first hole all are decoded
    assert coverage.decoded > 100
    assert max(np.diff([look.time for look in seen])[3:]) <= 0.29


def test_a_cut_to_which_the_encoder_gave_no_keyframe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.video.decoding.CHEAP_PIXELS", 1)
    monkeypatch.setattr("llmrec.video.packets.FIRST", 4e6)  # far from enough to decode up to it
    monkeypatch.setattr("llmrec.video.packets.ALLOWANCE", 1e5)
    one, other = np.asarray(picture(seed=1)), np.asarray(picture(ground="navy", seed=2))
    pictures = [one] * 80 + [other] * 10 + [one] * 70
    options = {"g": "250", "sc_threshold": "0", "b": "1M"}
    seen, coverage = looks(encode(tmp_path / "a.mp4", pictures, "libx264", "yuv420p", 20, options))
    (flash,) = [look for look in seen if 4.0 <= look.time < 4.5]
    apart = np.abs(np.asarray(flash.picture()).astype(int) - other).mean()
    assert apart < 12 and coverage.decoded < 20, apart


def test_an_animated_png_is_a_clip(tmp_path: Path) -> None:
    path = tmp_path / "moving.png"
    pictures = [picture(seed=seed) for seed in (1, 2, 3)]
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[500, 1500, 1000])
    content = watch(path, settings=WatchSettings(speech="none", screen_text=False), frames_dir=tmp_path / "frames")
    assert [frame.time for frame in content.keyframes] == [0.0, 0.5, 2.0]


def test_a_folder_of_photos_is_not_held_in_memory(tmp_path: Path) -> None:
    for number in range(3):
        picture(seed=number + 1).save(tmp_path / f"{number}.png")
    paths = sorted(tmp_path.iterdir())
    seen = list(folder_candidates(paths, SETTINGS, Coverage("pictures")))
    picture(seed=9).save(paths[1])  # what is seen is read when it is wanted
    assert (np.asarray(seen[1].picture()) == np.asarray(picture(seed=9))).all()


def test_damage_is_told_where_only_some_packets_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.video.decoding.CHEAP_PIXELS", 1)
    clip = write_clip(tmp_path / "a.mp4", [(1, picture(seed=seed)) for seed in range(1, 13)], gap=10, codec="libx264")
    assert looks(clip)[1].problem() == ""
    data = bytearray(clip.read_bytes())
    start, end = round(len(data) * 0.4), round(len(data) * 0.8)
    data[start:end] = np.random.default_rng(0).integers(0, 256, end - start, np.uint8).tobytes()
    clip.write_bytes(data)
    seen, coverage = looks(clip)
    assert 0.2 <= coverage.lost <= 0.6, coverage
    assert len(seen) < 12


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        ("de", "ger", True),
        ("deu", "de-AT", True),
        ("zh", "cmn", True),
        ("en", "eng", True),
        ("gsw", "gsw", True),
        ("de", "dut", False),
        ("", "", False),
        ("", "en", False),
        ("und", "en", False),
    ],
)
def test_tags_of_languages(one: str, other: str, same: bool) -> None:
    assert same_language(one, other) is same_language(other, one) is same


MEMORY = """
import resource, sys
from tests.video.test_video_formats import SETTINGS, Path, choose, looks
from llmrec.video.coverage import Coverage
from llmrec.video.frames import candidates
from llmrec.video.source import open_container, video_stream
with open_container(Path(sys.argv[1]), SETTINGS) as container:
    runs = choose(candidates(container, video_stream(container), SETTINGS, Coverage("video")), 12)
print(len(runs), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_two_hours_take_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    import av

    minute = write_clip(
        tmp_path / "minute.mp4", [(6, picture(seed=seed)) for seed in range(1, 11)], rate=5, gap=30, codec="libx264"
    )
    hours = tmp_path / "hours.mp4"
    with av.open(str(hours), "w") as out, av.open(str(minute)) as first:
        stream = out.add_stream_from_template(first.streams.video[0])
        packets = [(p.pts, p.dts, bytes(p), p.is_keyframe) for p in first.demux(first.streams.video[0]) if p.size]
        length, base = first.streams.video[0].duration, first.streams.video[0].time_base
        for turn in range(120):
            for pts, dts, data, key in packets:
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.time_base = pts + turn * length, dts + turn * length, base
                packet.is_keyframe = key
                packet.stream = stream
                out.mux(packet)
    peaks = []
    for path in (minute, hours):
        done = subprocess.run([sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True)
        count, peak = done.stdout.split()
        assert int(count) >= 10
        peaks.append(float(peak))
    assert peaks[1] < peaks[0] + 40  # MB: the index of 36,000 packets is a part of it
