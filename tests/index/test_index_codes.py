"""Model numbers that speak against a product."""

from __future__ import annotations

import pytest

from llmrec.index.codes import CodeBook, is_code
from llmrec.index.lexical import Lexical

TITLES = [
    "LG dryer DLE0442W",  # 0
    "LG dryer DLE5955G",  # 1
    "LG dryer, white",  # 2
    "LG dryer 500GB 1080p",  # 3: sizes are no model numbers
    "Sony AS50G earbuds",  # 4
    "Hoover U5140900 vacuum",  # 5
]
DETAILS = ["", "", "for DLE9999X", "", "", ""]


def book() -> CodeBook:
    whole = [f"{title} {detail}" for title, detail in zip(TITLES, DETAILS, strict=True)]
    return CodeBook(Lexical.build(TITLES), Lexical.build(whole))


def others(query: str) -> list[int] | None:
    codes = book()
    found = codes.others(query, codes._whole.words(query))
    return None if found is None else found.nonzero()[0].tolist()


@pytest.mark.parametrize(
    ("query", "expected"),
    [
        ("a white dryer", None),
        ("a dryer of 500gb", None),
        ("LG DLE0442WH", [1, 4, 5]),  # another colour of the same model
        ("LG DLE0442W", [1, 4, 5]),
        ("LG ABC1234", [0, 1, 4, 5]),
        ("Sony MDRAS50G", [0, 1, 5]),  # ends with the catalog's number
        ("Hoover U5140", [0, 1, 4]),  # begins it
        ("l g d l e 0442 w", [1, 4, 5]),  # spelt out
    ],
)
def test_others(query: str, expected: list[int] | None) -> None:
    assert others(query) == expected


@pytest.mark.parametrize("word", ["dle0442w", "0625b002", "pslx350h", "rtx4090"])
def test_model_numbers(word: str) -> None:
    assert is_code(word)


@pytest.mark.parametrize("word", ["500gb", "1080p", "2007", "mp3", "1920x1080", "usb2", "shoe", "120gb", "h264"])
def test_what_is_no_model_number(word: str) -> None:
    assert not is_code(word)


def test_a_number_that_many_products_carry_speaks_against_none() -> None:
    titles = ["cable for hdmi2021 sets"] * 8
    codes = CodeBook(Lexical.build(titles), Lexical.build(titles))
    found = codes.others("ABC1234", codes._whole.words("ABC1234"))
    assert found is not None
    assert not found.any()
