"""The folder of an index: ``versions/NNNN`` each immutable, and ``CURRENT``, which names the one in use.

::

    shop.index/CURRENT                 0001
    shop.index/versions/0001/          manifest.json  products.parquet  lexical/title/…  dense/title/vectors.npy  …
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from llmrec.errors import ArtefactError, InputError, disk_error
from llmrec.storage import atomic_file, atomic_folder

KIND = "index"
FORMAT = 2
REMEDY = "Build the index again: llmrec index build CATALOG -o DIR --replace"

#: Versions kept beside the current one, so that a process that has the last one open goes on reading it.
KEPT = 1


def current_version(path: Path) -> Path:
    """The folder of the version in use.

    Raises:
        ArtefactError: Not an index, or ``CURRENT`` names no version.
    """
    pointer = path / "CURRENT"
    if not path.exists():
        raise ArtefactError(f"{path}: no such index", next_step="Check the path, or make it: llmrec index build")
    try:
        name = pointer.read_text(encoding="ascii").strip()
    except FileNotFoundError as error:
        raise ArtefactError(f"{path}: not a llmrec index: it has no CURRENT", next_step=REMEDY) from error
    except NotADirectoryError as error:
        raise ArtefactError(f"{path}: a file, not an index folder", next_step="Give the folder of an index.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ArtefactError(f"{pointer}: cannot be read ({error})", next_step=REMEDY) from error
    version = path / "versions" / name
    if not re.fullmatch(r"\d{4,}", name) or not version.is_dir():
        raise ArtefactError(f"{pointer}: names the version {name[:20]!r}, which is not there", next_step=REMEDY)
    return version


def refuse_unless_free(path: Path, *, replace: bool) -> None:
    """Check that an index may be written at ``path``.

    Raises:
        InputError: Something else lies there, or an index does and ``replace`` is false.
    """
    if not path.exists():
        return
    if not path.is_dir():
        raise InputError(f"{path}: is a file", next_step="Name a folder that does not exist yet.")
    names = {entry.name for entry in path.iterdir() if not entry.name.startswith(".")}
    if names - {"CURRENT", "versions"}:
        step = "Name a folder that does not exist yet, or that holds an index."
        raise InputError(f"{path}: holds other files, and is no index", next_step=step)
    if "CURRENT" in names and not replace:
        raise InputError(f"{path}: holds an index already", next_step="Add --replace, or name another folder.")


@contextmanager
def new_version(path: Path) -> Iterator[Path]:
    """Fill the next version; it becomes the current one when the block ends without an error.

    Raises:
        StorageError: The disk refused; the index is as it was.
    """
    existed = path.exists()
    versions = path / "versions"
    try:
        versions.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, versions) from error
    target = versions / f"{max(version_numbers(versions), default=0) + 1:04d}"
    try:
        with atomic_folder(target) as scratch, _full_disk_told(scratch):
            yield scratch
        with atomic_file(path / "CURRENT", mode="w") as file:
            file.write(target.name + "\n")
    except BaseException:
        shutil.rmtree(target, ignore_errors=True)
        if not existed:
            for folder in (versions, path):
                with suppress(OSError):
                    folder.rmdir()
        raise
    for number in sorted(version_numbers(versions))[: -1 - KEPT]:
        shutil.rmtree(versions / f"{number:04d}", ignore_errors=True)


@contextmanager
def _full_disk_told(folder: Path) -> Iterator[None]:
    """Give NumPy's and FAISS's errors of writing, which have no error number, the one that they mean."""
    try:
        yield
    except (OSError, RuntimeError) as error:
        unnumbered = isinstance(error, OSError) and error.errno is None
        if not unnumbered and not (isinstance(error, RuntimeError) and "write error" in str(error)):
            raise
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(folder)) from error


def version_numbers(versions: Path) -> list[int]:
    """Numbers of the versions in ``versions``, in no order."""
    return [int(entry.name) for entry in versions.iterdir() if re.fullmatch(r"\d{4,}", entry.name)]
