"""Sets that hold the right answer with a probability that is asked for: some products of a list, or that there is none.

::

    sets = fit_sets(answers)                  # scores of contents whose right products are known
    sets.bar(0.1)                             # the mass that may lie before an answer which is still in the set
    shown, none = members(masses, sets.bar(0.1))

The answers of a content are the products of its list, in their order, and "no match", which stands where its
probability puts it. An answer's score is the probability of all answers before it, so that the first one's is 0 and no
set is empty: adaptive prediction sets (Romano, Sesia and Candès 2020, arXiv 2006.02544) without randomisation, with the
penalty on long sets that Angelopoulos et al. put on them (RAPS, 2021, 2009.14193). The bar is the quantile of
split-conformal prediction over the right answers' scores; contents with and without a product are counted apart and
weighed by how common they are.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from llmrec.errors import InputError
from llmrec.match.mixing import standard
from llmrec.match.signals import WIDTH

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: What is added to the score of an answer for each place behind the third.
PENALTY, FREE = 0.01, 3


class Masses(NamedTuple):
    """Scores of the answers of one content: of the products in their order, and of "no match"."""

    products: Floats
    none: float


class Answer(NamedTuple):
    """The score of the right answer of a content; infinite where it is none of the answers.

    ``kind`` 0: the catalog has a product, 1: it has none; ``weight`` is what the content counts.
    """

    score: float
    kind: int
    weight: float


class Sets(msgspec.Struct, frozen=True):
    """Scores of right answers, from which a bar for any ``alpha`` follows.

    Attributes:
        sharpness: What a standard deviation of the first stage's scores counts in the probabilities of products.
        scores: Ascending, of contents with a product and of those without; -1 stands for infinite.
        share: How common contents without a product are.
        held_out: Whether the scores are of contents that no part of the calibration was fitted on, nor refitted on.
    """

    sharpness: float
    scores: tuple[tuple[float, ...], tuple[float, ...]]
    share: float
    held_out: bool

    def bar(self, alpha: float) -> float:
        """The highest score that is still in the set.

        Raises:
            InputError: ``alpha`` is out of range, or the right answer was too often none of the answers.
        """
        if not 0 < alpha < 1:
            raise InputError(f"alpha={alpha}: a share", next_step="Give a number between 0 and 1, such as 0.1.")
        known = sorted({score for own in self.scores for score in own if score >= 0})
        shares = (1 - self.share, self.share)
        for score in known:
            if self._reached(score, shares) >= 1 - alpha - 1e-12:
                return score
        most = self._reached(known[-1], shares) if known else 0.0
        least = math.ceil(1000 * (1 - most)) / 1000
        step = f"Ask for {least:g} at least, or calibrate on more contents." if least < 1 else "Calibrate again."
        raise InputError(
            f"alpha={alpha}: sets of {WIDTH} products do not hold the right one that often", next_step=step
        )

    def _reached(self, score: float, shares: tuple[float, float]) -> float:
        """Share of contents whose right answer has this score or less; one more of each kind is taken to have none."""
        return sum(
            share * (bisect_right(own, score) - bisect_left(own, 0.0)) / (len(own) + 1)
            for share, own in zip(shares, self.scores, strict=True)
            if share > 0
        )


def fit_sets(answers: Sequence[Answer], sharpness: float, *, held_out: bool) -> Sets:
    """What is kept of the right answers of some contents."""
    weights = [sum(own.weight for own in answers if own.kind == kind) for kind in (0, 1)]
    share = weights[1] / sum(weights) if sum(weights) else 0.0
    scores = [
        tuple(sorted(own.score if math.isfinite(own.score) else -1.0 for own in answers if own.kind == kind))
        for kind in (0, 1)
    ]
    return Sets(sharpness, (scores[0], scores[1]), share, held_out)


def masses(right: float, absent: float, utilities: Floats) -> Masses:
    """Scores of the answers of a content.

    Args:
        right: Probability that the first product is right.
        absent: Probability that the catalog has none.
        utilities: What speaks for each product of the list, in its order; the share of its softmax is what the product
            has of the probability that another one than the first is right.
    """
    count = min(len(utilities), WIDTH)
    if not count:
        return Masses(np.zeros(0), 0.0)
    others = utilities[1:]
    weights = np.exp(others - others.max()) if len(others) else np.zeros(0)
    rest = max(0.0, 1.0 - right - absent) * weights / weights.sum() if len(others) else np.zeros(0)
    told = np.concatenate([[right], rest])[:count]
    place = next((i for i, own in enumerate(told) if own < absent), count)
    before = np.concatenate([[0.0], np.cumsum(told)[:-1]])
    behind = np.arange(count) + (np.arange(count) >= place)
    scores = before + np.where(np.arange(count) >= place, absent, 0.0) + _penalty(behind)
    return Masses(scores, float(told[:place].sum() + _penalty(np.array([place]))[0]))


def utilities_of(scores: Floats, mixed: Floats | None, sharpness: float) -> Floats:
    """What speaks for each product: its mixed score where all were looked at a second time, else its first score."""
    if mixed is not None and len(mixed) >= min(WIDTH, len(scores)) and np.isfinite(mixed).all():
        return mixed
    return sharpness * standard(scores)


def members(scores: Masses, bar: float) -> tuple[int, bool]:
    """How many products, counted from the first, are in the set, and whether "no match" is."""
    return int((scores.products <= bar + 1e-12).sum()), bool(scores.none <= bar + 1e-12)


def _penalty(places: NDArray[np.int64]) -> Floats:
    return np.asarray(PENALTY * np.maximum(places - FREE + 1, 0), dtype=np.float64)
