"""An append-only file that one process writes and any number read while it grows.

::

    with Journal.open(path) as journal:
        journal.append([b"one", b"two"])       # durable, and seen by readers, once this returns

    tail = JournalTail(path)
    tail.read()                                # [b"one", b"two"]; [] until there is more

On disk ``NAME`` is a row of frames, ``length, crc of the length, crc of the data, data``, and ``NAME.ack`` says up to
where writing was acknowledged. What a killed writer left of a frame lies behind that mark and is cut off by the next
writer; a file that ends before the mark, or a frame before it that does not agree with its checksums, is damage, and is
told. One writer at a time holds ``NAME.lock``, which the system takes back when a process dies, however it dies.
"""

from __future__ import annotations

import errno
import os
import struct
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

from llmrec.errors import ArtefactError, InputError, disk_error
from llmrec.storage.atomic import atomic_file
from llmrec.storage.locks import take_lock

_HEAD = struct.Struct("<III")
_MARK = struct.Struct("<8sQI")
_MAGIC = b"llmrecJ1"
#: Most bytes of one entry: a length that a fault made up shall not take the memory.
LARGEST = 1 << 30
STEP = "Restore the file from a copy, or build the index again."


class Journal:
    """The writing end; ``open`` it, and use it as a context manager."""

    def __init__(self, path: Path, file: int, lock: int, end: int) -> None:
        self.path, self._file, self._lock, self._end = path, file, lock, end

    @classmethod
    def open(cls, path: str | Path, *, wait: float = 0.0) -> Journal:
        """Open for writing, making the file where there is none; cut off what a killed writer left of an entry.

        Args:
            path: The file.
            wait: Seconds to wait for another process that writes it.

        Raises:
            InputError: Another process writes it.
            ArtefactError: It is damaged.
            StorageError: The disk refused.
        """
        path = Path(path)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            lock = os.open(_beside(path, ".lock"), os.O_RDWR | os.O_CREAT, 0o666)
        except OSError as error:
            raise disk_error(error, path) from error
        file = -1
        try:
            take_lock(lock, f"{path}: another process is writing it", wait)
            file = os.open(path, os.O_RDWR | os.O_CREAT, 0o666)
            if not _beside(path, ".ack").exists():
                # nothing was ever acknowledged: what lies here was written by a process that died in its first entry
                os.ftruncate(file, 0)
                _first_mark(path)
            end = _acknowledged(path)
            if os.fstat(file).st_size < end:
                raise _damage(path, f"it ends at {os.fstat(file).st_size}, {end} bytes were written")
            os.ftruncate(file, end)
            return cls(path, file, lock, end)
        except OSError as error:
            _close(file, lock)
            raise disk_error(error, path) from error
        except BaseException:
            _close(file, lock)
            raise

    @staticmethod
    def exists(path: str | Path) -> bool:
        """Whether there is a journal to read."""
        return _beside(Path(path), ".ack").exists()

    @staticmethod
    def remove(path: str | Path) -> None:
        """Take a journal away, as far as the system lets."""
        for suffix in ("", ".ack", ".lock"):
            with suppress(OSError):
                _beside(Path(path), suffix).unlink()

    def append(self, entries: Sequence[bytes]) -> int:
        """Write entries, all or none; they survive a kill of the process and of the machine once this returns.

        Returns:
            The length of the file.

        Raises:
            StorageError: The disk refused; none of the entries is there.
            InputError: An entry is larger than ``LARGEST``.
        """
        for entry in entries:
            if len(entry) > LARGEST:
                raise InputError(f"{self.path}: an entry of {len(entry)} bytes", next_step="Write it in smaller parts.")
        data = b"".join(_HEAD.pack(len(e), _crc_of_length(len(e)), zlib.crc32(e)) + e for e in entries)
        try:
            written = 0
            while written < len(data):
                written += os.pwrite(self._file, data[written:], self._end + written)
            os.fdatasync(self._file)
            _mark(self.path, self._end + len(data))
        except OSError as error:
            with suppress(OSError):  # the mark first: it may count what is cut off now
                _mark(self.path, self._end)
                os.ftruncate(self._file, self._end)
            raise disk_error(error, self.path) from error
        self._end += len(data)
        return self._end

    def close(self) -> None:
        """Let the next writer in."""
        _close(self._file, self._lock)
        self._file = self._lock = -1

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()


