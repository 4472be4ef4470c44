"""How the first stage's scores and a reranker's become one order, and whether that order is the better one.

::

    mix, found = fit_mix(lists, groups)         # a Mix, and what it is worth on lists left out of its fit
    mix.scores(scores, logits)                  # float64 [n]: the order is by these

A product's mixed score is ``first * z + second * logit``, where ``z`` is how many standard deviations its first score
lies above the mean of its list. The two weights are those of a conditional logit: the right products of a list shall
have the largest share of its softmax (McFadden 1974; of several right ones their shares are added up).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]
    Bools = NDArray[np.bool_]

FOLDS = 5
#: Products of a list that the reciprocal rank looks at.
WIDTH = 10
#: Penalty on the weights of columns of standard deviation 1.
RIDGE = 1.0
STEPS = 100


class Mix(msgspec.Struct, frozen=True):
    """Weights of the first stage and of the reranker.

    ``relative`` says that the reranker's scores are no logits: they are taken as deviations from their list's mean too.
    """

    first: float
    second: float
    relative: bool = False

    def scores(self, scores: Floats, logits: Floats) -> Floats:
        """Mixed scores of a list, float64 ``[n]``; where ``logits`` is NaN nothing was looked at, and it is NaN."""
        looked = np.isfinite(logits)
        own = logits.copy()
        if self.relative and looked.any():
            own[looked] = standard(logits[looked])
        return self.first * standard(scores) + self.second * own


#: Without contents whose products are known. A reranker that was trained on other offers knows less of a catalog than
#: the first stage: on the training half of Abt-Buy weights of the first stage below 2 lost more first products than
#: they won with the shipped matcher, and with trees that were grown there all from .5 to 6 won more than they lost.
DEFAULT = Mix(3.0, 1.0, relative=True)


class Candidates(NamedTuple):
    """A list of which both stages have seen all: scores, logits and whether each is right, all ``[n]``."""

    scores: Floats
    logits: Floats
    right: Bools


class Gain(NamedTuple):
    """What a mix is worth on lists left out of its fit; ``orders`` are the places, best first, of each list."""

    orders: list[NDArray[np.int64]]
    measured: dict[str, float]
    helps: bool


def standard(values: Floats) -> Floats:
    """Deviations from the mean in standard deviations; all 0 where all are equal."""
    spread = values.std() if len(values) else 0.0
    return (values - values.mean()) / spread if spread > 1e-9 else np.zeros(len(values))


def fit_mix(lists: Sequence[Candidates], groups: Sequence[str], *, seed: int = 0) -> tuple[Mix, Gain]:
    """Fit the weights, and measure them across folds of groups.

    Args:
        lists: Of contents that have a right product in the catalog; it need not be in the list.
        groups: Lists of one group are never fitted and measured apart.
        seed: Of the folds.

    Returns:
        The mix of all lists, and its gain: it helps where the mean reciprocal rank rises by more than its standard
        error and no fewer first products are right.
    """
    fold = folds_of(groups, seed)
    orders: list[NDArray[np.int64]] = [np.zeros(0, dtype=np.int64)] * len(lists)
    for number in range(FOLDS):
        held = np.flatnonzero(fold == number).tolist()
        if held:
            own = _fitted([lists[i] for i in np.flatnonzero(fold != number).tolist()])
            for i in held:
                orders[i] = order_of(own.scores(lists[i].scores, lists[i].logits))
    before = np.array([_gains(own.right) for own in lists]).reshape(-1, 2)
    after = np.array([_gains(own.right[order]) for own, order in zip(lists, orders, strict=True)]).reshape(-1, 2)
    return _fitted(lists), Gain(orders, *_told(before, after))


def sharpness(lists: Sequence[Candidates]) -> float:
    """What a deviation of the first stage counts in a softmax over a list, where nothing else is known of it."""
    blind = [own._replace(logits=np.zeros(len(own.scores))) for own in lists]
    return _fitted(blind).first if blind else 1.0


def order_of(mixed: Floats) -> NDArray[np.int64]:
    """Places by mixed score, best first; what was not looked at stays behind in its own order."""
    return np.argsort(-np.nan_to_num(mixed, nan=-np.inf), kind="stable")


def folds_of(groups: Sequence[str], seed: int, folds: int = FOLDS) -> NDArray[np.int64]:
    """The fold of each item; a group falls into one."""
    names = sorted(set(groups))
    order = np.random.default_rng(seed).permutation(len(names))
    fold = {names[place]: number % folds for number, place in enumerate(order)}
    return np.array([fold[group] for group in groups], dtype=np.int64)


def _gains(right: Bools) -> tuple[float, float]:
    """Whether the first product is right, and the reciprocal rank of the first right one."""
    where = np.flatnonzero(right[:WIDTH])
    return float(right[:1].any()), 1 / (1 + where[0]) if len(where) else 0.0


def _told(before: Floats, after: Floats) -> tuple[dict[str, float], bool]:
    count = len(before)
    moved = after - before
    gain = float(moved[:, 1].mean()) if count else 0.0
    error = float(moved[:, 1].std() / math.sqrt(count)) if count else 0.0
    measured = {
        "contents": float(count),
        "recall@1 first": float(before[:, 0].mean()) if count else 0.0,
        "recall@1 reranked": float(after[:, 0].mean()) if count else 0.0,
        "mrr@10 first": float(before[:, 1].mean()) if count else 0.0,
        "mrr@10 reranked": float(after[:, 1].mean()) if count else 0.0,
        "gained": float((moved[:, 0] > 0).sum()),
        "lost": float((moved[:, 0] < 0).sum()),
    }
    return measured, bool(gain > error and moved[:, 0].sum() >= 0)


def _fitted(lists: Sequence[Candidates]) -> Mix:
    """The weights; a reranker that would count against itself counts nothing, and so does the first stage."""
    told = [own for own in lists if own.right.any() and not own.right.all()]
    if not told:
        return Mix(1.0, 0.0)
    rows = np.concatenate([np.stack([standard(own.scores), own.logits - own.logits.mean()], axis=1) for own in told])
    right = np.concatenate([own.right for own in told])
    starts = np.cumsum([0, *(len(own.right) for own in told[:-1])])
    scale = np.where(rows.std(axis=0) > 1e-9, rows.std(axis=0), 1.0)
    rows = rows / scale
    weights = _logit(rows, right, starts, [0, 1])
    for column in (1, 0):
        if weights[column] < 0:
            weights = np.maximum(_logit(rows, right, starts, [1 - column]), 0.0)
    first, second = (float(value) for value in weights / scale)
    return Mix(first, second) if first or second else Mix(1.0, 0.0)


def _logit(rows: Floats, right: Bools, starts: NDArray[np.int64], kept: Sequence[int]) -> Floats:
    """Conditional logit by Newton's method on the bound that expectation gives (the right ones' shares held fixed).

    Args:
        rows: Columns of all lists, float64 ``[n, 2]``.
        right: Bool ``[n]``, at least one in each list.
        starts: Where each list begins.
        kept: The columns that take part; the weights of others are 0.
    """
    own, weights = rows[:, kept], np.zeros(len(kept))
    sizes = np.diff([*starts, len(rows)])
    for _ in range(STEPS):
        logits = own @ weights
        share = np.exp(logits - np.repeat(np.maximum.reduceat(logits, starts), sizes))
        share /= np.repeat(np.add.reduceat(share, starts), sizes)
        good = np.where(right, share, 0.0)
        good /= np.repeat(np.maximum(np.add.reduceat(good, starts), 1e-300), sizes)
        mean = np.add.reduceat(own * share[:, None], starts, axis=0)
        gradient = (good - share) @ own - RIDGE * weights
        curve = (own * share[:, None]).T @ own - mean.T @ mean + RIDGE * np.eye(len(kept))
        step = np.linalg.solve(curve, gradient)
        weights = weights + step * min(1.0, 2.0 / max(float(np.abs(step).max()), 1e-12))
        if np.abs(step).max() < 1e-7:
            break
    found = np.zeros(rows.shape[1])
    found[list(kept)] = weights
    return found
