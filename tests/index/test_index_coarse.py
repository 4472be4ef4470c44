"""The cells of an index by a graph: a query alone finds what it finds among others."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llmrec.index import coarse
from llmrec.index.ann import Ann, Effort
from llmrec.index.dense import Dense

RNG = np.random.default_rng(0)
VECTORS = (RNG.normal(size=(40, 32))[RNG.integers(0, 40, 4100)] + 0.4 * RNG.normal(size=(4100, 32))).astype(np.float32)
VECTORS /= np.linalg.norm(VECTORS, axis=1, keepdims=True)
VECTORS, QUERIES = VECTORS[:4000].copy(), VECTORS[4000:].copy()


@pytest.mark.parametrize("factory", ["IVF64,PQ8x4fs,Refine(SQ8)", "IVF64,SQ8", "IVF64,Flat", "IVF64,PQ16x4fs"])
def test_a_query_alone_finds_what_it_finds_among_others(
    factory: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coarse, "CELLS", 32)
    built = Ann.build(VECTORS, factory)
    built.save(tmp_path)
    assert (tmp_path / "cells.faiss").exists()
    effort = Effort(6, 0, 8)
    for ann in (built, Ann.load(tmp_path)):
        together = ann.search(QUERIES, 10, effort=effort)
        alone = np.concatenate([ann.search(query[None], 10, effort=effort) for query in QUERIES])
        assert np.mean(together == alone) > 0.97
        # within a filter too, and what is refined is compared by the same codes
        rows = np.arange(0, 4000, 3)
        found = ann.search(QUERIES[:1], 5, rows=rows, effort=Effort(64, 0, 8))
        assert (found % 3 == 0).all()
        assert set(found[0]) == set(ann.search(QUERIES, 5, rows=rows, effort=Effort(64, 0, 8))[0])


def test_an_index_outlives_what_it_was_loaded_from(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(coarse, "CELLS", 32)
    Dense.build(VECTORS, "IVF64,PQ8x4fs,Refine(SQ8)").save(tmp_path)
    found = [Dense.load(tmp_path, VECTORS.shape) for _ in range(3)]
    before = [dense.top(QUERIES[:1], 10)[0].tolist() for dense in found]
    for file in tmp_path.iterdir():
        file.unlink()
    del found[:2]
    assert found[0].top(QUERIES[:1], 10)[0].tolist() == before[2]


def test_few_cells_need_no_graph(tmp_path: Path) -> None:
    Dense.build(VECTORS, "IVF64,SQ8").save(tmp_path)
    assert not (tmp_path / "cells.faiss").exists()
    assert coarse.graph_of(Dense.build(VECTORS, "HNSW8").ann._index) is None  # type: ignore[union-attr]
