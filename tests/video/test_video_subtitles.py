"""Subtitles inside a file: one mp4 with mov_text, one mkv with German SubRip and English SubStation Alpha."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from llmrec.records import TimedText
from llmrec.video import Watcher, WatchSettings
from llmrec.video.subtitles import cue_lines, embedded_captions

DATA = Path(__file__).parent / "data"
ENGLISH = [
    TimedText(1.0, 2.5, "This is the Trail 2", "caption"),
    TimedText(3.0, 4.0, "only 89 euros in blue", "caption"),
]


@pytest.mark.parametrize(("name", "language"), [("subtitled.mp4", ""), ("subtitled.mkv", "en")])
def test_cues_with_their_times(name: str, language: str) -> None:
    assert embedded_captions(DATA / name, WatchSettings(language=language)) == ENGLISH


def test_the_default_stream_is_taken() -> None:
    german = TimedText(1.0, 2.5, "Das ist der Trail 2", "caption")
    assert embedded_captions(DATA / "subtitled.mkv", WatchSettings()) == [german]


def test_a_caption_file_beside_comes_first(tmp_path: Path) -> None:
    clip = tmp_path / "clip.mp4"
    shutil.copy(DATA / "subtitled.mp4", clip)
    watcher = Watcher(WatchSettings(speech="none", screen_text=False))
    assert list(watcher.watch(clip).timed_text) == ENGLISH
    (tmp_path / "clip.live_chat.json").write_text('{"time": 2, "text": "is it waterproof?"}')
    assert [piece.source for piece in watcher.watch(clip).timed_text] == ["caption", "chat", "caption"]
    (tmp_path / "clip.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\nby hand\n")
    assert [piece.text for piece in watcher.watch(clip).timed_text] == ["by hand", "is it waterproof?"]


def test_damaged_cues() -> None:
    assert cue_lines(b"\x00\x05hello\x00\x00", "mov_text") == ["hello"]
    assert cue_lines(b"\xff\xffhel\xc3", "mov_text") == ["hel"]
    assert cue_lines(b"\x00", "mov_text") == []
    assert cue_lines(b"1,2,3", "ass") == []
    assert cue_lines(b"\xfe\xffa", "srt") == ["a"]
