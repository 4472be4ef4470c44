"""Records in and out by the file's name: ``.parquet`` is Parquet, all else JSON Lines, ``-`` a pipe."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TypeVar

import msgspec

from llmrec.storage.jsonl import read_jsonl, write_jsonl
from llmrec.storage.parquet import read_parquet, write_parquet

Record = TypeVar("Record", bound=msgspec.Struct)


def read_records(source: str | Path, type: type[Record]) -> Iterator[Record]:
    """Read records of one type; see ``read_jsonl`` and ``read_parquet`` for the errors."""
    return read_parquet(source, type) if str(source).endswith(".parquet") else read_jsonl(source, type)


def write_records(target: str | Path, records: Iterable[Record], type: type[Record]) -> int:
    """Write records of one type, whole or not at all; returns how many."""
    if str(target).endswith(".parquet"):
        return write_parquet(target, records, type)
    return write_jsonl(target, records)
