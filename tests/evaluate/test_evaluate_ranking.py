"""Ranking metrics: numbers by hand, and equality with ir-measures on random runs."""

from __future__ import annotations

import math
import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.evaluate import evaluate_matches, parse_metric, per_query
from llmrec.evaluate.ranking import ranked

NAMES = ["recall@1", "recall@3", "recall@10", "precision@3", "hit@1", "hit@3", "mrr", "mrr@2", "ndcg", "ndcg@3", "map"]
NAMES += ["map@2", "rprec"]


def test_by_hand() -> None:
    # ranked a, b, c, d; relevant b (grade 2), d (1) and e (1), which was not found
    run = {"q": {"d": 0.1, "a": 4.0, "c": 2.0, "b": 3.0}}
    qrels = {"q": {"b": 2, "d": 1, "e": 1, "a": 0}}
    found = {name: float(values[0]) for name, values in per_query(run, qrels, NAMES).items()}
    dcg = 2 / math.log2(3) + 1 / math.log2(5)
    ideal = 2 + 1 / math.log2(3) + 1 / math.log2(4)
    expected = {
        "recall@1": 0, "recall@3": 1 / 3, "recall@10": 2 / 3, "precision@3": 1 / 3, "hit@1": 0, "hit@3": 1,
        "mrr": 1 / 2, "mrr@2": 1 / 2, "ndcg": dcg / ideal, "ndcg@3": (2 / math.log2(3)) / ideal,
        "map": (1 / 2 + 2 / 4) / 3, "map@2": (1 / 2) / 3, "rprec": 1 / 3,
    }  # fmt: skip
    assert found == pytest.approx(expected)


def test_ties_are_broken_by_the_smaller_id() -> None:
    assert ranked([("b", 1.0), ("c", 2.0), ("a", 1.0)]) == [("c", 2.0), ("a", 1.0), ("b", 1.0)]
    assert per_query({"q": {"b": 1.0, "a": 1.0}}, {"q": {"a": 1}}, ["hit@1"])["hit@1"].tolist() == [1.0]


def test_grades_below_zero_count_as_not_relevant() -> None:
    run = {"q": {"a": 3.0, "b": 2.0, "c": 1.0}}
    below, zero = per_query(run, {"q": {"a": -2, "b": 1}}, NAMES), per_query(run, {"q": {"a": 0, "b": 1}}, NAMES)
    assert {name: v.tolist() for name, v in below.items()} == {name: v.tolist() for name, v in zero.items()}


@pytest.mark.parametrize("name", ["recall", "recall@0", "rprec@3", "speed", "", "ndcg@-1", "map@x"])
def test_unknown_metrics_are_refused(name: str) -> None:
    with pytest.raises(InputError, match="no such metric"):
        parse_metric(name)


def test_short_names_are_read() -> None:
    assert [str(parse_metric(n)) for n in ("R@1", "nDCG@10", "RR", "AP@5", "Success@3", "P@5")] == [
        "recall@1",
        "ndcg@10",
        "mrr",
        "map@5",
        "hit@3",
        "precision@5",
    ]


@pytest.mark.parametrize("bad", [{"q": [("a", 1.0), ("a", 2.0)]}, {"q": {"a": math.nan}}, {"q": {"a": math.inf}}])
def test_unusable_runs_are_refused(bad: dict) -> None:
    with pytest.raises(InputError, match="content 'q'"):
        evaluate_matches(bad, {"q": {"a": 1}})


ids = st.sampled_from([f"p{i}" for i in range(12)])
queries = st.sampled_from([f"q{i}" for i in range(6)])
# few distinct scores: ties abound
runs = st.dictionaries(queries, st.dictionaries(ids, st.integers(-3, 3).map(float), max_size=10), max_size=6)
# no grades below 0: pytrec_eval does not come back from some of those
judged = st.dictionaries(queries, st.dictionaries(ids, st.integers(0, 3), min_size=1, max_size=8), min_size=1)


@given(runs, judged)
@settings(max_examples=100, deadline=None)
def test_equal_to_ir_measures(run: dict, qrels: dict) -> None:
    import ir_measures

    theirs_called = ["R@1", "R@3", "R@10", "P@3", "Success@1", "Success@3", "RR", "RR@2", "nDCG", "nDCG@3", "AP"]
    theirs_called += ["AP@2", "Rprec"]
    measures = dict(zip(NAMES, map(ir_measures.parse_measure, theirs_called), strict=True))
    ours = per_query(run, qrels, NAMES)
    kept = [q for q, grades in qrels.items() if any(g > 0 for g in grades.values())]
    # trec_eval breaks ties the other way: give it our order as scores without ties
    untied = {q: {p: -float(i) for i, (p, _) in enumerate(ranked(products))} for q, products in run.items() if products}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs: dict[tuple[str, str], float] = {}
        if untied:
            for value in ir_measures.iter_calc(list(measures.values()), qrels, untied):
                theirs[value.query_id, str(value.measure)] = value.value
    for name, measure in measures.items():
        expected = [theirs.get((q, str(measure)), 0.0) for q in kept]
        np.testing.assert_allclose(ours[name], expected, atol=1e-6, err_msg=name)
