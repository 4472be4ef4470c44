"""Vectors found through a FAISS index without comparing all of them, and how hard it has to look.

How many cells are looked into, how broadly a graph is searched and how many are compared again is an ``Effort``; the
least that finds the wanted share of the true nearest is chosen on queries when the index is built (``tune``), and the
whole curve is kept beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from llmrec.errors import ArtefactError, InputError
from llmrec.index.coarse import breadth_for, front_of, graph_of
from llmrec.index.families import is_coarse

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Vectors that are added at a time, and that the structure is learned from: so many for each cell, and at least.
ADDED, A_CELL, LEAST = 262_144, 48, 65_536
#: Queries from which they are compared with the centres of all cells together.
TOGETHER = 16
#: Rounds of k-means for the cells.
ROUNDS = 12
#: Breadth of the search while a graph is built (Malkov & Yashunin 2018, arXiv 1603.09320).
BUILD_BREADTH = 100
#: Queries that the effort is chosen on, and nearest that are asked for.
QUERIES, NEAREST = 500, 10
#: What reading a vector again costs, where scanning a code costs its bytes: it lies anywhere.
SCATTERED = 4.0


#: What FAISS may allocate for one array while it reads a file, in sizes of the file.
LARGER = 16
FITTING = "Give a string of FAISS's index factory that fits the vectors, or a family (auto)."


class Effort(msgspec.Struct, frozen=True):
    """How hard an index looks: ``probes`` cells, ``breadth`` of a graph's search, ``refine`` times k compared again."""

    probes: int = 0
    breadth: int = 0
    refine: int = 1


class Point(msgspec.Struct, frozen=True):
    """The share of the true ``NEAREST`` that an effort finds, over ``queries``."""

    effort: Effort
    recall: float
    queries: int


class Ann:
    """A FAISS index over unit vectors, its effort, and the curve that the effort was chosen on.

    Searching changes nothing in the index, so threads may share one.
    """

    def __init__(
        self, index: Any, factory: str, effort: Effort, curve: Sequence[Point] = (), graph: Any | None = None
    ) -> None:
        self._index, self.factory, self.effort, self.curve = index, factory, effort, tuple(curve)
        self._graph = graph
        self._alone = front_of(index, graph)

    @classmethod
    def build(cls, vectors: NDArray[np.float32], factory: str, *, seed: int = 0) -> Ann:
        """Build an index with a middling effort; ``tune`` finds the right one.

        Args:
            vectors: float32 ``[n, d]``, unit length; may be mapped from disk, a part of them is read at a time.
            factory: FAISS's string.
            seed: Of the sample that the structure is learned from.

        Raises:
            InputError: FAISS does not know such a string, or it does not fit the vectors.
        """
        import faiss

        count, dimension = vectors.shape
        index = _made(factory, dimension)
        try:
            for part in _parts(index):
                if isinstance(part, faiss.IndexIVF):
                    part.cp.niter, part.cp.seed = ROUNDS, seed + 1
                    part.cp.max_points_per_centroid = A_CELL
                    part.cp.min_points_per_centroid = 1
                if isinstance(part, faiss.IndexHNSW):
                    part.hnsw.efConstruction = BUILD_BREADTH
            if not index.is_trained:
                index.train(_sample(vectors, max(LEAST, A_CELL * _cells(index)), seed))
            for start in range(0, count, ADDED):
                index.add(np.ascontiguousarray(vectors[start : start + ADDED]))
        except RuntimeError as error:
            what = f"{factory!r} for {count} vectors of {dimension} numbers: {_reason(error)}"
            raise InputError(what, next_step=FITTING) from error
        effort = Effort(min(32, _cells(index)), 128 if _graphs(index) else 0, 8 if is_coarse(factory) else 4)
        return cls(index, factory, effort, graph=graph_of(index))

    def search(
        self,
        queries: NDArray[np.float32],
        k: int,
        *,
        rows: NDArray[np.int64] | None = None,
        effort: Effort | None = None,
    ) -> NDArray[np.int64]:
        """Rows of about the ``k`` nearest, int64 ``[m, k]``, best first by the index's own scores; -1: no more.

        Args:
            queries: float32 ``[m, d]``.
            k: Rows per query.
            rows: Only these may be found.
            effort: In place of the index's own.
        """
        import faiss

        selector = None if rows is None else faiss.IDSelectorBatch(rows)
        index = self._alone.index if self._alone and len(queries) < TOGETHER else self._index
        parameters = _parameters(index, effort or self.effort, selector, k)
        _, found = index.search(np.ascontiguousarray(queries), k, params=parameters)
        return found  # type: ignore[no-any-return]

    @property
    def ntotal(self) -> int:
        """Vectors of the index."""
        return int(self._index.ntotal)

    @property
    def cells(self) -> int:
        """Cells that the vectors lie in; 0 for a graph."""
        return _cells(self._index)

    @property
    def dimension(self) -> int:
        """Length of the vectors."""
        return int(self._index.d)

    def efforts(self) -> Iterator[Effort]:
        """Efforts from the least to the most, by the bytes that a query touches."""
        import faiss

        count, dimension = self.ntotal, self.dimension
        breadths = [16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512, 768, 1024] if _graphs(self._index) else [0]
        cells = _cells(self._index)
        probes = [p for p in _steps() if p <= cells] if cells else [0]
        refined = is_coarse(self.factory) or any(isinstance(p, faiss.IndexRefine) for p in _parts(self._index))
        refines = [1, 2, 4, 8, 16, 32] if refined else [1]
        code = max(1, min((p.code_size for p in _parts(self._index) if isinstance(p, faiss.IndexIVF)), default=1))

        def touched(effort: Effort) -> float:
            scanned = effort.probes / max(1, cells) * count * code
            return scanned + effort.breadth * dimension * 4 + effort.refine * NEAREST * dimension * SCATTERED

        found = [Effort(p, b, r) for p in probes for b in breadths for r in refines]
        yield from sorted(found, key=lambda effort: (touched(effort), effort.refine))

    def save(self, folder: Path) -> None:
        """Write ``ann.faiss``, ``ann.json``, and ``cells.faiss`` where cells are found by a graph."""
        import faiss

        faiss.write_index(self._index, str(folder / "ann.faiss"))
        if self._graph is not None:
            faiss.write_index(self._graph, str(folder / "cells.faiss"))
        told = {"factory": self.factory, "effort": self.effort, "curve": self.curve}
        (folder / "ann.json").write_bytes(msgspec.json.encode(told))

    @classmethod
    def load(cls, folder: Path) -> Ann:
        """Open a saved index; codes that FAISS can leave on disk stay there.

        Raises:
            ArtefactError: The files cannot be read.
        """
        import faiss

        path = folder / "ann.faiss"
        # no array can be much larger than the file (the table of cells by codes is, for few vectors): a damaged length
        # is refused before memory is taken for it
        before = faiss.get_deserialization_vector_byte_limit()
        try:
            faiss.set_deserialization_vector_byte_limit(LARGER * max(path.stat().st_size, 1))
            told = msgspec.json.decode((folder / "ann.json").read_bytes(), type=_Told)
            index = faiss.read_index(str(path), faiss.IO_FLAG_MMAP_IFC)
            cells = folder / "cells.faiss"
            graph = faiss.read_index(str(cells)) if cells.exists() else None
        except (OSError, RuntimeError, msgspec.MsgspecError) as error:
            step = "Build the index again."
            raise ArtefactError(f"{path}: cannot be read ({_reason(error)})", next_step=step) from error
        finally:
            faiss.set_deserialization_vector_byte_limit(before)
        return cls(index, told.factory, told.effort, told.curve, graph)


