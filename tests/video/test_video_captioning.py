"""Keyframes in words: times, repeats, frames that are gone, and what is asked again."""

from __future__ import annotations

from pathlib import Path

from PIL import Image

from llmrec.records import Content, Keyframe, TimedText
from llmrec.video import caption_keyframes, captioned
from tests.fakes import FakeCaptioner

SPEECH = TimedText(1.0, 2.0, "look at this", "speech")


class Counting(FakeCaptioner):
    def __init__(self) -> None:
        self.shown = 0

    def caption(self, images):
        self.shown += len(images)
        return ["" if text == "a green thing" else text for text in super().caption(images)]


def clip(folder: Path, *colours: str) -> Content:
    frames = []
    for place, colour in enumerate(colours):
        if colour != "gone":
            Image.new("RGB", (8, 8), colour).save(folder / f"{place}.png")
        frames.append(Keyframe(float(place), f"{place}.png", 0))
    return Content("c", "video", timed_text=(SPEECH,), keyframes=tuple(frames))


def test_captions_stand_where_their_frames_do(tmp_path: Path, caplog) -> None:
    content = clip(tmp_path, "red", "red", "blue", "gone", "lime", "blue")
    told = caption_keyframes(content, Counting(), tmp_path)
    assert told.timed_text == (
        TimedText(0.0, 1.0, "a red thing", "vision"),
        SPEECH,
        TimedText(2.0, 2.0, "a blue thing", "vision"),
        TimedText(5.0, 5.0, "a blue thing", "vision"),  # something else was between
    )
    assert "3.png: no such file" in caplog.text
    assert caption_keyframes(told, Counting(), tmp_path) == told  # not said twice
    assert caption_keyframes(Content("s", "search", title="x"), Counting()) == Content("s", "search", title="x")


def test_a_second_run_asks_about_what_is_new(tmp_path: Path) -> None:
    first, second = clip(tmp_path, "red"), clip(tmp_path, "red", "blue")
    target, captioner = tmp_path / "contents.jsonl", Counting()
    told = list(captioned([first], captioner, folder=tmp_path, target=target))
    again = list(captioned([first, second], captioner, folder=tmp_path, target=target))
    assert again[0] == told[0]
    assert captioner.shown == 3
    list(captioned([first], captioner, folder=tmp_path, target=target, resume=False))
    assert captioner.shown == 4
