"""Files and folders that appear whole or not at all.

Everything is written beside its final place, synced, then renamed, so that a reader sees the old one or the new one.
What a killed process left half-written (``.NAME.HOST-PID-xxxxxxxx.partial``) goes when the same place is written again.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import IO

from llmrec.errors import disk_error
from llmrec.storage.leftovers import clear_leftovers, owned_prefix


def sync_folder(folder: Path) -> None:
    """Make the names in ``folder`` durable (a rename is only safe once its folder is synced)."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        with suppress(OSError):  # some network file systems refuse to sync a folder
            os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def atomic_file(path: str | Path, *, mode: str = "wb") -> Iterator[IO]:
    """Open a file that takes its name only when the block ends without an error.

    Args:
        path: The final place; its parent folders are made.
        mode: ``"wb"``, or ``"w"`` for UTF-8 text with ``\\n`` line ends.

    Raises:
        StorageError: The disk refused; nothing is left at ``path`` that was not there before.
    """
    path = Path(path)
    temporary: str | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(path)
        handle, temporary = tempfile.mkstemp(prefix=owned_prefix(path), suffix=".partial", dir=path.parent)
        text = {} if "b" in mode else {"encoding": "utf-8", "newline": "\n"}
        with os.fdopen(handle, mode, **text) as file:  # type: ignore[call-overload]
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())
        os.replace(temporary, path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        # an error about some other file, met inside the block, is the caller's
        if error.filename not in (None, temporary, str(path), str(path.parent)):
            raise
        raise disk_error(error, path) from error
    finally:
        if temporary is not None:
            with suppress(OSError):
                os.unlink(temporary)


@contextmanager
def atomic_folder(path: str | Path, *, replace: bool = False) -> Iterator[Path]:
    """Fill a folder that takes its name only when the block ends without an error.

    Args:
        path: The final place.
        replace: Whether an existing folder is replaced; the old one stays until the new one is whole.

    Yields:
        A temporary sibling folder to write into.

    Raises:
        FileExistsError: ``path`` exists and ``replace`` is false.
        StorageError: The disk refused; ``path`` is as it was.
    """
    path = Path(path)
    if path.exists() and not replace:
        raise FileExistsError(str(path))
    temporary: Path | None = None
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        clear_leftovers(path)
        temporary = Path(tempfile.mkdtemp(prefix=owned_prefix(path), suffix=".partial", dir=path.parent))
        yield temporary
        _sync_tree(temporary)
        os.chmod(temporary, 0o777 & ~_umask())
        if path.exists():
            old = Path(tempfile.mkdtemp(prefix=owned_prefix(path), suffix=".old", dir=path.parent))
            os.replace(path, old / "replaced")
            os.replace(temporary, path)
            shutil.rmtree(old, ignore_errors=True)
        else:
            os.replace(temporary, path)
        temporary = None
        sync_folder(path.parent)
    except OSError as error:
        inside = str(error.filename or "").startswith(str(temporary)) if temporary else False
        if error.filename is not None and not inside and str(error.filename) not in (str(path), str(path.parent)):
            raise
        raise disk_error(error, path) from error
    finally:
        if temporary is not None:
            shutil.rmtree(temporary, ignore_errors=True)


def _sync_tree(folder: Path) -> None:
    usual = 0o666 & ~_umask()
    for root, _, names in os.walk(folder):
        for name in names:
            path = os.path.join(root, name)
            # safetensors writes for the owner alone, whatever the umask says
            if not os.path.islink(path):
                os.chmod(path, os.stat(path).st_mode | usual)
            handle = os.open(os.path.join(root, name), os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)
        sync_folder(Path(root))


def _umask() -> int:
    value = os.umask(0)
    os.umask(value)
    return value
