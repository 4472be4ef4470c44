"""``manifest.json``: written last, so its presence means that the artefact is whole.

::

    {"kind": "index", "format": 1, "llmrec": "0.1.0", "created": "2026-11-22T18:00:00+00:00",
     "files": {"vectors.npy": {"bytes": 460928, "sha256": "…"}}, "settings": {…}, "counts": {…}, "models": {…}}
"""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from llmrec.errors import ArtefactError
from llmrec.storage.atomic import atomic_file

NAME = "manifest.json"


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, in hex."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def write_manifest(folder: str | Path, *, kind: str, format_version: int, **entries: Any) -> dict[str, Any]:
    """Write the manifest of ``folder`` over all files that lie in it, with their sizes and hashes.

    Args:
        folder: A folder that is complete but for its manifest.
        kind: What the artefact is (``"index"``, ``"adapter"``).
        format_version: Version of the layout; raised when an older reader would misread it.
        entries: Counts, settings, model references: anything that JSON can hold.

    Returns:
        The manifest as written.
    """
    from llmrec import __version__

    folder = Path(folder)
    files = {
        path.relative_to(folder).as_posix(): {"bytes": path.stat().st_size, "sha256": sha256_file(path)}
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != NAME
    }
    created = datetime.now(UTC).isoformat(timespec="seconds")
    head = {"kind": kind, "format": format_version, "llmrec": __version__, "created": created}
    manifest: dict[str, Any] = {**head, **entries, "files": files}
    with atomic_file(folder / NAME, mode="w") as file:
        json.dump(manifest, file, ensure_ascii=False, indent=1)
        file.write("\n")
    return manifest


def read_manifest(
    folder: str | Path, *, kind: str, format_version: int, check: bool = True, remedy: str = ""
) -> dict[str, Any]:
    """Read the manifest of an artefact and check that the artefact is whole.

    Args:
        folder: The artefact.
        kind: The kind that it must be.
        format_version: The layout that the caller reads.
        check: Whether sizes *and* hashes of all files are compared; False compares the sizes only.
        remedy: What the user does when the artefact cannot be used ("Build it again with …").

    Raises:
        ArtefactError: No manifest, another kind or format, a file missing or changed.
    """
    folder = Path(folder)
    remedy = remedy or f"Make the {kind} again."
    path = folder / NAME
    if not path.is_file():
        what = "no such folder" if not folder.exists() else f"not a llmrec {kind}: it has no {NAME}"
        raise ArtefactError(f"{folder}: {what}", next_step=remedy)
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
        found, found_format = manifest["kind"], manifest["format"]
        files = {str(name): (int(entry["bytes"]), str(entry["sha256"])) for name, entry in manifest["files"].items()}
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise ArtefactError(f"{path}: damaged manifest ({error})", next_step=remedy) from error
    if found != kind:
        raise ArtefactError(f"{folder}: is a {found}, not a {kind}", next_step=f"Give a folder that holds a {kind}.")
    if found_format != format_version:
        made = f"format {found_format}, this version of llmrec reads format {format_version}"
        raise ArtefactError(f"{folder}: {kind} of {made}", next_step=remedy)
    for name, (size, digest) in files.items():
        file = folder / name
        if not file.resolve().is_relative_to(folder.resolve()):
            raise ArtefactError(f"{path}: names a file outside its folder: {name}", next_step=remedy)
        if not file.is_file():
            raise ArtefactError(f"{folder}: {name} is missing", next_step=remedy)
        if file.stat().st_size != size or (check and sha256_file(file) != digest):
            raise ArtefactError(f"{folder}: {name} is damaged (it is not as the manifest says)", next_step=remedy)
    return manifest
