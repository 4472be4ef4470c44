"""What summaries show without references: problems, support, lengths, and words that their product does not have.

::

    claims_supported     of the highlights and attributes, the share that a support entry backs
    numbers_from_source  of the numbers in the summary, the share that stands in the product's own text

ROUGE saturates on product summaries; an invented number or feature does not show in it, but does here. The words are
those of ``rouge.UnicodeTokenizer`` (the share of words is the "coverage" of Grusky et al. 2018, for single words).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from llmrec.evaluate.intervals import Floats, bootstrap
from llmrec.evaluate.results import Estimate
from llmrec.evaluate.rouge import UnicodeTokenizer
from llmrec.records import Product, ProductSummary


def record_estimates(
    summaries: Sequence[ProductSummary], catalog: Iterable[Product] | None = None, **options: Any
) -> dict[str, Estimate]:
    """Measure summaries by themselves, and against their products where a catalog is given.

    Args:
        catalog: Products; read once, only those summarised are kept.
        options: ``confidence``, ``resamples`` and ``seed`` of ``intervals.bootstrap``.

    Returns:
        ``empty``, ``with_problems``, ``words`` (mean length), ``claims`` (mean number), ``claims_supported``; with a
        catalog also ``support_in_source`` (spans that lie within the field they name), ``words_from_source`` and
        ``numbers_from_source``. Shares are of all claims, spans or words together; undefined ones are left out.
    """
    tokenize = UnicodeTokenizer().tokenize
    words = [tokenize(summary.summary) for summary in summaries]
    one = np.ones(len(summaries))
    ratios: dict[str, tuple[Sequence[float] | Floats, Sequence[float] | Floats]] = {
        "empty": ([not summary.summary.strip() for summary in summaries], one),
        "with_problems": ([bool(summary.problems) for summary in summaries], one),
        "words": ([len(tokens) for tokens in words], one),
        "claims": ([len(_claims(summary)) for summary in summaries], one),
        "claims_supported": (
            [_supported(summary) for summary in summaries],
            [len(_claims(summary)) for summary in summaries],
        ),
    }
    if catalog is not None:
        ids = {summary.product_id for summary in summaries}
        fields = {product.id: source_fields(product) for product in catalog if product.id in ids}
        sources = {id: set(tokenize("\n".join(texts.values()))) for id, texts in fields.items()}
        spans, within, seen, of, right, numbers = [], [], [], [], [], []
        for summary, tokens in zip(summaries, words, strict=True):
            known = sources.get(summary.product_id)
            tokens = tokens if known is not None else []
            digits = [token for token in tokens if any(char.isdigit() for char in token)]
            support = summary.support if known is not None else ()
            spans.append(len(support))
            within.append(sum(_lies_within(s.field, s.start, s.end, fields[summary.product_id]) for s in support))
            of.append(len(tokens))
            seen.append(sum(token in (known or ()) for token in tokens))
            numbers.append(len(digits))
            right.append(sum(token in (known or ()) for token in digits))
        ratios["support_in_source"] = (within, spans)
        ratios["words_from_source"] = (seen, of)
        ratios["numbers_from_source"] = (right, numbers)

    above = np.array([top for top, _ in ratios.values()], dtype=np.float64).T
    below = np.array([bottom for _, bottom in ratios.values()], dtype=np.float64).T

    def statistic(weights: Floats) -> Floats:
        with np.errstate(invalid="ignore", divide="ignore"):
            return (weights @ above) / (weights @ below)

    return bootstrap(statistic, len(summaries), list(ratios), **options)


def source_fields(product: Product) -> dict[str, str]:
    """The texts of a product by the field name that a support entry uses: ``title``, ``attributes.colour`` …"""
    fields = {
        "title": product.title,
        "description": product.description,
        "brand": product.brand,
        "category": " > ".join(product.category),
        "price": f"{product.price.amount:g} {product.price.currency}" if product.price else "",
    }
    fields |= {f"attributes.{name}": f"{value}" for name, value in product.attributes.items()}
    fields |= {f"extra.{name}": f"{value}" for name, value in product.extra.items()}
    return {name: text for name, text in fields.items() if text}


def _claims(summary: ProductSummary) -> list[set[str]]:
    """Each claim in the forms in which support may quote it."""
    highlights = [{_plain(text)} for text in summary.highlights]
    attributes = [
        {_plain(name), _plain(value), _plain(f"{name}: {value}"), _plain(f"{name} {value}"), _plain(f"{name}={value}")}
        for name, value in summary.attributes.items()
    ]
    return highlights + attributes


def _supported(summary: ProductSummary) -> int:
    backed = {_plain(support.claim) for support in summary.support}
    return sum(bool(forms & backed) for forms in _claims(summary))


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _lies_within(field: str, start: int, end: int, fields: dict[str, str]) -> bool:
    text = fields.get(field)
    return text is not None and 0 <= start < end <= len(text)
