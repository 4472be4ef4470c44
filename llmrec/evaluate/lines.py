"""Text files by line, with every fault named by file and line; ``.gz`` is unpacked, ``-`` is standard input."""

from __future__ import annotations

import csv
import gzip
import json
import sys
import zlib
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import IO, Any

from llmrec.errors import InputError

#: Longest line that is read, in bytes: a longer one belongs to a file of another kind.
MAX_LINE = 8 * 1024 * 1024
#: Delimiters that a table is tried with, the likeliest first.
DELIMITERS = "\t,;|#"


def shown(source: str | Path) -> str:
    """A source as error messages call it."""
    return "standard input" if str(source) == "-" else str(source)


def suffix(source: str | Path) -> str:
    """The ending of a file's name, in lower case and without ``.gz``."""
    return Path(str(source).lower().removesuffix(".gz")).suffix


def fault(source: str | Path, number: int, reason: str, step: str) -> InputError:
    """An error that names the file and the line."""
    return InputError(f"{shown(source)}, line {number}: {reason}", next_step=step)


def text_lines(source: str | Path) -> Iterator[tuple[int, str]]:
    """Lines that are not blank, numbered from 1, without their ends.

    Raises:
        InputError: Missing, unreadable, not UTF-8 text, or with a line over 8 MiB.
    """
    number = 0
    try:
        with _open(source) as file:
            while raw := file.readline(MAX_LINE + 1):
                number += 1
                if len(raw) > MAX_LINE or b"\x00" in raw:
                    reason = "is binary, not text" if b"\x00" in raw else f"longer than {MAX_LINE >> 20} MiB"
                    raise fault(source, number, reason, "Give a text file with one entry a line.")
                if number == 1:
                    raw = raw.removeprefix(b"\xef\xbb\xbf")
                line = raw.decode("utf-8").rstrip("\r\n")
                if line.strip():
                    yield number, line
    except UnicodeDecodeError as error:
        step = "Save the file as UTF-8 (iconv -t utf-8), or correct this line."
        raise fault(source, number, f"is not UTF-8 ({error.reason})", step) from error
    except (OSError, EOFError, zlib.error) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{shown(source)}: {reason}", next_step="Check the path and its permissions.") from error


def table_rows(source: str | Path, lines: Iterable[tuple[int, str]], delimiter: str) -> Iterator[tuple[int, list[str]]]:
    """Rows of a delimited table, cells stripped; a quoted cell may span lines (its first line is named).

    Raises:
        InputError: A row that is not well-formed.
    """
    numbers: list[int] = []

    def feed() -> Iterator[str]:
        for number, line in lines:
            numbers.append(number)
            yield line + "\n"

    reader = csv.reader(feed(), delimiter=delimiter, strict=True)
    while True:
        used = len(numbers)
        try:
            row = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            at = numbers[min(used, len(numbers) - 1)] if numbers else 1
            raise fault(source, at, str(error), "Close the quotes, or double those within a cell.") from error
        yield numbers[used], [cell.strip() for cell in row]


def read_rows(source: str | Path) -> Iterator[tuple[int, dict[str, Any]]]:
    """Rows of JSON Lines or of a delimited table with a header, as (line number, name to value).

    Names are in lower case.

    Raises:
        InputError: Missing, empty or malformed; names the file and the line.
    """
    lines = text_lines(source)
    first = next(lines, None)
    if first is None:
        raise InputError(f"{shown(source)}: is empty", next_step="Give JSON Lines, or a table with a header.")
    if suffix(source) in (".jsonl", ".ndjson", ".json") or first[1].lstrip().startswith("{"):
        yield from json_rows(source, chain([first], lines))
        return
    widths = {delimiter: len(next(csv.reader([first[1]], delimiter=delimiter))) for delimiter in DELIMITERS}
    rows = table_rows(source, chain([first], lines), max(widths, key=lambda delimiter: widths[delimiter]))
    header = [name.lower() for name in next(rows)[1]]
    for number, row in rows:
        if len(row) != len(header):
            step = "Give every row a cell for each column; quote cells that hold the delimiter."
            raise fault(source, number, f"{len(row)} cells where the header has {len(header)}", step)
        yield number, dict(zip(header, row, strict=True))


def json_rows(source: str | Path, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, dict[str, Any]]]:
    """JSON objects, one a line, their names in lower case."""
    for number, line in lines:
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            raise fault(source, number, f"is not JSON ({error})", "Give one JSON object a line.") from error
        if not isinstance(row, dict):
            raise fault(source, number, "is not a JSON object", "Give one JSON object a line.")
        yield number, {name.lower(): value for name, value in row.items()}


def sniff_delimiter(sample: list[str]) -> str | None:
    """The delimiter that splits every line into the same number (2 or more) of cells; the most cells win."""
    best, most = None, 1
    for delimiter in DELIMITERS:
        try:
            widths = {len(row) for row in csv.reader(sample, delimiter=delimiter)}
        except csv.Error:
            continue
        if len(widths) == 1 and (width := widths.pop()) > most:
            best, most = delimiter, width
    return best


def _open(source: str | Path) -> IO[bytes]:
    if str(source) == "-":
        return open(sys.stdin.fileno(), "rb", closefd=False)
    if str(source).lower().endswith(".gz"):
        return gzip.open(source, "rb")  # type: ignore[return-value]
    return open(source, "rb")
