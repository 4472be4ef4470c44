"""Scored pairs held against their labels: is this listing that product?

::

    id_a,id_b,label,score
    206,216,1,0.93

The threshold is given, or chosen for the best F1 on a development file; chosen on the file that is scored it flatters,
and the result says so.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from llmrec.errors import InputError
from llmrec.evaluate.detection import (
    DECISION_NAMES,
    SCORE_NAMES,
    best_threshold,
    decision_statistic,
    pr_points,
    score_statistic,
    thinned,
)
from llmrec.evaluate.intervals import RESAMPLES, bootstrap
from llmrec.evaluate.lines import fault, read_rows, shown
from llmrec.evaluate.results import PairEvaluation, Settings, WrongPair

_A = ("id_a", "content_id", "query_id", "left_id", "id_left", "ltable_id", "left", "d1", "id1", "id")
_B = ("id_b", "product_id", "right_id", "id_right", "rtable_id", "right", "d2", "id2")
_LABEL = ("label", "match", "is_match", "relevance", "gold", "truth")
_SCORE = ("score", "probability", "similarity", "prediction", "predicted")
_STEP = "Give the columns id_a, id_b, label (0 or 1) and score in every row."


class ScoredPair(msgspec.Struct, frozen=True):
    """Two ids, whether they are the same product, and how surely a matcher holds that they are."""

    id_a: str
    id_b: str
    label: bool
    score: float


def read_pairs(source: str | Path) -> list[ScoredPair]:
    """Read labelled, scored pairs from JSON Lines or a table with a header; ids may be absent.

    Raises:
        InputError: Missing, empty or malformed; names the file and the line.
    """
    pairs = []
    for number, row in read_rows(source):
        values = [next((row[name] for name in names if name in row), None) for names in (_A, _B, _LABEL, _SCORE)]
        id_a, id_b, label, score = values
        if label is None or score is None:
            missing = "label" if label is None else "score"
            raise fault(source, number, f"no {missing} among {sorted(row)}", _STEP)
        pairs.append(
            ScoredPair(
                f"line {number}" if id_a is None else str(id_a),
                "" if id_b is None else str(id_b),
                _label(source, number, label),
                _score(source, number, score),
            )
        )
    if not pairs:
        raise InputError(f"{shown(source)}: holds no pairs", next_step=_STEP)
    return pairs


def evaluate_pairs(
    pairs: Sequence[ScoredPair],
    *,
    threshold: float | None = None,
    dev: Sequence[ScoredPair] | None = None,
    worst: int = 20,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
    name: str = "",
) -> PairEvaluation:
    """Score pairs: precision, recall, F1 and accuracy at a threshold; average precision and AUROC over all.

    Args:
        threshold: A pair with this score or more is said to match; None: chosen on ``dev``, or failing that on
            ``pairs`` themselves.
        dev: Pairs on which the threshold with the best F1 is chosen.
        worst: How many wrong pairs are kept, the surest first.
        seed: Of the resampling over pairs.

    Raises:
        InputError: No pairs, or none with label 1.
    """
    if not any(pair.label for pair in pairs):
        raise InputError("pairs: none has the label 1", next_step="Give at least one pair that matches.")
    truth, scores = _columns(pairs)
    source: Literal["given", "dev", "same file"] = "given"
    if threshold is None:
        source = "same file" if dev is None else "dev"
        if dev is not None and not any(pair.label for pair in dev):
            raise InputError("development pairs: none has the label 1", next_step="Give at least one that matches.")
        threshold = best_threshold(*_columns(pairs if dev is None else dev))
    said = scores >= threshold
    decide, rank = decision_statistic(truth, said), score_statistic(truth, scores)
    metrics = bootstrap(
        lambda weights: np.concatenate([decide(weights), rank(weights)], axis=1),
        len(pairs),
        [*DECISION_NAMES, *SCORE_NAMES],
        confidence=confidence,
        resamples=resamples,
        seed=seed,
    )
    wrong = [pair for pair, answer in zip(pairs, said, strict=True) if pair.label != answer]
    wrong.sort(key=lambda pair: (-abs(pair.score - threshold), pair.id_a, pair.id_b))
    return PairEvaluation(
        pairs=len(pairs),
        positives=int(truth.sum()),
        threshold=threshold,
        threshold_from=source,
        metrics=metrics,
        settings=Settings(confidence, resamples, 0, seed),
        name=name,
        curve=thinned(pr_points(truth, scores)),
        wrong=len(wrong),
        worst=tuple(WrongPair(pair.id_a, pair.id_b, pair.label, pair.score) for pair in wrong[:worst]),
    )


def _columns(pairs: Sequence[ScoredPair]) -> tuple[Any, Any]:
    return np.array([pair.label for pair in pairs], dtype=bool), np.array([pair.score for pair in pairs], dtype=float)


def _label(source: str | Path, number: int, value: Any) -> bool:
    text = str(value).strip().lower()
    if text in ("1", "1.0", "true", "yes"):
        return True
    if text in ("0", "0.0", "false", "no"):
        return False
    raise fault(source, number, f"the label {value!r} is neither 0 nor 1", _STEP)


def _score(source: str | Path, number: int, value: Any) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not math.isfinite(score):
        raise fault(source, number, f"the score {value!r} is not a finite number", _STEP)
    return score
