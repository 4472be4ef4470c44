"""Rows in batches of one layout, so that their cells can be worked on column by column (more than twice as quick)."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple

#: Rows of a batch, and characters after which a batch ends early, so that long rows do not fill the memory.
ROWS = 250
SIZE = 8 << 20
#: Columns of rows whose values are a ``Product`` already, and of rows whose values are a ``dict`` with any keys.
OWN = ("a product",)
OBJECTS = ("an object",)


class Row(NamedTuple):
    """One row of a file: its number from 1, its physical line, its columns and values, its size in characters."""

    number: int
    line: int | None
    columns: tuple[str, ...]
    values: Any
    size: int


class Batch(NamedTuple):
    """Rows of the same columns, in order."""

    columns: tuple[str, ...]
    numbers: list[int]
    lines: list[int | None]
    rows: list[Any]


def batches(rows: Iterable[Row]) -> Iterator[Batch]:
    """Group rows, in their order, while their columns are the same object."""
    batch = Batch((), [], [], [])
    total = 0
    for number, line, columns, values, size in rows:
        if columns is not batch.columns or total > SIZE or len(batch.rows) >= ROWS:
            if batch.rows:
                yield batch
            batch, total = Batch(columns, [], [], []), 0
        batch.numbers.append(number)
        batch.lines.append(line)
        batch.rows.append(values)
        total += size
    if batch.rows:
        yield batch


def tabular(batch: Batch, contested: Callable[[tuple[str, ...]], bool]) -> Iterator[Batch]:
    """Batches of rows with columns from one of objects.

    Args:
        batch: Rows that are objects.
        contested: Whether columns hold more than one for the same field: rows that lack one may then hold another, and
            are not put under the columns of their neighbours.
    """
    layouts = dict.fromkeys(map(tuple, batch.rows))
    union = tuple(dict.fromkeys(name for layout in layouts for name in layout))
    if len(layouts) == 1:
        yield batch._replace(columns=union, rows=[list(row.values()) for row in batch.rows])
    elif len(union) <= 4 * max(map(len, layouts)) and not contested(union):
        yield batch._replace(columns=union, rows=[[row.get(name) for name in union] for row in batch.rows])
    else:
        same = {layout: layout for layout in layouts}
        parts = zip(batch.numbers, batch.lines, batch.rows, strict=True)
        yield from batches(Row(n, line, same[tuple(row)], list(row.values()), 0) for n, line, row in parts)
