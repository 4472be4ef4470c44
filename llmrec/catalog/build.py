"""One row and the plan of its columns to a product, or to a reject with its reason.

- No id, or neither title nor description: the row is rejected.
- A description but no title: the title is the start of the description, with a warning.
- A price that cannot be used: the product has none, with a warning.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from llmrec.catalog.columns import Plan
from llmrec.catalog.prices import Prices
from llmrec.catalog.rejects import RejectLog, empty
from llmrec.catalog.text import NULLS, clean_block, clean_line
from llmrec.catalog.values import attributes_of, category_path, image_list, plain, text_of
from llmrec.records import Product

_TITLE_FROM_DESCRIPTION = 80
_CACHED = 50_000


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
        self._paths: dict[tuple[str, bool], tuple[str, ...]] = {}

    def build(self, file: str, row: int, line: int | None, plan: Plan, values: Sequence[Any]) -> Product | None:
        """The product of a row, or None when it was rejected."""
        id = _line(values[plan.id]) if plan.id >= 0 else ""
        title = _line(values[plan.title]) if plan.title >= 0 else ""
        description = _block(values[plan.description]) if plan.description >= 0 else ""
        if not id or not title:
            if all(
                empty(value) or value in NULLS for value in values if not isinstance(value, list | dict)
            ) and not any(isinstance(value, list | dict) and value for value in values):
                self._reject(file, row, line, "", "empty_row", "every value is empty", plan, values)
                return None
            if not id and self._id_from_row:
                id = f"{PurePath(file).name.split('.')[0] or 'row'}-{row}"
            if not id:
                self._reject(file, row, line, "id", "missing_id", "no product id", plan, values)
                return None
            if not title:
                if not description:
                    self._reject(file, row, line, "title", "missing_title", "no title, no description", plan, values)
                    return None
                title = _start_of(description)
                detail = "no title: the start of the description is taken"
                self._reject(file, row, line, "title", "title_from_description", detail, plan, values, kept=True)
        price = None
        if plan.price >= 0 and (cell := values[plan.price]) not in ("", None):
            code = _line(values[plan.currency]) if plan.currency >= 0 else ""
            price, fault = self._prices.parse(cell, code)
            if fault:
                reason = "price_repaired" if price else "bad_price"
                self._log.add(file, row, line, "price", reason, fault, cell, kept=True)
        extra: dict[str, Any] = {}
        for name, place in plan.extra:
            value = values[place]
            if value is not None and value != "":
                value = value if type(value) is str else plain(value)
                if value is not None:
                    extra[name] = value
        attributes: dict[str, str] = {}
        if plan.attributes >= 0 and (cell := values[plan.attributes]):
            found = attributes_of(cell)
            if found is None:
                extra.setdefault(plan.columns[plan.attributes], plain(cell))
            else:
                attributes = found
        for name, place in plan.named_attributes:
            if text := _line(values[place]):
                attributes[name] = text
        if plan.extra_column >= 0 and (cell := values[plan.extra_column]):
            extra = {**plain(cell), **extra} if isinstance(cell, dict) else {**extra, "extra": plain(cell)}
        return Product(
            id,
            title,
            description,
            _line(values[plan.brand]) if plan.brand >= 0 else "",
            self._category(values[plan.category], plan, extra) if plan.category >= 0 else (),
            attributes,
            price,
            _images(plan.images, values) if plan.images else (),
            text_of(values[plan.url]).strip() if plan.url >= 0 else "",
            (_line(values[plan.language]) if plan.language >= 0 else "") or self._language,
            extra,
        )

    def _category(self, value: Any, plan: Plan, extra: dict[str, Any]) -> tuple[str, ...]:
        if not value:
            return ()
        if not isinstance(value, str):
            if isinstance(value, list) and len(value) > 1 and isinstance(value[0], list):
                extra.setdefault(plan.columns[plan.category], plain(value))
            return category_path(value, several=plan.several_categories)
        key = (value, plan.several_categories)
        if (path := self._paths.get(key)) is None:
            if len(self._paths) >= _CACHED:
                self._paths.clear()
            path = self._paths[key] = category_path(value, several=plan.several_categories)
        return path

    def _reject(
        self,
        file: str,
        row: int,
        line: int | None,
        field: str,
        reason: str,
        detail: str,
        plan: Plan,
        values: Sequence[Any],
        *,
        kept: bool = False,
    ) -> None:
        raw = dict(zip(plan.columns, values, strict=True))
        self._log.add(file, row, line, field, reason, detail, raw, kept=kept)


def _line(value: Any) -> str:
    if type(value) is not str:
        value = text_of(value)
    if "<" in value or "&" in value:
        return clean_line(value)
    value = " ".join(value.split())
    return "" if value in NULLS else value


def _block(value: Any) -> str:
    if type(value) is not str:
        value = text_of(value)
    return "" if value in NULLS else clean_block(value)


def _images(places: tuple[int, ...], values: Sequence[Any]) -> tuple[str, ...]:
    if len(places) == 1:
        return image_list(values[places[0]])
    return tuple(dict.fromkeys(image for place in places for image in image_list(values[place])))


def _start_of(description: str) -> str:
    first = description.split("\n", 1)[0]
    if len(first) <= _TITLE_FROM_DESCRIPTION:
        return first
    cut = first.rfind(" ", 20, _TITLE_FROM_DESCRIPTION)
    return first[: cut if cut > 0 else _TITLE_FROM_DESCRIPTION] + "…"
