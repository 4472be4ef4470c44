"""What a prompt declares: its variables, and the fields of the answer.

::

    variables:
      title: {type: text, max_chars: 200}
      attributes: {type: map, max_items: 8, max_chars: 60}
    output:
      headline: {type: text, labels: [Type, Headline], max_chars: 120, required: true}
      highlights: {type: list, max_items: 6, max_chars: 120}
"""

from __future__ import annotations

from typing import Literal

import msgspec

#: Fields that the answers to each task have, and their types.
TASKS: dict[str, dict[str, str]] = {
    "summary": {"headline": "text", "summary": "text", "highlights": "list", "attributes": "map"},
    "intent": {"product_type": "text", "brand": "text", "attributes": "map", "query": "text"},
    "judgement": {"match": "choice", "reason": "text"},
}


class Variable(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A variable of a prompt. ``max_chars`` bounds a text, an item of a list, a name or a value of a map."""

    type: Literal["text", "list", "map"] = "text"
    max_chars: int = 400
    max_items: int = 12
    #: A trusted variable is ours (a language, a number of words): it may stand outside the fence.
    trusted: bool = False
    about: str = ""


class OutputField(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A field of the answer, and how models may label it."""

    type: Literal["text", "list", "map", "choice"] = "text"
    labels: tuple[str, ...] = ()
    max_chars: int = 300
    max_items: int = 8
    required: bool = False
    about: str = ""


Schema = dict[str, OutputField]

SUMMARY: Schema = {
    "headline": OutputField(labels=("Headline", "Type", "Title", "Name", "Product", "Item"), max_chars=160),
    "attributes": OutputField(
        type="map", labels=("Attributes", "Attribute", "Specifications", "Specs"), max_items=12, max_chars=80
    ),
    "highlights": OutputField(type="list", labels=("Highlights", "Highlight", "Features", "Key facts"), max_chars=160),
    "summary": OutputField(labels=("Summary",), max_chars=600, required=True),
}
INTENT: Schema = {
    "product_type": OutputField(labels=("Product", "Product type", "Type", "Item"), max_chars=80),
    "brand": OutputField(labels=("Brand", "Maker", "Manufacturer"), max_chars=60),
    "attributes": OutputField(type="map", labels=("Attributes", "Attribute", "Features"), max_chars=80),
    "query": OutputField(labels=("Search", "Query", "Search sentence"), max_chars=240, required=True),
}
JUDGEMENT: Schema = {
    "match": OutputField(type="choice", labels=("Answer", "Match", "Verdict"), required=True),
    "reason": OutputField(labels=("Reason", "Because", "Explanation"), max_chars=300),
}
DEFAULTS: dict[str, Schema] = {"summary": SUMMARY, "intent": INTENT, "judgement": JUDGEMENT}
