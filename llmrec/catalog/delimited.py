"""Rows of a delimited table (CSV, TSV and kin), one at a time; what is no row is rejected and reading goes on.

A quote that opens and never closes would swallow the rest of the file: after ``MAX_RECORD_LINES`` lines the row it began
in is given up, and reading resumes with the line after it.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import deque
from collections.abc import Iterator

from llmrec.catalog.decoding import MAX_LINE, Decoder
from llmrec.catalog.dialect import Dialect, sniff
from llmrec.catalog.rejects import RejectLog
from llmrec.errors import InputError

#: Lines that one quoted row may span.
MAX_RECORD_LINES = 1000
_SAMPLE_LINES = 200
_SAMPLE_SIZE = 256 << 10
_SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)

Row = tuple[int, int | None, tuple[str, ...], list[str]]


class _OpenQuote(Exception):
    pass


class _Feed:
    """Lines for ``csv.reader`` that can be given back when a record turns out to be none."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.back: deque[str] = deque()
        self.held: list[str] = []
        self.size = 0
        self.number = 0
        self.limit = MAX_RECORD_LINES
        self.starved = False

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        if self.back:
            line = self.back.popleft()
        else:
            try:
                line = next(self.lines)
            except StopIteration:
                self.starved = True
                raise
        self.held.append(line)
        self.number += 1
        self.size += len(line)
        if len(self.held) > self.limit or self.size > MAX_LINE:
            raise _OpenQuote
        return line

    def give_back(self, keep: int) -> None:
        """Give back all held lines but the first ``keep``."""
        rest = self.held[keep:]
        self.back.extendleft(reversed(rest))
        self.number -= len(rest)
        del self.held[keep:]


class Table:
    """A delimited table, opened: its dialect and header are known, its rows are read by iteration.

    Args:
        file: Its name, for messages and rejects.
        lines: Its decoded lines.
        decoder: What decodes them, for the lines that it noted.
        log: Takes the rejects.
        delimiter: What the user said, or None to find out.

    Raises:
        InputError: There is no header.
    """

    def __init__(
        self, file: str, lines: Iterator[str], decoder: Decoder, log: RejectLog, delimiter: str | None = None
    ) -> None:
        self._file, self._decoder, self._log = file, decoder, log
        csv.field_size_limit(MAX_LINE)
        self._feed = _Feed(lines)
        sample = self._sample()
        if sample and (named := _SEP.fullmatch(sample[0])):
            delimiter = delimiter or named[1]
            self._feed.back.popleft()
            self._feed.number += 1
            sample = sample[1:]
        self.dialect: Dialect = sniff(sample, delimiter)
        self.columns = self._header()

    def __iter__(self) -> Iterator[Row]:
        feed, notes, columns = self._feed, self._decoder.notes, self.columns
        width = len(columns)
        number = 0
        reader = self.dialect.reader(feed)
        while True:
            feed.held.clear()
            feed.size = 0
            start = feed.number + 1
            fault = ""
            try:
                cells = next(reader)
            except StopIteration:
                return
            except _OpenQuote:
                fault = "a quote is opened and not closed"
            except csv.Error as error:
                fault = str(error)
                if not feed.held:
                    return
            else:
                if feed.starved and feed.held and _open(feed.held, self.dialect):
                    fault = "a quote is opened and not closed before the end of the file"
            if fault:
                feed.give_back(1)
                feed.starved = False
                reader = self.dialect.reader(feed)
                feed.limit = max(10, feed.limit - 10)
                number += 1
                repaired = self._repair(feed.held[0], width)
                if repaired is None:
                    self._reject(number, start, "bad_quoting", fault, feed.held[0])
                    continue
                cells = repaired
                self._reject(number, start, "bad_quoting", f"{fault}: read as it stands", feed.held[0], kept=True)
            elif not cells:
                if notes and notes[0][0] <= feed.number and self._noted(number + 1, start):
                    number += 1
                continue
            else:
                number += 1
            if notes and notes[0][0] <= feed.number and self._noted(number, start):
                continue
            if len(cells) != width:
                if len(cells) > width and not any(cells[width:]):
                    del cells[width:]
                elif not any(cells):
                    self._reject(number, start, "empty_row", "every value is empty", "".join(feed.held))
                    continue
                else:
                    many = "too_many_columns" if len(cells) > width else "too_few_columns"
                    detail = f"{len(cells)} columns, the header has {width}"
                    self._reject(number, start, many, detail, "".join(feed.held))
                    continue
            yield number, start, columns, cells

    def _sample(self) -> list[str]:
        sample: list[str] = []
        size = 0
        for line in itertools.islice(self._feed.lines, _SAMPLE_LINES):
            if sample or line.strip("\r\n\ufeff \t"):
                sample.append(line)
            else:
                self._feed.number += 1
            size += len(line)
            if size > _SAMPLE_SIZE:
                break
        self._feed.back.extend(sample)
        return sample

    def _header(self) -> tuple[str, ...]:
        step = "Give a table whose first row names its columns."
        try:
            cells = next(self.dialect.reader(self._feed, strict=False))
        except StopIteration:
            raise InputError(f"{self._file}: is empty", next_step=step) from None
        except (csv.Error, _OpenQuote) as error:
            raise InputError(
                f"{self._file}: its first row cannot be read ({error or 'open quote'})", next_step=step
            ) from error
        notes = self._decoder.notes
        while notes and notes[0][0] <= self._feed.number:
            _, reason, detail = notes.popleft()
            if reason != "mixed_encodings":
                raise InputError(f"{self._file}: its first row cannot be read ({detail})", next_step=step)
        names: list[str] = []
        for place, cell in enumerate(cells, 1):
            name = base = cell.strip().strip("\ufeff") or f"column {place}"
            again = 1
            while name in names:
                again += 1
                name = f"{base}.{again}"
            names.append(name)
        return tuple(names)

    def _repair(self, line: str, width: int) -> list[str] | None:
        """The cells of one line whose quotes are not quoting (``1,"Slim" jeans,9``), if that gives the right number."""
        whole = line.rstrip("\r\n").replace("\r", " ")
        for dialect in (self.dialect, Dialect(self.dialect.delimiter, "none")):
            try:
                cells = next(dialect.reader([whole], strict=True), None)
            except csv.Error:
                continue
            if cells is not None and len(cells) == width:
                return list(cells)
        return None

    def _noted(self, number: int, line: int) -> bool:
        """Log what the decoder noted about the lines up to here; True when the row cannot be used."""
        unusable = False
        notes = self._decoder.notes
        while notes and notes[0][0] <= self._feed.number:
            at, reason, detail = notes.popleft()
            kept = reason == "mixed_encodings"
            raw = next(iter(self._feed.held), "") if kept else ""
            if kept or not unusable:
                self._log.add(self._file, number, at, "", reason, detail, raw, kept=kept)
            unusable = unusable or not kept
        return unusable

    def _reject(self, row: int, line: int, reason: str, detail: str, raw: str, *, kept: bool = False) -> None:
        self._log.add(self._file, row, line, "", reason, detail, raw, kept=kept)


def _open(lines: list[str], dialect: Dialect) -> bool:
    """Whether a quote is still open after these lines."""
    try:
        for _ in dialect.reader(iter(lines), strict=True):
            pass
    except csv.Error:
        return True
    return False
