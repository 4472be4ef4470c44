"""Maximal marginal relevance, with the figures worked out by hand, and what always holds of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.index import Index
from llmrec.index.live.writing import IndexWriter
from llmrec.match.diversity import candidates_for, spread, title_likeness
from llmrec.records import Product
from tests.fakes import FakeEncoder


def test_the_most_alike_waits() -> None:
    # a and b are one product in two colours, c is another, d is nothing
    likeness = np.array([[1, 0.9, 0.1, 0], [0.9, 1, 0.1, 0], [0.1, 0.1, 1, 0], [0, 0, 0, 1]])
    scores = [20.0, 5.0, 4.0, 1.0]
    # the second to the last span 4, at 0.5 a likeness of 1 costs 4: b is worth 5 - 3.6, c 4 - .4, d 1
    order, costs = spread(scores, likeness, 3, 0.5)
    assert order == [0, 2, 1]
    assert costs == pytest.approx([0.0, 0.4, 3.6])
    # at 0.2 it costs 1: b is worth 4.1, c 3.9
    assert spread(scores, likeness, 4, 0.2).order == [0, 1, 2, 3]
    assert spread([], np.zeros((0, 0)), 3, 0.5) == ([], [])


def test_of_equal_scores_likeness_decides() -> None:
    likeness = np.array([[1, 1, 0.5, 0], [1, 1, 0.5, 0], [0.5, 0.5, 1, 0], [0, 0, 0, 1]])
    assert spread([7.0, 7.0, 7.0, 7.0], likeness, 4, 0.1).order == [0, 3, 2, 1]


lists = st.lists(st.floats(-50, 50), min_size=1, max_size=25).map(lambda scores: sorted(scores, reverse=True))


@given(lists, st.integers(1, 30), st.sampled_from([0.0, 0.1, 0.5, 0.95]), st.integers(0, 5))
def test_what_always_holds(scores: list[float], k: int, diversity: float, seed: int) -> None:
    vectors = np.random.default_rng(seed).normal(size=(len(scores), 3))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    likeness = np.clip(vectors @ vectors.T, 0, 1)
    order, costs = spread(scores, likeness, k, diversity)
    assert order[0] == 0 and len(order) == len(set(order)) == min(k, len(scores))
    told = [scores[place] - cost for place, cost in zip(order, costs, strict=True)]
    assert told == sorted(told, reverse=True)
    assert spread(scores, likeness, k, diversity).order == order
    if diversity == 0.0:
        assert order == list(range(min(k, len(scores)))) and set(costs) == {0.0}


def test_candidates_are_few_and_enough() -> None:
    assert [candidates_for(k) for k in (1, 10, 50, 1000)] == [50, 50, 250, 1200]


def test_titles_that_share_words_are_alike() -> None:
    likeness = title_likeness(["Blue mug", "blue mugs, large!", "tent", ""])
    # two words of two and of three in common
    assert likeness[0, 1] == pytest.approx(2 / np.sqrt(6))
    assert likeness[0, 2] == 0 and likeness[3, 3] == 0
    np.testing.assert_allclose(likeness, likeness.T)


def test_vectors_tell_likeness_without_what_all_have_in_common(tmp_path: Path) -> None:
    titles = ["shop offer red kettle", "shop offer red kettle", "shop offer green tent", "shop offer yellow rug"]
    products = [Product(str(i), title) for i, title in enumerate(titles)]
    index = Index.build(tmp_path / "index", products, FakeEncoder(256))
    likeness = index.likeness(["2", "0", "1"])
    assert likeness is not None
    assert likeness[1, 2] == pytest.approx(1, abs=1e-5)
    # two words of four are in common, and those are everybody's
    assert likeness[0, 1] < 0.1
    assert likeness.min() >= 0
    assert Index.build(tmp_path / "words", products, None).likeness(["0"]) is None
    # an index that changes knows what came to it
    IndexWriter(index.path, FakeEncoder(256)).put([Product("new", titles[2])])
    later = index.latest().likeness(["new", "2"])
    assert later is not None and later[0, 1] == pytest.approx(1, abs=1e-5)
