"""Which products of a catalog a filter keeps: the columns of ``products.parquet``, read when they are first asked for.

A column of text is held as a number for each product and the list of its distinct values, so that a comparison looks
at each brand once and not at each product.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterable, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from llmrec.errors import InputError
from llmrec.index.facet_values import (
    folded,
    is_within,
    levels_of,
    name_of,
    number_of,
    path_of,
    stock_of,
    value_under,
)
from llmrec.index.filters import All, AnyOf, Compare, Filter, Money, Not

if TYPE_CHECKING:
    import pyarrow as pa
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]

_ORDERS: dict[str, Callable[[Any, Any], Any]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
}
#: Columns of ``attributes`` and ``extra`` that stay in memory.
COLUMNS = 64


class Texts(NamedTuple):
    """A column of texts: int32 ``[n]``, the place of each product's text among ``values``, -1 where it has none."""

    codes: NDArray[np.int32]
    values: list[str]

    def where(self, fits: Callable[[str], bool]) -> Mask:
        """The products whose text fits; those without one do not."""
        good = np.array([*(fits(value) for value in self.values), False], dtype=np.bool_)
        return good[self.codes]


class Facets:
    """The columns that filters ask about.

    Args:
        read: Gives columns of the catalog by name, in the order of its rows.
        count: Products of the catalog.
        currencies: Those of other parts of the catalog: a price without one is refused where there are several in all.
    """

    def __init__(
        self, read: Callable[[Sequence[str]], pa.Table], count: int, currencies: Callable[[], Iterable[str]] = tuple
    ) -> None:
        self._read, self._count, self._others = read, count, currencies
        # bounded: names come from filters, and filters may come from outside
        self._texts = lru_cache(maxsize=COLUMNS)(self._texts_of)
        self._stock = lru_cache(maxsize=1)(self._in_stock)
        self._money = lru_cache(maxsize=1)(self._prices)
        self._paths = lru_cache(maxsize=1)(self._categories)

    def keep(self, wanted: Filter) -> Mask:
        """The products that fit a filter, bool ``[n]``.

        Raises:
            InputError: A price without its currency, in a catalog of several.
        """
        match wanted:
            case Not(part):
                return ~self.keep(part)
            case All(parts):
                return np.logical_and.reduce([self.keep(part) for part in parts])
            case AnyOf(parts):
                return np.logical_or.reduce([self.keep(part) for part in parts])
            case Compare(field="price"):
                return self._by_price(wanted)
            case Compare(field="in_stock"):
                return self._stock()[0] if wanted.operator == "true" else self._stock()[1]
            case Compare(field="category"):
                return self._by_category(wanted)
        return self._by_text(wanted)

    def _by_text(self, wanted: Compare) -> Mask:
        column = self._texts(wanted.field, wanted.key)
        if wanted.operator == "exists":
            return column.codes >= 0
        if wanted.operator == "contains":
            piece = str(wanted.values[0]) if wanted.field == "id" else folded(str(wanted.values[0]))
            return column.where(lambda value: piece in value)
        numbers = [float(value) for value in wanted.values if isinstance(value, float)]
        if wanted.operator != "==":
            order = _ORDERS[wanted.operator]
            return column.where(lambda value: (own := number_of(value)) is not None and order(own, numbers[0]))
        exactly = (lambda text: text) if wanted.field == "id" else folded
        texts = {exactly(value) for value in wanted.values if isinstance(value, str)}
        equal = set(numbers)
        return column.where(lambda value: value in texts or (bool(equal) and number_of(value) in equal))

    def _by_price(self, wanted: Compare) -> Mask:
        amounts, currencies, several = self._money()
        if wanted.operator == "exists":
            return ~np.isnan(amounts)
        order, found = _ORDERS[wanted.operator], np.zeros(self._count, dtype=np.bool_)
        for value in wanted.values:
            if isinstance(value, Money):
                found |= order(amounts, value.amount) & currencies.where(folded(value.currency).__eq__)
                continue
            if several:
                step = f"Name one: price {wanted.operator} {value:g} {several[0].upper()}."
                raise InputError(f"the catalog has prices in {', '.join(several).upper()}", next_step=step)
            found |= order(amounts, value)
        return found

    def _by_category(self, wanted: Compare) -> Mask:
        codes, paths = self._paths()
        if wanted.operator == "exists":
            return codes >= 0
        asked = {levels_of(str(value)) for value in wanted.values}

        def fits(path: tuple[str, ...]) -> bool:
            if wanted.operator == "==":
                return path in asked
            if wanted.operator == "contains":
                return any(folded(str(wanted.values[0])) in level for level in path)
            # a category names itself and all below it, wherever in the tree it stands
            return any(is_within(levels, path) for levels in asked)

        good = np.array([*(fits(path) for path in paths), False], dtype=np.bool_)
        return good[codes]

    def _texts_of(self, field: str, key: str) -> Texts:
        if field in ("attributes", "extra"):
            return _coded(self._opened(field, name_of(key)), fold_too=True)
        if field == "currency":
            return self._money()[1]
        return _coded(self._read([field])[field].to_pylist(), fold_too=field != "id")

    def _opened(self, field: str, wanted: str) -> list[str | None]:
        """The value under one name of ``attributes`` or ``extra``, whatever its case and punctuation."""
        column = self._read([field])[field]
        found: list[str | None] = []
        for batch in column.chunks:
            found += [value_under(row, wanted) for row in batch.to_pylist()]
        return found

    def _prices(self) -> tuple[NDArray[np.float64], Texts, list[str]]:
        """Amounts (NaN without one), currencies, and those that there are where they are several."""
        rows = self._read(["price"])["price"].to_pylist()
        amounts = np.array([row["amount"] if row else np.nan for row in rows], dtype=np.float64)
        currencies = _coded([row["currency"] if row else None for row in rows], fold_too=True)
        all_of_them = list(dict.fromkeys([*self._others(), *currencies.values]))
        return amounts, currencies, all_of_them if len(all_of_them) > 1 else []

    @property
    def currencies(self) -> list[str]:
        """The currencies of the prices, folded."""
        return self._money()[1].values

    def _categories(self) -> tuple[NDArray[np.int32], list[tuple[str, ...]]]:
        codes, places = np.full(self._count, -1, dtype=np.int32), dict[tuple[str, ...], int]()
        for row, path in enumerate(self._read(["category"])["category"].to_pylist()):
            if levels := path_of(path or ()):
                codes[row] = places.setdefault(levels, len(places))
        return codes, list(places)

    def _in_stock(self) -> tuple[Mask, Mask]:
        """The products that can be had, and those of which it is known whether they can."""
        yes, known = np.zeros(self._count, dtype=np.bool_), np.zeros(self._count, dtype=np.bool_)
        table = self._read(["attributes", "extra"])
        both = zip(table["attributes"].to_pylist(), table["extra"].to_pylist(), strict=True)
        for row, (own, extra) in enumerate(both):
            if (answer := stock_of(own, extra)) is not None:
                known[row], yes[row] = True, answer
        return yes, known


def _coded(texts: Iterable[str | None], *, fold_too: bool) -> Texts:
    values: dict[str, int] = {}
    raw: dict[str, int] = {}
    codes = []
    for text in texts:
        if text is None or not text.strip():
            codes.append(-1)
            continue
        code = raw.get(text)
        if code is None:
            code = raw[text] = values.setdefault(folded(text) if fold_too else text, len(values))
        codes.append(code)
    return Texts(np.array(codes, dtype=np.int32), list(values))
