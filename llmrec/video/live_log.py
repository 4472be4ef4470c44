"""The log of a live watching: contents appended to a JSONL file one line at a time.

A stream has no end at which a whole file could take its name, so this is the one output that is not atomic: it only
ever grows, each line is written at once and synced, and a line that a kill or a full disk tore off is cut away when the
log is next opened. Whoever reads it meanwhile sees whole lines and perhaps the beginning of one.
"""

from __future__ import annotations

import os
from pathlib import Path
from types import TracebackType
from typing import IO

import msgspec

from llmrec.errors import InputError, disk_error
from llmrec.records import Content

#: How a line begins that we wrote.
BEGINS = b'{"id":"'


class _Named(msgspec.Struct):
    id: str


class LiveLog:
    """Contents appended to a file; use it as a context manager.

    Args:
        path: A ``.jsonl`` file, new or begun before.

    Attributes:
        names: Of the streams that the file holds (their ids up to the ``@``).
        torn: Bytes of a torn last line that were cut away.

    Raises:
        InputError: The file is of another kind, or holds something else than contents.
        StorageError: The disk refused.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)
        if self.path.suffix.lower() not in (".jsonl", ".ndjson"):
            step = "Name it .jsonl, or give '-' for standard output."
            raise InputError(f"{path}: a live watching is written line by line", next_step=step)
        self.names: set[str] = set()
        self.torn = 0
        self._file: IO[bytes] | None = None
        self._encoder = msgspec.json.Encoder()

    def __enter__(self) -> LiveLog:
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            self._file = self.path.open("ab+", buffering=0)
            self._mend(self._file)
        except OSError as error:
            raise disk_error(error, self.path) from error
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if self._file is not None:
            if not os.fstat(self._file.fileno()).st_size:
                self.path.unlink(missing_ok=True)
            self._file.close()
            self._file = None

    def add(self, content: Content) -> None:
        """Append a content; it survives a kill of the process and of the machine once this returns.

        Raises:
            StorageError: The disk refused; the file ends with the line before.
        """
        assert self._file is not None, "a log is written inside its with block"
        size = os.fstat(self._file.fileno()).st_size
        line = self._encoder.encode(content) + b"\n"
        try:
            written = 0
            while written < len(line):
                written += self._file.write(line[written:])
            os.fsync(self._file.fileno())
        except OSError as error:
            self._file.truncate(size)
            raise disk_error(error, self.path) from error

    def _mend(self, file: IO[bytes]) -> None:
        """Learn the names in the log, and cut away a line that was torn."""
        file.seek(0)
        whole = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines, 1):
                id = _id_of(line)
                if id is None and line.strip():
                    if not line.endswith(b"\n") and line.startswith(BEGINS[: len(line)]):
                        break
                    step = "Give a new file, or one that 'llmrec watch --live' wrote."
                    raise InputError(f"{self.path}, line {number}: is not a content", next_step=step)
                whole += len(line)
                self.names.add((id or "").partition("@")[0])
                if not line.endswith(b"\n"):
                    file.write(b"\n")
                    return
        self.torn = os.fstat(file.fileno()).st_size - whole
        if self.torn:
            file.truncate(whole)


def _id_of(line: bytes) -> str | None:
    try:
        return msgspec.json.decode(line, type=_Named).id
    except (msgspec.DecodeError, UnicodeDecodeError):
        return None
