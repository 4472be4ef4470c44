"""How hard an index of vectors has to look: measured against exact search on queries that are not its own vectors."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

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


def asked_from(
    vectors: NDArray[np.float32], others: NDArray[np.float32] | None = None, *, size: int = QUERIES, seed: int = 0
) -> NDArray[np.float32]:
    """Queries for tuning, drawn from the catalog: unit vectors, float32 ``[m, d]``, none of which the index holds.

    An index looks best where its own vectors lie: with those as queries a graph that finds .88 of the nearest on others
    seems to find .99.

    Args:
        vectors: float32 ``[n, d]``, of the index.
        others: What else is known of the same rows (the titles, for whole texts): as unlike a product's text as a query
            is. None, or where it is the same: from the drawn vector and two of its ten nearest the fourth corner of
            their parallelogram, which lies among them and is none of them.
        size: Queries at most.
        seed: Of the draw.
    """
    rng = np.random.default_rng(seed)
    rows = np.sort(rng.choice(len(vectors), min(size, len(vectors)), replace=False))
    drawn = np.ascontiguousarray(vectors[rows])
    found = drawn if others is None else np.ascontiguousarray(others[rows])
    # a product whose title is all its text has one vector for both
    same = (found == drawn).all(axis=1)
    if len(vectors) >= 3 and same.any():
        found = found.copy()
        found[same] = _corners(vectors, drawn[same], rows[same], rng)
    return found


def _corners(
    vectors: NDArray[np.float32], drawn: NDArray[np.float32], rows: NDArray[np.int64], rng: np.random.Generator
) -> NDArray[np.float32]:
    """For each drawn vector the fourth corner of its parallelogram with two of its nearest, of unit length."""
    near = neighbours(drawn, vectors, NEAREST + 1)
    pairs = [rng.choice(own[own != row], 2, replace=False) for own, row in zip(near, rows, strict=True)]
    corners = np.stack([vectors[one] + vectors[other] - v for (one, other), v in zip(pairs, drawn, strict=True)])
    length = np.linalg.norm(corners, axis=1, keepdims=True)
    return np.ascontiguousarray(corners / np.where(length > 0, length, 1), dtype=np.float32)


def neighbours(queries: NDArray[np.float32], vectors: NDArray[np.float32], k: int) -> list[NDArray[np.int64]]:
    """Rows of the ``k`` vectors nearest to each query, compared with all."""
    import faiss

    _, found = faiss.knn(queries, vectors, min(k, len(vectors)), metric=faiss.METRIC_INNER_PRODUCT)
    return [own[own >= 0] for own in found]


def tune(dense: Dense, asked: NDArray[np.float32], recall: float = RECALL) -> list[Point]:
    """The curve from the least effort to the first that surely finds the wanted share; its last point is that one.

    Args:
        dense: Vectors with an approximate index.
        asked: Queries (``asked_from``); those of zeros, which texts without words have, are left out.
        recall: Wanted share of the true ten nearest.

    Returns:
        Points whose recall is above that of all that cost less. Where no effort is enough, the last is the best.
    """
    assert dense.ann is not None
    asked = np.ascontiguousarray(asked[asked.any(axis=1)])
    if not len(asked):
        return [Point(dense.ann.effort, 1.0, 0)]
    near = min(NEAREST, len(dense.vectors))
    true = neighbours(asked, dense.vectors, near)
    curve: list[Point] = []
    for effort in dense.ann.efforts():
        found = dense.top(asked, near, effort=effort)
        shares = np.array([len(np.intersect1d(a, b)) / near for a, b in zip(found, true, strict=True)])
        mean = float(shares.mean())
        if not curve or mean > curve[-1].recall:
            curve.append(Point(effort, mean, len(asked)))
        if mean - SURE * float(shares.std()) / len(shares) ** 0.5 >= recall:
            break
    return curve


def speed(dense: Dense, asked: NDArray[np.float32]) -> float:
    """Queries a second: the geometric mean of one at a time and all together, each the best of ``ROUNDS``."""
    alone = asked[:ALONE]

    def seconds(search: Callable[[], object]) -> float:
        times = []
        for _ in range(ROUNDS):
            started = time.perf_counter()
            search()
            times.append(time.perf_counter() - started)
        return max(min(times), 1e-9)

    together = len(asked) / seconds(lambda: dense.top(asked, NEAREST))
    apart = len(alone) / seconds(lambda: [dense.top(query[None], NEAREST) for query in alone])
    return float((together * apart) ** 0.5)
