"""Files of many kinds, made on the fly: codecs, several tracks, strange clocks, changing sound, long ones."""

from __future__ import annotations

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
