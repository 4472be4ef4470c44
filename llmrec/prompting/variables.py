"""Records to the variables of a prompt.

A product gives ``title``, ``brand``, ``category``, ``attributes``, ``description``, ``price``, ``language``; a content
gives ``kind``, ``title``, ``caption``, ``hashtags``, ``text`` (source and words) and ``language``.
"""

from __future__ import annotations

from typing import Any

from llmrec.records import Content, Product

#: How a person would call each source, in the order in which it says what is being sold.
SOURCES = {"speech": "says", "screen": "shows", "caption": "subtitles", "vision": "seen", "chat": "viewers ask"}


def product_variables(product: Product) -> dict[str, Any]:
    """All that a prompt may be told about a product."""
    price = product.price
    return {
        "title": product.title,
        "brand": product.brand,
        "category": list(product.category),
        "attributes": dict(product.attributes),
        "description": _without_title(product.description, product.title),
        "price": f"{price.amount:g} {price.currency}".strip() if price else "",
        "language": product.language,
    }


def content_variables(content: Content) -> dict[str, Any]:
    """All that a prompt may be told about a content; ``text`` joins each source's words, repeats left out."""
    said: dict[str, list[str]] = {}
    seen: set[tuple[str, str]] = set()
    for item in sorted(content.timed_text, key=lambda item: (item.start, item.end)):
        words = " ".join(item.text.split())
        # the same line stays on the screen for seconds and is read again and again
        if words and (key := (item.source, words.casefold())) not in seen:
            seen.add(key)
            said.setdefault(item.source, []).append(words)
    return {
        "kind": content.kind,
        "title": content.title,
        "caption": content.caption,
        "hashtags": [tag.lstrip("#") for tag in content.hashtags],
        "text": [(SOURCES[source], " / ".join(said[source])) for source in SOURCES if source in said],
        "language": content.language,
    }


def _without_title(description: str, title: str) -> str:
    """Many feeds begin the description with the title; a small model then says nothing else."""
    rest = description.removeprefix(title)
    return rest.lstrip(" /-–:|,.\n") if title and rest != description else description
