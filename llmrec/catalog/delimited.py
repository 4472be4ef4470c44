"""Rows of a delimited table (CSV, TSV and kin), one at a time; what is no row is rejected and reading goes on.

A quote that opens and never closes would swallow the rest of the file: after ``MAX_RECORD_LINES`` lines the row that it
began in is given up, and reading resumes with the line after it.
"""

from __future__ import annotations

import csv
import itertools
import re
from collections import deque
from collections.abc import Iterator

from llmrec.catalog.batches import Row
from llmrec.catalog.columns import unique_names
from llmrec.catalog.decoding import MAX_LINE, Decoder
from llmrec.catalog.dialect import Dialect, sniff
from llmrec.catalog.rejects import RejectLog
from llmrec.errors import InputError

#: Lines that one quoted row may span.
MAX_RECORD_LINES = 1000
#: The same after many rows were given up, so that a file of nothing but faults is read in linear time.
_LEAST_RECORD_LINES = 10
_SAMPLE_LINES = 200
_SAMPLE_SIZE = 256 << 10
_BLANK = " \t\r\n\x1a"
_SEP = re.compile(r"sep=(.)\s*", re.IGNORECASE)


class _TooLong(Exception):
    """A record that goes on and on: a quote was opened and not closed."""


class _Feed:
    """Lines for ``csv.reader`` that can be given back when a record turns out to be none."""

    def __init__(self, lines: Iterator[str]) -> None:
        self.lines = lines
        self.back: deque[str] = deque()
        self.held: list[str] = []
        self.size = 0
        self.number = 0
        self.limit = MAX_RECORD_LINES

    def __iter__(self) -> _Feed:
        return self

    def __next__(self) -> str:
        line = self.back.popleft() if self.back else next(self.lines)
        self.held.append(line)
        self.number += 1
        self.size += len(line)
        if len(self.held) > self.limit or self.size > MAX_LINE:
            raise _TooLong
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
        self._reader = self.dialect.reader(self._feed)

    def __iter__(self) -> Iterator[Row]:
        feed, notes, columns, width = self._feed, self._decoder.notes, self.columns, len(self.columns)
        back, lines, mark = feed.back, feed.lines, self.dialect.delimiter
        quotes, backslash = self.dialect.quoting != "none", self.dialect.quoting == "backslash"
        number = 0
        while True:
            line = back.popleft() if back else next(lines, None)
            if line is None:
                return
            start = feed.number + 1
            body = line.rstrip("\r\n")
            cells: list[str] | None
            if (quotes and '"' in body) or "\r" in body or (backslash and "\\" in body) or len(body) > MAX_LINE:
                back.appendleft(line)
                cells = self._quoted(number + 1, start)
                line = "".join(feed.held)
            else:
                # without quotes splitting is all that csv would do, at a third of its cost
                feed.number = start
                cells = body.split(mark)
            noted = bool(notes) and notes[0][0] <= feed.number
            if cells is not None and not noted and len(cells) <= 1 and not "".join(cells).strip(_BLANK):
                continue
            number += 1
            if (noted and self._noted(number, line, unusable=cells is None)) or cells is None:
                continue
            if len(cells) > width and not any(cells[width:]):
                del cells[width:]
            if len(cells) == width:
                yield Row(number, start, columns, cells, len(line))
            elif any(cells):
                many = "too_many_columns" if len(cells) > width else "too_few_columns"
                detail = f"{len(cells)} columns where the header has {width}"
                self._log.add(self._file, number, start, "", many, detail, line)
            else:
                self._log.add(self._file, number, start, "", "empty_row", "every value is empty", line)

    def _quoted(self, number: int, start: int) -> list[str] | None:
        """The next record by the rules of quoting, None when it was rejected."""
        feed = self._feed
        feed.held.clear()
        feed.size = 0
        try:
            return list(next(self._reader))
        except _TooLong:
            fault = "a quote is opened and not closed"
        except csv.Error as error:
            fault = str(error)
        # give up all but the first line of the record, and read on after it
        feed.give_back(1)
        feed.limit = max(_LEAST_RECORD_LINES, feed.limit - 10)
        self._reader = self.dialect.reader(feed)
        return self._repair(number, start, fault)

    def _repair(self, number: int, start: int, fault: str) -> list[str] | None:
        """The cells of one line whose quotes are not quoting (``1,"Slim" jeans,9``), if that gives the right number."""
        line = self._feed.held[0]
        if len(line) > MAX_LINE:
            self._log.add(self._file, number, start, "", "line_too_long", f"longer than {MAX_LINE >> 20} MiB", line)
            return None
        for dialect in (self.dialect, Dialect(self.dialect.delimiter, "none")):
            try:
                cells = next(dialect.reader([line.rstrip("\r\n").replace("\r", " ")]), None)
            except csv.Error:
                continue
            if cells is not None and len(cells) == len(self.columns):
                detail = f"{fault}: its quotes were taken as they stand"
                self._log.add(self._file, number, start, "", "bad_quoting", detail, line, kept=True)
                return list(cells)
        self._log.add(self._file, number, start, "", "bad_quoting", fault, line)
        return None

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
            # the decoder takes out a line that is too long, and says so in a note
            too_long = next((detail for _, reason, detail in self._decoder.notes if reason == "line_too_long"), "")
            fault = f"its first row cannot be read ({too_long})" if too_long else "is empty"
            raise InputError(f"{self._file}: {fault}", next_step=step) from None
        except (csv.Error, _TooLong) as error:
            raise InputError(
                f"{self._file}: its first row cannot be read ({error or 'open quote'})", next_step=step
            ) from error
        notes = self._decoder.notes
        while notes and notes[0][0] <= self._feed.number:
            _, reason, detail = notes.popleft()
            if reason != "mixed_encodings":
                raise InputError(f"{self._file}: its first row cannot be read ({detail})", next_step=step)
        return unique_names(cells)

    def _noted(self, number: int, line: str, *, unusable: bool) -> bool:
        """Log what the decoder noted about the lines up to here; True when the row cannot be used.

        Args:
            number: The row.
            line: Its text.
            unusable: Whether it was rejected already: it is not rejected twice.
        """
        notes = self._decoder.notes
        while notes and notes[0][0] <= self._feed.number:
            at, reason, detail = notes.popleft()
            kept = reason == "mixed_encodings"
            raw = line if kept else ""
            if kept or not unusable:
                self._log.add(self._file, number, at, "", reason, detail, raw, kept=kept)
            unusable = unusable or not kept
        return unusable
