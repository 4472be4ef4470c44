"""Words in any script; model numbers whole and in parts."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from llmrec.index.tokens import fold, tokens


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("Sony Turntable - PSLX350H", ["sony", "turntable", "pslx350h", "pslx", "350", "h", "pslx350"]),
        ("dmc-fz18", ["dmcfz18", "dmc", "fz18", "fz", "18"]),
        ("5.1 surround, 7.0", ["5.1", "surround", "7"]),
        ("42mm 3.5mm 8.1MP", ["42mm", "42", "mm", "3.5mm", "3.5", "mm", "8.1mp", "8.1", "mp"]),
        ("v11.1 usb2.0", ["v11.1", "v", "11.1", "usb2.0", "usb", "2"]),
        ("9S00.006", ["9s00006", "9s00", "9", "s", "00", "006"]),
        ("MB942Z/A", ["mb942za", "mb942z", "mb", "942", "z", "a", "mb942"]),
        ("windows 2000/xp", ["windows", "2000", "xp"]),
        ("a/v e-mail wide-range women's", ["av", "a", "v", "email", "e", "mail", "wide", "range", "womens"]),
        ("Größe GROSSE Łódź Ærø", ["grosse", "grosse", "lodz", "aero"]),
        ("ЁЛКА café ﬁt Ａｃｍｅ", ["елка", "cafe", "fit", "acme"]),
        ("防水 スマホ 鞋", ["防水", "スマ", "マホ", "鞋"]),
        ("스마트폰", ["스마", "마트", "트폰"]),
        ("ผ้านวม", ["ผ้", "้า", "าน", "นว", "วม"]),
        ("मोबाइल फ़ोन।", ["मोबाइल", "फ़ोन"]),
        ("كِتَاب أحمد", ["كتاب", "احمد"]),
        ("foo_bar ... --- !!!", ["foo", "bar"]),
    ],
)
def test_tokens(text: str, expected: list[str]) -> None:
    assert tokens(text) == [unicodedata.normalize("NFC", word) for word in expected]


@pytest.mark.parametrize(
    ("one", "other", "shared"),
    [
        ("DMC-FZ18", "dmcfz18", "dmcfz18"),
        ("DMC FZ18", "dmc-fz18", "fz18"),
        ("DLE0442WH", "DLE0442W", "dle0442"),
        ("VGN-CS180J/Q", "VGNCS180JQ", "vgncs180jq"),
        ("1EG0.052.01", "1EG005201", "1eg005201"),
        ("42 mm", "42mm", "mm"),
    ],
)
def test_ways_to_write_a_model_number_meet(one: str, other: str, shared: str) -> None:
    assert shared in tokens(one)
    assert shared in tokens(other)


@given(st.text(max_size=200))
def test_any_text_gives_words_without_spaces(text: str) -> None:
    found = tokens(text)
    assert all(found)
    assert not any(char.isspace() for word in found for char in word)


@given(st.text(max_size=80))
@example("À`0")
def test_composed_and_decomposed_texts_are_one(text: str) -> None:
    assert tokens(unicodedata.normalize("NFC", text)) == tokens(unicodedata.normalize("NFD", text))


@given(st.text(max_size=80))
def test_folding_twice_changes_nothing(text: str) -> None:
    assert fold(fold(text)) == fold(text)
