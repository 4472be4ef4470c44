"""Locks between processes: the system takes them back when a process dies, however it dies."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from llmrec.errors import InputError, disk_error

#: Seconds between two tries.
PAUSE = 0.003


def take_lock(handle: int, what: str, wait: float = 0.0) -> None:
    """Lock an open file for this handle alone, until it is closed.

    Args:
        handle: Of the file.
        what: Said when another handle has it.
        wait: Seconds to wait for that one.

    Raises:
        InputError: It is locked still.
    """
    try:
        import fcntl
    except ImportError:  # no such locks on this system
        return
    until = time.monotonic() + wait
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if time.monotonic() >= until:
                step = "Wait until it is done, or stop it: one process writes at a time."
                raise InputError(what, next_step=step) from error
            time.sleep(PAUSE)


@contextmanager
def file_lock(path: Path, what: str, wait: float = 0.0) -> Iterator[None]:
    """Hold the lock of a file, which is made where there is none and stays.

    Raises:
        InputError: Another process holds it; ``what`` is said.
        StorageError: The disk refused.
    """
    try:
        handle = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise disk_error(error, path) from error
    try:
        take_lock(handle, what, wait)
        yield
    finally:
        os.close(handle)
