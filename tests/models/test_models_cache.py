"""The cache: a model is there whole or not at all, whoever interrupts and however many pull at once."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import time
from pathlib import Path

import pytest

from llmrec.errors import StorageError
from llmrec.models.cache import cache_folder, damage, digest_of, make_entry, read_entry

FACTS = {"reference": "test:one", "model_kind": "image", "licence": "MIT", "revision": "1"}


def fill(scratch: Path, model: Path) -> dict:
    (scratch / "archive").write_bytes(b"not kept")
    (model / "sub").mkdir()
    (model / "sub" / "weights").write_bytes(b"abc")
    return dict(FACTS)


def test_what_is_made_is_described_by_its_hashes(tmp_path: Path) -> None:
    make_entry(tmp_path, "one", fill)
    entry = tmp_path / "models" / "one"
    manifest = read_entry(entry)
    assert manifest is not None
    # sha256("abc"), by the standard's own example
    abc = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
    assert manifest["files"] == {"sub/weights": {"bytes": 3, "sha256": abc}}
    assert manifest["digest"] == hashlib.sha256(f"sub/weights {abc}\n".encode()).hexdigest()
    assert sorted(path.name for path in entry.rglob("*")) == ["manifest.json", "sub", "weights"]
    assert [path.name for path in (tmp_path / ".work").iterdir()] == ["one.lock"]


def test_a_second_call_makes_nothing(tmp_path: Path) -> None:
    first = make_entry(tmp_path, "one", fill)
    assert make_entry(tmp_path, "one", lambda *_: pytest.fail("made again")) == first


@pytest.mark.parametrize("error", [RuntimeError, KeyboardInterrupt])
def test_an_interruption_leaves_nothing(tmp_path: Path, error: type[BaseException]) -> None:
    def interrupted(scratch: Path, model: Path) -> dict:
        fill(scratch, model)
        raise error

    with pytest.raises(error):
        make_entry(tmp_path, "one", interrupted)
    assert not (tmp_path / "models").exists()
    assert read_entry(tmp_path / "models" / "one") is None
    make_entry(tmp_path, "one", fill)
    assert read_entry(tmp_path / "models" / "one") is not None


def test_what_a_killed_process_left_is_cleared(tmp_path: Path) -> None:
    half = tmp_path / ".work" / "one" / "model"
    half.mkdir(parents=True)
    (half / "half-written").write_bytes(b"x")
    make_entry(tmp_path, "one", fill)
    assert not (tmp_path / "models" / "one" / "half-written").exists()


def test_a_disk_without_space(tmp_path: Path) -> None:
    def full(scratch: Path, model: Path) -> dict:
        import errno

        raise OSError(errno.ENOSPC, "No space left on device", str(model / "weights"))

    with pytest.raises(StorageError, match="no space left"):
        make_entry(tmp_path, "one", full)
    assert not (tmp_path / "models").exists()


def test_a_missing_or_shortened_file_is_seen_without_hashing(tmp_path: Path) -> None:
    make_entry(tmp_path, "one", fill)
    weights = tmp_path / "models" / "one" / "sub" / "weights"
    weights.write_bytes(b"ab")
    assert read_entry(tmp_path / "models" / "one") is None
    weights.unlink()
    assert read_entry(tmp_path / "models" / "one") is None
    make_entry(tmp_path, "one", fill)
    assert weights.read_bytes() == b"abc"


def test_a_changed_byte_is_seen_by_hashing(tmp_path: Path) -> None:
    manifest = make_entry(tmp_path, "one", fill)
    entry = tmp_path / "models" / "one"
    assert damage(entry, manifest) == []
    (entry / "sub" / "weights").write_bytes(b"abd")
    assert read_entry(entry) is not None
    assert damage(entry, manifest) == ["sub/weights"]


@pytest.mark.parametrize("text", ["", "{", "[]", '{"format": 1}', '{"format": 99, "files": {}, "model_kind": ""}'])
def test_a_damaged_manifest_is_no_model(tmp_path: Path, text: str) -> None:
    (tmp_path / "manifest.json").write_text(text)
    assert read_entry(tmp_path) is None


def test_documents_do_not_change_the_digest() -> None:
    assert digest_of({"a": "1", "README.md": "2", "LICENSE": "3"}) == digest_of({"a": "1"})
    assert digest_of({"a": "1"}) != digest_of({"b": "1"}) != digest_of({"b": "2"})


def test_where_the_cache_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMREC_CACHE", str(tmp_path / "mine"))
    assert cache_folder() == tmp_path / "mine"
    assert cache_folder(tmp_path / "given") == tmp_path / "given"
    monkeypatch.delenv("LLMREC_CACHE")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_folder().name == "llmrec"


def _slow(root: str, log: str) -> None:
    def slow(scratch: Path, model: Path) -> dict:
        with open(log, "a") as file:
            file.write("made\n")
        time.sleep(0.5)
        return fill(scratch, model)

    manifest = make_entry(Path(root), "one", slow)
    with open(log, "a") as file:
        file.write(json.dumps(manifest["files"]) + "\n")


def test_processes_that_pull_at_once_make_it_once(tmp_path: Path) -> None:
    log = tmp_path / "log"
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_slow, args=(str(tmp_path), str(log))) for _ in range(3)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(60)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    lines = log.read_text().splitlines()
    assert lines.count("made") == 1
    assert len(set(lines)) == 2
