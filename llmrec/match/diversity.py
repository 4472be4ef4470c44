"""Lists that show more than one kind of thing: maximal marginal relevance (Carbonell and Goldstein 1998).

Each next product is the one with the most of ``(1 - λ) relevance - λ likeness``, where likeness is that to the most
alike of the products before it. Relevance is a score brought to 0 … 1 by the candidates' own highest and lowest,
without the first: that one stays where it is, and where it is far ahead the others would count as equally good. In the
list's own scores that is ``score - λ / (1 - λ) range likeness``, which falls from product to product as a list's scores
must.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llmrec.match.words import words

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Candidates at least: the first so many of a list, of which the shown ones are chosen.
FEWEST = 50
#: Beyond what is shown, so many times as many candidates, and so many at most.
TIMES, MOST_MORE = 4, 200


class Spread(NamedTuple):
    """Places of the chosen candidates in their new order, and what each score lost."""

    order: list[int]
    costs: list[float]


def candidates_for(k: int) -> int:
    """How many products of a list are candidates where ``k`` are shown."""
    return max(FEWEST, k + min(TIMES * k, MOST_MORE))


def spread(scores: Sequence[float], likeness: NDArray[np.floating], k: int, diversity: float) -> Spread:
    """Choose ``k`` of a list so that they are good and not all alike.

    Args:
        scores: Of the candidates, highest first.
        likeness: How alike they are, ``[n, n]``, from 0 to 1.
        k: How many are chosen at most.
        diversity: λ from 0, which chooses the first ``k``, to below 1. The first candidate always comes first.
    """
    own = np.asarray(scores, dtype=np.float64)
    if not len(own):
        return Spread([], [])
    alike = np.asarray(likeness, dtype=np.float64)
    height = float(own[1] - own[-1]) if len(own) > 2 else 0.0
    # where all score the same, likeness alone decides
    price = diversity / (1 - diversity) * (height if height > 1e-9 else 1.0)
    order, costs = [0], [0.0]
    nearest = alike[0].copy()
    left = np.ones(len(own), dtype=np.bool_)
    left[0] = False
    while len(order) < min(k, len(own)):
        best = int(np.argmax(np.where(left, own - price * nearest, -np.inf)))
        order.append(best)
        costs.append(price * float(nearest[best]))
        left[best] = False
        nearest = np.maximum(nearest, alike[best])
    return Spread(order, costs)


def title_likeness(titles: Sequence[str]) -> NDArray[np.float64]:
    """How alike titles are by their words, float64 ``[n, n]``: the cosine of their sets of words."""
    forms = [{word.form for word in words(title)} for title in titles]
    columns = {form: i for i, form in enumerate(sorted(set().union(*forms)))}
    table = np.zeros((len(forms), len(columns)))
    for row, own in enumerate(forms):
        table[row, [columns[form] for form in own]] = 1 / np.sqrt(max(1, len(own)))
    return np.clip(table @ table.T, 0.0, 1.0)
