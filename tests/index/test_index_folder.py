"""The folder of an index: whole or not there, versions, damage, other encoders."""

from __future__ import annotations

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from llmrec.errors import ArtefactError, InputError, LlmrecError, StorageError
from llmrec.index import Index
from llmrec.records import Product, Query
from tests.fakes import FakeEncoder

PRODUCTS = [Product(id="a", title="red shoe"), Product(id="b", title="blue hat", description="of wool")]


def names(path: Path) -> list[str]:
    return sorted(entry.name for entry in path.iterdir())


def versions(path: Path) -> list[str]:
    return sorted(entry.name for entry in (path / "versions").iterdir() if entry.is_dir())


def test_a_new_index_is_one_version(tmp_path: Path) -> None:
    path = tmp_path / "deep" / "shop.index"
    index = Index.build(path, PRODUCTS, FakeEncoder())
    assert names(path) == ["CURRENT", "versions"]
    assert (path / "CURRENT").read_text().split()[0] == "0001"
    assert versions(path) == ["0001"]
    assert names(path / "versions" / "0001") == ["dense", "lexical", "manifest.json", "products.parquet"]
    info = index.info()
    assert info["version"] == "0001"
    assert info["counts"] == {"products": 2, "without_text": 0, "summarized": 0, "texts_cut": 0}
    assert info["encoder"] == {"reference": "fake:encoder", "digest": "fake-64-", "dimension": 64}
    assert info["bytes"] == sum(
        file.stat().st_size
        for file in path.rglob("*")
        if file.is_file() and file.parent.name != "versions" and file.name not in {"CURRENT", "manifest.json"}
    )
    assert Index.encoder_reference(path) == "fake:encoder"


def test_an_index_is_replaced_only_when_asked_and_the_last_one_stays_readable(tmp_path: Path) -> None:
    path = tmp_path / "index"
    old = Index.build(path, PRODUCTS)
    with pytest.raises(InputError, match="holds an index already"):
        Index.build(path, PRODUCTS[:1])
    for expected in (["0001", "0002"], ["0002", "0003"]):
        Index.build(path, PRODUCTS[:1], replace=True)
        assert versions(path) == expected
    assert len(Index.open(path)) == 1
    assert old.search([Query(text="hat")], 1)[0][0].product_id == "b"
    assert old.version_digest != Index.open(path).version_digest


def test_a_build_that_fails_leaves_what_was_there(tmp_path: Path) -> None:
    class Broken(FakeEncoder):
        def encode(self, inputs: object, *, kind: str = "document") -> np.ndarray:
            raise RuntimeError("out of memory")

    with pytest.raises(RuntimeError):
        Index.build(tmp_path / "new", PRODUCTS, Broken())
    assert not (tmp_path / "new").exists()
    path = tmp_path / "index"
    Index.build(path, PRODUCTS)
    with pytest.raises(RuntimeError):
        Index.build(path, PRODUCTS[:1], Broken(), replace=True)
    assert len(Index.open(path)) == 2


def test_a_full_disk_leaves_what_was_there(tiny_disk: Callable[[str], Path]) -> None:
    path = tiny_disk("256k") / "index"
    Index.build(path, PRODUCTS)
    many = [Product(id=str(i), title=os.urandom(40).hex()) for i in range(4000)]
    with pytest.raises(StorageError, match="no space left"):
        Index.build(path, many, replace=True)
    assert len(Index.open(path)) == 2
    assert versions(path) == ["0001"]


def test_a_full_disk_leaves_nothing_of_a_first_build(tiny_disk: Callable[[str], Path]) -> None:
    path = tiny_disk("64k") / "index"
    many = [Product(id=str(i), title=os.urandom(40).hex()) for i in range(4000)]
    with pytest.raises(StorageError, match="no space left"):
        Index.build(path, many)
    assert not path.exists()


def test_every_damaged_file_is_found_before_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "index"
    Index.build(path, PRODUCTS, FakeEncoder(), dense="hnsw")
    version = path / "versions" / "0001"
    files = [file for file in version.rglob("*") if file.is_file()]
    assert len(files) == 2 + 2 * 5 + 2 * 3
    for file in files:
        whole = file.read_bytes()
        for broken in (whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 1]), b""):
            file.write_bytes(broken)
            with pytest.raises(ArtefactError):
                Index.open(path, FakeEncoder())
        file.write_bytes(whole)
        file.rename(tmp_path / "away")
        with pytest.raises(ArtefactError):
            Index.open(path, FakeEncoder())
        (tmp_path / "away").rename(file)
    assert len(Index.open(path, FakeEncoder())) == 2


