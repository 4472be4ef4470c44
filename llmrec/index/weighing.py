"""How much an encoder counts in the hybrid, measured on queries whose products are known.

The constants of ``llmrec.index.fusion`` fit encoders that know nothing of the catalog. One that was trained on such
queries may deserve more weight, or less, and only queries that it was not trained on can tell::

    weighed = weigh(index, queries, right)
    weighed.weights          # {"dense": 2.0}; empty where nothing is surely better than the default

A few dozen queries say little about small differences, so the default stays unless something beats it by more than its
standard error: what is chosen has the largest gain in reciprocal rank less that error.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from itertools import product
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from llmrec.errors import InputError
from llmrec.index.fusion import Weights, weights_of, zscore
from llmrec.index.index import Index
from llmrec.records import Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: What is tried: the vectors' weight, and how much it depends on their lead.
DENSE = (0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 4.0, 5.6)
LEAD_POWER = (1.0, 0.5, 0.0)
#: Fewer queries than this say nothing.
FEWEST = 20
#: Products further down count as not found.
CUT = 10
#: A single query that gains is exactly as good as its standard error, but for rounding.
ROUNDING = 1e-9


class Weighed(NamedTuple):
    """What was found.

    Attributes:
        weights: Constants of ``llmrec.index.fusion.Weights`` to use in place of the default.
        queries: How many queries told.
        before: Recall at 1 and mean reciprocal rank with the default.
        after: The same with ``weights``.
    """

    weights: dict[str, float]
    queries: int
    before: dict[str, float]
    after: dict[str, float]

    def as_dict(self) -> dict[str, Any]:
        """For the file beside the encoder."""
        told = {name: [round(self.before[name], 4), round(self.after[name], 4)] for name in self.before}
        return {"weights": self.weights, "measured": {"queries": self.queries, **told}}


def grid() -> list[dict[str, float]]:
    """Everything that is tried; the default is among it, as nothing."""
    default = Weights()
    found = []
    for dense, power in product(DENSE, LEAD_POWER):
        named = {"dense": dense, "lead_power": power}
        found.append({name: value for name, value in named.items() if value != getattr(default, name)})
    return found


def weigh(
    index: Index,
    queries: Sequence[Query],
    right: Sequence[Collection[str]],
    tried: Iterable[Mapping[str, float]] | None = None,
) -> Weighed:
    """Choose the weights of the hybrid on queries that the encoder was not trained on.

    Args:
        index: Holds the encoder's vectors.
        queries: At least ``FEWEST``, else the default stays.
        right: The ids of the products that are right for each.
        tried: Weights to choose from; None: ``grid()``.

    Raises:
        InputError: The index was opened without its encoder.
    """
    if len(queries) != len(right):
        raise InputError(f"{len(queries)} queries, {len(right)} answers", next_step="Give one answer to each query.")
    row_of = {id: row for row, id in enumerate(index.ids)}
    found = []
    for (rows, scored), ids in zip(index.scored(queries), right, strict=True):
        found.append((rows, scored, np.isin(rows, [row_of[id] for id in ids if id in row_of])))

    def ranks(named: Mapping[str, float]) -> NDArray[np.float64]:
        weights = weights_of(named)
        places = []
        for rows, scored, good in found:
            order = index.ranked(rows, zscore(scored, weights)) if len(rows) else rows
            hit = np.flatnonzero(good[order])
            places.append(hit[0] + 1.0 if len(hit) else np.inf)
        return np.array(places, dtype=np.float64)

    default = ranks({})
    best, best_ranks, best_gain = dict[str, float](), default, 0.0
    if len(queries) >= FEWEST:
        for named in grid() if tried is None else tried:
            other = ranks(named)
            change = _reciprocal(other) - _reciprocal(default)
            gain = float(change.mean() - change.std(ddof=1) / len(change) ** 0.5)
            if gain > best_gain + ROUNDING:
                best, best_ranks, best_gain = dict(named), other, gain
    return Weighed(best, len(queries), _told(default), _told(best_ranks))


def _reciprocal(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(ranks <= CUT, 1.0 / ranks, 0.0)


def _told(ranks: NDArray[np.float64]) -> dict[str, float]:
    if not len(ranks):
        return {"recall@1": 0.0, f"mrr@{CUT}": 0.0}
    return {"recall@1": float((ranks == 1).mean()), f"mrr@{CUT}": float(_reciprocal(ranks).mean())}
