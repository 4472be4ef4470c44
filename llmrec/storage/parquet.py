"""Parquet: the large form of every record, with the same fields as the JSON form; both round-trip exactly.

The Arrow schema follows from the record's type: nested records are structs, tuples are lists, ``dict[str, str]`` is a
map, and a free ``dict[str, Any]`` is a JSON text, since its values have no common type.
"""

from __future__ import annotations

import itertools
from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from pathlib import Path
from threading import Lock
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import msgspec

from llmrec.errors import InputError
from llmrec.storage.atomic import atomic_file

if TYPE_CHECKING:
    import pyarrow as pa

Record = TypeVar("Record", bound=msgspec.Struct)

#: Rows of a row group: small enough that a reader holds little, large enough to compress.
ROW_GROUP = 10_000


def arrow_schema(type: type[Record]) -> pa.Schema:
    """The Arrow schema of a record type."""
    import pyarrow as pa

    info = msgspec.inspect.type_info(type)
    assert isinstance(info, msgspec.inspect.StructType)
    return pa.schema([pa.field(field.encode_name, _arrow_type(field.type)) for field in info.fields])


def write_parquet(
    target: str | Path, records: Iterable[Record], type: type[Record], *, row_group: int = ROW_GROUP
) -> int:
    """Write records to a Parquet file that appears whole or not at all; returns how many."""
    import pyarrow.parquet as pq

    stream = iter(records)
    count = 0
    with atomic_file(target) as file, pq.ParquetWriter(file, arrow_schema(type), compression="zstd") as writer:
        while chunk := list(itertools.islice(stream, row_group)):
            writer.write_table(to_arrow(chunk, type))
            count += len(chunk)
    return count


def to_arrow(records: Iterable[Record], type: type[Record]) -> pa.Table:
    """Records as an Arrow table of ``arrow_schema(type)``."""
    import pyarrow as pa

    converters = _json_columns(type)
    return pa.Table.from_pylist([_row(record, converters) for record in records], schema=arrow_schema(type))


def read_parquet(source: str | Path, type: type[Record]) -> Iterator[Record]:
    """Read records from a Parquet file, a row group at a time.

    Raises:
        InputError: Missing, damaged, or not of this record type.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    converters = _json_columns(type)
    number = 0
    try:
        with pq.ParquetFile(source) as file:
            for batch in file.iter_batches(batch_size=ROW_GROUP):
                batch.validate(full=True)  # damaged offsets end the process when they are followed
                for row in batch.to_pylist(maps_as_pydicts="strict"):
                    number += 1
                    yield _record(row, type, converters)
    except (pa.ArrowException, OSError, UnicodeDecodeError) as error:
        step = "Check the path; a catalog of other columns is read by 'llmrec catalog import'."
        raise InputError(f"{source}: cannot be read as Parquet ({error})", next_step=step) from error
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        step = f"Give a Parquet file that llmrec wrote for {type.__name__} records."
        raise InputError(f"{source}, row {number}: {error}", next_step=step) from error


class ParquetRows(Generic[Record]):
    """Records of a Parquet file by row; row groups are read when they are asked for, and some stay in memory.

    Args:
        source: The file.
        type: Of the records.
        kept: Row groups that stay.

    Raises:
        InputError: It cannot be read.
    """

    def __init__(self, source: Any, type: type[Record], *, kept: int = 128) -> None:
        import pyarrow as pa
        import pyarrow.parquet as pq

        try:
            self._file = pq.ParquetFile(source)
        except (pa.ArrowException, OSError) as error:
            raise InputError(f"the records cannot be read as Parquet ({error})", next_step="Check the file.") from error
        sizes = [self._file.metadata.row_group(n).num_rows for n in range(self._file.metadata.num_row_groups)]
        self._starts = [0, *itertools.accumulate(sizes)]
        self._type, self._converters = type, _json_columns(type)
        self._lock = Lock()
        self._group = lru_cache(maxsize=kept)(self._read)

    def __len__(self) -> int:
        return self._starts[-1]

    def record(self, row: int) -> Record:
        """The record of a row."""
        group = bisect_right(self._starts, row) - 1
        table = self._group(group).slice(row - self._starts[group], 1)
        return _record(table.to_pylist(maps_as_pydicts="strict")[0], self._type, self._converters)

    def _read(self, group: int) -> pa.Table:
        with self._lock:  # one reader of a file at a time
            table = self._file.read_row_group(group)
        table.validate(full=True)  # damaged offsets end the process when they are followed
        return table


def _record(row: dict[str, Any], type: type[Record], converters: Sequence[str]) -> Record:
    for name in converters:
        row[name] = msgspec.json.decode(row[name]) if row.get(name) else {}
    return msgspec.convert(row, type)


def _arrow_type(info: msgspec.inspect.Type) -> pa.DataType:
    import pyarrow as pa

    kinds = msgspec.inspect
    match info:
        case kinds.StrType():
            return pa.string()
        case kinds.LiteralType():
            return pa.string()
        case kinds.BytesType():
            return pa.binary()
        case kinds.FloatType():
            return pa.float64()
        case kinds.IntType():
            return pa.int64()
        case kinds.BoolType():
            return pa.bool_()
        case kinds.VarTupleType():
            return pa.list_(_arrow_type(info.item_type))
        case kinds.StructType():
            return pa.struct([pa.field(field.encode_name, _arrow_type(field.type)) for field in info.fields])
        case kinds.DictType():
            if isinstance(info.value_type, kinds.AnyType):
                return pa.string()
            return pa.map_(_arrow_type(info.key_type), _arrow_type(info.value_type))
        case kinds.UnionType():
            return _arrow_type(next(option for option in info.types if not isinstance(option, kinds.NoneType)))
    raise TypeError(f"no Arrow type for {info}")


def _json_columns(type: type[Record]) -> list[str]:
    info = msgspec.inspect.type_info(type)
    assert isinstance(info, msgspec.inspect.StructType)
    free = (f for f in info.fields if isinstance(f.type, msgspec.inspect.DictType))
    return [f.encode_name for f in free if isinstance(f.type.value_type, msgspec.inspect.AnyType)]  # type: ignore[attr-defined]


def _row(record: Any, json_columns: list[str]) -> dict[str, Any]:
    # to_builtins leaves out defaults, as the JSON form does; Parquet has a value in every column
    row = {name: getattr(record, name) for name in record.__struct_fields__}
    for name in json_columns:
        row[name] = msgspec.json.encode(row[name]).decode()
    return {name: _plain(value) for name, value in row.items()}


def _plain(value: Any) -> Any:
    if isinstance(value, msgspec.Struct):
        return {name: _plain(getattr(value, name)) for name in value.__struct_fields__}
    if isinstance(value, tuple):
        return [_plain(item) for item in value]
    return list(value.items()) if isinstance(value, dict) else value
