"""Finished records of a run that may be interrupted, one a line, beside the output that they will become.

::

    {"key": "9f2c…", "record": {"product_id": "B07", "headline": "trail shoe", …}}

The key is a hash of the record's content and of all that the answer depends on (prompt, model, adapter, settings), so
that a changed product or prompt is written anew and nothing stale is taken.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from hashlib import sha256
from pathlib import Path
from typing import IO, Any, TypeVar

import msgspec

from llmrec.errors import disk_error

Record = TypeVar("Record", bound=msgspec.Struct)


class _Line(msgspec.Struct):
    key: str
    record: msgspec.Raw


def checkpoint_path(output: str | Path) -> Path:
    """Where the checkpoint of an output lies: beside it."""
    output = Path(output)
    return output.with_name(f"{output.name}.partial.jsonl")


class Checkpoint:
    """Finished records by key; opened with ``Checkpoint.open``."""

    def __init__(self, path: Path, file: IO[bytes], places: dict[str, tuple[int, int]]) -> None:
        self.path, self._file, self._places = path, file, places
        #: Records that were taken from it.
        self.resumed = 0
        #: Records that were added to it.
        self.added = 0

    def __len__(self) -> int:
        return len(self._places)

    @classmethod
    @contextmanager
    def open(cls, path: Path, *, resume: bool = True) -> Iterator[Checkpoint]:
        """Open a checkpoint; with ``resume`` what an earlier run finished is found again.

        Raises:
            StorageError: The disk refused.
        """
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if not resume:
                path.unlink(missing_ok=True)
            file = path.open("a+b")
        except OSError as error:
            raise disk_error(error, path) from error
        try:
            yield cls(path, file, _read(file))
        finally:
            with suppress(OSError):
                file.close()

    @staticmethod
    def key(recipe: bytes, record: msgspec.Struct) -> str:
        """The key of a record's answer: by its content and by the recipe."""
        return sha256(recipe + b"\n" + msgspec.json.encode(record, order="sorted")).hexdigest()[:32]

    def get(self, key: str, type: type[Record]) -> Record | None:
        """The finished record, if there is one."""
        place = self._places.get(key)
        if place is None:
            return None
        self._file.seek(place[0])
        try:
            line = msgspec.json.decode(self._file.read(place[1]), type=_Line)
            record = msgspec.json.decode(line.record, type=type)
        except msgspec.DecodeError:
            return None
        self.resumed += 1
        return record

    def add(self, key: str, record: Any) -> None:
        """Keep a finished record; it is on the disk when this returns.

        Raises:
            StorageError: The disk refused.
        """
        line = msgspec.json.encode({"key": key, "record": record}) + b"\n"
        try:
            self._file.seek(0, 2)
            self._file.write(line)
            self._file.flush()
            self.added += 1
        except OSError as error:
            raise disk_error(error, self.path) from error

    def discard(self) -> None:
        """Remove the checkpoint: its output is complete."""
        with suppress(OSError):
            self.path.unlink(missing_ok=True)


def _read(file: IO[bytes]) -> dict[str, tuple[int, int]]:
    """Places of the whole lines; a line that a killed run left half-written is cut off."""
    places: dict[str, tuple[int, int]] = {}
    decoder = msgspec.json.Decoder(_Line)
    file.seek(0)
    at = 0
    for line in file:
        if not line.endswith(b"\n"):
            file.truncate(at)
            break
        with suppress(msgspec.DecodeError):
            places[decoder.decode(line).key] = (at, len(line))
        at += len(line)
    return places
