"""Unit vectors of one field: compared with all of them, or found through an index of FAISS."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmrec.errors import ArtefactError
from llmrec.index.ann import Ann, Effort
from llmrec.index.families import EXACT, bytes_a_vector, factories_of, is_coarse
from llmrec.index.tuning import RECALL, asked_from, neighbours, speed, tune

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

#: Vectors from which the spread of a query's cosines is told.
SAMPLE = 4096

#: With a filter, an index is asked when it keeps at least so many products and such a share of them.
FEW, SPARSE = 20_000, 0.1
#: Vectors on which families are compared where there are more.
TRIED_ON = 1_000_000
#: Cells are looked into until they hold so many times the wanted vectors on average.
ROOM = 4
#: Vectors that a filtered search reads into memory at a time.
PART = 65_536


class Dense:
    """Vectors of one field, float32 ``[n, d]``; a vector is known by its row. ``ann`` is None for exact search."""

    def __init__(self, vectors: NDArray[np.float32], ann: Ann | None = None) -> None:
        self.vectors = vectors
        self.ann = ann

    def __len__(self) -> int:
        return len(self.vectors)

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        return int(self.vectors.shape[1])

    @property
    def factory(self) -> str:
        """FAISS's string for how they are found; ``Flat`` for exact search."""
        return self.ann.factory if self.ann else EXACT

    @classmethod
    def build(
        cls,
        vectors: NDArray[np.float32],
        choice: str = "auto",
        *,
        memory: int | None = None,
        recall: float = RECALL,
        others: NDArray[np.float32] | None = None,
        seed: int = 0,
    ) -> Dense:
        """Index vectors.

        Args:
            vectors: float32 ``[n, d]``, unit length.
            choice: A family (``llmrec.index.families``) or a factory string.
            memory: Bytes that the search may take; ``auto`` keeps to it.
            recall: Share of the true nearest that is to be found; the effort is chosen for it.
            others: What else is known of the same rows, to choose it on (``asked_from``); None: nothing.
            seed: Of the samples.

        Raises:
            InputError: A factory string that FAISS does not know, or that does not fit the vectors.
        """
        factories = factories_of(choice, len(vectors), vectors.shape[1], memory)
        if choice == "auto" and memory is not None and factories != [EXACT]:
            least = min(bytes_a_vector(factory, vectors.shape[1]) for factory in factories) * len(vectors)
            if least > memory:
                logger.warning("%d bytes do not hold the smallest index, which takes %d", memory, least)
            elif is_coarse(factories[0]):
                logger.warning("within %d bytes, what is found is compared again on disk, which is slower", memory)
        if factories == [EXACT] or not len(vectors):
            return cls(vectors)
        if len(factories) > 1 and len(vectors) > TRIED_ON:
            # as many as tell which is the quickest; all of them in every family would not fit into memory at once
            rows = np.sort(np.random.default_rng(seed).choice(len(vectors), TRIED_ON, replace=False))
            sample = np.ascontiguousarray(vectors[rows])
            dense = cls._quickest(sample, factories, recall, asked_from(sample, seed=seed), seed)
            factories = [dense.factory]
        return cls._quickest(vectors, factories, recall, asked_from(vectors, others, seed=seed), seed)

    @classmethod
    def _quickest(
        cls,
        vectors: NDArray[np.float32],
        factories: Sequence[str],
        recall: float,
        asked: NDArray[np.float32],
        seed: int,
    ) -> Dense:
        """The index that answers most queries a second among those that find enough; else the one that finds most."""
        best: tuple[tuple[bool, float], Dense] | None = None
        for factory in factories:
            dense = cls(vectors, Ann.build(vectors, factory, seed=seed))
            assert dense.ann is not None
            curve = tune(dense, asked, recall)
            dense.ann.effort, dense.ann.curve = curve[-1].effort, tuple(curve)
            reached = curve[-1].recall >= recall
            worth = (reached, speed(dense, asked) if reached and len(factories) > 1 else curve[-1].recall)
            if best is None or worth > best[0]:
                best = (worth, dense)
        assert best is not None
        found = best[1]
        if not best[0][0] and found.ann:
            most = found.ann.curve[-1].recall
            logger.warning("%s finds %.3f of the nearest at most, not %.3f", found.factory, most, recall)
        return found

    @classmethod
    def load(cls, folder: Path, shape: tuple[int, int]) -> Dense:
        """Open saved vectors; they stay on disk until they are asked for.

        Raises:
            ArtefactError: The files cannot be read, or hold vectors of another shape.
        """
        try:
            vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ArtefactError(f"{folder}: cannot be read ({error})", next_step="Build the index again.") from error
        ann = Ann.load(folder) if (folder / "ann.faiss").exists() else None
        if vectors.shape != shape or (ann is not None and (ann.ntotal, ann.dimension) != shape):
            step = "Build the index again."
            raise ArtefactError(f"{folder}: holds vectors {vectors.shape}, not {shape}", next_step=step)
        return cls(vectors, ann)

    def save(self, folder: Path) -> None:
        """Write the vectors (``.npy``) and the index over them, where there is one."""
        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "vectors.npy", self.vectors, allow_pickle=False)
        if self.ann is not None:
            self.ann.save(folder)

    def top(
        self,
        queries: NDArray[np.float32],
        k: int,
        kept: NDArray[np.bool_] | None = None,
        *,
        effort: Effort | None = None,
    ) -> list[NDArray[np.int64]]:
        """Rows of the ``k`` nearest vectors of each query, best first.

        Args:
            queries: float32 ``[m, d]``.
            k: Rows per query at most.
            kept: Rows that may be found, bool ``[n]``; None: all.
            effort: How hard an approximate index looks; None: as it was tuned.
        """
        rows = None if kept is None or kept.all() else np.flatnonzero(kept)
        if rows is None:
            return neighbours(queries, self.vectors, k) if self.ann is None else self._through(queries, k, None, effort)
        # an index of which most may not be found is searched in vain: few are compared one and all
        if self.ann is None or len(rows) < max(FEW, SPARSE * len(self.vectors)):
            return self._nearest_of(queries, rows, k)
        return self._through(queries, k, rows, effort)

    def _through(
        self, queries: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None, effort: Effort | None
    ) -> list[NDArray[np.int64]]:
        """What the index finds, of ``rows`` alone where they are given; scores of small codes are compared again."""
        assert self.ann is not None
        effort, count = effort or self.ann.effort, len(self.vectors)
        k = min(k, count if rows is None else len(rows))
        if effort.probes:
            # tuned for ten: cells that hold too few for more are not enough
            enough = math.ceil(ROOM * k * self.ann.cells / count)
            effort = Effort(max(effort.probes, enough), effort.breadth, effort.refine)
        if rows is not None:
            # as many of the kept are met as without a filter
            more = count / max(1, len(rows))
            effort = Effort(int(effort.probes * more), int(effort.breadth * more), effort.refine)
        coarse = is_coarse(self.ann.factory)
        wanted = min(count, k * effort.refine) if coarse else k
        found = [own[own >= 0] for own in self.ann.search(queries, wanted, rows=rows, effort=effort)]
        if coarse:
            pairs = zip(queries, found, strict=True)
            found = [own[np.argsort(-self.similarity(query, own), kind="stable")][:k] for query, own in pairs]
        # a filter that keeps what lies elsewhere than the query can leave it with nothing
        short = [number for number, own in enumerate(found) if len(own) < k] if rows is not None else []
        if short and rows is not None:
            for number, own in zip(short, self._nearest_of(queries[short], rows, k), strict=True):
                found[number] = own
        return found

    def _nearest_of(self, queries: NDArray[np.float32], rows: NDArray[np.int64], k: int) -> list[NDArray[np.int64]]:
        """The nearest of ``rows``, compared one and all; their vectors are read a part at a time."""
        import faiss

        if not len(rows):
            return [rows for _ in queries]
        best = faiss.ResultHeap(len(queries), min(k, len(rows)), keep_max=True)
        for start in range(0, len(rows), PART):
            part = rows[start : start + PART]
            near = min(k, len(part))
            scores, found = faiss.knn(queries, self.vectors[part], near, metric=faiss.METRIC_INNER_PRODUCT)
            best.add_result(scores, np.where(found >= 0, part[found], -1))
        best.finalize()
        return [own[own >= 0] for own in best.I]

    def similarity(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cosine of one query with the vectors of ``rows``, float32 ``[len(rows)]``."""
        return self.vectors[rows] @ query

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of ``rows``, float32 ``[len(rows), d]``, in memory."""
        return np.ascontiguousarray(self.vectors[rows])

    def moments(self, query: NDArray[np.float32]) -> tuple[float, float]:
        """Mean and deviation of one query's cosine over the catalog, from a sample where it is large."""
        cosines = self._sample @ query
        return float(cosines.mean()), float(cosines.std())

    @cached_property
    def _sample(self) -> NDArray[np.float32]:
        rows = np.linspace(0, len(self.vectors) - 1, min(len(self.vectors), SAMPLE)).astype(np.int64)
        return self.vectors[rows]


def unit_or_zero(vectors: NDArray[np.float32], ids: Sequence[str], source: str) -> NDArray[np.float32]:
    """Check that vectors are finite; names the first product whose vector is not.

    Raises:
        ArtefactError: A vector holds something that is not a number.
    """
    bad = np.flatnonzero(~np.isfinite(vectors).all(axis=1))
    if len(bad):
        step = "Check the encoder (dtype='float32' helps where a half-precision one overflows)."
        what = f"{source} gave {len(bad)} vectors that are not numbers, the first for product {ids[bad[0]]!r}"
        raise ArtefactError(what, next_step=step)
    return np.ascontiguousarray(vectors, dtype=np.float32)
