"""A file or folder appears whole or not at all, also when the disk is full."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from llmrec.errors import ArtefactError, StorageError
from llmrec.records import Product
from llmrec.storage import atomic_file, atomic_folder, read_manifest, write_manifest, write_records


def test_a_failing_block_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("old")
    with pytest.raises(RuntimeError), atomic_file(path, mode="w") as file:
        file.write("new")
        raise RuntimeError
    assert path.read_text() == "old"
    assert os.listdir(tmp_path) == ["a.txt"]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_a_full_disk_leaves_the_old_file(tiny_disk: Callable[[str], Path], name: str) -> None:
    folder = tiny_disk("64k")
    path = folder / name
    path.write_text("old")
    rows = (Product(str(i), os.urandom(600).hex()) for i in range(20_000))
    with pytest.raises(StorageError, match="no space left"):
        write_records(path, rows, Product)
    assert path.read_text() == "old"
    assert os.listdir(folder) == [name]


def test_a_full_disk_leaves_no_half_folder(tiny_disk: Callable[[str], Path]) -> None:
    disk = tiny_disk("64k")
    with pytest.raises(StorageError, match="no space left"), atomic_folder(disk / "index") as folder:
        (folder / "vectors").write_bytes(os.urandom(1 << 20))
    assert os.listdir(disk) == []


def test_a_folder_replaces_another_whole(tmp_path: Path) -> None:
    target = tmp_path / "index"
    for content in ("one", "two"):
        with atomic_folder(target, replace=True) as folder:
            (folder / "f").write_text(content)
    assert (target / "f").read_text() == "two"
    assert os.listdir(tmp_path) == ["index"]
    with pytest.raises(FileExistsError), atomic_folder(target):
        pass


def test_files_of_a_folder_are_readable_as_the_umask_says(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        with atomic_folder(tmp_path / "a") as folder:
            (folder / "weights").touch(mode=0o600)
            (folder / "run.sh").touch(mode=0o700)
    finally:
        os.umask(before)
    modes = {path.name: path.stat().st_mode & 0o777 for path in (tmp_path / "a").iterdir()}
    assert modes == {"weights": 0o640, "run.sh": 0o740}


def test_an_error_about_another_file_stays_what_it_is(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError), atomic_file(tmp_path / "out") as _:
        (tmp_path / "absent").read_bytes()
    assert os.listdir(tmp_path) == []


def test_manifest_finds_every_change(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    (folder / "sub").mkdir(parents=True)
    (folder / "sub" / "a").write_bytes(b"0123456789")
    write_manifest(folder, kind="index", format_version=1, counts={"products": 3})
    assert read_manifest(folder, kind="index", format_version=1)["counts"] == {"products": 3}
    with pytest.raises(ArtefactError, match="is a index, not a adapter"):
        read_manifest(folder, kind="adapter", format_version=1)
    with pytest.raises(ArtefactError, match="format 1, this version of llmrec reads format 2"):
        read_manifest(folder, kind="index", format_version=2)
    (folder / "sub" / "a").write_bytes(b"0123456_89")
    with pytest.raises(ArtefactError, match="sub/a is damaged"):
        read_manifest(folder, kind="index", format_version=1)
    (folder / "sub" / "a").unlink()
    with pytest.raises(ArtefactError, match="sub/a is missing"):
        read_manifest(folder, kind="index", format_version=1, check=False)


@pytest.mark.parametrize("text", ["", "{", "[]", '{"kind":"index"}', '{"kind":"index","format":1,"files":{"a":1}}'])
def test_a_damaged_manifest_is_an_artefact_error(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    with pytest.raises(ArtefactError, match="damaged manifest"):
        read_manifest(tmp_path, kind="index", format_version=1)


def test_a_manifest_cannot_name_files_outside(tmp_path: Path) -> None:
    folder = tmp_path / "index"
    folder.mkdir()
    (tmp_path / "secret").write_text("x")
    text = '{"kind":"index","format":1,"files":{"../secret":{"bytes":1,"sha256":"x"}}}'
    (folder / "manifest.json").write_text(text)
    with pytest.raises(ArtefactError, match="outside its folder"):
        read_manifest(folder, kind="index", format_version=1)
