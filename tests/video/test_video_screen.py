"""On-screen text: reading it, and many readings to one caption."""

from __future__ import annotations

import logging

from hypothesis import given
from hypothesis import strategies as st

from llmrec.records import TimedText
from llmrec.video.screen import RapidReader, Reading, merge_readings
from llmrec.video.settings import WatchSettings
from tests.video.clips import picture


def test_one_caption_over_three_frames_keeps_the_surest_reading() -> None:
    frames = [
        (0.0, 1.0, [Reading("CAMEEBODON", 0.63)]),
        (1.0, 2.0, [Reading("CAMPRODON", 0.99)]),
        (2.0, 3.5, [Reading("CAMPRODOM", 0.80)]),
    ]
    assert merge_readings(frames[1:]) == [TimedText(1.0, 3.5, "CAMPRODON", "screen", 0.99)]
    # CAMEEBODON and CAMPRODON: 14 of 19 letters are shared in order, 73.7 of 100, too few
    assert [piece.text for piece in merge_readings(frames)] == ["CAMEEBODON", "CAMPRODON"]


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
def test_merging_loses_no_text_and_keeps_order(frames: list[list[Reading]]) -> None:
    pieces = merge_readings([(float(i), i + 1.0, readings) for i, readings in enumerate(frames)])
    assert [piece.start for piece in pieces] == sorted(piece.start for piece in pieces)
    assert {piece.text for piece in pieces} <= {reading.text for readings in frames for reading in readings}
    assert bool(pieces) == any(frames)
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
    reader = RapidReader.__new__(RapidReader)
    reader.confidence = 0.6
    said = [("C", 0.99), ("NCE", 0.72), ("1.7 L", 0.96), ("TIDEN", 0.61), ("TIDEN", 0.59), ("—-", 0.99)]
    assert [text for text, score in said if reader._credible(Reading(text, score))] == ["1.7 L", "TIDEN"]
