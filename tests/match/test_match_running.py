"""Matches of a stream's windows added up."""

from __future__ import annotations

import pytest

from llmrec.match.running import REMEMBERED, Running
from llmrec.records import Evidence, Match, RankedProduct, Span


def window(id: str, *products: str, score: float = 1.0, start: float = 0.0) -> Match:
    evidence = (Evidence("speech", start, start + 1, f"words of {id}", "title"),)
    shown = (Span(start, start + 2),)
    ranked = [RankedProduct(p, rank, score, None, evidence, shown) for rank, p in enumerate(products, start=1)]
    return Match(id, tuple(ranked))


def test_ranks_are_added_up_over_windows() -> None:
    running = Running(k=2)
    first = running.add(window("shop@000000", "A", "B"))
    assert (first.content_id, [p.product_id for p in first.products]) == ("shop", ["A", "B"])
    second = running.add(window("shop@000015", "B", "C", start=15))
    # B: 1/62 + 1/61, A: 1/61, C: 1/62
    assert [(p.product_id, p.rank) for p in second.products] == [("B", 1), ("A", 2)]
    assert second.products[0].score == pytest.approx(1 / 62 + 1 / 61)
    assert second.products[0].shown == (Span(0, 2), Span(15, 17))
    assert second.products[0].evidence[0].text == "words of shop@000015", "of the window in which it ranked best"
    assert second.products[1].evidence[0].text == "words of shop@000000"


def test_spans_that_touch_are_one_and_streams_stay_apart() -> None:
    running = Running()
    running.add(window("a@000000", "A", start=14))
    assert running.add(window("a@000015", "A", start=15)).products[0].shown == (Span(14, 17),)
    assert running.add(window("b@000000", "A")).products[0].score == pytest.approx(1 / 61)
    assert running.add(window("me@home@000000", "A")).content_id == "me@home"


def test_a_match_of_no_window_comes_back_as_it_is() -> None:
    match = window("clip", "A")
    assert Running().add(match) is match


def test_a_stream_without_end_does_not_fill_the_memory() -> None:
    running = Running()
    for number in range(REMEMBERED + 200):
        running.add(window(f"a@{number:06d}", "always", f"P{number}"))
    assert len(running._streams["a"]) == REMEMBERED
    assert running.add(window("a@999999")).products[0].product_id == "always"
