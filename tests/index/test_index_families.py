"""Families of approximate search: chosen by size and memory, tuned to a recall that is then measured elsewhere."""

from __future__ import annotations

from pathlib import Path

import faiss
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import ArtefactError, InputError
from llmrec.index import Index
from llmrec.index.ann import Ann, Effort
from llmrec.index.dense import Dense
from llmrec.index.families import CELLS, FAMILIES, bytes_a_vector, cells, check_choice, factories_of, is_coarse
from llmrec.index.tuning import asked_from, tune
from llmrec.records import Product
from tests.fakes import FakeEncoder

COUNT, DIMENSION = 6000, 32


def clustered(count: int, seed: int) -> np.ndarray:
    """Unit vectors in clusters of one space, as products are."""
    rng = np.random.default_rng(seed)
    centres = np.random.default_rng(99).normal(size=(120, DIMENSION))
    drawn = (centres[rng.integers(120, size=count)] + 0.6 * rng.normal(size=(count, DIMENSION))).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


VECTORS, QUERIES = clustered(COUNT, 1), clustered(300, 2)
TRUE = np.argsort(-QUERIES @ VECTORS.T, axis=1)[:, :10]


def recall(found: list[np.ndarray]) -> float:
    return float(np.mean([len(np.intersect1d(a[:10], b)) / 10 for a, b in zip(found, TRUE, strict=True)]))


@pytest.mark.parametrize(
    ("choice", "count", "memory", "factories"),
    [
        ("auto", 1000, None, ["Flat"]),
        ("auto", 1_000_000, None, ["IVF4096,PQ96x4fs,Refine(SQ8)", "IVF4096,SQ8"]),
        ("auto", 1_000_000, 400_000_000, ["IVF4096,SQ8"]),
        ("auto", 1_000_000, 100_000_000, ["IVF4096,PQ96x4fs"]),
        ("auto", 10_000_000, None, ["IVF16384,PQ96x4fs,Refine(SQ8)", "IVF16384,SQ8"]),
        ("exact", 1_000_000, None, ["Flat"]),
        ("hnsw", 10, None, ["HNSW32"]),
        ("ivf", 100, None, ["Flat"]),
        ("ivf", 10_000, None, ["IVF512,PQ96x4fs,Refine(SQ8)", "IVF512,SQ8"]),
        ("ivf-disk", 10_000, None, ["IVF512,PQ96x4fs"]),
        ("IVF64,SQ8", 10, None, ["IVF64,SQ8"]),
    ],
)
def test_the_family_follows_from_size_and_memory(
    choice: str, count: int, memory: int | None, factories: list[str]
) -> None:
    assert factories_of(choice, count, 384, memory) == factories


@given(st.integers(0, 10**9), st.integers(1, 2000), st.none() | st.integers(1, 10**12))
def test_auto_is_always_something_that_faiss_knows(count: int, dimension: int, memory: int | None) -> None:
    assert CELLS[0] <= cells(count) <= CELLS[1]
    for factory in factories_of("auto", count, dimension, memory):
        check_choice(factory)
        assert bytes_a_vector(factory, dimension) > 0
        # a thousand cells make an object of a thousand cells: only the length matters here
        small = factory.replace(f"IVF{cells(count)}", "IVF4")
        assert faiss.index_factory(dimension, small, faiss.METRIC_INNER_PRODUCT).d == dimension


@pytest.mark.parametrize("factory", ["IVF64,PQ8x4fs,Refine(SQ8)", "IVF64,PQ8x4fs", "IVF64,SQ8", "HNSW32"])
def test_bytes_of_a_vector_are_about_those_of_the_file(factory: str, tmp_path: Path) -> None:
    Ann.build(VECTORS, factory).save(tmp_path)
    cells_too = 64 * DIMENSION * 4 if "IVF" in factory else 0
    size = (tmp_path / "ann.faiss").stat().st_size - cells_too
    assert size / COUNT == pytest.approx(bytes_a_vector(factory, DIMENSION), rel=0.15)


@pytest.mark.parametrize("factory", ["ivf", "ivf-disk", "hnsw", "IVF128,SQ8", "PCA16,IVF64,PQ8x4fs,Refine(Flat)"])
def test_the_effort_that_is_chosen_finds_what_was_wanted(factory: str, tmp_path: Path) -> None:
    built = Dense.build(VECTORS, factory, recall=0.95)
    assert built.ann is not None
    last = built.ann.curve[-1]
    assert built.ann.effort == last.effort
    assert last.recall >= 0.95
    assert [p.recall for p in built.ann.curve] == sorted({p.recall for p in built.ann.curve})
    assert recall(built.top(QUERIES, 10)) >= 0.94
    built.save(tmp_path)
    again = Dense.load(tmp_path, (COUNT, DIMENSION))
    assert again.ann is not None
    assert (again.ann.effort, again.ann.curve, again.factory) == (built.ann.effort, built.ann.curve, built.factory)
    for own, other in zip(built.top(QUERIES, 10), again.top(QUERIES, 10), strict=True):
        np.testing.assert_array_equal(own, other)


def test_the_quickest_of_those_that_find_enough_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    told = {"IVF256,PQ8x4fs,Refine(SQ8)": 5.0, "IVF256,SQ8": 7.0}
    monkeypatch.setattr("llmrec.index.dense.speed", lambda dense, asked: told[dense.factory])
    assert Dense.build(VECTORS, "ivf").factory == "IVF256,SQ8"
    told["IVF256,SQ8"] = 3.0
    # compared on a part where there are many: the winner is built on all
    monkeypatch.setattr("llmrec.index.dense.TRIED_ON", 4000)
    built = Dense.build(VECTORS, "ivf")
    assert (built.factory, len(built.vectors)) == ("IVF256,PQ8x4fs,Refine(SQ8)", COUNT)
    assert built.ann is not None and built.ann.ntotal == COUNT


