"""What of a product is indexed, its title alone and the whole of it, and what of a content is asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Literal

from llmrec.records import Content, Product, ProductSummary, TimedText

#: ``title`` alone decides between near-duplicates; ``whole`` finds what the title leaves out.
FIELDS = ("title", "whole")

TextChoice = Literal["product", "summary", "both"]

#: Text read with less confidence is searched by pieces of words only. What is heard is not: doubtful speech was left
#: out when it was watched, and plain speech often has no more (a synthetic voice .59).
SURE = 0.6


def field_texts(product: Product, summary: ProductSummary | None, choice: TextChoice) -> dict[str, str]:
    """The text of each field of a product.

    Args:
        product: The product.
        summary: What a language model wrote about it; None: its own text stands in.
        choice: Whether ``whole`` holds the product's own text, the summary (after the title), or both.

    Returns:
        ``title`` and ``whole``; a product without a title has its whole text as title.
    """
    own = [product.title, product.brand, product.description, *product.category]
    own += [f"{name} {value}" for name, value in product.attributes.items()]
    written = [summary.headline, summary.summary, *summary.highlights] if summary else []
    if choice == "product" or not any(written):
        parts = own
    elif choice == "summary":
        parts = [product.title, *written]
    else:
        parts = [*own, *written]
    whole = " ".join(part.strip() for part in parts if part.strip())
    return {"title": product.title.strip() or whole, "whole": whole}


def content_text(content: Content) -> str:
    """The whole of a content as one query: title, caption, hashtags and what is said and read for sure.

    What viewers write names other products as readily: the chat stands in only where there is nothing else.
    """
    tags = " ".join(tag.lstrip("#") for tag in content.hashtags)
    by_source: dict[str, list[str]] = {}
    for piece in sure_text(content):
        by_source.setdefault(piece.source, [content.caption] if piece.source == "caption" else []).append(piece.text)
    chat = by_source.pop("chat", [])
    timed = (" ".join(distinct(texts)) for texts in by_source.values())
    return " \n".join(distinct([content.title, content.caption, tags, *timed]) or distinct(chat))


def sure_text(content: Content) -> Sequence[TimedText]:
    """The timed text of a content without what was read off the screen with little confidence."""
    return [p for p in content.timed_text if p.source != "screen" or p.confidence is None or p.confidence >= SURE]


def distinct(texts: Iterable[str]) -> list[str]:
    """Texts without the empty ones and without repetitions (case and spacing aside), in order."""
    seen: dict[str, str] = {}
    for text in texts:
        key = " ".join(text.casefold().split())
        if key:
            seen.setdefault(key, text.strip())
    return list(seen.values())
