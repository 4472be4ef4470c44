"""An index without some of its products is one that never had them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llmrec.errors import InputError
from llmrec.index import Index
from llmrec.index.lexical import Lexical
from llmrec.index.live.lexical import LiveLexical
from llmrec.records import Product, Query
from tests.fakes import FakeEncoder

TITLES = [
    "sony dslra200w camera",
    "canon ixus80 camera black",
    "black camera bag",
    "sony turntable",
    "leather bag",
    "tin toy",
]
PRODUCTS = [Product(f"p{i}", title) for i, title in enumerate(TITLES)]
QUERIES = [Query(text="sony dslra200w"), Query(text="black camera bag"), Query(text="toy"), Query(text="")]


def test_words_are_as_rare_as_they_are_then() -> None:
    # texts of one length, so that the average length, which stays, is that of the rest
    texts = ["a b c", "a d e", "b d f", "a b g"]
    whole, gone = Lexical.build(texts), np.array([1])
    thinned = LiveLexical(whole, None, 4, gone)
    fresh = Lexical.build([text for row, text in enumerate(texts) if row not in gone])
    assert {word for word in "abcdefg" if word in thinned.vocabulary} == {word for word in fresh.all_words() if word}
    for query in ("a b", "c g", "e", "d", "b d f a"):
        words = thinned.words(query)
        scores = thinned.scores(words)
        np.testing.assert_allclose(np.delete(scores, gone), fresh.scores(fresh.words(query)), rtol=1e-5)
        assert scores[1] == 0
        assert thinned.known(words) == pytest.approx(fresh.known(fresh.words(query)))
        assert thinned.moments(scores) == pytest.approx(fresh.moments(fresh.scores(fresh.words(query))), abs=1e-6)


@pytest.mark.parametrize("encoder", [None, FakeEncoder()])
def test_the_others_are_found_as_if_it_had_never_been(encoder: FakeEncoder | None, tmp_path: Path) -> None:
    whole = Index.build(tmp_path / "whole", PRODUCTS, encoder)
    before = whole.search(QUERIES, 6)
    thinned = whole.without(["p0", "p5"])
    fresh = Index.build(tmp_path / "fresh", [p for p in PRODUCTS if p.id not in ("p0", "p5")], encoder)
    for own, other in zip(thinned.search_by("bm25", QUERIES, 6), fresh.search_by("bm25", QUERIES, 6), strict=True):
        assert [hit.product_id for hit in own] == [hit.product_id for hit in other]
    assert all(hit.product_id not in ("p0", "p5") for hits in thinned.search(QUERIES, 6) for hit in hits)
    assert thinned.search_by("bm25", [Query(text="toy")], 6) == [[]]
    assert "p0" not in {hit.product_id for hit in thinned.search_pieces([("dslra20", 0.5)], 6)}
    assert whole.search(QUERIES, 6) == before  # the index itself is as it was
    assert {h.product_id for hits in thinned.without(["p1"]).search(QUERIES, 6) for h in hits} == {"p2", "p3", "p4"}
    standing = thinned.standing([QUERIES[0]], [["p3"]])[0]
    assert not standing.coded and whole.standing([QUERIES[0]], [["p3"]])[0].coded
    assert (thinned.count('title contains "toy"'), whole.count('title contains "toy"')) == (0, 1)
    assert thinned.ids_where(None) == ["p1", "p2", "p3", "p4"]
    with pytest.raises(InputError, match="no product 'nobody'"):
        whole.without(["nobody"])
