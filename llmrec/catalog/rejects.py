"""What could not be taken as it stands, one JSON object a line::

    {"file":"shop.csv","row":17,"line":21,"field":"id","reason":"missing_id","detail":"no product id","raw":"…"}
    {"file":"shop.csv","row":18,"line":22,"field":"price","reason":"bad_price","detail":"…","raw":"…","kept":true}

A row with ``kept`` true is in the catalog without the named value, or with a repaired one; all others are not.
``row`` counts the data rows of the file from 1 (0: the file as a whole), ``line`` is the physical line it starts on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

import msgspec

from llmrec.catalog.text import NULLS

#: Characters of a bad row that are kept for the reader.
EXCERPT = 300
#: Rejects that a catalog holds in memory; all of them go to the rejects file.
HELD = 1000


class Reject(msgspec.Struct, frozen=True, omit_defaults=True):
    """A row, or a value of a row, that could not be used, and why."""

    file: str
    row: int
    reason: str
    detail: str
    field: str = ""
    line: int | None = None
    raw: str = ""
    kept: bool = False


class RejectLog:
    """Counts what is rejected or repaired, holds the first of them, and passes all on to ``sink``, in order of rows."""

    def __init__(self, sink: Callable[[Reject], object] | None = None) -> None:
        self.rejected: Counter[str] = Counter()
        self.warned: Counter[str] = Counter()
        self.held: list[Reject] = []
        self._sink = sink
        self._waiting: list[Reject] = []

    def add(
        self,
        file: str,
        row: int,
        line: int | None,
        field: str,
        reason: str,
        detail: str,
        raw: object = "",
        *,
        kept: bool = False,
    ) -> None:
        """Log one fault; with ``kept`` the product itself stays. It waits for ``flush``."""
        (self.warned if kept else self.rejected)[reason] += 1
        self._waiting.append(Reject(file, row, reason, detail, field, line, excerpt(raw), kept))

    def flush(self) -> None:
        """Pass on what waits; called when all rows so far have been looked at."""
        if not self._waiting:
            return
        waiting = sorted(self._waiting, key=lambda reject: reject.row)
        self._waiting.clear()
        self.held += waiting[: HELD - len(self.held)]
        if self._sink is not None:
            for reject in waiting:
                self._sink(reject)


def excerpt(raw: object) -> str:
    """The start of a raw value as text that any file can hold."""
    if isinstance(raw, dict):
        raw = ", ".join(
            f"{name}={str(value)[:EXCERPT]!r}" for name, value in list(raw.items())[:40] if not empty(value)
        )
    text = str(raw)[: EXCERPT + 1].rstrip("\r\n").encode("utf-8", "replace").decode()
    return text if len(text) <= EXCERPT else text[:EXCERPT] + "…"


def empty(value: Any) -> bool:
    """Whether a cell holds nothing."""
    if isinstance(value, str):
        return not value.strip() or value in NULLS
    return value is None or value != value or (isinstance(value, list | dict | tuple) and not value)
