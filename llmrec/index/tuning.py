"""How hard an index of vectors has to look: measured against exact search on queries that are not its own vectors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llmrec.index.ann import NEAREST, QUERIES, Point

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmrec.index.dense import Dense

#: Share of the true nearest that ``auto`` wants found.
RECALL = 0.95
#: Standard errors by which a measured recall has to lie above what is wanted.
SURE = 1.0
#: Queries that are timed one at a time, and how often speed is measured.
ALONE, ROUNDS = 100, 3


class Asked(NamedTuple):
    """Vectors to ask with, float32 ``[m, d]``, and the row that each is itself and that does not count; -1: none."""

    vectors: NDArray[np.float32]
    own: NDArray[np.int64]


def asked_from(
    vectors: NDArray[np.float32], others: NDArray[np.float32] | None = None, *, size: int = QUERIES, seed: int = 0
) -> Asked:
    """Queries for tuning, drawn from the catalog.

    Args:
        vectors: float32 ``[n, d]``, of the index.
        others: What else is known of the same rows (the titles, for whole texts): a query is as unlike a product's text
            as these are, while a vector of the index lies where the index looks best. None: the index's own vectors,
            each without itself.
        size: Queries at most.
        seed: Of the draw.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(vectors), min(size, len(vectors)), replace=False))
    if others is None:
        return Asked(np.ascontiguousarray(vectors[rows]), rows.astype(np.int64))
    return Asked(np.ascontiguousarray(others[rows]), np.full(len(rows), -1, dtype=np.int64))


def tune(dense: Dense, asked: Asked, recall: float = RECALL) -> list[Point]:
    """The curve from the least effort to the first that surely finds the wanted share; its last point is that one.

    Args:
        dense: Vectors with an approximate index.
        asked: Queries (``asked_from``).
        recall: Wanted share of the true ten nearest.

    Returns:
        Points whose recall is above that of all that cost less. Where no effort is enough, the last is the best.
    """
    assert dense.ann is not None
    kept = asked.vectors.any(axis=1)  # a text without words has a vector of zeros and no neighbours
    own = asked.own[kept]
    vectors = np.ascontiguousarray(asked.vectors[kept])
    near = min(NEAREST, len(dense.vectors) - 1)
    if near < 1 or not len(vectors):
        return [Point(dense.ann.effort, 1.0, 0)]
    true = _without(dense.exact(vectors, near + 1), own, near)
    curve: list[Point] = []
    for effort in dense.ann.efforts():
        found = _without(dense.top(vectors, near + 1, effort=effort), own, near)
        shares = np.array([len(np.intersect1d(a, b)) / near for a, b in zip(found, true, strict=True)])
        mean = float(shares.mean())
        if not curve or mean > curve[-1].recall:
            curve.append(Point(effort, mean, len(vectors)))
        if mean - SURE * float(shares.std()) / len(shares) ** 0.5 >= recall:
            break
    return curve


def _without(found: list[NDArray[np.int64]], own: NDArray[np.int64], near: int) -> list[NDArray[np.int64]]:
    return [rows[rows != row][:near] for rows, row in zip(found, own, strict=True)]


def speed(dense: Dense, asked: Asked) -> float:
    """Queries a second: the geometric mean of one at a time and all together, each the best of ``ROUNDS``."""
    alone = asked.vectors[:ALONE]

    def seconds(search: Callable[[], object]) -> float:
        times = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            search()
            times.append(time.perf_counter() - started)
        return max(min(times), 1e-9)

    together = len(asked.vectors) / seconds(lambda: dense.top(asked.vectors, NEAREST))
    apart = len(alone) / seconds(lambda: [dense.top(query[None], NEAREST) for query in alone])
    return float((together * apart) ** 0.5)
