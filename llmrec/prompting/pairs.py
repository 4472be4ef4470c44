"""Two offers as the two texts that a pair matcher reads: are they the same product?

::

    >>> pair_texts({"title": "Denon DVD-3800BDCI black", "price": "$1,999.00"}, "COL name VAL denon 2930ci")
    PairTexts(left='denon dvd3800bdci black $ 1999 | only: dvd3800bdci black',
              right='denon 2930ci | only: 2930ci | same: denon')

An offer is a ``Product``, a mapping of fields, or a text: plain, or with columns as Ditto writes them. The hints behind
the bars are the words that decide (``pair_words``): a small model sees at once what a large one has to find. The texts
go to any cross-encoder as they are. What they hold is fixed by ``VERSION``: a matcher is used with the one it was
trained with.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import isfinite
from typing import Any, NamedTuple, TypeAlias

from llmrec.prompting.pair_words import Compared, compare_words, pair_words
from llmrec.records import Product

VERSION = 1

Offer: TypeAlias = Product | Mapping[str, Any] | str

_TITLES = ("title", "name", "product_name", "product_title", "productname", "song_name", "beer_name", "label")
_BRANDS = ("brand", "manufacturer", "maker", "vendor", "brand_name", "beer_factory_name", "artist_name")
_PRICES = ("price", "list_price", "sale_price", "price_amount")
_IGNORED = frozenset({"id", "url", "link", "image", "images", "currency", "pricecurrency", "cluster_id", "product_id"})
_COLUMN = re.compile(r"(?:^|\s)COL\s+(\S+)\s+VAL(?=\s|$)")
_PRICE = re.compile(r"\d+(?:\.\d+)?")
_THOUSANDS = re.compile(r"(?<=\d)[, ](?=\d{3}(?!\d))")

#: Words of the title, of the other fields, and of each hint that the matcher reads.
TITLE_WORDS, REST_WORDS, HINT_WORDS = 32, 16, 10


class OfferFields(NamedTuple):
    """What is compared of an offer; ``price`` is None when there is none, ``rest`` all other text."""

    title: str
    brand: str = ""
    rest: str = ""
    price: float | None = None

    @property
    def text(self) -> str:
        """All the words, without the price."""
        return " ".join(part for part in (self.title, self.brand, self.rest) if part)


class PairTexts(NamedTuple):
    """The two texts of a pair, for the two sides of a cross-encoder."""

    left: str
    right: str


def offer_fields(offer: Offer) -> OfferFields:
    """Read an offer. Columns are known by their usual names; without a title column, the first one is the title.

    Empty fields and ids, links and images are left out.
    """
    if isinstance(offer, Product):
        attributes = [f"{name} {value}" for name, value in offer.attributes.items()]
        rest = " ".join([*attributes, *offer.category, offer.description]).strip()
        return OfferFields(offer.title, offer.brand, rest, offer.price.amount if offer.price else None)
    columns = ditto_columns(offer) if isinstance(offer, str) else {str(k).lower(): _text(v) for k, v in offer.items()}
    if columns is None:
        return OfferFields(" ".join(str(offer).split()))
    price = _price(_take(columns, _PRICES))
    kept = {name: value for name, value in columns.items() if value and name not in _IGNORED}
    title = _take(kept, _TITLES)
    brand = _take(kept, _BRANDS)
    if not title and kept:
        title = kept.pop(next(iter(kept)))
    return OfferFields(title, brand, " ".join(kept.values()), price)


def ditto_columns(text: str) -> dict[str, str] | None:
    """The columns of ``COL name VAL … COL price VAL …``, names in lower case; None when the text has no columns."""
    found = list(_COLUMN.finditer(text))
    if not found or text[: found[0].start()].strip():
        return None
    ends = [*(match.start() for match in found[1:]), len(text)]
    return {match[1].lower(): " ".join(text[match.end() : end].split()) for match, end in zip(found, ends, strict=True)}


def pair_texts(left: Offer, right: Offer, *, hints: bool = True) -> PairTexts:
    """Write a pair for the matcher.

    Args:
        hints: Whether the words that only one says, and those that both say, follow the texts.

    Returns:
        At most about 100 words together: the title, what brand and other fields add to it, the price, the hints.
    """
    a, b = offer_fields(left), offer_fields(right)
    title_a, title_b = pair_words(a.title), pair_words(b.title)
    rest_a, rest_b = pair_words(f"{a.brand} {a.rest}"), pair_words(f"{b.brand} {b.rest}")
    first, second = _side(title_a, rest_a, a.price), _side(title_b, rest_b, b.price)
    if not hints:
        return PairTexts(first, second)
    compared = _of_titles(compare_words(title_a + rest_a, title_b + rest_b), set(title_a), set(title_b))
    only_a, only_b, same = (" ".join(words[:HINT_WORDS]) for words in (compared.left, compared.right, compared.same))
    return PairTexts(f"{first} | only: {only_a}".strip(), f"{second} | only: {only_b} | same: {same}".strip())


def _of_titles(compared: Compared, left: set[str], right: set[str]) -> Compared:
    """Descriptions hold much that the other shop does not say: a word is news only when it is in a title."""
    return Compared(
        tuple(word for word in compared.same if word in left or word in right),
        tuple(word for word in compared.left if word in left),
        tuple(word for word in compared.right if word in right),
    )


def _side(title: list[str], rest: list[str], price: float | None) -> str:
    said = set(title)
    more = [word for word in dict.fromkeys(rest) if word not in said][:REST_WORDS]
    parts = [" ".join(title[:TITLE_WORDS])]
    if more:
        parts.append("; " + " ".join(more))
    if price is not None:
        parts.append(f"$ {price:.0f}")
    return " ".join(part for part in parts if part)


def _take(columns: dict[str, str], names: tuple[str, ...]) -> str:
    """Take the first column of these names that holds something out."""
    name = next((name for name in names if columns.get(name)), None)
    return columns.pop(name) if name else ""


def _text(value: Any) -> str:
    if value is None or (isinstance(value, float) and not isfinite(value)):
        return ""
    if isinstance(value, Mapping):
        return _text(value["amount"]) if "amount" in value else " ".join(f"{k} {_text(v)}" for k, v in value.items())
    if isinstance(value, (list, tuple)):
        return " ".join(_text(item) for item in value)
    return " ".join(str(value).split())


def _price(text: str) -> float | None:
    found = _PRICE.search(_THOUSANDS.sub("", text))
    amount = float(found[0]) if found else 0.0
    return amount if 0 < amount < 1e12 else None