def test_what_is_no_index_is_told(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("x")
    for name, message in (("absent", "no such index"), ("empty", "no CURRENT"), ("file", "a file, not an index")):
        with pytest.raises(ArtefactError, match=message) as caught:
            Index.open(tmp_path / name)
        assert caught.value.exit_code == 2


def test_a_full_disk_is_told_when_vectors_are_written(tiny_disk: Callable[[str], Path]) -> None:
    many = [Product(id=str(i), title=f"shoe {i}") for i in range(400)]
    for size, dense in (("180k", "exact"), ("260k", "hnsw"), ("460k", "hnsw")):
        with pytest.raises(StorageError, match="no space left"):
            Index.build(tiny_disk(size) / "index", many, FakeEncoder(64), dense=dense)  # type: ignore[arg-type]


@pytest.mark.parametrize("current", ["", "0002", "../../etc", "\xff", "0001\n0002"])
def test_a_pointer_to_no_version_is_told(tmp_path: Path, current: str) -> None:
    path = tmp_path / "index"
    Index.build(path, PRODUCTS)
    (path / "CURRENT").write_bytes(current.encode("latin-1"))
    with pytest.raises(ArtefactError, match="CURRENT"):
        Index.open(path)


@pytest.mark.parametrize("change", [{"format": 99}, {"kind": "adapter"}, {"settings": {"text": 3}}, {"counts": {}}])
def test_a_manifest_of_something_else_is_told(tmp_path: Path, change: dict) -> None:
    path = tmp_path / "index"
    Index.build(path, PRODUCTS)
    manifest = path / "versions" / "0001" / "manifest.json"
    manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
    with pytest.raises(ArtefactError):
        Index.open(path)


def test_another_encoder_is_refused_with_the_remedy(tmp_path: Path) -> None:
    path = tmp_path / "index"
    Index.build(path, PRODUCTS, FakeEncoder())
    other = FakeEncoder(32)
    other.reference = "fake:other"
    with pytest.raises(ArtefactError, match=r"built with the encoder fake:encoder, not fake:other") as caught:
        Index.open(path, other)
    assert "Open it with fake:encoder, or build it again with fake:other" in str(caught.value)
    with pytest.raises(ArtefactError, match="other weights or settings"):
        Index.open(path, FakeEncoder(salt="changed"))


def test_other_folders_are_not_written_into(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    (tmp_path / "photos" / "cat.jpg").write_text("x")
    (tmp_path / "file").write_text("x")
    for name, message in (("photos", "holds other files"), ("file", "is a file")):
        with pytest.raises(InputError, match=message):
            Index.build(tmp_path / name, PRODUCTS, replace=True)
    (tmp_path / "free").mkdir()
    assert len(Index.build(tmp_path / "free", PRODUCTS)) == 2


def test_bad_catalogs_are_refused_before_anything_is_written(tmp_path: Path) -> None:
    bad: list[tuple[list[Product], str]] = [
        ([], "holds no products"),
        ([*PRODUCTS, Product(id="a", title="again")], r"products 1 and 3 have one id: 'a'"),
        ([Product(id="", title="nameless")], r"product 1 \('nameless'\) has no id"),
    ]
    for products, message in bad:
        with pytest.raises(InputError, match=message):
            Index.build(tmp_path / "index", products)
    for option in ({"text": "title"}, {"dense": "ivv"}, {"fusion": "max"}):
        with pytest.raises(InputError, match="is not known"):
            Index.build(tmp_path / "index", PRODUCTS, **option)  # type: ignore[arg-type]
    assert not (tmp_path / "index").exists()


def test_vectors_that_are_not_numbers_are_refused(tmp_path: Path) -> None:
    class Half(FakeEncoder):
        def encode(self, inputs: list[str], *, kind: str = "document") -> np.ndarray:  # type: ignore[override]
            vectors = super().encode(inputs)
            vectors[["hat" in text for text in inputs]] = np.inf
            return vectors

    with pytest.raises(LlmrecError, match="product 'b'"):
        Index.build(tmp_path / "index", PRODUCTS, Half())
    assert not (tmp_path / "index").exists()
