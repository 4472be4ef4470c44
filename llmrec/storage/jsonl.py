"""JSON Lines: the plain form of every record, one object a line, UTF-8."""

from __future__ import annotations

import gzip
import itertools
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import IO, TypeVar

import msgspec

from llmrec.errors import InputError
from llmrec.storage.atomic import atomic_file

Record = TypeVar("Record")

#: Longest line that is read, in bytes: a longer one is not a record but a file of another kind.
MAX_LINE = 8 * 1024 * 1024

#: Records encoded at a time.
CHUNK = 1000


def read_jsonl(source: str | Path, type: type[Record]) -> Iterator[Record]:
    """Read records one by one, in constant memory.

    Args:
        source: A path (``.gz`` is unpacked), or ``-`` for standard input.
        type: The record to decode into; unknown keys are ignored, wrong types are not.

    Raises:
        InputError: The file is missing, empty or not JSON Lines of such records; names the line and the field.
    """
    shown = "standard input" if str(source) == "-" else str(source)
    decoder = msgspec.json.Decoder(type)
    count = 0
    for number, line in _lines(source, shown):
        try:
            yield decoder.decode(line)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            step = f"Give one JSON {type.__name__} a line (README, 'Wire form'), or correct this line."
            raise InputError(f"{shown}, line {number}: {_reason(error, line)}", next_step=step) from error
        count += 1
    if count == 0:
        raise InputError(f"{shown}: holds no records", next_step=f"Give one JSON {type.__name__} a line.")


def write_jsonl(target: str | Path, records: Iterable[object]) -> int:
    """Write records, one a line; the file appears whole or not at all.

    Args:
        target: A path (``.gz`` is packed), or ``-`` for standard output.

    Returns:
        How many records were written.

    Raises:
        StorageError: The disk refused.
    """
    if str(target) == "-":
        return _write(sys.stdout.buffer, records, chunk=1)
    with atomic_file(target) as file:
        if str(target).endswith(".gz"):
            with gzip.GzipFile(fileobj=file, mode="wb", mtime=0) as packed:
                return _write(packed, records)
        return _write(file, records)


def _write(file: IO[bytes] | gzip.GzipFile, records: Iterable[object], chunk: int = CHUNK) -> int:
    encoder = msgspec.json.Encoder()
    stream = iter(records)
    count = 0
    while found := list(itertools.islice(stream, chunk)):
        file.write(encoder.encode_lines(found))
        if chunk == 1:  # the reader of a pipe need not wait for the next record
            file.flush()
        count += len(found)
    return count


def _lines(source: str | Path, shown: str) -> Iterator[tuple[int, bytes]]:
    try:
        with _open(source) as file:
            number = 0
            while line := file.readline(MAX_LINE + 1):
                number += 1
                if len(line) > MAX_LINE:
                    step = "Give one JSON object a line; a whole JSON array belongs in a .json file."
                    raise InputError(f"{shown}, line {number}: longer than {MAX_LINE >> 20} MiB", next_step=step)
                line = line.strip()
                if number == 1:
                    line = line.removeprefix(b"\xef\xbb\xbf")
                if line:
                    yield number, line
    except (OSError, EOFError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{shown}: {reason}", next_step="Check the path and its permissions.") from error


def _open(source: str | Path) -> IO[bytes]:
    if str(source) == "-":
        return open(sys.stdin.fileno(), "rb", closefd=False)
    if str(source).endswith(".gz"):
        return gzip.open(source, "rb")  # type: ignore[return-value]
    return open(source, "rb")


def _reason(error: Exception, line: bytes) -> str:
    if b"\x00" in line:
        return "is binary, not JSON Lines"
    return f"not as expected: {error}"
