"""Rows and the plan of their columns to products, or to rejects with their reasons.

- No id, or neither title nor description: the row is rejected.
- A description but no title: the title is the start of the description, with a warning.
- A price that cannot be used: the product has none, with a warning.
- An id that is not plain text on one line: it is made so, with a warning, since other tables may hold it as it was.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from llmrec.catalog.batches import Batch
from llmrec.catalog.columns import Plan
from llmrec.catalog.prices import Prices, plain_amount
from llmrec.catalog.rejects import RejectLog, empty
from llmrec.catalog.text import NULLS, clean_block, clean_line
from llmrec.catalog.values import attributes_of, category_paths, first_price, image_list, name_of, plain, text_of
from llmrec.records import Price, Product

_TITLE_FROM_DESCRIPTION = 80
_CACHED = 50_000
_ONE_LINE = re.compile(r"[<&\r\n]").search
_ONE_ADDRESS = re.compile(r"https?://[^\s,;|]+")


class Builder:
    """Builds the products of one catalog.

    Args:
        log: Takes rejects and warnings.
        currency: ISO 4217 code for prices that name none.
        language: For products whose row names none.
        id_from_row: Whether a row without an id is given one made of the file's name and the row's number.
    """

    def __init__(self, log: RejectLog, *, currency: str = "", language: str = "", id_from_row: bool = False) -> None:
        self._log = log
        self._prices = Prices(currency)
        self._language = language
        self._id_from_row = id_from_row
        self._paths: dict[tuple[str, bool], tuple[tuple[str, ...], ...]] = {}
        self._before = ("", "")

    def build(self, file: str, plan: Plan, batch: Batch) -> list[Product | None]:
        """The product of each row, None for those that were rejected."""
        cells: list[Sequence[Any]] = list(zip(*batch.rows, strict=True))
        count = len(batch.rows)
        blank = [""] * count

        def texts(place: int) -> list[str]:
            return _lines(cells[place]) if place >= 0 else blank

        ids, titles = texts(plan.id), texts(plan.title)
        if plan.id >= 0:
            self._changed_ids(file, plan, batch, cells[plan.id], ids)
        descriptions = _blocks(cells[plan.description]) if plan.description >= 0 else blank
        extras = self._extras(plan, cells, count)
        languages = texts(plan.language)
        if self._language:
            languages = [language or self._language for language in languages]
        columns = (
            ids,
            titles,
            descriptions,
            _lines(_names(cells[plan.brand])) if plan.brand >= 0 else blank,
            self._categories(plan, cells, count, extras),
            self._attributes(plan, cells, count, extras),
            self._amounts(file, plan, batch, cells, count),
            self._images(plan, cells, count),
            [text_of(cell).strip() for cell in cells[plan.url]] if plan.url >= 0 else blank,
            languages,
            extras,
        )
        built: list[Product | None] = []
        for fields in zip(*columns, strict=True):
            if fields[0] and fields[1]:
                built.append(Product(*fields))
                continue
            id, title = self._completed(file, plan, batch, built, fields)
            built.append(Product(id, title, *fields[2:]) if id else None)
        self._before = (file, next((product.id for product in reversed(built) if product), self._before[1]))
        return built

    def _changed_ids(self, file: str, plan: Plan, batch: Batch, cells: Sequence[Any], ids: Sequence[str]) -> None:
        """Warn of ids in which more than the space around them was cleaned away."""
        given = [cell.strip() if type(cell) is str else text_of(cell).strip() for cell in cells]
        if given == ids:
            return
        for i, (before, id) in enumerate(zip(given, ids, strict=True)):
            if id and before != id:
                detail = f"cleaned to {id!r}"
                self._log.add(file, batch.numbers[i], batch.lines[i], "id", "id_changed", detail, before, kept=True)

    def _completed(
        self, file: str, plan: Plan, batch: Batch, built: list[Product | None], fields: tuple[Any, ...]
    ) -> tuple[str, str]:
        """Id and title of the row after those built, which lacks one of them; an empty id when the row is rejected."""
        i, id, title, description = len(built), *fields[:3]
        row, number, line = batch.rows[i], batch.numbers[i], batch.lines[i]
        raw = dict(zip(plan.columns, row, strict=True))

        def rejected(field: str, reason: str, detail: str) -> tuple[str, str]:
            self._log.add(file, number, line, field, reason, detail, raw)
            return "", ""

        if all(empty(cell) for cell in row):
            return rejected("", "empty_row", "every value is empty")
        if not id and not self._id_from_row:
            return rejected("id", "missing_id", "no product id")
        if not title and not description:
            before = next(((file, product.id) for product in reversed(built) if product), self._before)
            if (file, id) == before:
                return rejected("title", "continued_row", "another row (variant, image) of the product before it")
            return rejected("title", "missing_title", "no title and no description")
        if not title:
            title = _start_of(description)
            detail = "no title: the start of the description is taken"
            self._log.add(file, number, line, "title", "title_from_description", detail, raw, kept=True)
        return id or f"{PurePath(file).name.split('.')[0] or 'row'}-{number}", title

    def _amounts(
        self, file: str, plan: Plan, batch: Batch, cells: list[Sequence[Any]], count: int
    ) -> Sequence[Price | None]:
        place = plan.price if plan.price >= 0 else plan.offers
        if place < 0:
            return [None] * count
        values = cells[place] if place == plan.price else [first_price(cell) for cell in cells[place]]
        code = self._prices.code
        codes = [code(text) for text in _lines(cells[plan.currency])] if plan.currency >= 0 else [""] * count
        default = plan.header_currency or self._prices.default
        amounts: list[Price | None] = []
        for i, value in enumerate(values):
            if type(value) is str and plain_amount(value):
                amounts.append(Price(float(value), codes[i] or default))
                continue
            price, fault = self._prices.parse(value, codes[i] or plan.header_currency)
            amounts.append(price)
            if fault:
                reason = "price_repaired" if price else "bad_price"
                self._log.add(
                    file, batch.numbers[i], batch.lines[i], "price", reason, fault, cells[place][i], kept=True
                )
        return amounts

    def _extras(self, plan: Plan, cells: list[Sequence[Any]], count: int) -> list[dict[str, Any]]:
        columns = [(name, [c if type(c) is str else plain(c) for c in cells[place]]) for name, place in plan.extra]
        extras: list[dict[str, Any]]
        if columns:
            extras = [{name: col[i] for name, col in columns if col[i] not in ("", None)} for i in range(count)]
        else:
            extras = [{} for _ in range(count)]
        if plan.extra_column >= 0:
            for extra, cell in zip(extras, cells[plan.extra_column], strict=True):
                if isinstance(cell, dict):
                    for name, value in cell.items():
                        extra.setdefault(str(name), plain(value))
                elif not empty(cell):
                    extra["extra"] = plain(cell)
        return extras

    def _attributes(
        self, plan: Plan, cells: list[Sequence[Any]], count: int, extras: list[dict[str, Any]]
    ) -> list[dict[str, str]]:
        named = [(name, _lines(cells[place])) for name, place in plan.named_attributes]
        if plan.attributes < 0:
            return [{name: texts[i] for name, texts in named if texts[i]} for i in range(count)]
        attributes = []
        for i, cell in enumerate(cells[plan.attributes]):
            found = attributes_of(cell)
            if found is None:
                extras[i].setdefault(plan.columns[plan.attributes], plain(cell))
            attributes.append({**(found or {}), **{name: texts[i] for name, texts in named if texts[i]}})
        return attributes

    def _images(self, plan: Plan, cells: list[Sequence[Any]], count: int) -> list[tuple[str, ...]]:
        if not plan.images:
            return [()] * count
        one = _ONE_ADDRESS.fullmatch
        columns = [
            [(cell,) if type(cell) is str and one(cell) else image_list(cell) for cell in cells[place]]
            for place in plan.images
        ]
        if len(columns) == 1:
            return columns[0]
        return [tuple(dict.fromkeys(image for images in row for image in images)) for row in zip(*columns, strict=True)]

    def _categories(
        self, plan: Plan, cells: list[Sequence[Any]], count: int, extras: list[dict[str, Any]]
    ) -> list[tuple[str, ...]]:
        if plan.category < 0:
            return [()] * count
        chosen = []
        for i, cell in enumerate(cells[plan.category]):
            if type(cell) is str:
                key = (cell, plan.several_categories)
                if (paths := self._paths.get(key)) is None:
                    if len(self._paths) >= _CACHED:
                        self._paths.clear()
                    paths = () if cell in NULLS else category_paths(cell, several=plan.several_categories)
                    self._paths[key] = paths
            else:
                paths = category_paths(cell, several=plan.several_categories)
            chosen.append(paths[0] if paths else ())
            if len(paths) > 1:
                extras[i].setdefault(plan.columns[plan.category], plain(cell))
        return chosen


def _names(cells: Sequence[Any]) -> Sequence[Any]:
    return [name_of(cell) if type(cell) is dict else cell for cell in cells]


def _lines(cells: Sequence[Any]) -> list[str]:
    """Cells as clean text on one line, nulls empty."""
    if set(map(type, cells)) != {str}:
        cells = [text_of(cell) for cell in cells]
    found = [" ".join(c.split()) if "<" not in c and "&" not in c else clean_line(c) for c in cells]
    return found if NULLS.isdisjoint(found) else ["" if text in NULLS else text for text in found]


def _blocks(cells: Sequence[Any]) -> list[str]:
    """Cells as clean text of several lines, nulls empty."""
    if set(map(type, cells)) != {str}:
        cells = [text_of(cell) for cell in cells]
    found = [" ".join(c.split()) if _ONE_LINE(c) is None else clean_block(c) for c in cells]
    return found if NULLS.isdisjoint(found) else ["" if text in NULLS else text for text in found]


def _start_of(description: str) -> str:
    first = description.split("\n", 1)[0]
    if len(first) <= _TITLE_FROM_DESCRIPTION:
        return first
    cut = first.rfind(" ", 20, _TITLE_FROM_DESCRIPTION)
    return first[: cut if cut > 0 else _TITLE_FROM_DESCRIPTION] + "…"
