"""The model cache: one folder for each model, its manifest written last.

::

    $LLMREC_CACHE, else the user's cache folder + "llmrec"
      models/
        starter--minilm--b9a0018d-1/   the model's files and manifest.json
        gguf--qwen2.5--1d961463/       a GGUF file converted once
        hub--org--name--<commit>/      manifest.json alone: the files lie in the hub library's own cache
        hub--org--name.json            which commit a branch meant when it was asked for
      hashes/                          of files outside the cache, so that each is read once
      .work/                           what is being made now, one folder and one lock for each model

A folder under ``models`` is renamed into place when it is complete, so its presence means that the model is whole.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from hashlib import file_digest, sha256
from pathlib import Path
from typing import Any

from llmrec.errors import ModelError, disk_error

logger = logging.getLogger(__name__)

#: Environment variable that names the cache folder.
VARIABLE = "LLMREC_CACHE"
MANIFEST = "manifest.json"
FORMAT = 1


def cache_folder(cache: str | Path | None = None) -> Path:
    """The cache: ``cache`` if given, else ``$LLMREC_CACHE``, else the user's cache folder for llmrec."""
    chosen = cache or os.environ.get(VARIABLE)
    if chosen:
        return Path(chosen).expanduser().resolve()
    from platformdirs import user_cache_path

    return user_cache_path("llmrec", appauthor=False)


def read_entry(entry: Path) -> dict[str, Any] | None:
    """The manifest of a cached model whose files all have the recorded sizes; None when there is no such model.

    Nothing is hashed here: see ``damage``.
    """
    try:
        manifest = json.loads((entry / MANIFEST).read_text(encoding="utf-8"))
        sizes = {name: entry_["bytes"] for name, entry_ in manifest["files"].items()}
        folder = model_path(entry, manifest)
        if (manifest["format"], "model_kind" in manifest) != (FORMAT, True) or any(
            (folder / name).stat().st_size != n for name, n in sizes.items()
        ):
            return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return None
    return manifest


def model_path(entry: Path, manifest: dict[str, Any]) -> Path:
    """Where the model's files lie: the entry itself, or the hub library's cache."""
    return Path(manifest["path"]) if manifest.get("path") else entry


def damage(entry: Path, manifest: dict[str, Any]) -> list[str]:
    """Hash every file of a cached model; the names of those that are not as recorded."""
    folder = model_path(entry, manifest)
    return [name for name, file in manifest["files"].items() if sha256_file(folder / name) != file["sha256"]]


@contextmanager
def locked(root: Path, name: str) -> Iterator[Path]:
    """Hold the lock of one model and give the folder in which it may be made.

    The folder may hold what an interrupted run left; it is the caller's to use or to clear.

    Raises:
        StorageError: The disk refused.
    """
    from filelock import FileLock

    work = root / ".work"
    try:
        work.mkdir(parents=True, exist_ok=True)
        lock = FileLock(work / f"{name}.lock")
        if not _acquire(lock):
            logger.warning("waiting for another process that fetches %s", name)
            lock.acquire()
    except OSError as error:
        raise disk_error(error, work) from error
    try:
        yield work / name
    finally:
        lock.release()


def make_entry(
    root: Path, name: str, fill: Callable[[Path, Path], dict[str, Any]], *, again: bool = False
) -> dict[str, Any]:
    """Make a cached model: filled in a folder of its own, described, synced, then renamed into place.

    Args:
        root: The cache folder.
        name: The entry's name.
        fill: Called with an empty scratch folder and the model folder to fill; returns what the manifest says.
        again: Make it although it is there; the old one stays until the new one is whole.

    Returns:
        The manifest.

    Raises:
        ModelError, StorageError: Nothing is left behind.
    """
    final = root / "models" / name
    with locked(root, name) as work:
        if not again and (manifest := read_entry(final)) is not None:
            return manifest  # another process made it while this one waited
        try:
            shutil.rmtree(work, ignore_errors=True)
            scratch, model = work / "scratch", work / "model"
            scratch.mkdir(parents=True)
            model.mkdir()
            manifest = describe(model, **fill(scratch, model))
            _sync(model)
            final.parent.mkdir(parents=True, exist_ok=True)
            if final.exists():  # damaged, or of an older format
                os.replace(final, work / "old")
            os.replace(model, final)
        except OSError as error:
            raise disk_error(error, error.filename or final) from error
        finally:
            shutil.rmtree(work, ignore_errors=True)
    return manifest


def describe(folder: Path, *, path: Path | None = None, names: list[str] | None = None, **entries: Any) -> dict:
    """Write the manifest of a model: sizes and hashes of its files, and one digest over all of them.

    Args:
        folder: Where the manifest is written.
        path: Where the files lie, when that is another folder.
        names: The files that belong to the model; all when not given.
        entries: Reference, kind, licence, revision and whatever else is worth keeping.
    """
    from llmrec import __version__

    where = path or folder
    names = names or [file.relative_to(where).as_posix() for file in where.rglob("*") if file.is_file()]
    files: dict[str, dict[str, Any]] = {
        name: {"bytes": (where / name).stat().st_size, "sha256": sha256_file(where / name)}
        for name in sorted(names)
        if name != MANIFEST
    }
    if not files:
        raise ModelError(f"{entries.get('reference')}: holds no files", next_step="Give a reference to a model.")
    created = datetime.now(UTC).isoformat(timespec="seconds")
    head = {"kind": "model", "format": FORMAT, "llmrec": __version__, "created": created}
    if path:
        head["path"] = str(path)
    digest = digest_of({name: file["sha256"] for name, file in files.items()})
    manifest = {**head, **entries, "digest": digest, "files": files}
    (folder / MANIFEST).write_text(json.dumps(manifest, ensure_ascii=False, indent=1) + "\n", encoding="utf-8")
    return manifest


def digest_of(hashes: dict[str, str]) -> str:
    """SHA-256 over the sorted lines ``name hash``: the digest of a folder, apart from its documents."""
    names = sorted(name for name in hashes if not name.endswith(".md") and "LICENSE" not in name.upper())
    return sha256("".join(f"{name} {hashes[name]}\n" for name in names).encode()).hexdigest()


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return file_digest(file, "sha256").hexdigest()


def _acquire(lock: Any) -> bool:
    from filelock import Timeout

    try:
        lock.acquire(timeout=0)
    except Timeout:
        return False
    return True


def _sync(folder: Path) -> None:
    for path in [*folder.rglob("*"), folder]:
        if path.is_file() or os.name == "posix":
            handle = os.open(path, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
