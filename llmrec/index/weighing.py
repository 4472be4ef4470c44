"""How much an encoder counts in the hybrid, measured on queries whose products are known.

The constants of ``llmrec.index.fusion`` fit encoders that know nothing of the catalog. One that was trained on such
queries may deserve more weight, or less, and only queries that it was not trained on can tell::

    weighed = weigh(index, queries, right)
    weighed.weights          # {"dense": 2.0}; empty where nothing is surely better than the default

Some hundred queries say little about small differences, and two dozen weights are tried, so the default stays unless
something beats it in reciprocal rank by more than two standard errors of the gain. Of what does, and is within one of
the best, the nearest to the default is chosen (the rule of Breiman et al. 1984 for trees). With one error as the bar,
260 queries of ``eval/finetune_retrieval.py`` took 0.7 for the vectors or, by the largest gain, 5.6: both noise.
"""

from __future__ import annotations

import math
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
#: Standard errors of a gain that is no chance.
SURE = 2.0
#: Constants that are exponents, and what stands for a weight of 0 when it is told how far it is from the default.
POWERS, TINY = ("known", "lead_power"), 1e-3


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
    row_of = dict(zip(index.ids, index.rows.tolist(), strict=True))
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
    best, best_ranks = dict[str, float](), default
    if len(queries) >= FEWEST:
        options = [(dict(named), ranks(named)) for named in (grid() if tried is None else tried)]
        surely = [option for option in options if _gain(option[1], default) > SURE * _error(option[1], default)]
        top = max(surely, key=lambda option: _gain(option[1], default), default=(best, default))[1]
        near = [option for option in surely if _gain(top, option[1]) <= _error(top, option[1])]
        best, best_ranks = min(near, key=lambda option: _distance(option[0]), default=(best, default))
    return Weighed(best, len(queries), _told(default), _told(best_ranks))


def _gain(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    return float((_reciprocal(one) - _reciprocal(other)).mean())


def _error(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Standard error of the gain."""
    return float((_reciprocal(one) - _reciprocal(other)).std(ddof=1) / len(one) ** 0.5)


def _distance(named: Mapping[str, float]) -> float:
    """From the default: doublings of each weight, and the change of each power."""
    default, own = Weights(), weights_of(named)
    powers = sum(abs(getattr(own, name) - getattr(default, name)) for name in POWERS)
    others = [name for name in named if name not in POWERS]
    return powers + sum(abs(math.log2(max(getattr(own, n), TINY) / getattr(default, n))) for n in others)


def _reciprocal(ranks: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.where(ranks <= CUT, 1.0 / ranks, 0.0)


def _told(ranks: NDArray[np.float64]) -> dict[str, float]:
    if not len(ranks):
        return {"recall@1": 0.0, f"mrr@{CUT}": 0.0}
    return {"recall@1": float((ranks == 1).mean()), f"mrr@{CUT}": float(_reciprocal(ranks).mean())}
