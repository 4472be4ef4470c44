"""A whole evaluation: counts, comparison, no-match detection and the worst misses, worked out by hand."""

from __future__ import annotations

import copy

import msgspec
import numpy as np
import pytest

from llmrec.errors import InputError
from llmrec.evaluate import MatchEvaluation, evaluate_matches
from llmrec.records import Content, Evidence, Keyframe, Match, NoMatch, Price, Product, RankedProduct, TimedText

QRELS = {"a": {"p1": 1}, "b": {"p2": 1, "p3": 1}, "c": {"p4": 1}, "d": {"p5": 1}, "e": {}, "f": {"p1": 0}}
RUN = {
    "a": {"p1": 5.0, "p2": 1.0},
    "b": {"p9": 4.0, "p2": 3.0, "p3": 2.0},
    "c": {"p8": 9.0, "p7": 1.0},
    "e": {"p1": 0.5},
    "z": {"p1": 1.0},
}


def test_numbers_and_counts() -> None:
    before = copy.deepcopy((RUN, QRELS))
    result = evaluate_matches(RUN, QRELS, metrics=["recall@1", "recall@2", "R@10", "mrr"])
    assert {name: e.value for name, e in result.metrics.items()} == {
        "recall@1": 1 / 4,
        "recall@2": (1 + 1 / 2) / 4,
        "recall@10": 2 / 4,
        "mrr": (1 + 1 / 2) / 4,
    }
    counts = result.counts
    assert (counts.judged, counts.ranked, counts.no_match_expected) == (6, 4, 2)
    assert (counts.missing_from_run, counts.not_judged, counts.depth) == (2, 1, 3)  # d and f are missing, z is extra
    assert result.per_query["b"] == {"recall@1": 0.0, "recall@2": 0.5, "recall@10": 1.0, "mrr": 0.5}
    assert [(point.k, point.run.value) for point in result.curve] == [(1, 0.25), (2, 0.375), (3, 0.5)]
    assert before == (RUN, QRELS)


def test_default_metrics_and_seed() -> None:
    result = evaluate_matches(RUN, QRELS)
    assert list(result.metrics) == ["recall@1", "recall@5", "recall@10", "mrr@10", "ndcg@10", "map@10"]
    assert result == evaluate_matches(RUN, QRELS, seed=0)
    assert result.metrics["mrr@10"] != evaluate_matches(RUN, QRELS, seed=1, resamples=200).metrics["mrr@10"]


def test_comparison() -> None:
    contents = [f"c{i}" for i in range(8)]
    qrels = {c: {"p": 1} for c in contents}
    good, bad = {c: {"p": 1.0} for c in contents}, {c: {"q": 2.0, "p": 1.0} for c in contents}
    result = evaluate_matches(good, qrels, metrics=["hit@1", "mrr"], baseline=bad, baseline_name="bad")
    hit, mrr = result.comparison["hit@1"], result.comparison["mrr"]
    assert (hit.difference.value, mrr.difference.value) == (1.0, 0.5)
    assert (hit.difference.low, hit.difference.high) == (1.0, 1.0)
    assert hit.p_value == 2 / 2**8  # all signs alike, either way
    assert hit.p_adjusted == 2 * hit.p_value  # two metrics
    assert result.baseline_metrics["mrr"].value == 0.5
    assert result.curve[0].baseline is not None and result.curve[0].baseline.value == 0.0
    same = evaluate_matches(good, qrels, metrics=["mrr"], baseline=good).comparison["mrr"]
    assert (same.p_value, same.difference.value) == (1.0, 0.0)


@pytest.mark.parametrize("qrels", [{}, {"a": {}}, {"a": {"p": 0}}, {"a": {"p": -1}}])
def test_nothing_to_rank(qrels: dict) -> None:
    with pytest.raises(InputError, match="no content has a relevant product"):
        evaluate_matches(RUN, qrels)


def match(content_id: str, *products: str, score: float = 1.0, no: bool | None = None, p: float | None = None) -> Match:
    ranked = tuple(RankedProduct(id, rank, score - rank / 10) for rank, id in enumerate(products, start=1))
    return Match(content_id, ranked, NoMatch(no, p))


MATCHES = [
    match("a", "p1", no=False, p=0.1),  # right
    match("b", "p9", "p2", no=False, p=0.3),  # ranked low
    match("c", "p4", no=True, p=0.8),  # refused wrongly
    match("d", "p7", score=8, no=False, p=0.2),  # not found
    match("e", "p1", no=True, p=0.9),  # refused rightly
    match("f", "p1", score=9, no=False, p=0.6),  # made up
]


def test_no_match_by_hand() -> None:
    found = evaluate_matches(MATCHES, QRELS, metrics=["hit@1"]).no_match
    assert found is not None
    values = {name: estimate.value for name, estimate in found.metrics.items()}
    assert (found.expected, found.answerable, found.decided, found.detector) == (2, 4, 6, "probability")
    assert values["precision"] == values["recall"] == values["f1"] == 0.5  # said c, e; true e, f
    assert values["accuracy"] == pytest.approx(4 / 6)
    assert values["answered_right"] == pytest.approx(2 / 6)  # a and e
    assert values["auroc"] == pytest.approx(7 / 8)  # .9 beats 4, .6 beats 3 of (.1 .3 .8 .2)
    assert values["average_precision"] == pytest.approx((1 + 2 / 3) / 2)
    low, high = found.metrics["accuracy"].low, found.metrics["accuracy"].high
    assert low is not None and high is not None and low < 4 / 6 < high
    assert found.roc[0] == (0.0, 0.0) and found.roc[-1] == (1.0, 1.0)


