"""Yes-or-no answers held against the truth: precision, recall, F1, AUROC and average precision, by plain numpy.

Every statistic takes weights ``[b, n]`` (how often each item counts, one row a resample), so that one pass over the
matrix gives a whole bootstrap. AUROC counts ties as half (Mann-Whitney); average precision is the step-wise area under
the precision-recall curve, ties taken together, as scikit-learn has it. Undefined values are NaN.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Bools = NDArray[np.bool_]

DECISION_NAMES = ("precision", "recall", "f1", "accuracy")
SCORE_NAMES = ("auroc", "average_precision")


def decision_statistic(truth: Bools, said: Bools) -> Callable[[Floats], Floats]:
    """Precision, recall, F1 and accuracy of the answers ``said``, as a function of weights ``[b, n]``."""
    columns = np.stack([truth & said, ~truth & said, truth & ~said, ~truth & ~said], axis=1).astype(np.float64)

    def statistic(weights: Floats) -> Floats:
        hit, false, missed, rest = (weights @ columns).T
        with np.errstate(invalid="ignore", divide="ignore"):
            values = [
                hit / (hit + false),
                hit / (hit + missed),
                np.where(hit + missed > 0, 2 * hit / (2 * hit + false + missed), np.nan),
                (hit + rest) / (hit + false + missed + rest),
            ]
        return np.stack(values, axis=1)

    return statistic


def score_statistic(truth: Bools, scores: Floats) -> Callable[[Floats], Floats]:
    """AUROC and average precision of ``scores`` (higher is more surely true), as a function of weights ``[b, n]``."""
    order, starts = _groups(scores)
    positive = truth[order].astype(np.float64)

    def statistic(weights: Floats) -> Floats:
        ordered = weights[:, order]
        good = np.add.reduceat(ordered * positive, starts, axis=1)
        bad = np.add.reduceat(ordered * (1 - positive), starts, axis=1)
        goods, bads = good.cumsum(axis=1), bad.cumsum(axis=1)
        with np.errstate(invalid="ignore", divide="ignore"):
            below = bads[:, -1:] - bads
            auroc = (good * (below + bad / 2)).sum(axis=1) / (goods[:, -1] * bads[:, -1])
            precision = np.nan_to_num(goods / (goods + bads))
            average = (good * precision).sum(axis=1) / goods[:, -1]
        return np.stack([auroc, np.where(bads[:, -1] > 0, average, np.nan)], axis=1)

    return statistic


def roc_points(truth: Bools, scores: Floats) -> list[tuple[float, float]]:
    """The ROC curve as (false positive rate, true positive rate), from (0, 0) to (1, 1)."""
    goods, bads = _cumulated(truth, scores)
    if goods[-1] == 0 or bads[-1] == 0:
        return []
    return [(0.0, 0.0), *zip((bads / bads[-1]).tolist(), (goods / goods[-1]).tolist(), strict=True)]


def pr_points(truth: Bools, scores: Floats) -> list[tuple[float, float]]:
    """The precision-recall curve as (recall, precision), by falling threshold."""
    goods, bads = _cumulated(truth, scores)
    if goods[-1] == 0:
        return []
    return list(zip((goods / goods[-1]).tolist(), (goods / (goods + bads)).tolist(), strict=True))


def best_threshold(truth: Bools, scores: Floats) -> float:
    """The threshold at and above which saying yes gives the highest F1; of equals the highest.

    It lies halfway between the last score that is accepted and the next below, so that new scores near the last one
    are taken in as well.
    """
    goods, bads = _cumulated(truth, scores)
    f1 = 2 * goods / (goods + bads + truth.sum()) if truth.any() else -bads
    order, starts = _groups(scores)
    distinct = scores[order][starts]
    best = int(np.argmax(f1))
    return float(distinct[best] / 2 + distinct[min(best + 1, len(distinct) - 1)] / 2)


def thinned(points: list[tuple[float, float]], most: int = 200) -> tuple[tuple[float, float], ...]:
    """At most about ``most`` points of a curve, its ends among them."""
    if len(points) <= most:
        return tuple(points)
    keep = np.unique(np.linspace(0, len(points) - 1, most).round().astype(int))
    return tuple(points[i] for i in keep)


def _groups(scores: Floats) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Items by falling score, and where each run of equal scores starts."""
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    return order, np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))


def _cumulated(truth: Bools, scores: Floats) -> tuple[Floats, Floats]:
    """True and false items at or above each distinct score, by falling score."""
    order, starts = _groups(scores)
    positive = truth[order].astype(np.float64)
    return np.add.reduceat(positive, starts).cumsum(), np.add.reduceat(1 - positive, starts).cumsum()
