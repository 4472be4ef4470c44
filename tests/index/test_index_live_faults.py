"""A live index through kills, full disks, damage, and many who read while one writes."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from llmrec.errors import ArtefactError, InputError, StorageError
from llmrec.index import Index
from llmrec.index.folder import delta_of
from llmrec.index.live.compacting import compact
from llmrec.index.live.delta import Drop, to_entries
from llmrec.index.live.writing import IndexWriter
from llmrec.index.verifying import rollback, verify
from llmrec.records import Product, Query
from llmrec.storage.journal import Journal
from tests.fakes import FakeEncoder

#: Writes for as long as it lives; what it does is a function of a number, which it prints when it is done.
WRITER = """
import sys
from llmrec.index.folder import delta_of
from llmrec.index.live.compacting import compact
from llmrec.index.live.delta import Drop, to_entries
from llmrec.index.live.writing import IndexWriter
from tests.fakes import FakeEncoder
from tests.index.test_index_live_faults import change
path, number = sys.argv[1], int(sys.argv[2])
writer = IndexWriter(path, FakeEncoder())
while True:
    put, gone = change(number)
    if put:
        writer.put(put)
    else:
        writer.remove(gone, missing_ok=True)
    print(number, flush=True)
    number += 1
    if number % 9 == 0:
        compact(path)
