"""Labelled pairs: thresholds, numbers by hand, faults."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmrec.errors import InputError
from llmrec.evaluate import ScoredPair, evaluate_pairs, read_pairs

PAIRS = [
    ScoredPair("a", "x", True, 0.9),
    ScoredPair("b", "x", True, 0.6),
    ScoredPair("c", "x", False, 0.7),
    ScoredPair("d", "x", False, 0.1),
]


def test_given_threshold() -> None:
    result = evaluate_pairs(PAIRS, threshold=0.8)
    values = {name: estimate.value for name, estimate in result.metrics.items()}
    assert values == pytest.approx(
        {
            "precision": 1.0,
            "recall": 0.5,
            "f1": 2 / 3,
            "accuracy": 0.75,
            "auroc": 0.75,
            "average_precision": (1 + 2 / 3) / 2,
        }
    )
    assert (result.pairs, result.positives, result.threshold_from) == (4, 2, "given")
    assert [(pair.id_a, pair.label) for pair in result.worst] == [("b", True)]
    assert result.wrong == 1


def test_threshold_from_dev_or_from_the_pairs_themselves() -> None:
    dev = [ScoredPair("a", "b", True, 0.5), ScoredPair("a", "c", False, 0.3)]
    assert evaluate_pairs(PAIRS, dev=dev).threshold == pytest.approx(0.4)
    same = evaluate_pairs(PAIRS)
    assert (same.threshold, same.threshold_from) == (pytest.approx(0.35), "same file")
    assert same.metrics["f1"].value == pytest.approx(0.8)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("p.csv", "id_a,id_b,label,score\na,x,1,0.9\nb,x,0,0.25\n"),
        ("p.tsv", "score\tmatch\tcontent_id\tproduct_id\n0.9\ttrue\ta\tx\n0.25\tfalse\tb\tx\n"),
        ("p.jsonl", '{"id_a":"a","id_b":"x","label":1,"score":0.9}\n{"id_a":"b","id_b":"x","label":0,"score":0.25}'),
    ],
)
def test_reading(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_pairs(tmp_path / name) == [ScoredPair("a", "x", True, 0.9), ScoredPair("b", "x", False, 0.25)]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("label,score\n2,0.5\n", "line 2: the label '2'"),
        ("label,score\n1,high\n", "line 2: the score 'high'"),
        ("label,score\n1,inf\n", "line 2: the score 'inf'"),
        ("label,points\n1,1\n", "line 2: no score"),
        ("score,x\n1,1\n", "line 2: no label"),
        ("label,score\n", "holds no pairs"),
        ("", "is empty"),
    ],
)
def test_faults(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "p.csv").write_text(text)
    with pytest.raises(InputError, match=message):
        read_pairs(tmp_path / "p.csv")


def test_no_positive_pair() -> None:
    with pytest.raises(InputError, match="none has the label 1"):
        evaluate_pairs(PAIRS[2:])
    with pytest.raises(InputError, match="development pairs"):
        evaluate_pairs(PAIRS, dev=PAIRS[2:])