def test_more_is_looked_at_for_a_higher_recall() -> None:
    low, high = (Dense.build(VECTORS, "ivf", recall=wanted) for wanted in (0.6, 0.99))
    assert low.ann and high.ann
    assert low.ann.effort != high.ann.effort
    assert recall(low.top(QUERIES, 10)) < recall(high.top(QUERIES, 10))


def test_a_recall_out_of_reach_is_told(caplog: pytest.LogCaptureFixture) -> None:
    noise = np.random.default_rng(0).normal(size=(4000, 32)).astype(np.float32)
    Dense.build(noise / np.linalg.norm(noise, axis=1, keepdims=True), "PQ4x4fs", recall=0.99)
    assert "of the nearest at most, not 0.990" in caplog.text


@pytest.mark.parametrize("factory", ["HNSW32", "IVF64,SQ8", "IVF64,PQ8x4fs,Refine(SQ8)"])
def test_queries_made_from_the_vectors_are_as_hard_as_others(factory: str) -> None:
    dense = Dense(VECTORS, Ann.build(VECTORS, factory))
    asked = asked_from(VECTORS, size=300)
    assert (asked @ VECTORS.T).max() < 0.9999
    for effort in (Effort(2, 16, 4), Effort(4, 32, 8)):
        curves = []
        for queries in (asked, QUERIES):
            dense.ann.efforts = lambda effort=effort: iter([effort])  # type: ignore[union-attr,method-assign,misc]
            curves.append(tune(dense, queries, 1.0)[0].recall)
        assert curves[0] == pytest.approx(curves[1], abs=0.03)


def test_what_else_is_known_of_the_products_asks_for_them() -> None:
    titles = clustered(COUNT, 5)
    asked = asked_from(VECTORS, titles, size=50)
    assert len(asked) == 50 and {row.tobytes() for row in asked} <= {row.tobytes() for row in titles}
    assert len(asked_from(VECTORS[:2])) == 2
    # a catalog of titles alone has one vector for both fields
    alike = asked_from(VECTORS, VECTORS, size=50)
    assert not {row.tobytes() for row in alike} & {row.tobytes() for row in VECTORS}


def test_more_than_ten_are_found_too() -> None:
    built = Dense.build(VECTORS, "ivf-disk", recall=0.5)
    true = np.argsort(-QUERIES @ VECTORS.T, axis=1)[:, :300]
    found = built.top(QUERIES, 300)
    assert min(map(len, found)) >= 250
    assert np.mean([len(np.intersect1d(a, b)) / 300 for a, b in zip(found, true, strict=True)]) > 0.5


def test_vectors_of_zeros_do_no_harm() -> None:
    half = VECTORS.copy()
    half[::2] = 0
    dense = Dense.build(half, "ivf", others=np.zeros_like(half))
    assert len(dense.top(QUERIES[:3], 5)) == 3


@pytest.mark.parametrize("wrong", ["ivv", "IVF64;rm -rf", "Index(…)", "", "IVF64,Nonsense9", "IVF64,PQ7x4fs"])
def test_strings_that_are_none_are_refused_before_anything_is_encoded(wrong: str, tmp_path: Path) -> None:
    class Never(FakeEncoder):
        def encode(self, *arguments: object, **named: object) -> np.ndarray:
            raise AssertionError("encoded first")

    with pytest.raises(InputError, match="dense="):
        Index.build(tmp_path / "index", [Product("a", "hat")], Never(), dense=wrong)
    assert not (tmp_path / "index").exists()


@pytest.mark.parametrize("setting", [{"recall": 0.0}, {"recall": 1.5}, {"memory": 0}])
def test_settings_that_make_no_sense_are_refused(setting: dict, tmp_path: Path) -> None:
    with pytest.raises(InputError, match=next(iter(setting))):
        Index.build(tmp_path / "index", [Product("a", "hat")], FakeEncoder(), **setting)


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    Dense.build(VECTORS, "ivf").save(tmp_path)
    (tmp_path / "ann.json").write_text('{"factory": 3}')
    with pytest.raises(ArtefactError, match="cannot be read"):
        Ann.load(tmp_path)


def test_what_is_coarse_is_compared_again() -> None:
    assert [is_coarse(f) for f in ("IVF64,PQ8x4fs", "IVF64,PQ8x4fs,Refine(SQ8)", "IVF64,SQ8", "HNSW32")] == [
        True,
        False,
        False,
        False,
    ]
    assert set(FAMILIES) == {"auto", "exact", "hnsw", "ivf", "ivf-disk"}


def test_too_little_memory_is_told(caplog: pytest.LogCaptureFixture) -> None:
    from llmrec.index import dense as module

    vectors = np.random.default_rng(0).normal(size=(4000, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("llmrec.index.families.EXACT_BELOW", 1000)
        # what is told is told before anything is built
        patch.setattr(module.Dense, "_quickest", classmethod(lambda cls, vectors, *rest: cls(vectors)))
        for memory, message in ((4000 * 10, "compared again on disk"), (1000, "do not hold the smallest index")):
            caplog.clear()
            module.Dense.build(vectors, "auto", memory=memory)
            assert message in caplog.text
        caplog.clear()
        module.Dense.build(vectors, "auto", memory=10**6)
        assert "bytes" not in caplog.text
