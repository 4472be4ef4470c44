"""The cells of an index found through a graph: for queries that come one at a time.

A batch is compared with the centres of all cells by one product of matrices. A single query is not: reading some
thousand centres takes it longer than all else. So an index of cells gets a second front, which shares its lists and
finds the cells nearest to a query by a graph over the centres (HNSW; Malkov and Yashunin, arXiv 1603.09320).
"""

from __future__ import annotations

from typing import Any

#: Cells from which a graph is quicker than comparing with all centres.
CELLS = 1024
#: Neighbours of a node, breadth when the graph is built, and breadth of a search for each cell that is looked into.
LINKS, BUILD_BREADTH, FOR_A_CELL = 32, 200, 2
#: The least breadth of a search.
LEAST_BREADTH = 32


def graph_of(index: Any) -> Any | None:
    """A graph over the centres of an index's cells; None where it has few, or finds them in its own way."""
    import faiss

    ivf = _cells_of(index)
    if ivf is None or ivf.nlist < CELLS or not isinstance(faiss.downcast_index(ivf.quantizer), faiss.IndexFlat):
        return None
    graph: Any = faiss.IndexHNSWFlat(index.d, LINKS, faiss.METRIC_INNER_PRODUCT)
    graph.hnsw.efConstruction = BUILD_BREADTH
    graph.add(ivf.quantizer.reconstruct_n(0, ivf.nlist))
    return graph


class Front:
    """An index that shares the lists of another one, and finds its cells by a graph.

    Args:
        index: An index of cells, or one that refines it; it stays with this one.
        graph: ``graph_of(index)``.
    """

    def __init__(self, index: Any, graph: Any) -> None:
        import faiss

        ivf = _cells_of(index)
        assert ivf is not None
        lists, nothing = ivf.invlists, faiss.ArrayInvertedLists(0, 1)
        ivf.invlists = nothing  # what is small is copied, the lists are not
        try:
            copied: Any = faiss.clone_index(ivf)
        finally:
            ivf.invlists = lists
        own: Any = faiss.downcast_index(copied)
        own.own_invlists, own.invlists = False, lists
        own.own_fields, own.quantizer = False, graph
        self.index = own
        # FAISS holds plain pointers to all of these
        self._held = [index, graph, copied, lists, nothing]
        if isinstance(faiss.downcast_index(index), faiss.IndexRefine):
            refined: Any = faiss.IndexRefine(own, index.refine_index)
            refined.own_fields = False
            self.index = refined
            self._held.append(own)


def front_of(index: Any, graph: Any | None) -> Front | None:
    """A front for an index and the graph over its cells; None without a graph, or for a kind that cannot have one."""
    if graph is None:
        return None
    try:
        return Front(index, graph)
    except RuntimeError:  # a kind of lists that FAISS cannot copy
        return None


def breadth_for(cells: int) -> int:
    """How broadly a graph over centres is searched for so many cells."""
    return max(LEAST_BREADTH, FOR_A_CELL * cells)


def _cells_of(index: Any) -> Any | None:
    import faiss

    own: Any = faiss.downcast_index(index)
    if isinstance(own, faiss.IndexRefine):
        own = faiss.downcast_index(own.base_index)
    return own if isinstance(own, faiss.IndexIVF) else None
