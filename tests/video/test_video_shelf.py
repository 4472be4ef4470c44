"""Frames that wait on disk come back as they were, and make room for others."""

from __future__ import annotations

import tempfile

import av
import numpy as np
import pytest

from llmrec.video import choosing
from llmrec.video.choosing import Chooser
from llmrec.video.frames import frame_candidate
from llmrec.video.pixels import PQ, Seen
from llmrec.video.shelf import Shelf
from tests.video.clips import picture


def frame(format: str, size: tuple[int, int] = (150, 61), seed: int = 1) -> av.VideoFrame:
    return av.VideoFrame.from_image(picture(size=size, seed=seed)).reformat(format=format)


@pytest.mark.parametrize("format", ["yuv420p", "yuv422p10le", "yuv420p10le", "nv12", "gray", "rgb24", "bgra", "rgb8"])
def test_a_frame_comes_back_as_it_was(format: str) -> None:
    given, shelf = frame(format), Shelf()
    if format == "yuv420p10le":
        given.color_trc = PQ
    given.color_range = 2
    seen, kept = Seen(given), Seen(given)
    kept.put_away(shelf)
    kept.put_away(shelf)  # as two windows of a stream may
    assert shelf.end > 0 and kept.frame is not given
    assert (np.asarray(kept.to_image()) == np.asarray(seen.to_image())).all()
    assert (kept.miniature(48, 27) == seen.miniature(48, 27)).all()


def test_room_is_used_again() -> None:
    shelf = Shelf()
    places = [shelf.put(frame("gray", (64, 48), seed)) for seed in range(1, 4)]
    one = shelf.end // 3
    assert one >= 64 * 48
    del places[1]
    again, other = shelf.put(frame("gray", (64, 48), 5)), shelf.put(frame("gray", (64, 48), 6))
    assert shelf.end == 4 * one and again is not None and other is not None
    for place, seed in ((places[0], 1), (again, 5), (places[1], 3), (other, 6)):
        assert place is not None
        assert (place.frame().to_ndarray() == frame("gray", (64, 48), seed).to_ndarray()).all()


def test_without_a_disk_frames_stay_in_memory(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(**_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tempfile, "TemporaryFile", full)
    given, shelf = frame("yuv420p"), Shelf()
    seen = Seen(given)
    seen.put_away(shelf)
    assert seen.frame is given
    palette = av.VideoFrame(64, 48, "pal8")
    assert shelf.put(palette) is None


def test_what_is_chosen_is_the_same_from_memory_and_from_disk(monkeypatch: pytest.MonkeyPatch) -> None:
    chosen = []
    for room in (1000, 3):
        monkeypatch.setattr(choosing, "IN_MEMORY", room)
        chooser = Chooser(6)
        for number in range(40):
            chooser.add(frame_candidate(number / 4, frame("yuv420p", (160, 90), number // 2 + 1), 1.0))
        held = [isinstance(run.best.frame._held, av.VideoFrame) for run in chooser._kept.runs]
        assert len(held) == 12 and sum(held) <= min(room, 12)
        chosen.append([(run.best.time, np.asarray(run.best.picture()).tobytes()) for run in chooser.finish()])
        # the file holds no more than the frames that are held at once
        assert chooser._kept._shelf.end <= 13 * 160 * 90 * 2
    assert chosen[0] == chosen[1] and len(chosen[0]) == 6
