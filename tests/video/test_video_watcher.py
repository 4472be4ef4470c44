"""Watching files end to end, with readers that remember what they were shown."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from llmrec.errors import InputError
from llmrec.records import Content, TimedText
from llmrec.video import Watcher, WatchFailure, WatchSettings, watch
from llmrec.video.coverage import Coverage
from llmrec.video.keyframes import file_name
from llmrec.video.screen import Reading
from llmrec.video.speech import Transcript
from tests.video.clips import RATE, picture, tone, write_clip

QUIET = WatchSettings(speech="none", screen_text=False)
DATA = os.environ.get("LLMREC_DATA")


class Eyes:
    """Reads the mean colour of a picture."""

    def __init__(self) -> None:
        self.seen: list[tuple[int, int]] = []

    def read(self, image) -> list[Reading]:
        self.seen.append(image.size)
        red, _, blue = np.asarray(image).reshape(-1, 3).mean(axis=0)
        return [Reading("REDDISH" if red > blue else "BLUEISH", 0.9)]


class Ears:
    """Hears how loud and how long a track is."""

    def listen(self, blocks) -> Transcript:
        samples = np.concatenate([block.samples for block in blocks])
        if np.abs(samples).max() < 0.05:
            return Transcript([], "")
        return Transcript([TimedText(0.0, round(len(samples) / RATE, 1), "a tone", "speech", 0.5)], "en")


def watcher(frames: Path | None = None, **settings) -> Watcher:
    return Watcher(WatchSettings(**settings), frames_dir=frames, screen_reader=Eyes(), speech_reader=Ears())


SCENES = [(2.0, picture(ground="red")), (2.0, picture(ground="blue"))]
for _seconds, _image in SCENES:  # a flat colour is blank: give it an edge
    _image.paste("white", (0, 0, 100, 240))


def test_a_clip_gives_frames_text_and_speech_in_order_of_time(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "my clip.mp4", SCENES, sound=tone(4), metadata={"title": "Two colours"})
    seen = watcher(tmp_path / "frames").examine(clip)
    content = seen.content
    assert (content.id, content.kind, content.title, content.language) == ("my clip", "video", "Two colours", "en")
    assert content.media == str(clip) and seen.problems == ()
    texts = [(t.start, t.end, t.text, t.source) for t in content.timed_text]
    assert texts[0] == (0.0, 2.0, "REDDISH", "screen")
    assert texts[1][2:] == ("a tone", "speech") and texts[1][1] == pytest.approx(4, abs=0.2)
    assert texts[2][0] == 2.0 and texts[2][1] == pytest.approx(3.8, abs=0.11) and texts[2][2] == "BLUEISH"
    assert [frame.shot for frame in content.keyframes] == [0, 1]
    for frame in content.keyframes:
        path = Path(frame.path)
        assert path.parent == tmp_path / "frames" / file_name("my clip-mp4")
        assert path.name == f"{round(frame.time * 1000):09d}.jpg" and path.read_bytes()[:2] == b"\xff\xd8"


@pytest.mark.parametrize(
    ("name", "options"),
    [
        ("a.mov", {}),
        ("a.mkv", {}),
        ("a.ts", {}),
        ("a.webm", {"codec": "libvpx"}),
        ("a.avi", {"codec": "mpeg4"}),
        ("a.gif", {"codec": "gif"}),
    ],
)
def test_containers(tmp_path: Path, name: str, options: dict) -> None:
    sound = None if name == "a.gif" else tone(4)
    clip = write_clip(tmp_path / name, SCENES, sound=sound, **options)
    seen = watcher().examine(clip)
    screen = [t for t in seen.content.timed_text if t.source == "screen"]
    assert [t.text for t in screen] == ["REDDISH", "BLUEISH"]
    assert screen[1].start == pytest.approx(2.0, abs=0.25)
    assert any(t.source == "speech" for t in seen.content.timed_text) is (sound is not None)
    assert seen.problems == ()


def test_a_turned_clip_is_seen_upright(tmp_path: Path) -> None:
    upright = picture(ground="red")
    upright.paste("white", (0, 0, 320, 60))  # white above
    lying = upright.rotate(-90, expand=True)
    clip = write_clip(tmp_path / "a.mp4", [(1, lying)], rotation=90)
    seen = watcher(tmp_path / "frames")
    content = seen.watch(clip)
    assert seen.screen_reader.seen == [(320, 240)]
    from PIL import Image

    stored = np.asarray(Image.open(content.keyframes[0].path))
    assert stored[:40].mean() > 240 and stored[100:, :, 2].mean() < 30


def test_sound_alone_and_pictures_alone(tmp_path: Path) -> None:
    song = watch_with(tmp_path / "song.m4a", sound=tone(3))
    assert [t.source for t in song.timed_text] == ["speech"] and song.keyframes == ()
    silent = watch_with(tmp_path / "silent.mp4", SCENES)
    assert {t.source for t in silent.timed_text} == {"screen"} and silent.language == ""


def watch_with(path: Path, scenes=(), **options) -> Content:
    return watcher().watch(write_clip(path, scenes, **options))


def test_odd_sizes_and_variable_frame_rate(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "odd.mkv", [(1, picture(ground="red", seed=1, size=(321, 61)))], codec="ffv1")
    seen = watcher()
    seen.watch(clip)
    assert seen.screen_reader.seen == [(321, 61)]
    uneven = watcher().watch(write_clip(tmp_path / "uneven.mkv", SCENES, times=[0, 50, 700, 3000, 3040, 9000]))
    assert [(t.text, t.start, t.end) for t in uneven.timed_text] == [("REDDISH", 0.0, 3.0), ("BLUEISH", 3.0, 9.0)]


def test_only_keyframes_are_decoded_of_a_long_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import llmrec.video.decoding as decoding

    scenes = [(1, picture(seed=seed)) for seed in range(1, 13)]
    clip = write_clip(tmp_path / "long.mp4", scenes, gap=10)
    monkeypatch.setattr(decoding, "CHEAP_PIXELS", 1)
    content = Watcher(WatchSettings(speech="none", screen_text=False, max_frames=6), frames_dir=tmp_path).watch(clip)
    assert len(content.keyframes) == 6
    assert all(frame.time == int(frame.time) for frame in content.keyframes)  # a keyframe a second


def test_the_tail_of_a_cut_file_is_reported(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    scenes = [(1, picture(seed=seed)) for seed in range(1, 11)]
    whole = write_clip(tmp_path / "whole.mp4", scenes, options={"movflags": "faststart"})
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(whole.read_bytes()[: round(whole.stat().st_size * 0.6)])
    assert Watcher(QUIET).examine(whole).problems == ()
    seen = Watcher(QUIET, frames_dir=tmp_path / "frames").examine(cut)
    assert seen.content.keyframes
    (problem,) = seen.problems
    assert problem.startswith("video: ") and "could not be read (up to" in problem
    share = int(problem.split("%")[0].split()[-1])
    assert 25 <= share <= 55
    Watcher(QUIET).watch(cut)
    assert problem in caplog.text


def test_a_cut_gif_is_reported(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.gif", [(1, picture(seed=seed)) for seed in (1, 2)], codec="gif")
    assert Watcher(QUIET).examine(clip).problems == ()
    clip.write_bytes(clip.read_bytes()[: clip.stat().st_size // 2])
    assert "ends in the middle" in Watcher(QUIET).examine(clip).problems[0]


def test_damage_in_the_middle_is_reported(tmp_path: Path) -> None:
    scenes = [(1, picture(seed=seed)) for seed in range(1, 11)]
    clip = write_clip(tmp_path / "a.mp4", scenes, gap=10)
    data = bytearray(clip.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 3000] = os.urandom(3000)
    clip.write_bytes(data)
    (problem,) = Watcher(QUIET).examine(clip).problems
    assert "could not be read" in problem


@pytest.mark.parametrize("data", [os.urandom(5000), b"\0" * 5000, b"\0\0\0\x18ftypmp42" + b"\0" * 4000])
def test_what_is_wholly_unreadable_is_an_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "noise.mp4"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"noise\.mp4"):
        watch(path, settings=QUIET)


def test_photos_and_folders_of_frames(tmp_path: Path) -> None:
    from PIL import Image

    photo = tmp_path / "photo.jpg"
    turned = Image.Exif()
    turned[0x0112] = 6
    picture(ground="red", seed=3).save(photo, exif=turned)
    seen = watcher(tmp_path / "frames")
    content = seen.watch(photo)
    assert (content.kind, len(content.keyframes), seen.screen_reader.seen) == ("post", 1, [(240, 320)])
    assert content.timed_text == (TimedText(0.0, 0.0, "REDDISH", "screen", 0.9),)

    folder = tmp_path / "shelf"
    folder.mkdir()
    for number, ground in [(2, "red"), (10, "blue")]:
        picture(ground=ground, seed=number).save(folder / f"video{number}.png")
    (folder / "video3.png").write_bytes(b"\x89PNG\r\n broken")
    found = watcher().examine(folder)
    assert (found.content.id, found.content.kind) == ("shelf", "video")
    assert [(t.text, t.start) for t in found.content.timed_text] == [("REDDISH", 0.0), ("BLUEISH", 2.0)]
    assert "video3.png" in found.problems[0]


def test_captions_beside_the_clip_are_read(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", SCENES)
    (tmp_path / "a.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\na red wall\n")
    info = {"title": "Walls", "description": "red and blue", "tags": ["wall"]}
    (tmp_path / "a.info.json").write_text(json.dumps(info))
    content = watch(clip, settings=QUIET, id="walls", kind="live")
    caption = TimedText(1.0, 2.0, "a red wall", "caption")
    assert content == Content("walls", "live", "Walls", "red and blue", ("wall",), "", str(clip), (caption,))


def test_a_batch_goes_on_after_a_bad_file(tmp_path: Path) -> None:
    good = write_clip(tmp_path / "good.mp4", [(1, picture(seed=1))])
    (tmp_path / "bad.mp4").write_bytes(b"#EXTM3U\n")
    bad, watched = Watcher(QUIET).watch_all([tmp_path / "bad.mp4", good])
    assert isinstance(bad, WatchFailure) and "HLS" in bad.message and bad.next_step
    assert isinstance(watched, Content) and watched.id == "good"


def test_frames_of_files_of_one_name_do_not_meet(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "box.mp4", [(1, picture(seed=1))])
    photos = [tmp_path / name for name in ("box.png", "a/box.png", "b/box.png")]
    for seed, photo in enumerate(photos, 2):
        photo.parent.mkdir(exist_ok=True)
        picture(seed=seed).save(photo)
    watcher = Watcher(QUIET, frames_dir=tmp_path / "frames")
    saved = {watcher.watch(path).keyframes[0].path for path in [clip, *photos, clip]}
    assert len(saved) == 4


def test_shares_that_could_not_be_read() -> None:
    assert Coverage("video", expected=10.0, reached=9.6).problem() == ""
    assert Coverage("video", 10.0, 6.0).problem() == "video: 40% could not be read (up to 6.0 of 10.0 s)"
    # 40% are missing, and of the 60% that are there a tenth is bad
    assert Coverage("audio", 10.0, 6.0, packets=50, bad=5).lost == pytest.approx(0.46)
    assert Coverage("video", packets=400, bad=1).problem() == "video: under 1% could not be read"
    assert Coverage("video", stopped="longer than 9 s").problem() == "video: longer than 9 s"


def test_names_of_folders_are_safe_and_apart() -> None:
    assert file_name("clip-1.a") == "clip-1.a"
    assert file_name("../../etc") != file_name(".._.._etc")
    for id in ("../../etc", "a/b", "..", "商品", "x" * 300, "con:"):
        assert "/" not in file_name(id) and file_name(id).strip(".") and len(file_name(id)) < 100


@pytest.mark.skipif(not DATA, reason="needs LLMREC_DATA")
def test_the_box_of_opencv_is_read() -> None:
    clip = Path(DATA or "") / "opencv_product_videos" / "box.mp4"
    if not clip.is_file():
        pytest.skip("needs opencv_product_videos")
    content = watch(clip, settings=WatchSettings(speech="none", threads=1))
    # the box is turned in a hand and each frame is a matter of luck: MPRODON of one, CAMPRODON of the next
    assert any("MPRODON" in t.text and t.text in "CAMPRODON" for t in content.timed_text)
