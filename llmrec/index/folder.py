"""The folder of an index: ``versions/NNNN`` each immutable, and ``CURRENT``, which names the one in use.

::

    shop.index/CURRENT                 0001 and the SHA-256 of its manifest
    shop.index/versions/0001/          manifest.json  products.parquet  lexical/title/…  dense/title/vectors.npy  …
    shop.index/versions/0001.delta     what was changed since (llmrec.index.live.delta), with .ack and .lock beside it

``CURRENT`` vouches for the manifest, the manifest for the files, and each change for itself.
"""

from __future__ import annotations

import errno
import os
import re
import shutil
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext, suppress
from pathlib import Path
from typing import NamedTuple

from llmrec.errors import ArtefactError, InputError, disk_error
from llmrec.storage import atomic_file, atomic_folder, read_manifest, sha256_file
from llmrec.storage.journal import Journal
from llmrec.storage.locks import file_lock

KIND = "index"
FORMAT = 3
REMEDY = "Build the index again: llmrec index build CATALOG -o DIR --replace"

MANIFEST = "manifest.json"
#: Held, in ``versions``, by whoever builds or compacts.
BUILDING = ".building"
#: Seconds that a writer waits for another one to be done.
WAIT = 60.0


class Pointer(NamedTuple):
    """What ``CURRENT`` says: the name of a version, and the SHA-256 of its manifest."""

    name: str
    digest: str


def pointer_of(path: Path) -> Pointer:
    """What ``CURRENT`` says.

    Raises:
        ArtefactError: Not an index, or ``CURRENT`` cannot be read.
    """
    pointer = path / "CURRENT"
    try:
        name, _, digest = pointer.read_text(encoding="ascii").partition(" ")
    except FileNotFoundError as error:
        if not path.exists():
            step = "Check the path, or make it: llmrec index build"
            raise ArtefactError(f"{path}: no such index", next_step=step) from error
        raise ArtefactError(f"{path}: not a llmrec index: it has no CURRENT", next_step=REMEDY) from error
    except NotADirectoryError as error:
        raise ArtefactError(f"{path}: a file, not an index folder", next_step="Give the folder of an index.") from error
    except (OSError, UnicodeDecodeError) as error:
        raise ArtefactError(f"{pointer}: cannot be read ({error})", next_step=REMEDY) from error
    # as it was written, to the last byte: a changed one shall not pass for space
    return Pointer(name, digest.removesuffix("\n")) if digest else Pointer(name.strip(), "")


def current_version(path: Path) -> Path:
    """The folder of the version in use; its manifest is the one that ``CURRENT`` means.

    Raises:
        ArtefactError: Not an index, damaged, of an older format, or ``CURRENT`` names no version.
    """
    name, digest = pointer_of(path)
    version, pointer = path / "versions" / name, path / "CURRENT"
    if not re.fullmatch(r"\d{4,}", name) or not version.is_dir():
        raise ArtefactError(f"{pointer}: names the version {name[:20]!r}, which is not there", next_step=REMEDY)
    manifest = version / MANIFEST
    if not digest:  # as CURRENT was before format 3
        read_manifest(version, kind=KIND, format_version=FORMAT, check=False, remedy=REMEDY)
        raise ArtefactError(f"{pointer}: is damaged: it has no digest", next_step=REMEDY)
    if not manifest.is_file() or sha256_file(manifest) != digest:
        raise ArtefactError(f"{version}: its manifest is damaged or not the one that was built", next_step=REMEDY)
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
def new_version(
    path: Path, carry: Callable[[Journal], None] | None = None, expected: Path | None = None
) -> Iterator[Path]:
    """Fill the next version; it becomes the current one when the block ends without an error.

    Args:
        path: The index.
        carry: Called with the journal of the new version while nobody can write to the old one: what was written there
            since the new one was begun is to go on in it.
        expected: The version that the new one is made from; None: any.

    Raises:
        StorageError: The disk refused; the index is as it was.
        InputError: Another process builds or compacts it, or has.
    """
    existed = path.exists()
    versions = path / "versions"
    try:
        versions.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(error, versions) from error
    target = versions
    try:
        with building(path):
            if expected is not None and current_version(path) != expected:
                raise InputError(f"{path}: has a newer version by now", next_step="Run it again.")
            target = versions / f"{max(version_numbers(versions), default=0) + 1:04d}"
            with atomic_folder(target) as scratch, _full_disk_told(scratch):
                yield scratch
            _publish(path, target, carry)
    except BaseException:
        # an interruption can come when the new version is in use already
        if target != versions and not _is_current(path, target):
            remove_version(target)
        if not existed and not (path / "CURRENT").exists():
            with suppress(OSError):
                (versions / BUILDING).unlink()
            for folder in (versions, path):
                with suppress(OSError):
                    folder.rmdir()
        raise


def building(path: Path) -> AbstractContextManager[None]:
    """Keep others from building, compacting or rolling back an index.

    Raises:
        InputError: Another process does.
        StorageError: The disk refused.
    """
    return file_lock(path / "versions" / BUILDING, f"{path}: another process builds, compacts or rolls it back")


def _publish(path: Path, target: Path, carry: Callable[[Journal], None] | None) -> None:
    before = _whole_version(path)
    Journal.remove(delta_of(target))  # of a version of this number that was taken away while its process was killed
    with Journal.open(delta_of(target)) as changes:
        # whoever writes waits until the new version is the current one, and goes on there
        with Journal.open(delta_of(before), wait=WAIT) if before else nullcontext():
            if carry is not None:
                carry(changes)
            point_to(path, target)
    # a version that is neither was never in use, or was left by a rollback
    kept = {target.name, *([before.name] if before else [])}
    for number in version_numbers(target.parent):
        if f"{number:04d}" not in kept:
            remove_version(target.parent / f"{number:04d}")


def _is_current(path: Path, version: Path) -> bool:
    with suppress(ArtefactError):
        return pointer_of(path).name == version.name
    return False


def _whole_version(path: Path) -> Path | None:
    """The current version, where there is one that can be written to."""
    try:
        version = current_version(path)
    except ArtefactError:
        return None
    return version if Journal.exists(delta_of(version)) else None


def point_to(path: Path, version: Path) -> None:
    """Make a version the current one.

    Raises:
        StorageError: The disk refused.
    """
    with atomic_file(path / "CURRENT", mode="w") as file:
        file.write(f"{version.name} {sha256_file(version / MANIFEST)}\n")


def delta_of(version: Path) -> Path:
    """The journal of what was changed since a version was built."""
    return version.with_name(version.name + ".delta")


def remove_version(version: Path) -> None:
    """Take a version and its changes away; a process that has them open reads on."""
    shutil.rmtree(version, ignore_errors=True)
    Journal.remove(delta_of(version))


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