def test_no_match_from_the_top_score_where_nothing_is_decided() -> None:
    found = evaluate_matches(RUN, QRELS, metrics=["hit@1"]).no_match
    assert found is not None and found.detector == "top score" and found.decided == 0
    assert set(found.metrics) == {"auroc", "average_precision"}
    # surest no-match first: d, f (nothing found), e .5, b 4, a 5, c 9; e and f are true, d ties with f
    assert found.metrics["auroc"].value == pytest.approx((3.5 + 3) / 8)
    assert evaluate_matches({"a": {"p1": 1.0}}, {"a": {"p1": 1}}).no_match is None


def test_content_left_out_of_a_deciding_run_counts_as_refused() -> None:
    found = evaluate_matches([match("a", "p1", no=False)], {"a": {"p1": 1}, "b": {}, "c": {"p": 1}}).no_match
    assert found is not None and found.decided == 1
    assert found.metrics["recall"].value == 1.0
    assert found.metrics["precision"].value == 0.5
    assert found.metrics["answered_right"].value == pytest.approx(2 / 3)


def test_worst_misses_first() -> None:
    contents = [
        Content(
            "d",
            "video",
            title="A clip",
            hashtags=("#run",),
            timed_text=(TimedText(2.0, 4.0, "the  Trail\ntwo", "speech"), TimedText(5, 6, "x" * 400, "screen")),
            keyframes=(Keyframe(0.0, "0.jpg"), Keyframe(3.0, "3.jpg")),
        ),
        Content("a", "search"),
    ]
    catalog = [Product("p7", "Acme Seven", brand="Acme", price=Price(3.0, "EUR")), Product("p5", "Trail Two")]
    evidence = (Evidence("speech", 2.5, 4.0, "Trail", "title"),)
    run = [
        msgspec.structs.replace(m, products=(RankedProduct("p7", 1, 7.9, 0.7, evidence),)) if m.content_id == "d" else m
        for m in MATCHES
    ]
    result = evaluate_matches(run, QRELS, contents=iter(contents), catalog=iter(catalog), baseline={"d": {"p5": 1.0}})
    assert result.wrong == 4
    shown = [(miss.content_id, miss.fault, miss.rank) for miss in result.misses]
    assert shown == [
        ("f", "false match", None),  # the surest wrong answer (8.9)
        ("d", "not found", None),  # 7.9
        ("c", "false no-match", 1),  # .9
        ("b", "ranked low", 2),
    ]
    d = result.misses[1]
    assert (d.baseline_rank, d.content_kind, d.keyframe) == (1, "video", "3.jpg")
    assert [(t.source, t.start) for t in d.texts] == [
        ("title", None),
        ("hashtags", None),
        ("speech", 2.0),
        ("screen", 5.0),
    ]
    assert d.texts[2].text == "the Trail two" and len(d.texts[3].text) == 280
    assert [(p.product_id, p.title, p.rank) for p in d.expected] == [("p5", "Trail Two", None)]
    assert [(p.title, p.brand, p.rank, p.probability) for p in d.shown] == [("Acme Seven", "Acme", 1, 0.7)]
    assert d.shown[0].evidence == evidence
    assert len(evaluate_matches(run, QRELS, misses=2).misses) == 2


def test_ranks_that_contradict_scores_are_counted() -> None:
    bad = Match("a", (RankedProduct("p2", 1, 0.1), RankedProduct("p1", 2, 0.9)))
    result = evaluate_matches([bad], {"a": {"p1": 1}}, metrics=["hit@1"])
    assert result.counts.order_differs == 1
    assert result.metrics["hit@1"].value == 1.0


def test_top_scores() -> None:
    scores = evaluate_matches(RUN, QRELS).top_scores
    assert scores is not None
    assert (sum(scores.right), sum(scores.wrong), sum(scores.no_match)) == (1, 2, 1)
    assert (scores.edges[0], scores.edges[-1]) == (0.5, 9.0)
    one = evaluate_matches({"a": {"p1": 2.0}}, {"a": {"p1": 1}}).top_scores
    assert one is not None and sum(one.right) == 1
    assert evaluate_matches({}, {"a": {"p1": 1}}).top_scores is None


@pytest.mark.parametrize("score", [0.0, 1e300, -1e-300, 5e15])
def test_extreme_scores(score: float) -> None:
    run = {"a": {"p1": score}, "b": {"p1": score + abs(score) * 1e-15}}
    scores = evaluate_matches(run, {"a": {"p1": 1}, "b": {"p1": 1}}).top_scores
    assert scores is None or sum(scores.right) == 2


def test_result_survives_json() -> None:
    result = evaluate_matches(MATCHES, QRELS, baseline=RUN)
    raw = msgspec.json.encode(result)
    assert raw.startswith(b'{"kind":"matches"')
    assert msgspec.json.decode(raw, type=MatchEvaluation) == result


def test_matches_given_as_a_stream_and_numpy_numbers() -> None:
    assert evaluate_matches(iter(MATCHES), QRELS) == evaluate_matches(MATCHES, QRELS)
    run = {"a": [("p9", np.float32(2.5)), ("p1", np.float32(1.5))]}
    result = evaluate_matches(run, {"a": {"p1": np.int64(1)}})
    assert b'"score":2.5' in msgspec.json.encode(result)


@pytest.mark.parametrize("twice", [[match("a", "p1"), match("a", "p2")], [match("a", "p1", "p1")]])
def test_matches_that_repeat_themselves_are_refused(twice: list[Match]) -> None:
    with pytest.raises(InputError, match="stands twice"):
        evaluate_matches(twice, QRELS)
