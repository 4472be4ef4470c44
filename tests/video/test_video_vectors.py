"""Vectors of keyframes: whose they are, with saved frames and without."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from llmrec.records import Content
from llmrec.storage import Ledger
from llmrec.video import Watched, Watcher, WatchSettings
from llmrec.video.batch import beside, settings_digest, watch_batch
from tests.fakes import FakeImageEncoder
from tests.video.clips import picture, write_clip

QUIET = WatchSettings(speech="none", screen_text=False)
SCENES = [(2.0, picture(ground="red")), (2.0, picture(ground="blue"))]
for _seconds, _image in SCENES:  # a flat colour is blank: give it an edge
    _image.paste("white", (0, 0, 100, 240))


def looks(content: Content) -> list[str]:
    vectors = [np.frombuffer(frame.vector, "<f2") for frame in content.keyframes]
    assert all(abs(float(np.linalg.norm(vector.astype(np.float32))) - 1) < 2e-3 for vector in vectors)
    return ["red" if red > blue else "blue" for red, _, blue in vectors]


def test_keyframes_carry_the_vectors_of_their_pictures(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", SCENES)
    content = Watcher(QUIET, frames_dir=tmp_path / "frames", image_encoder=FakeImageEncoder()).watch(clip)
    assert content.image_encoder == "fake-images"
    assert sorted(set(looks(content))) == ["blue", "red"] and looks(content)[0] == "red"
    assert all(Path(frame.path).is_file() for frame in content.keyframes)


def test_without_a_folder_there_are_vectors_without_frames_and_they_are_kept(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", SCENES)
    watcher = Watcher(QUIET, image_encoder=FakeImageEncoder())
    target = tmp_path / "out" / "contents.jsonl"
    for reused in (False, True):
        with Ledger(target, Watched, settings_digest(QUIET, None, "fake-images")) as ledger:
            (outcome,) = watch_batch(watcher, [clip], ledger=ledger)
        assert outcome.reused is reused and outcome.watched is not None
    content = beside(outcome.watched.content, target)
    assert {frame.path for frame in content.keyframes} == {""} and content.media == "../a.mp4"
    assert looks(content)[0] == "red"


def test_without_an_encoder_nothing_is_said_of_vectors(tmp_path: Path) -> None:
    content = Watcher(QUIET, frames_dir=tmp_path / "frames").watch(write_clip(tmp_path / "a.mp4", SCENES))
    assert content.image_encoder == "" and {frame.vector for frame in content.keyframes} == {b""}
    assert settings_digest(QUIET, None) != settings_digest(QUIET, None, "fake-images")
