"""``index verify`` and ``index rollback``."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.errors import ArtefactError, InputError
from llmrec.index import Index
from llmrec.index.verifying import rollback, verify
from llmrec.records import Product, Query
from tests.fakes import FakeEncoder

PRODUCTS = [Product(f"p{i}", f"thing number {i // 2}", description=f"part {i}") for i in range(30)] + [
    Product("x", "!!")
]


def test_a_whole_index_finds_what_it_holds(tmp_path: Path) -> None:
    Index.build(tmp_path / "i", PRODUCTS, FakeEncoder())
    told = verify(tmp_path / "i")
    assert (told["products"], told["sampled"]) == (31, 31)
    assert told["found"] == {"bm25:title": 1.0, "dense:title": 1.0, "dense:whole": 1.0}
    Index.build(tmp_path / "words", PRODUCTS, None)
    assert verify(tmp_path / "words", sample=5)["found"].keys() <= {"bm25:title"}


def test_vectors_that_lie_elsewhere_than_the_index_thinks_are_seen(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(4000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    from llmrec.index.dense import Dense

    index = Index.build(tmp_path / "i", PRODUCTS, FakeEncoder())
    dense = Dense.build(vectors, "HNSW16")
    index._parts.dense = {"title": dense}
    assert index.vectors_found(np.arange(50), 10) == {"dense:title": 1.0}
    dense.vectors = np.roll(vectors, 7, axis=0)
    found = index.vectors_found(np.arange(50), 10)["dense:title"]
    assert found is not None and found < 0.2


def test_damage_is_told(tmp_path: Path) -> None:
    Index.build(tmp_path / "i", PRODUCTS, FakeEncoder())
    file = tmp_path / "i" / "versions" / "0001" / "products.parquet"
    file.write_bytes(file.read_bytes()[:-1] + b"x")
    with pytest.raises(ArtefactError):
        verify(tmp_path / "i")


def test_going_back(tmp_path: Path) -> None:
    path = tmp_path / "i"
    Index.build(path, PRODUCTS[:3], None)
    with pytest.raises(InputError, match="no version before 0001"):
        rollback(path)
    reader = Index.build(path, PRODUCTS[:5], None, replace=True)
    assert rollback(path) == ("0002", "0001")
    assert len(Index.open(path)) == 3
    assert len(reader.search([Query("part 4")], 5)[0]) > 0  # who has the other open reads on
    Index.build(path, PRODUCTS[:7], None, replace=True)
    assert len(Index.open(path)) == 7
    assert rollback(path)[0] == "0003"


def test_nobody_is_led_into_a_damaged_version(tmp_path: Path) -> None:
    path = tmp_path / "i"
    Index.build(path, PRODUCTS[:3], None)
    Index.build(path, PRODUCTS[:5], None, replace=True)
    (path / "versions" / "0001" / "products.parquet").write_bytes(b"")
    with pytest.raises(ArtefactError):
        rollback(path)
    assert len(Index.open(path)) == 5


def test_on_the_command_line(tmp_path: Path) -> None:
    path = tmp_path / "i"
    for count in (3, 5):
        Index.build(path, PRODUCTS[:count], None, replace=True)

    def run(*arguments: str):
        return CliRunner().invoke(app, ["index", *arguments])

    assert json.loads(run("verify", str(path), "--json").stdout)["products"] == 5
    assert "whole; 5 products" in run("verify", str(path)).stdout
    assert json.loads(run("rollback", str(path), "--json").stdout) == {"left": "0002", "current": "0001"}
    again = run("rollback", str(path))
    assert again.exit_code == 2 and "no version before 0001" in again.output
    assert run("verify", str(tmp_path / "absent")).exit_code == 2
