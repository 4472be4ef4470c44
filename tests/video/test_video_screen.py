"""On-screen text: reading it, and many readings to one caption."""

from __future__ import annotations

import logging
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image, ImageDraw, ImageFont

from llmrec.video.screen import RapidReader, Reading, credible, merge_readings
from llmrec.video.settings import WatchSettings
from tests.video.clips import picture

if TYPE_CHECKING:
    from numpy.typing import NDArray

READER = cache(lambda: RapidReader(WatchSettings(threads=1)))


def test_one_caption_over_three_frames_is_voted_on() -> None:
    frames = [
        (0.0, 1.0, [Reading("CAMEEBODON", 0.63)]),
        (1.0, 2.0, [Reading("CAMPRODON", 0.99)]),
        (2.0, 3.5, [Reading("CAMPRODOM", 0.70)]),
    ]
    (caption,) = merge_readings(frames)
    assert (caption.start, caption.end, caption.text) == (0.0, 3.5, "CAMPRODON")
    # two sure readings are two captions below 75 of 100: these share 14 of 19 letters in order, 73.7
    sure = [(0.0, 1.0, [Reading("CAMEEBODON", 0.9)]), (1.0, 2.0, [Reading("CAMPRODON", 0.99)])]
    assert [piece.text for piece in merge_readings(sure)] == ["CAMEEBODON", "CAMPRODON"]


def test_other_readings_of_a_line_in_doubt_follow_with_less_confidence() -> None:
    (agreed, other) = merge_readings([(0, 1, [Reading("HEEZJ", 0.5)]), (1, 2, [Reading("HEEZI", 0.6)])])
    assert (agreed.text, other.text) == ("HEEZI", "HEEZJ")
    assert other.confidence == 0.3  # 0.6 of its own


def test_a_digit_makes_another_text() -> None:
    frames = [(0.0, 1.0, [Reading("Trail shoe size 42", 0.9)]), (1.0, 2.0, [Reading("Trail shoe size 43", 0.9)])]
    assert [piece.text for piece in merge_readings(frames)] == ["Trail shoe size 42", "Trail shoe size 43"]


def test_one_missed_frame_is_bridged_two_are_not() -> None:
    seen, missed = [Reading("ACME MUG", 0.9)], []
    assert len(merge_readings([(0, 1, seen), (1, 2, missed), (2, 3, seen)])) == 1
    twice = merge_readings([(0, 1, seen), (1, 2, missed), (2, 3, missed), (3, 4, seen)])
    assert [(piece.start, piece.end) for piece in twice] == [(0, 1), (3, 4)]


def test_spelling_of_case_and_space_does_not_matter() -> None:
    merged = merge_readings([(0, 1, [Reading("SIZE42", 0.8)]), (1, 2, [Reading("Size 42", 0.9)])])
    assert [piece.text for piece in merged] == ["Size 42"]


READINGS = st.lists(st.builds(Reading, st.text("ABCabc 12", min_size=2, max_size=6), st.floats(0.6, 1)), max_size=4)


@given(st.lists(READINGS, max_size=6))
def test_merging_keeps_order_and_times(frames: list[list[Reading]]) -> None:
    pieces = merge_readings([(float(i), i + 1.0, readings) for i, readings in enumerate(frames)])
    assert [piece.start for piece in pieces] == sorted(piece.start for piece in pieces)
    assert bool(pieces) == any(reading.text.strip() for readings in frames for reading in readings)
    assert all(0 < (piece.confidence or 0) <= 1 for piece in pieces)
    assert all(0 <= piece.start < piece.end <= len(frames) for piece in pieces)


def test_rapidocr_reads_offline_and_in_silence(capfd, caplog) -> None:
    root = (logging.getLogger().level, list(logging.getLogger().handlers))
    reader = RapidReader(WatchSettings(threads=1))
    readings = reader.read(picture("BLUE KETTLE", seed=2))
    assert [reading.text for reading in readings] == ["BLUE KETTLE"]
    assert readings[0].confidence > 0.9
    assert reader.read(picture()) == []
    assert capfd.readouterr() == ("", "")
    assert (logging.getLogger().level, list(logging.getLogger().handlers)) == root


def test_shreds_are_dropped() -> None:
    said = [("C", 0.99), ("NCE", 0.72), ("1.7 L", 0.96), ("TIDEN", 0.61), ("TIDEN", 0.59), ("—-", 0.99)]
    readings = [Reading(*one) for one in said]
    assert [one.text for one in readings if credible(one, 0.6)] == ["1.7 L", "TIDEN"]
    assert [one.confidence for one in readings if credible(one, 0.3, weak=True)] == [0.72, 0.96, 0.61, 0.59]


def lines(image: Image.Image) -> list[str]:
    return [reading.text for reading in READER().read(image) if reading.confidence >= 0.8]


def test_text_that_is_turned_is_read() -> None:
    level = Image.new("RGB", (640, 480), (200, 205, 210))
    ImageDraw.Draw(level).text((90, 220), "ORGANIC GREEN TEA", fill=(20, 30, 60), font=ImageFont.load_default(40))
    for degrees in (25, 90, 180, 270):
        turned = level.rotate(degrees, expand=True, fillcolor=(200, 205, 210))
        assert lines(turned) == ["ORGANIC GREEN TEA"], degrees


def test_letters_under_one_another_are_a_word() -> None:
    sign = Image.new("RGB", (300, 640), (200, 205, 210))
    for place, letter in enumerate("SHAMPOO"):
        at = (120, 40 + 75 * place)
        ImageDraw.Draw(sign).text(at, letter, fill=(20, 30, 60), font=ImageFont.load_default(64))
    assert lines(sign) == ["SHAMPOO"]


def test_small_print_at_the_edge_of_a_small_picture_is_read() -> None:
    image = Image.new("RGB", (70, 24), (40, 40, 44))
    ImageDraw.Draw(image).text((2, 4), "TEAPOT", fill=(90, 88, 80), font=ImageFont.load_default(15))
    assert lines(image) == ["TEAPOT"]


def test_a_small_picture_is_looked_at_from_more_sides_until_something_is_sure(monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[tuple[int, int]] = []
    found = {4: [Reading("CAMPRODON", 0.95)], 5: [Reading("nothing more", 0.95)]}

    def look(self: RapidReader, pixels: NDArray[np.uint8], doubt: int = 0) -> list[Reading]:
        seen.append(pixels.shape[:2])
        return found.get(len(seen), [Reading("CAMEEB", 0.5)])

    monkeypatch.setattr(RapidReader, "_look", look)
    readings = READER().read(Image.new("RGB", (100, 60)))
    # with a margin of 17 on each side and four times as large; that turned by 30 degrees either way; six times as large
    assert seen == [(376, 536), (594, 652), (594, 652), (360, 600)]
    assert [one.text for one in readings] == ["CAMEEB"] * 3 + ["CAMPRODON"]
    seen.clear()
    found.clear()
    READER().read(Image.new("RGB", (100, 60)))
    assert seen[3:] == [(360, 600), (120, 200)]  # nothing is sure: twice as large as well
    seen.clear()
    READER().read(Image.new("RGB", (1000, 600)))
    assert seen == [(600, 1000)]
