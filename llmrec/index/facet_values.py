"""What filters compare of one product: texts folded, levels of a category, numbers, and whether it can be had."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import msgspec

from llmrec.index.tokens import fold

#: Names under which shops tell whether a product can be had, folded and without punctuation.
STOCK_NAMES = ("instock", "availability", "stockstatus", "stock", "available", "inventory", "quantity", "stockquantity")
#: What they say where it can ("https://schema.org/InStock" ends like this), folded and without punctuation.
STOCK_YES = ("true", "yes", "y", "instock", "available", "limitedavailability", "lowstock", "onlineonly", "instoreonly")
STOCK_NO = ("false", "no", "n", "outofstock", "soldout", "unavailable", "discontinued", "backorder", "preorder")

#: Signs between the levels of a category, where it is one text.
_LEVELS = re.compile(r"\s*(?:>|/|›|»|\|)\s*")
_NUMBER = re.compile(r"[-+]?\d+(?:\.\d+)?(?:[eE][-+]?\d+)?")


def pairs_of(row: Any) -> list[tuple[str, Any]]:
    """Names and values of ``attributes`` (a list of pairs) or ``extra`` (JSON)."""
    if not row:
        return []
    return list(msgspec.json.decode(row).items()) if isinstance(row, str) else list(row)


def plain(value: Any) -> str | None:
    """A value as text; None for one that is none: a list, or a record."""
    if value is None or isinstance(value, dict | list):
        return None
    return str(value).lower() if isinstance(value, bool) else str(value)


def available(value: Any) -> bool | None:
    """What one field says of whether a product can be had; None: nothing that is understood."""
    text = plain(value)
    if text is None:
        return None
    if (amount := number_of(text.strip())) is not None:
        return amount > 0
    word = name_of(text.rsplit("/", 1)[-1])
    return True if word in STOCK_YES else False if word in STOCK_NO else None


def number_of(text: str) -> float | None:
    """The number that a text is; None for one with anything beside it: 9 kg and 9000 g do not compare."""
    return float(text) if _NUMBER.fullmatch(text) else None


def folded(text: str) -> str:
    """A text without case, accents and doubled spaces."""
    return " ".join(fold(text).split())


def name_of(text: str) -> str:
    """A name without case, spaces and punctuation: "Item weight", "item_weight" and "itemWeight" are one."""
    return "".join(filter(str.isalnum, fold(text)))


def levels_of(path: str) -> tuple[str, ...]:
    """The levels of a category that is one text, folded."""
    return tuple(level for part in _LEVELS.split(path) if (level := folded(part)))


def is_within(levels: tuple[str, ...], path: tuple[str, ...]) -> bool:
    """Whether levels stand one after the other, somewhere in a path."""
    width = len(levels)
    return width > 0 and any(path[i : i + width] == levels for i in range(len(path) - width + 1))


def path_of(category: Iterable[str]) -> tuple[str, ...]:
    """The levels of a product's category, folded, however they were written."""
    return tuple(level for text in category for level in levels_of(text))


def value_under(row: Any, wanted: str) -> str | None:
    """The value under one name (``name_of``) of ``attributes`` or ``extra``, whatever its case and punctuation."""
    return next((plain(value) for name, value in pairs_of(row) if name_of(name) == wanted), None)


def stock_of(attributes: Any, extra: Any) -> bool | None:
    """Whether a product can be had; None: it does not say."""
    said = {name_of(name): value for name, value in (*pairs_of(extra), *pairs_of(attributes))}
    answers = (available(said.get(name)) for name in STOCK_NAMES)
    return next((answer for answer in answers if answer is not None), None)
