"""A product as a store keeps it: its record, and beside it what filters ask for.

::

    {"record": "{…}", "id": "B07", "title": "acme trail 2", "brand": "acme", "levels": ["shoes", "running"],
     "path": "|shoes|running|", "price": 89.0, "currency": "eur", "in_stock": "yes",
     "attributes": {"_colour": "red"}, "attributes_n": {"_size": 42.0}}

Everything is folded here, by the functions that filters of an index folder use (``llmrec.index.facet_values``), so that
the store compares characters and numbers and needs to know nothing of language. A field that a product does not have is
left out.
"""

from __future__ import annotations

import math
import sys
import uuid
from collections.abc import Iterable
from typing import Any

import msgspec

from llmrec.index.facet_values import folded, name_of, number_of, path_of, plain, stock_of
from llmrec.records import Product

#: Payload fields with an index of the store, and its kind.
INDEXED = {
    "brand": "keyword",
    "levels": "keyword",
    "path": "keyword",
    "currency": "keyword",
    "language": "keyword",
    "price": "float",
    "in_stock": "keyword",
    "coded": "keyword",
}
TEXTS = ("title", "description", "brand", "language", "url")
YES, NO = "yes", "no"
#: Between the levels of a category; no folded text holds it.
SEPARATOR = "\x1f"

_POINTS = uuid.UUID("6f0e4f9e-0d0c-5e0b-9a53-8a2f3a1f5c11")
_MOST = sys.float_info.max


def point_of(product_id: str) -> str:
    """The id of a product's point: a UUID that follows from the product's own id."""
    return str(uuid.uuid5(_POINTS, product_id))


def payload_of(product: Product, *, coded: bool) -> dict[str, Any]:
    """What is kept of a product; ``coded`` says that its title names a rare model number (``llmrec.index.codes``)."""
    found: dict[str, Any] = {"record": msgspec.json.encode(product).decode()}
    if product.id.strip():
        found["id"] = product.id
    for name in TEXTS:
        if (text := getattr(product, name)).strip():
            found[name] = folded(text)
    if path := path_of(product.category):
        found["levels"], found["path"] = list(dict.fromkeys(path)), joined(path)
    if product.price is not None:
        if not math.isnan(product.price.amount):
            found["price"] = bounded(product.price.amount)
        if product.price.currency.strip():
            found["currency"] = folded(product.price.currency)
    attributes, extra = list(product.attributes.items()), list(product.extra.items())
    if (stock := stock_of(attributes, extra)) is not None:
        found["in_stock"] = YES if stock else NO
    for name, pairs in (("attributes", attributes), ("extra", extra)):
        texts = _opened(pairs)
        numbers = {key: bounded(number) for key, text in texts.items() if (number := number_of(text)) is not None}
        found |= {key: values for key, values in ((name, texts), (f"{name}_n", numbers)) if values}
    if coded:
        found["coded"] = YES
    return found


def joined(levels: Iterable[str]) -> str:
    """A category's path, or a part of one, as one text: a part of it is a piece of the whole."""
    return SEPARATOR + "".join(level + SEPARATOR for level in levels)


def key_of(field: str, name: str, *, number: bool = False) -> str:
    """Where the values under a name of ``attributes`` or ``extra`` are kept, as the store writes paths."""
    return f'{field}{"_n" if number else ""}."{_key(name_of(name))}"'


def bounded(number: float) -> float:
    """The number, or the largest that JSON can write in the place of infinity."""
    return max(-_MOST, min(_MOST, number))


def _opened(pairs: Iterable[tuple[str, Any]]) -> dict[str, str]:
    """Values by the folded name, of which the first counts; without those that say nothing."""
    firsts: dict[str, str | None] = {}
    for name, value in pairs:
        firsts.setdefault(_key(name_of(name)), plain(value))
    return {key: folded(text) for key, text in firsts.items() if text is not None and text.strip()}


def _key(name: str) -> str:
    # a name of signs alone is empty when it is folded, which no path can name
    return f"_{name}"
