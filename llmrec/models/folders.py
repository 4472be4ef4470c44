"""Hashes of files outside the cache (local folders, GGUF files), kept so that a file is read once and not at each use.

A file whose size and time of change are as remembered is taken to be the same.
"""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path

from llmrec.models.cache import sha256_file

logger = logging.getLogger(__name__)


def hashes(folder: Path, names: Iterable[str], root: Path, *, check: bool = False) -> dict[str, str]:
    """SHA-256 of files in ``folder``, each read only when it changed since the last call.

    Args:
        folder: A folder outside the cache.
        names: The files, relative to it.
        root: The cache folder; when it cannot be written the files are read each time.
        check: Read every file again.
    """
    memory = root / "hashes" / f"{sha256(str(folder.resolve()).encode()).hexdigest()[:32]}.json"
    try:
        remembered = {} if check else json.loads(memory.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        remembered = {}
    found: dict[str, list[int | str]] = {}
    for name in names:
        stat = (folder / name).stat()
        state = [stat.st_size, stat.st_mtime_ns]
        entry = remembered.get(name) if isinstance(remembered, dict) else None
        if not (isinstance(entry, list) and len(entry) == 3 and entry[:2] == state):
            entry = [*state, sha256_file(folder / name)]
        found[name] = entry
    if found != remembered:
        _remember(memory, {**remembered, **found})
    return {name: str(entry[2]) for name, entry in found.items()}


def _remember(memory: Path, found: dict[str, list[int | str]]) -> None:
    temporary = memory.with_suffix(f".{os.getpid()}.partial")
    try:
        memory.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_text(json.dumps(found), encoding="utf-8")
        os.replace(temporary, memory)
    except OSError as error:
        logger.info("hashes not remembered: %s", error)
