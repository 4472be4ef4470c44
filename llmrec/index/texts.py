"""What of a product is indexed: its title alone, and the whole of it."""

from __future__ import annotations

from typing import Literal

from llmrec.records import Product, ProductSummary

#: ``title`` alone decides between near-duplicates; ``whole`` finds what the title leaves out.
FIELDS = ("title", "whole")

TextChoice = Literal["product", "summary", "both"]


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
