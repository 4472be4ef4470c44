"""Rows of Parquet and Arrow files, and of folders that ``datasets`` wrote with ``save_to_disk``.

A Parquet file with the schema of ``Product`` is one of ours and comes back exactly as it was written.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from llmrec.catalog.batches import OWN, Row
from llmrec.catalog.columns import unique_names
from llmrec.catalog.rejects import RejectLog
from llmrec.errors import InputError
from llmrec.records import Product
from llmrec.storage import arrow_schema, read_parquet

_BATCH = 4096
#: What pyarrow raises, beside its own errors, on damaged files and on values that Python cannot hold.
_FAULTS = (OSError, ValueError, TypeError, LookupError, ArithmeticError, NotImplementedError, RuntimeError, MemoryError)


def parquet_rows(file: str, log: RejectLog, *, own: bool) -> Iterator[Row]:
    """Rows of a Parquet file; with ``own``, those that llmrec wrote come as ``Product``s in place of values."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        with pq.ParquetFile(file, memory_map=True) as table:
            if own and table.schema_arrow.equals(arrow_schema(Product)):
                for number, product in enumerate(read_parquet(file, Product), 1):
                    yield Row(number, None, OWN, product, 0)
            else:
                yield from _rows(file, table.iter_batches(batch_size=_BATCH), log)
    except (pa.ArrowException, *_FAULTS) as error:
        raise _damaged(file, "Parquet", error) from error


def arrow_rows(file: str, log: RejectLog) -> Iterator[Row]:
    """Rows of an Arrow file, in the stream format (``datasets``) or the file format (Feather)."""
    import pyarrow as pa

    try:
        with pa.memory_map(file) as source:
            with open(file, "rb") as head:
                is_file = head.read(6) == b"ARROW1"
            if is_file:
                reader = pa.ipc.open_file(source)
                batches = (reader.get_batch(i) for i in range(reader.num_record_batches))
            else:
                batches = iter(pa.ipc.open_stream(source))
            yield from _rows(file, (part for batch in batches for part in _parts(batch)), log)
    except (pa.ArrowException, *_FAULTS) as error:
        raise _damaged(file, "Arrow", error) from error


def dataset_files(folder: Path) -> list[Path] | None:
    """The Arrow files of a ``datasets`` folder (of a dataset, or of a dictionary of splits), None for other folders.

    Raises:
        InputError: The folder names files that are not there.
    """
    index = folder / "dataset_dict.json"
    if index.is_file():
        splits = _json(index).get("splits", [])
        files = [file for split in splits for file in dataset_files(folder / Path(str(split)).name) or []]
    elif (folder / "state.json").is_file():
        named = _json(folder / "state.json").get("_data_files", [])
        files = [folder / Path(str(entry.get("filename", ""))).name for entry in named if isinstance(entry, dict)]
    else:
        return None
    step = "Save the dataset again with save_to_disk."
    if not files:
        raise InputError(f"{folder}: a datasets folder that names no data files", next_step=step)
    for file in files:
        if not file.is_file():
            raise InputError(f"{file}: is missing from the datasets folder", next_step=step)
    return files


def _json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as error:
        raise InputError(f"{path}: cannot be read ({error})", next_step="Save the dataset again.") from error
    return value if isinstance(value, dict) else {}


def _parts(batch: Any) -> Iterator[Any]:
    batch.validate(full=True)  # pyarrow trusts the offsets in a file: wrong ones would end the process
    for start in range(0, batch.num_rows, _BATCH):
        yield batch.slice(start, _BATCH)


def _rows(file: str, batches: Iterator[Any], log: RejectLog) -> Iterator[Row]:
    number = 0
    told = False
    for batch in batches:
        binary = [field.name for field in batch.schema if _holds_bytes(field.type)]
        if binary and not told:
            told = True
            detail = f"bytes in {', '.join(binary)} are not kept, only their length"
            log.add(file, 0, None, binary[0], "binary_column", detail, kept=True)
        columns = unique_names(batch.schema.names)
        for values in zip(*(_pylist(batch.column(i)) for i in range(batch.num_columns)), strict=True):
            number += 1
            yield Row(number, None, columns, values, 0)


def _pylist(column: Any) -> list[Any]:
    import pyarrow as pa

    return (
        [dict(item) if item is not None else None for item in column.to_pylist()]
        if pa.types.is_map(column.type)
        else column.to_pylist()
    )


def _holds_bytes(type: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_binary(type) or pa.types.is_large_binary(type):
        return True
    return any(_holds_bytes(type.field(i).type) for i in range(type.num_fields)) if type.num_fields else False


def _damaged(file: str, kind: str, error: Exception) -> InputError:
    return InputError(f"{file}: cannot be read as {kind} ({error})", next_step="Write or fetch the file again.")