class JournalTail:
    """A reading end: gives each acknowledged entry once, as the file grows.

    Args:
        path: The file.
        start: Where an entry begins, as ``position`` told; what lies before it is passed over.
    """

    def __init__(self, path: str | Path, start: int = 0) -> None:
        self.path = Path(path)
        self._at = start
        self._file = -1

    def read(self) -> list[bytes]:
        """The entries acknowledged since the last call, in order; none for a file that is not there yet.

        Raises:
            ArtefactError: An acknowledged entry is damaged or missing.
        """
        if not _beside(self.path, ".ack").exists():
            return []
        try:
            end = _acknowledged(self.path)
            if end == self._at:
                return []
            if self._file < 0:
                self._file = os.open(self.path, os.O_RDONLY)
            data = _read_all(self._file, self._at, end - self._at)
        except OSError as error:
            raise ArtefactError(f"{self.path}: cannot be read ({error})", next_step=STEP) from error
        if len(data) < end - self._at:
            raise _damage(self.path, f"it ends at {self._at + len(data)}, {end} bytes were written")
        entries = list(_entries(data, self._at, self.path))
        self._at = end
        return entries

    @property
    def position(self) -> int:
        """Bytes that were read."""
        return self._at

    def close(self) -> None:
        """Close the file; ``read`` opens it again."""
        _close(self._file)
        self._file = -1


def _entries(data: bytes, start: int, path: Path) -> Iterator[bytes]:
    at = 0
    while at < len(data):
        if at + _HEAD.size > len(data):
            raise _damage(path, f"the entry at {start + at} is cut")
        length, of_length, of_entry = _HEAD.unpack_from(data, at)
        begin = at + _HEAD.size
        if of_length != _crc_of_length(length) or begin + length > len(data):
            raise _damage(path, f"the length of the entry at {start + at} does not agree with its checksum")
        entry = data[begin : begin + length]
        if zlib.crc32(entry) != of_entry:
            raise _damage(path, f"the entry at {start + at} does not agree with its checksum")
        yield entry
        at = begin + length


def _read_all(file: int, start: int, size: int) -> bytes:
    parts = []
    while size > 0 and (part := os.pread(file, size, start)):
        parts.append(part)
        start += len(part)
        size -= len(part)
    return b"".join(parts)


def _crc_of_length(length: int) -> int:
    # not that of zeros: a file of zeros is not a row of empty entries
    return zlib.crc32(struct.pack("<I", length), 0x5EED)


def _mark(path: Path, end: int) -> None:
    """Say up to where the file holds: one write of 20 bytes, which a kill of the process does not tear."""
    handle = os.open(_beside(path, ".ack"), os.O_WRONLY)
    try:
        if os.pwrite(handle, _sealed(end), 0) != _MARK.size:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fdatasync(handle)
    finally:
        os.close(handle)


def _first_mark(path: Path) -> None:
    """The mark of an empty file; it is there whole or not at all."""
    with atomic_file(_beside(path, ".ack")) as file:
        file.write(_sealed(0))


def _sealed(end: int) -> bytes:
    body = struct.pack("<8sQ", _MAGIC, end)
    return body + struct.pack("<I", zlib.crc32(body))


def _acknowledged(path: Path) -> int:
    beside = _beside(path, ".ack")
    data = beside.read_bytes()
    if len(data) != _MARK.size:
        raise _damage(beside, f"it has {len(data)} bytes, not {_MARK.size}")
    magic, end, crc = _MARK.unpack(data)
    if magic != _MAGIC or crc != zlib.crc32(data[:-4]):
        raise _damage(beside, "it does not agree with its checksum")
    return int(end)


def _damage(path: Path, what: str) -> ArtefactError:
    return ArtefactError(f"{path}: is damaged: {what}", next_step=STEP)


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _close(*handles: int) -> None:
    for handle in handles:
        if handle >= 0:
            with suppress(OSError):
                os.close(handle)
