"""The delimiter and quoting of a table, from its first lines.

Every candidate reads the sample; the one whose header holds the most usual column names, then whose rows agree best
with the header's width, wins. Commas inside descriptions therefore do not make a ``|`` table a comma table.
"""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmrec.catalog.columns import known
from llmrec.errors import InputError

#: ``\\x01`` and ``\\x1f`` are what Hive and old databases write.
DELIMITERS = (",", "\t", ";", "|", "#", "^", "~", "\x01", "\x1f")
_NAMES = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "pipe": "|", "hash": "#", "\\x01": "\x01"}


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a table is written; ``quoting`` is ``quotes``, ``backslash`` (``\\"`` inside quotes) or ``none``."""

    delimiter: str
    quoting: str = "quotes"

    def reader(self, lines: Any, *, strict: bool = True) -> Any:
        """A ``csv.reader`` over lines with their ends."""
        if self.quoting == "none":
            return csv.reader(lines, delimiter=self.delimiter, quoting=csv.QUOTE_NONE, strict=strict)
        if self.quoting == "backslash":
            return csv.reader(lines, delimiter=self.delimiter, escapechar="\\", doublequote=False, strict=strict)
        return csv.reader(lines, delimiter=self.delimiter, strict=strict)


def read_delimiter(text: str) -> str:
    """A delimiter as a user writes it (``;``, ``tab``, ``\\t``).

    Raises:
        InputError: Not one character.
    """
    found = _NAMES.get(text.lower(), text)
    if len(found) != 1 or found in '"\r\n ' or found.isalnum():
        step = "Give one character, such as ';' or '|', or the word tab."
        raise InputError(f"{text!r} cannot be a delimiter", next_step=step)
    return found


def sniff(sample: Sequence[str], delimiter: str | None = None) -> Dialect:
    """The dialect of a table by its first lines (with their ends); a comma table when nothing speaks for another."""
    candidates = (delimiter,) if delimiter else DELIMITERS
    text = "".join(sample)
    quotings = ["quotes"] + ["backslash"] * ('\\"' in text) + ["none"] * ('"' in text)
    best, best_score = Dialect(delimiter or ","), (0, -1.0, -1.0, 0)
    for mark in candidates:
        if delimiter is None and not any(mark in line for line in sample[:1]):
            continue
        for quoting in quotings:
            dialect = Dialect(mark, quoting)
            score = _score(dialect, sample)
            if score > best_score:
                best, best_score = dialect, score
    return best


def _score(dialect: Dialect, sample: Sequence[str]) -> tuple[int, float, float, int]:
    reader = dialect.reader(iter(sample))
    rows: list[list[str]] = []
    faults = 0
    while True:
        try:
            if row := next(reader):
                rows.append(row)
        except StopIteration:
            break
        except csv.Error:
            faults += 1
            if faults > 20:
                break
    if not rows:
        return (0, 0.0, 0.0, 0)
    header = rows[0]
    width = len(header)
    names = len({known(name) for name in header} - {None})
    # "a" with its quotes, read as it stands, speaks for a table that quotes
    plain = dialect.quoting == "none"
    agreeing = sum(len(row) == width and not (plain and any(map(_quoted, row))) for row in rows[1:])
    share = agreeing / (len(rows) - 1 + faults) if len(rows) > 1 or faults else 1.0
    return (min(width, 2), round(names * (0.25 + 0.75 * share), 3), round(share, 3), width)


def _quoted(cell: str) -> bool:
    return len(cell) > 1 and cell[0] == cell[-1] == '"'
