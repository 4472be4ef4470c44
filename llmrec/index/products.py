"""The products of an open index: read when they are first asked for, from a file that is held open."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow

from llmrec.errors import InputError
from llmrec.index.facets import Facets
from llmrec.index.where import parse
from llmrec.records import Product
from llmrec.storage import ParquetRows, read_parquet

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Filters whose products stay known: the same few are asked with every query.
FILTERS = 32


def ranked(ids: Sequence[str], scores: NDArray[np.float32]) -> NDArray[np.int64]:
    """Places of products by their scores, best first, ties broken by id."""
    order = np.argsort(-scores, kind="stable")
    sorted_scores = scores[order]
    if not (sorted_scores[1:] == sorted_scores[:-1]).any():
        return order
    values = scores.tolist()
    return np.array(sorted(range(len(ids)), key=lambda i: (-values[i], ids[i])), dtype=np.int64)


def existing(row: int | None, product_id: str) -> int:
    """The row of a product that was looked for.

    Raises:
        InputError: There is none.
    """
    if row is None:
        raise InputError(f"no product {product_id!r}", next_step="Check the id.")
    return row


class ProductTable:
    """The products of a version of an index, by row and by id."""

    def __init__(self, path: Path, count: int) -> None:
        # held open, so that it can be read on when newer versions have taken this one's place
        self._records = pyarrow.memory_map(str(path)).read_buffer()
        self._count = count
        self._facets = Facets(self.read, count)
        self.kept = lru_cache(maxsize=FILTERS)(self._kept)

    def __len__(self) -> int:
        return self._count

    @cached_property
    def ids(self) -> list[str]:
        """Ids, in the order of the catalog."""
        return self.texts("id")

    @cached_property
    def rows(self) -> dict[str, int]:
        """Row of each id."""
        return {id: row for row, id in enumerate(self.ids)}

    def ids_of(self, rows: Iterable[int]) -> list[str]:
        """Id of each row."""
        return [self.ids[row] for row in rows]

    def record(self, row: int) -> Product:
        """The product of a row."""
        return self._by_row.record(row)

    def each(self) -> Iterator[Product]:
        """The products, in the order of the catalog, read a part at a time."""
        return read_parquet(self._file(), Product)

    @property
    def titles(self) -> list[str]:
        """The title of each row."""
        return self.texts("title")

    @property
    def currencies(self) -> list[str]:
        """The currencies of the prices."""
        return self._facets.currencies

    @cached_property
    def records(self) -> list[Product]:
        """The products, in the order of the catalog."""
        return list(self.each())

    @cached_property
    def _by_row(self) -> ParquetRows[Product]:
        return ParquetRows(self._file(), Product)

    def texts(self, name: str) -> list[str]:
        """A column of texts."""
        return [str(value) for value in self.read([name])[name].to_pylist()]

    def read(self, names: Sequence[str]) -> Any:
        """Columns by name, a ``pyarrow.Table``."""
        import pyarrow.parquet as pq

        return pq.read_table(self._file(), columns=list(names))

    def _kept(self, where: str) -> NDArray[np.bool_]:
        """The products that fit a filter, bool ``[n]``; see ``llmrec.index.where``.

        Raises:
            InputError: The filter cannot be read, or names no currency in a catalog of several.
        """
        kept = self._facets.keep(parse(where))
        kept.flags.writeable = False
        return kept

    def find(self, product_id: str) -> int | None:
        """Row of a product; None: there is no such."""
        return self.rows.get(product_id)

    def row(self, product_id: str) -> int:
        """Row of a product.

        Raises:
            InputError: There is no such product.
        """
        return existing(self.find(product_id), product_id)

    def _file(self) -> Any:
        return pyarrow.BufferReader(self._records)
