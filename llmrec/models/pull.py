"""Models fetched ahead of time, and what the cache holds: what ``llmrec models`` prints."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llmrec.models.cache import cache_folder, damage, model_path, read_entry
from llmrec.models.reference import parse
from llmrec.models.resolve import ModelFolder, as_folder, find, resolve


@dataclass(frozen=True)
class Pulled:
    """What ``pull`` did: ``present``: it was there; ``fetched``: it was not; ``repaired``: it was damaged."""

    folder: ModelFolder
    action: Literal["present", "fetched", "repaired"]


@dataclass(frozen=True)
class CacheEntry:
    """One folder of the cache; ``folder`` is None when it is damaged or of another format and will be made again."""

    path: Path
    bytes: int
    folder: ModelFolder | None


def pull(
    reference: str,
    *,
    revision: str | None = None,
    allow_pickle: bool = False,
    cache: Path | None = None,
    verify: bool = False,
) -> Pulled:
    """Fetch a model unless the cache has it.

    Args:
        reference: See ``resolve``, as for the other arguments.
        verify: Hash every file of a model that is there already, and fetch it again when one is not as recorded.

    Raises:
        ModelError: See ``resolve``.
        StorageError: The disk refused.
    """
    root = cache_folder(cache)
    before = {entry.path for entry in cached(root) if entry.folder}
    folder = resolve(reference, revision=revision, allow_pickle=allow_pickle, cache=root)
    entry = next((entry.path for entry in cached(root) if entry.folder and entry.folder.path == folder.path), None)
    if entry is not None and entry not in before:
        return Pulled(folder, "fetched")
    manifest = read_entry(entry) if entry and verify else None
    if entry and manifest and damage(entry, manifest):
        again = find(parse(reference, revision), root, offline=False, allow_pickle=allow_pickle, again=True)
        return Pulled(again, "repaired")
    return Pulled(folder, "present")


def cached(cache: Path | None = None) -> list[CacheEntry]:
    """What lies in the cache, by name; sizes are those on disk, for hub models those in the hub library's cache."""
    models = cache_folder(cache) / "models"
    entries = []
    for path in sorted(models.iterdir()) if models.is_dir() else []:
        if not path.is_dir():
            continue
        manifest = read_entry(path)
        where = model_path(path, manifest) if manifest else path
        size = sum(file.stat().st_size for file in where.rglob("*") if file.is_file())
        entries.append(CacheEntry(path, size, as_folder(path, manifest) if manifest else None))
    return entries


def known(
    reference: str, *, revision: str | None = None, allow_pickle: bool = False, cache: Path | None = None
) -> ModelFolder | None:
    """The model when it is on this machine already; None for a starter that is not. Nothing is fetched.

    Raises:
        ModelError: No such reference, a hub model that is not here, a model that is refused.
    """
    asked = parse(reference, revision)
    root = cache_folder(cache)
    if asked.form == "starter":
        from llmrec.models.starters import STARTERS

        entry = root / "models" / STARTERS[asked.name].entry
        manifest = read_entry(entry)
        return as_folder(entry, manifest) if manifest else None
    return resolve(reference, revision=revision, allow_pickle=allow_pickle, cache=root, offline=True)
