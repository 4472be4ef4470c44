"""The finished part of a long job, kept beside its output so that an interrupted run goes on where it stopped.

``contents.jsonl`` in the making has a ledger ``.contents.jsonl.progress``: a first line with the fingerprint of the
job's settings, then one line a finished record, ``{"key": …, "record": …}``. A torn last line is dropped.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Generic, TypeVar

import msgspec

from llmrec.errors import InputError, disk_error

Record = TypeVar("Record", bound=msgspec.Struct)


def fingerprint(*parts: Any) -> str:
    """A digest of settings, records or names: equal parts give equal digests, in any process."""
    return hashlib.sha256(msgspec.json.encode(parts, order="deterministic")).hexdigest()


class Ledger(Generic[Record]):
    """Finished records of a job by key; use it as a context manager.

    Args:
        target: The job's output path; the ledger lies beside it.
        type: The record to keep.
        settings: Digest of whatever changes the records (``fingerprint``); a ledger of other settings is set aside.
        resume: False forgets what an earlier run finished.

    The ledger outlives an error or an interruption and is removed by ``finish``. Entering raises ``InputError`` while
    another run writes the same output, ``StorageError`` where the disk refuses.
    """

    def __init__(self, target: str | Path, type: type[Record], settings: str, *, resume: bool = True) -> None:
        self.target = target = Path(target)
        self.path = target.with_name(f".{target.name}.progress")
        self.settings = settings
        self.done: dict[str, Record] = {}
        self._type = type
        self._file: IO[bytes] | None = None
        if resume:
            self.done.update(self._read())

    def __enter__(self) -> Ledger[Record]:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab")
            self._take()
            self._file.truncate(0)
            self._line({"settings": self.settings})
            for key, record in self.done.items():
                self._line({"key": key, "record": record})
            self._file.flush()
        except OSError as error:
            raise disk_error(error, self.path) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._file:
            self._file.close()
            self._file = None

    def add(self, key: str, record: Record) -> None:
        """Keep a finished record; it survives a kill of the process once this returns.

        Raises:
            StorageError: The disk refused.
        """
        self.done[key] = record
        assert self._file is not None, "a ledger is written inside its with block"
        try:
            self._line({"key": key, "record": record})
            self._file.flush()
        except OSError as error:
            raise disk_error(error, self.path) from error

    def finish(self) -> None:
        """Remove the ledger: the output is whole."""
        self.path.unlink(missing_ok=True)

    def _take(self) -> None:
        """Keep other runs off: two that wrote the same ledger would tear each other's lines."""
        assert self._file is not None
        try:
            import fcntl

            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except ImportError:  # no such locks on this system
            return
        except BlockingIOError as error:
            self._file.close()
            self._file = None
            step = "Wait until it is done, stop it, or name another output."
            raise InputError(f"{self.target}: another run is writing it", next_step=step) from error
        except OSError:  # nor on this file system
            return

    def _line(self, entry: dict[str, Any]) -> None:
        assert self._file is not None
        self._file.write(msgspec.json.encode(entry) + b"\n")

    def _read(self) -> Iterator[tuple[str, Record]]:
        try:
            lines = self.path.read_bytes().splitlines()
        except OSError:
            return
        try:
            if not lines or msgspec.json.decode(lines[0]).get("settings") != self.settings:
                return
            for line in lines[1:]:
                entry = msgspec.json.decode(line)
                yield str(entry["key"]), msgspec.convert(entry["record"], self._type)
        except (msgspec.DecodeError, msgspec.ValidationError, KeyError, AttributeError, TypeError):
            return
