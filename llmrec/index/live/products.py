"""The products of an index that changes: those of the version, what came after them, and without what is gone."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import cached_property
from itertools import chain, islice
from typing import TYPE_CHECKING

import numpy as np

from llmrec.index.facets import Facets
from llmrec.index.products import FILTERS, ProductTable, existing
from llmrec.index.where import parse
from llmrec.records import Product
from llmrec.storage import to_arrow

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Products:
    """The products that came after those of a version; grows, for one writing thread."""

    def __init__(self, base: ProductTable) -> None:
        self.base = base
        self.records: list[Product] = []
        #: Rows that an id has had, ascending.
        self.rows: dict[str, list[int]] = {}
        self._kept: dict[str, NDArray[np.bool_]] = {}

    def append(self, product: Product) -> None:
        """Add a product."""
        self.rows.setdefault(product.id, []).append(len(self.base) + len(self.records))
        self.records.append(product)

    def kept(self, where: str, count: int) -> NDArray[np.bool_]:
        """Which of the first ``count`` fit a filter; those that were asked about before are not looked at again.

        Raises:
            InputError: See ``Facets.keep``.
        """
        known = self._kept.get(where, np.zeros(0, dtype=np.bool_))
        if len(known) < count:
            table = to_arrow(self.records[len(known) : count], Product)
            facets = Facets(table.select, table.num_rows, lambda: self.base.currencies)
            known = np.concatenate([known, facets.keep(parse(where))])
            while len(self._kept) >= FILTERS:
                self._kept.pop(next(iter(self._kept)), None)
            self._kept[where] = known
        return known[:count]


class LiveTable:
    """The products as they are at one moment.

    Args:
        added: What came after the version.
        count: Rows in all, those that are gone among them.
        gone: Rows that are gone, ascending.
    """

    def __init__(self, added: Products, count: int, gone: NDArray[np.int64]) -> None:
        self._base, self._added, self._count = added.base, added, count
        self._start = len(added.base)
        self._here = np.ones(count, dtype=np.bool_)
        self._here[gone] = False

    def __len__(self) -> int:
        return self._count

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the products that are there, in the order in which they came."""
        return self.ids_of(np.flatnonzero(self._here).tolist())

    def ids_of(self, rows: Iterable[int]) -> list[str]:
        """Id of each row."""
        ids, records, start = self._base.ids, self._added.records, self._start
        return [ids[row] if row < start else records[row - start].id for row in rows]

    def record(self, row: int) -> Product:
        """The product of a row."""
        return self._base.record(row) if row < self._start else self._added.records[row - self._start]

    @property
    def records(self) -> list[Product]:
        """The products that are there, in the order in which they came."""
        return list(self.each())

    def each(self) -> Iterator[Product]:
        """The products that are there, in the order in which they came; those of the version a part at a time."""
        both = chain(self._base.each(), islice(self._added.records, self._count - self._start))
        return (product for product, here in zip(both, self._here.tolist(), strict=True) if here)

    @property
    def titles(self) -> list[str]:
        """The title of each row, of those that are gone too."""
        return [
            *self._base.titles,
            *(product.title for product in islice(self._added.records, self._count - self._start)),
        ]

    def kept(self, where: str) -> NDArray[np.bool_]:
        """The products that fit a filter and are there, bool ``[n]``.

        Raises:
            InputError: See ``ProductTable.kept``.
        """
        added = self._added.kept(where, self._count - self._start)
        return np.concatenate([self._base.kept(where), added]) & self._here

    def find(self, product_id: str) -> int | None:
        """Row of a product; None: it is not there."""
        rows = [row for row in self._added.rows.get(product_id, ()) if row < self._count]
        row = rows[-1] if rows else self._base.find(product_id)
        return row if row is not None and self._here[row] else None

    def row(self, product_id: str) -> int:
        """Row of a product.

        Raises:
            InputError: There is no such product.
        """
        return existing(self.find(product_id), product_id)
