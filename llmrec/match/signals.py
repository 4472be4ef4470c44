"""What tells whether the first product of a list is right: its lead, and how far the retrievers agree.

The shape of the sorted scores says more than the first score alone (Kuhn et al. 2023 on retrievers' lists; a linear
model on them beats reference-free confidence at about 1% of the cost, arXiv 2402.12997). To these come how the product
stands with each retriever and, where they were fitted, the features of the content and the product as a pair of offers.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmrec.index.standing import Standing
from llmrec.prompting.pair_features import PairFeatures
from llmrec.prompting.pairs import Offer
from llmrec.records import Hit, Query

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

#: Products of a list that are looked at.
WIDTH = 10

_LIST = ("score", "lead", "lead over ten", "second over fifth", "products")
_QUERY = ("known words", "names a model number", "another model number")
_PART = ("z", "z lead", "rank", "raw")
_SECOND = ("rerank logit", "rerank lead", "rerank mixed lead", "rerank moved")


def names_of(parts: Sequence[str], *, pairs: bool, reranked: bool = False) -> tuple[str, ...]:
    """Names of the columns of ``signals``, then of ``second_signals``, then of ``pair_signals``."""
    own = (*_LIST, *_QUERY, *(f"{part} {name}" for part in parts for name in _PART))
    own += _SECOND if reranked else ()
    return own + (tuple(f"pair {name}" for name in PairFeatures.names) if pairs else ())


def signals(hits: Sequence[Hit], standing: Standing) -> Floats:
    """Signals of one list, float64 ``[names_of(parts)]``.

    Args:
        hits: Best first, at least one; the first ``WIDTH`` count.
        standing: Of the same products, in the same order.
    """
    scores = np.array([hit.score for hit in hits[:WIDTH]])
    best, rest = scores[0], scores[1:]
    row = [
        best,
        best - (rest[0] if len(rest) else 0.0),
        best - (rest.mean() if len(rest) else 0.0),
        scores[min(1, len(scores) - 1)] - scores[min(4, len(scores) - 1)],
        float(len(scores)),
        standing.known,
        float(standing.coded),
        float(standing.other[0]),
    ]
    for column in range(len(standing.parts)):
        z = standing.z[: len(scores), column]
        others = z[1:]
        row += [
            float(z[0]),
            float(z[0] - others.max()) if len(others) else float(z[0]),
            float((others > z[0]).sum()),
            float(standing.raw[0, column]),
        ]
    return np.array(row, dtype=np.float64)


def second_signals(logits: Floats, mixed: Floats, first: int) -> Floats:
    """Signals of a reranked list, float64 ``[4]``.

    Args:
        logits: What the reranker says of its products in their new order, NaN where it did not look.
        mixed: Their mixed scores, NaN likewise.
        first: The place that the first product had before.
    """
    looked = np.isfinite(logits[1:])
    others, behind = logits[1:][looked], mixed[1:][looked]
    return np.array(
        [
            logits[0],
            logits[0] - others.max() if len(others) else 0.0,
            mixed[0] - behind.max() if len(behind) else 0.0,
            float(first > 0),
        ]
    )


def offer_of(query: Query) -> dict[str, str]:
    """A query as an offer: its title, or its text where it has none, and the text."""
    return {"title": query.title or query.text, "description": query.text if query.title else ""}


def pair_signals(features: PairFeatures, content: Offer, product: Offer) -> Floats:
    """Signals of a content and a product as two offers; what one of them does not say is 0."""
    return np.nan_to_num(features.rows([(content, product)])[0].astype(np.float64))