def check_factory(factory: str, dimension: int) -> None:
    """Check that FAISS knows a factory string and that it fits vectors of a length.

    Raises:
        InputError: It does not.
    """
    _made(factory, dimension)


def _made(factory: str, dimension: int) -> Any:
    import faiss

    try:
        return faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
    except RuntimeError as error:
        what = f"dense={factory!r} for vectors of {dimension} numbers: {_reason(error)}"
        raise InputError(what, next_step=FITTING) from error


class _Told(msgspec.Struct):
    factory: str
    effort: Effort
    curve: list[Point]


def _steps() -> Iterator[int]:
    """1, 2, 3, 4, 6, 8, 12, 16, …"""
    yield 1
    step = 2
    while step <= 65_536:
        yield step
        yield step + step // 2
        step *= 2


def _parts(index: Any) -> Iterator[Any]:
    """An index and those within it, as what they are."""
    import faiss

    own = faiss.downcast_index(index)
    yield own
    if isinstance(own, faiss.IndexRefine):
        yield from _parts(own.base_index)
    elif isinstance(own, faiss.IndexPreTransform):
        yield from _parts(own.index)


def _cells(index: Any) -> int:
    import faiss

    return max((int(part.nlist) for part in _parts(index) if isinstance(part, faiss.IndexIVF)), default=0)


def _graphs(index: Any) -> bool:
    import faiss

    return any(isinstance(part, faiss.IndexHNSW) for part in _parts(index))


def _parameters(index: Any, effort: Effort, selector: Any, k: int) -> Any:
    """The effort as FAISS's own nested parameters."""
    import faiss

    own: Any = faiss.downcast_index(index)
    types: Any = faiss
    chosen = {"sel": selector} if selector is not None else {}
    if isinstance(own, faiss.IndexRefine):
        inner = _parameters(own.base_index, effort, selector, k)
        return types.IndexRefineSearchParameters(k_factor=float(effort.refine), base_index_params=inner)
    if isinstance(own, faiss.IndexPreTransform):
        return types.SearchParametersPreTransform(index_params=_parameters(own.index, effort, selector, k))
    if isinstance(own, faiss.IndexIVF):
        probes = min(effort.probes, int(own.nlist))
        if isinstance(faiss.downcast_index(own.quantizer), faiss.IndexHNSW):
            chosen["quantizer_params"] = types.SearchParametersHNSW(efSearch=breadth_for(probes))
        return types.SearchParametersIVF(nprobe=probes, **chosen)
    if isinstance(own, faiss.IndexHNSW):
        return types.SearchParametersHNSW(efSearch=max(effort.breadth, k), **chosen)
    return types.SearchParameters(**chosen) if chosen else None


def _sample(vectors: NDArray[np.float32], size: int, seed: int) -> NDArray[np.float32]:
    if len(vectors) <= size:
        return np.ascontiguousarray(vectors)
    return np.ascontiguousarray(vectors[np.sort(np.random.default_rng(seed).choice(len(vectors), size, replace=False))])


def _reason(error: Exception) -> str:
    """FAISS's message without the place in its source."""
    lines = [line for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else type(error).__name__).rsplit(": ", 1)[-1].strip()
