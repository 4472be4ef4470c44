"""Vectors of a field that changes: those of the version, found as they are, and what came after them, compared one and
all; without what is gone.
"""

from __future__ import annotations

import math
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from llmrec.index.ann import Effort
from llmrec.index.dense import SAMPLE, Dense

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: More than are asked for, so that enough stay when those that are gone are taken out: of the expected number of these,
#: and besides.
MARGIN, BESIDES = 2.0, 16


class LiveDense:
    """Vectors as they are at one moment.

    Args:
        base: Those of the version.
        added: Those after them, float32 ``[m, d]``.
        gone: Rows that are gone, ascending.
    """

    def __init__(self, base: Dense, added: NDArray[np.float32], gone: NDArray[np.int64]) -> None:
        self._base, self._added = base, added
        self._start = len(base)
        self._gone: NDArray[np.bool_] | None = None
        self._gone_of_base = int(np.searchsorted(gone, self._start))
        if len(gone):
            self._gone = np.zeros(len(self), dtype=np.bool_)
            self._gone[gone] = True

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return self._base.dimension

    def __len__(self) -> int:
        return self._start + len(self._added)

    def top(
        self,
        queries: NDArray[np.float32],
        k: int,
        kept: NDArray[np.bool_] | None = None,
        *,
        effort: Effort | None = None,
    ) -> list[NDArray[np.int64]]:
        """Rows of the ``k`` nearest vectors of each query that are not gone, best first; see ``Dense.top``."""
        if kept is not None and self._gone is not None:
            kept = kept & ~self._gone
        found = self._of_base(queries, k, kept, effort)
        if not len(self._added):
            return found
        stays = kept if kept is not None else None if self._gone is None else ~self._gone
        cosines = queries @ self._added.T
        if stays is not None:
            cosines[:, ~stays[self._start :]] = -np.inf
        return [self._merged(*one, k) for one in zip(queries, found, cosines, strict=True)]

    def _merged(
        self, query: NDArray[np.float32], old: NDArray[np.int64], cosines: NDArray[np.float32], k: int
    ) -> NDArray[np.int64]:
        new = np.argpartition(-cosines, k - 1)[:k] if len(cosines) > k else np.arange(len(cosines))
        new = new[cosines[new] > -np.inf]
        rows = np.concatenate([old, new + self._start])
        scores = np.concatenate([self._base.similarity(query, old), cosines[new]])
        return rows[np.argsort(-scores, kind="stable")[:k]]

    def _of_base(
        self, queries: NDArray[np.float32], k: int, kept: NDArray[np.bool_] | None, effort: Effort | None
    ) -> list[NDArray[np.int64]]:
        if not self._start:
            return [np.zeros(0, dtype=np.int64) for _ in queries]
        if kept is not None:
            return self._base.top(queries, k, kept[: self._start], effort=effort)
        if self._gone is None or not self._gone_of_base:
            return self._base.top(queries, k, effort=effort)
        expected = math.ceil(MARGIN * k * self._gone_of_base / self._start)
        wider = k + min(self._gone_of_base, expected + BESIDES)
        found = self._base.top(queries, wider, effort=effort)
        found = [own[~self._gone[own]][:k] for own in found]
        # those that are gone can lie where the query does
        short = [i for i, own in enumerate(found) if len(own) < min(k, self._start - self._gone_of_base)]
        if short:
            stays = ~self._gone[: self._start]
            for i, own in zip(short, self._base.top(queries[short], k, stays, effort=effort), strict=True):
                found[i] = own
        return found

    def similarity(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cosine of one query with the vectors of ``rows``, float32 ``[len(rows)]``."""
        return self.take(rows) @ query

    def moments(self, query: NDArray[np.float32]) -> tuple[float, float]:
        """Mean and deviation of one query's cosine over the catalog: over the version, where that is large."""
        if self._start >= SAMPLE:
            return self._base.moments(query)
        cosines = self._sample @ query
        return (float(cosines.mean()), float(cosines.std())) if len(cosines) else (0.0, 0.0)

    @cached_property
    def _sample(self) -> NDArray[np.float32]:
        here = np.arange(len(self)) if self._gone is None else np.flatnonzero(~self._gone)
        return self.take(here[np.linspace(0, len(here) - 1, min(len(here), SAMPLE)).astype(np.int64)])

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of ``rows``, float32 ``[len(rows), d]``."""
        found = np.empty((len(rows), self.dimension), dtype=np.float32)
        new = rows >= self._start
        if not new.all():
            found[~new] = self._base.take(rows[~new])
        found[new] = self._added[rows[new] - self._start]
        return found
