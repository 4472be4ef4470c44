"""Names found by pieces of words."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.index import Index
from llmrec.index.grams import END, START, Grams, pieces
from llmrec.records import Product

NAMES = {"c": "Cheez-It", "k": "Kellogg's Corn Flakes", "t": "Twix Cookie Bar", "a": "A-1 Sauce", "p": "Dr Pepper"}
GRAMS = Grams.build(list(NAMES), list(NAMES.values()))


def test_the_pieces_of_a_word_tell_where_it_starts_and_ends() -> None:
    assert pieces("ab") == [f"{START}a", "ab", f"b{END}", f"{START}ab", f"ab{END}", f"{START}ab{END}"]
    assert "bc" in pieces("ab-cd")  # the seam of two words that a reading may glue
    assert pieces("A") == []


@pytest.mark.parametrize(
    ("read", "meant"),
    [("HEEZJ", "c"), ("CHEEZIT", "c"), ("Kellogqs", "k"), ("epper", "p"), ("TWlX", "t"), ("FLAKESCORN", "k")],
)
def test_misread_cut_and_glued_names_are_found(read: str, meant: str) -> None:
    assert GRAMS.search([(read, 0.8)], 5)[0].product_id == meant


def test_what_was_read_surely_counts_more() -> None:
    assert GRAMS.search([("twix", 0.9), ("pepper", 0.3)], 1)[0].product_id == "t"
    assert GRAMS.search([("twix", 0.3), ("pepper", 0.9)], 1)[0].product_id == "p"


def test_a_score_is_in_deviations_from_the_mean() -> None:
    # one of five names is met: (1 - 0.2) / 0.4
    (hit,) = GRAMS.search([("twix", 1.0)], 5)
    assert hit.score == pytest.approx(2.0)


def test_an_index_has_them(tmp_path) -> None:
    index = Index.build(tmp_path / "index", [Product(id, name) for id, name in NAMES.items()])
    assert [hit.product_id for hit in index.search_pieces([("Kelloqg", 0.5)], 1)] == ["k"]
    assert "grams" not in index.retrievers  # clean queries are not asked of it


@given(st.lists(st.tuples(st.text(max_size=12), st.floats(0, 1)), max_size=5), st.integers(1, 6))
def test_any_text_may_be_asked(lines: list[tuple[str, float]], k: int) -> None:
    hits = GRAMS.search(lines, k)
    assert len(hits) <= k
    assert [hit.score for hit in hits] == sorted((hit.score for hit in hits), reverse=True)