"""


def change(number: int) -> tuple[list[Product], list[str]]:
    """What the writer does at a step: products that are put, or ids that go."""
    rng = random.Random(number)
    names = rng.sample("abcdefgh", 3)
    if rng.random() < 0.3:
        return [], names
    return [Product(name, f"thing {name} mark{number}") for name in names], []


def state(steps: int) -> dict[str, Product]:
    """The catalog after so many steps."""
    found = {"z": Product("z", "the first")}
    for number in range(steps):
        put, gone = change(number)
        found = {id: product for id, product in found.items() if id not in gone}
        found |= {product.id: product for product in put}
    return found


def read(path: Path) -> dict[str, Product]:
    index = Index.open(path, FakeEncoder())
    return {product.id: product for product in index.products}


def test_kills_leave_the_old_or_the_new_state(tmp_path: Path) -> None:
    path, steps = tmp_path / "i", 0
    Index.build(path, [Product("z", "the first")], FakeEncoder())
    rng = random.Random(1)
    for _ in range(8):
        command = [sys.executable, "-c", WRITER, str(path), str(steps)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        steps += 1
        time.sleep(rng.random() * 0.15)
        process.send_signal(signal.SIGKILL)
        steps += len(process.stdout.read().split())
        process.wait()
        found = read(path)
        # all that was told is there; the step that was not told is there whole or not at all
        assert found in (state(steps), state(steps + 1))
        steps += found != state(steps)
    assert verify(path)["found"]["dense:title"] == 1.0
    compact(path)
    assert read(path) == state(steps)


def test_whatever_is_damaged_is_told_before_it_is_used(tmp_path: Path) -> None:
    path = tmp_path / "i"
    Index.build(
        path, [Product(f"p{i}", f"thing number {i}", brand="acme") for i in range(40)], FakeEncoder(), dense="HNSW8"
    )
    writer = IndexWriter(path, FakeEncoder())
    writer.add([Product("q", "one more thing")])
    compact(path)
    writer.put([Product("r", "and one"), Product("p1", "another thing")])
    files = [file for file in path.rglob("*") if file.is_file() and "0001" not in str(file)]
    files = [file for file in files if not file.name.endswith((".lock", ".building"))]
    assert len(files) > 15
    rng = random.Random(0)
    for file in files:
        whole = file.read_bytes()
        for kind in ("flip", "flip", "last", "cut", "zeros", "gone", "more"):
            data = bytearray(whole)
            if kind == "flip" and data:
                data[rng.randrange(len(data))] ^= 1 << rng.randrange(8)
            elif kind == "last" and data and not file.name.endswith(".delta"):
                data[-1] ^= 1
            elif kind == "cut":
                data = data[: rng.randrange(len(data))] if data else data
            elif kind == "zeros":
                data = bytearray(len(data))
            elif kind == "more" and not file.name.endswith(".delta"):  # what lies behind its mark was never told
                data += b"x"
            if kind == "gone":
                file.unlink()
            else:
                file.write_bytes(data)
            if kind == "gone" or bytes(data) != whole:
                with pytest.raises(ArtefactError):
                    Index.open(path)
            file.write_bytes(whole)
    assert len(Index.open(path, FakeEncoder())) == 42


def test_a_full_disk_loses_nothing_that_was_told(tiny_disk: Callable[[str], Path]) -> None:
    path = tiny_disk("400k") / "i"
    ballast = path.with_name("ballast")
    ballast.write_bytes(bytes(100_000))
    Index.build(path, [Product("z", "the first")], FakeEncoder(8))
    writer, told = IndexWriter(path, FakeEncoder(8)), 0
    with pytest.raises(StorageError, match="no space left"):
        while True:
            writer.add([Product(f"p{told}", f"thing {told} " * 200)])
            told += 1
    assert told > 5
    for _ in range(2):
        assert [product.id for product in Index.open(path).products] == ["z", *(f"p{i}" for i in range(told))]
        with pytest.raises(StorageError, match="no space left"):
            compact(path)
    assert not (path / "versions" / "0002").exists()
    ballast.unlink()  # with room again, it goes on
    writer.remove([f"p{i}" for i in range(1, told)])
    assert Index.open(path).ids == ["z", "p0"]
    assert compact(path)["version"] == "0002"
    assert Index.open(path).ids == ["z", "p0"]


def test_many_read_while_one_writes(tmp_path: Path) -> None:
    path = tmp_path / "i"
    opened = Index.build(path, [Product("z", "the first")], FakeEncoder())
    stop, faults = threading.Event(), list[BaseException]()
    asked = 0

    def reading() -> None:
        nonlocal asked
        index = opened
        try:
            while not stop.is_set():
                index = index.latest()
                there = set(index.ids)
                hits = index.search([Query("thing of the first"), Query("mark5")], 5)
                assert hits[0] and {hit.product_id for own in hits for hit in own} <= there
                assert {p.id for p in index.products} == there
                asked += 1
        except BaseException as error:
            faults.append(error)

    threads = [threading.Thread(target=reading) for _ in range(3)]
    for thread in threads:
        thread.start()
    writer = IndexWriter(path, FakeEncoder())
    for number in range(60):
        put, gone = change(number)
        writer.put(put)
        writer.remove(gone, missing_ok=True)
        if number % 20 == 10:
            compact(path)
    stop.set()
    for thread in threads:
        thread.join()
    assert not faults and asked > 5
    assert {p.id: p for p in opened.latest().products} == state(60)


def test_one_writes_and_one_builds_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from llmrec.index import folder
    from llmrec.index.live import writing

    path = tmp_path / "i"
    Index.build(path, [Product("z", "the first")], None)
    writer = IndexWriter(path)
    monkeypatch.setattr(writing, "WAIT", 0.02)
    with Journal.open(folder.delta_of(path / "versions" / "0001")), pytest.raises(InputError, match="is writing it"):
        writer.add([Product("y", "the second")])
    with folder.building(path), pytest.raises(InputError, match="another process builds"):
        Index.build(path, [Product("y", "the second")], None, replace=True)
    assert writer.add([Product("y", "the second")]).added == 1
    # an index that is built anew under a writer is what that goes on with
    Index.build(path, [Product("x", "all new")], None, replace=True)
    writer.add([Product("y", "the second")])
    assert Index.open(path).ids == ["x", "y"]


def test_an_index_that_is_built_anew_with_another_encoder_is_not_followed(tmp_path: Path) -> None:
    path = tmp_path / "i"
    index = Index.build(path, [Product("z", "the first")], FakeEncoder())
    writer = IndexWriter(path, FakeEncoder())
    Index.build(path, [Product("z", "the first")], FakeEncoder(salt="x"), replace=True)
    for ask in (index.latest, lambda: writer.add([Product("y", "the second")])):
        with pytest.raises(ArtefactError, match="was built with the encoder"):
            ask()


def test_an_interruption_after_the_change_of_versions_leaves_the_new_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmrec.index import folder

    path = tmp_path / "i"
    Index.build(path, [Product("z", "the first")], None)
    IndexWriter(path).add([Product("y", "the second")])
    remove = folder.remove_version

    def interrupted(version: Path) -> None:
        if version.name == "0001":  # the old one, which is cleared away when the next but one is there
            raise KeyboardInterrupt
        remove(version)

    compact(path)
    IndexWriter(path).add([Product("x", "the third")])
    monkeypatch.setattr(folder, "remove_version", interrupted)
    with pytest.raises(KeyboardInterrupt):
        compact(path)
    index = Index.open(path)
    assert (index.version, index.ids) == ("0003", ["z", "y", "x"])


def test_an_index_whose_first_build_is_interrupted_at_its_end_stays(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmrec.index import folder

    point_to = folder.point_to

    def interrupted(path: Path, version: Path) -> None:
        point_to(path, version)
        raise KeyboardInterrupt

    monkeypatch.setattr(folder, "point_to", interrupted)
    with pytest.raises(KeyboardInterrupt):
        Index.build(tmp_path / "i", [Product("z", "the first")], None)
    assert Index.open(tmp_path / "i").ids == ["z"]


def test_a_change_that_does_not_fit_is_told_each_time(tmp_path: Path) -> None:
    path = tmp_path / "i"
    index = Index.build(path, [Product("z", "the first")], None)
    with Journal.open(delta_of(path / "versions" / "0001")) as journal:
        journal.append(to_entries([Drop(7)]))
    for ask in (index.latest, index.latest, lambda: Index.open(path)):
        with pytest.raises(ArtefactError, match="does not fit the index"):
            ask()


def test_going_back_where_there_is_no_index_is_told(tmp_path: Path) -> None:
    for name in ("nowhere", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(ArtefactError, match=r"no such index|no CURRENT"):
            rollback(tmp_path / name)
    assert not list((tmp_path / "empty").iterdir())


def test_catalogs_that_changed_differently_have_other_digests(tmp_path: Path) -> None:
    digests = set()
    for title in ("one thing", "another thing"):
        index = Index.build(tmp_path / "i", [Product("z", "the first")], None, replace=True)
        digests.add(index.version_digest)
        IndexWriter(tmp_path / "i").put([Product("y", title)])
        digests.add(index.latest().version_digest)
        digests.add(index.latest().without(["z"]).version_digest)
    assert len(digests) == 5
