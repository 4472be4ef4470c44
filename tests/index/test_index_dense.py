"""Vectors: every way to search against an exact NumPy answer."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from llmrec.errors import ArtefactError
from llmrec.index.dense import SAMPLE, Dense, unit_or_zero


def unit(rows: int, columns: int, seed: int) -> np.ndarray:
    drawn = np.random.default_rng(seed).normal(size=(rows, columns)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


@pytest.mark.parametrize("choice", ["exact", "hnsw"])
def test_the_nearest_are_found(choice: str, tmp_path: Path) -> None:
    vectors, queries = unit(800, 32, 1), unit(40, 32, 2)
    Dense.build(vectors, choice, recall=0.98).save(tmp_path)
    index = Dense.load(tmp_path, (800, 32))
    assert index.factory == {"exact": "Flat", "hnsw": "HNSW32"}[choice]
    exact = np.argsort(-queries @ vectors.T, axis=1)[:, :10]
    found = index.top(queries, 10)
    shared = sum(len(set(rows.tolist()) & set(best.tolist())) for rows, best in zip(found, exact, strict=True))
    assert shared == 400 if choice == "exact" else shared >= 380
    rows = np.array([3, 7])
    np.testing.assert_allclose(index.similarity(queries[0], rows), vectors[rows] @ queries[0], rtol=1e-6)


@pytest.mark.parametrize("choice", ["exact", "hnsw", "ivf", "ivf-disk"])
def test_more_than_there_are_gives_all(choice: str) -> None:
    index = Dense.build(unit(3, 8, 1), choice)
    assert [sorted(rows.tolist()) for rows in index.top(unit(2, 8, 2), 50)] == [[0, 1, 2]] * 2


def test_moments_are_those_of_the_catalog_or_of_a_sample_of_it() -> None:
    vectors, query = unit(SAMPLE * 2, 16, 3), unit(1, 16, 4)[0]
    small = Dense.build(vectors[:100], "exact")
    cosines = vectors[:100] @ query
    np.testing.assert_allclose(small.moments(query), (cosines.mean(), cosines.std()), rtol=1e-4)
    mean, deviation = Dense.build(vectors, "exact").moments(query)
    cosines = vectors @ query
    assert abs(mean - cosines.mean()) < 0.01
    assert abs(deviation / cosines.std() - 1) < 0.03


def test_files_of_another_shape_or_broken_ones_are_refused(tmp_path: Path) -> None:
    Dense.build(unit(20, 8, 1), "hnsw").save(tmp_path)
    with pytest.raises(ArtefactError, match=r"\(20, 8\), not \(21, 8\)"):
        Dense.load(tmp_path, (21, 8))
    graph = tmp_path / "ann.faiss"
    graph.write_bytes(graph.read_bytes()[:-40])
    with pytest.raises(ArtefactError, match="cannot be read"):
        Dense.load(tmp_path, (20, 8))


def test_a_length_in_a_damaged_graph_does_not_take_the_memory(tmp_path: Path) -> None:
    Dense.build(unit(20, 8, 1), "hnsw").save(tmp_path)
    graph = tmp_path / "ann.faiss"
    data = bytearray(graph.read_bytes())
    refused = 0
    for at in range(20, 300, 8):
        broken = data.copy()
        broken[at : at + 8] = (1 << 40).to_bytes(8, "little")
        graph.write_bytes(broken)
        try:
            Dense.load(tmp_path, (20, 8))
        except ArtefactError:
            refused += 1
    assert refused > 0


def test_vectors_that_are_not_numbers_name_the_product() -> None:
    vectors = np.ones((3, 2), dtype=np.float32)
    vectors[1, 0] = np.nan
    with pytest.raises(ArtefactError, match=r"mine gave 1 vectors that are not numbers, the first for product 'b'"):
        unit_or_zero(vectors, ["a", "b", "c"], "mine")
