"""Evidence quotes the content's own words and names the field of the product that they met."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.match.evidence import explain, field_forms, segments_of, word_weights
from llmrec.match.words import fold, words
from llmrec.records import Content, Evidence, Product, TimedText

TRAIL = Product("t2", "Norrvik Trail 2 running shoe", brand="Norrvik", attributes={"colour": "blue", "size": "42"})
ROAD = Product("r1", "Norrvik Road running shoe", brand="Norrvik", attributes={"colour": "red", "size": "40"})


WEIGHTS = word_weights([field_forms(TRAIL), field_forms(ROAD)])


def test_words_carry_their_places_and_fold() -> None:
    assert [(w.form, w.start, w.end) for w in words("The Shoes’ SIZE is two")] == [
        ("the", 0, 3),
        ("shoe", 4, 9),
        ("size", 11, 15),
        ("is", 16, 18),
        ("2", 19, 22),
    ]
    assert fold("Crème") == "creme"
    assert [w.form for w in words("水筒500ml")] == ["水筒", "500ml"]
    assert [w.form for w in words("魔法瓶")] == ["魔法", "法瓶"]


def test_rare_words_weigh_more() -> None:
    assert WEIGHTS["shoe"] == pytest.approx(0.1)
    assert WEIGHTS["trail"] == pytest.approx(0.1 + math.log(2))
    assert word_weights([field_forms(Product("1", "the mug"))])["the"] == 0


def test_speech_and_screen_point_to_fields_with_their_times() -> None:
    said = TimedText(2.4, 4.0, "and this here is the Trail two in blue, folks", "speech")
    shown = TimedText(0.0, 3.0, "NORRVlK", "screen")  # misread by one letter
    content = Content("c", "video", timed_text=(said, shown))
    found = explain(segments_of(content), field_forms(TRAIL), WEIGHTS)
    assert found[0] == Evidence("speech", 2.4, 4.0, "Trail two", "title")
    assert Evidence("speech", 2.4, 4.0, "blue", "attributes") in found
    assert Evidence("screen", 0.0, 3.0, "NORRVlK", "title") in found


def test_nothing_in_common_is_no_evidence() -> None:
    content = Content("c", "search", title="espresso machine")
    assert explain(segments_of(content), field_forms(TRAIL), WEIGHTS) == ()


def test_repetition_is_quoted_once_per_source() -> None:
    pieces = tuple(TimedText(float(i), i + 1.0, "trail trail trail", "speech") for i in range(9))
    found = explain(segments_of(Content("c", "video", timed_text=pieces)), field_forms(TRAIL), WEIGHTS)
    assert [e.text for e in found] == ["trail trail trail"]


@given(st.text(max_size=60), st.text(max_size=60))
def test_any_text_is_quoted_verbatim(spoken: str, title: str) -> None:
    content = Content("c", "video", timed_text=(TimedText(0, 1, spoken, "speech"),))
    forms = field_forms(Product("p", title))
    for evidence in explain(segments_of(content), forms, word_weights([forms, field_forms(TRAIL)])):
        assert evidence.text and evidence.text in spoken
