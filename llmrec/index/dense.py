"""Unit vectors of one field, by FAISS: compared with all of them, or found through a graph (HNSW)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np

from llmrec.errors import ArtefactError

if TYPE_CHECKING:
    from numpy.typing import NDArray

DenseChoice = Literal["auto", "exact", "hnsw", "none"]

#: Products from which ``auto`` takes the graph: below, comparing with all of them takes a few milliseconds.
GRAPH_FROM = 50_000

#: With a filter, a graph is walked when it keeps at least so many products and such a share of them.
FEW, SPARSE = 20_000, 0.1
#: Vectors that a filtered search reads into memory at a time.
PART = 65_536

#: Vectors from which the spread of a query's cosines is told.
SAMPLE = 4096

#: Neighbours of a node; breadth of the search when building and when asking (Malkov & Yashunin 2018, arXiv 1603.09320).
LINKS, BUILD_BREADTH, SEARCH_BREADTH = 32, 200, 128


class Dense:
    """Vectors of one field, float32 ``[n, d]``; a vector is known by its row. ``graph`` is None for exact search."""

    def __init__(self, vectors: NDArray[np.float32], graph: Any = None) -> None:
        self.vectors = vectors
        self._graph = graph

    @property
    def has_graph(self) -> bool:
        """Whether the search goes through a graph."""
        return self._graph is not None

    @classmethod
    def build(cls, vectors: NDArray[np.float32], *, graph: bool) -> Dense:
        """Index vectors, with a graph over them or without."""
        import faiss

        if not graph:
            return cls(vectors)
        built = faiss.IndexHNSWFlat(vectors.shape[1], LINKS, faiss.METRIC_INNER_PRODUCT)
        built.hnsw.efConstruction = BUILD_BREADTH
        built.add(vectors)
        return cls(vectors, built)

    @classmethod
    def load(cls, folder: Path, shape: tuple[int, int]) -> Dense:
        """Open saved vectors; they stay on disk until they are asked for.

        Raises:
            ArtefactError: The files cannot be read, or hold vectors of another shape.
        """
        graph_path = folder / "graph.faiss"
        try:
            vectors = np.load(folder / "vectors.npy", mmap_mode="r", allow_pickle=False)
            graph = _read_graph(graph_path) if graph_path.exists() else None
        except (OSError, ValueError, RuntimeError) as error:
            raise ArtefactError(f"{folder}: cannot be read ({error})", next_step="Build the index again.") from error
        if vectors.shape != shape or (graph is not None and (graph.ntotal, graph.d) != shape):
            step = "Build the index again."
            raise ArtefactError(f"{folder}: holds vectors {vectors.shape}, not {shape}", next_step=step)
        return cls(vectors, graph)

    def save(self, folder: Path) -> None:
        """Write the vectors (``.npy``) and the graph, where there is one."""
        import faiss

        folder.mkdir(parents=True, exist_ok=True)
        np.save(folder / "vectors.npy", self.vectors, allow_pickle=False)
        if self._graph is not None:
            faiss.write_index(self._graph, str(folder / "graph.faiss"))

    def top(
        self, queries: NDArray[np.float32], k: int, kept: NDArray[np.bool_] | None = None
    ) -> list[NDArray[np.int64]]:
        """Rows of the ``k`` nearest vectors of each query, in no order that counts.

        Args:
            queries: float32 ``[m, d]``.
            k: Rows per query at most.
            kept: Rows that may be found, bool ``[n]``; None: all.
        """
        if kept is not None and not kept.all():
            rows = np.flatnonzero(kept)
            # a graph of which most nodes may not be found is walked in vain: few are compared one and all
            if self._graph is None or len(rows) < max(FEW, SPARSE * len(self.vectors)):
                return self._nearest_of(queries, rows, k)
            return self._walk(queries, min(k, len(rows)), rows)
        import faiss

        k = min(k, len(self.vectors))
        if self._graph is None:
            _, found = faiss.knn(queries, self.vectors, k, metric=faiss.METRIC_INNER_PRODUCT)
            return [own[own >= 0] for own in found]
        return self._walk(queries, k, None)

    def _walk(self, queries: NDArray[np.float32], k: int, rows: NDArray[np.int64] | None) -> list[NDArray[np.int64]]:
        """The nearest by the graph, of ``rows`` alone where they are given."""
        import faiss

        options: dict[str, Any] = {"efSearch": max(SEARCH_BREADTH, k)}
        if rows is not None:
            # as many of the kept are met as without a filter
            options["efSearch"] = int(options["efSearch"] * len(self.vectors) / max(1, len(rows)))
            options["sel"] = faiss.IDSelectorBatch(rows)
        _, found = self._graph.search(queries, k, params=faiss.SearchParametersHNSW(**options))  # type: ignore[attr-defined]
        return [own[own >= 0] for own in found]

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

    def moments(self, query: NDArray[np.float32]) -> tuple[float, float]:
        """Mean and deviation of one query's cosine over the catalog, from a sample where it is large."""
        cosines = self._sample @ query
        return float(cosines.mean()), float(cosines.std())

    @cached_property
    def _sample(self) -> NDArray[np.float32]:
        rows = np.linspace(0, len(self.vectors) - 1, min(len(self.vectors), SAMPLE)).astype(np.int64)
        return self.vectors[rows]


def _read_graph(path: Path) -> Any:
    import faiss

    # no array of the file can be larger than the file: a damaged length is refused before memory is taken for it
    before = faiss.get_deserialization_vector_byte_limit()
    faiss.set_deserialization_vector_byte_limit(max(path.stat().st_size, 1))
    try:
        return faiss.read_index(str(path))
    finally:
        faiss.set_deserialization_vector_byte_limit(before)


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
