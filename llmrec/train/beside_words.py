"""An encoder beside words, as it will be used: what it counts in the hybrid, and what the hybrid confuses.

What a trained encoder counts is measured on the dev queries and kept in its folder.

``llmrec index build`` and ``Index.build`` take it from there (``llmrec_fusion.json``)::

    {"weights": {"dense": 1.4}, "measured": {"queries": 800, "recall@1": [0.71, 0.74], "mrr@10": [0.82, 0.84]}}
"""

from __future__ import annotations

import json
import logging
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from llmrec.embed.loading import FUSION
from llmrec.index import Index
from llmrec.index.weighing import FEWEST, weigh
from llmrec.records import Product, Query
from llmrec.train.mining import draw
from llmrec.train.retrieval_data import RetrievalExample

logger = logging.getLogger(__name__)

#: Products that are ranked for a query when negatives are looked for.
RANKED = 200


class KnownVectors:
    """An encoder that was asked for most texts before; the rest it is asked for now.

    Args:
        known: Text, with its prompt, to its row in ``vectors``.
        vectors: float32 ``[n, d]``, unit length.
        ask: Vectors of texts with their prompts.
        prompts: What stands before a text, by kind.
    """

    reference = digest = "in training"

    def __init__(
        self,
        known: Mapping[str, int],
        vectors: NDArray[np.float32],
        ask: Callable[[Sequence[str]], NDArray[np.float32]],
        prompts: Mapping[str, str],
    ) -> None:
        self._known, self._vectors, self._ask, self._prompts = known, vectors, ask, prompts
        self.dimension = int(vectors.shape[1])

    def encode(self, inputs: Sequence[str], *, kind: str = "document") -> NDArray[np.float32]:
        """Unit vectors, float32 ``[n, dimension]``."""
        texts = [self._prompts[kind] + text for text in inputs]
        found = np.empty((len(texts), self.dimension), dtype=np.float32)
        new = [place for place, text in enumerate(texts) if text not in self._known]
        old = [place for place, text in enumerate(texts) if text in self._known]
        found[old] = self._vectors[[self._known[texts[place]] for place in old]]
        if new:
            found[new] = self._ask([texts[place] for place in new])
        return found


def weigh_encoder(
    encoder: KnownVectors, products: Sequence[Product], dev: Sequence[RetrievalExample], folder: Path
) -> None:
    """Search the catalog for the dev queries, choose the weights by what is found, and keep them in the folder."""
    if len(dev) < FEWEST:
        logger.info("%d dev queries are too few to tell what the encoder counts beside words", len(dev))
    with _indexed(encoder, products) as index:
        weighed = weigh(index, [_query(example) for example in dev], [example.positives for example in dev])
    (folder / FUSION).write_text(json.dumps(weighed.as_dict()) + "\n", encoding="utf-8")


def hybrid_negatives(
    encoder: KnownVectors,
    products: Sequence[Product],
    examples: Sequence[RetrievalExample],
    barred: Callable[[int], NDArray[np.bool_]],
    **window: int,
) -> list[list[int]]:
    """Negatives of each example from what words and vectors together rank high: places of products, see ``mine``."""
    with _indexed(encoder, products) as index:
        row = {id: number for number, id in enumerate(index.ids)}
        found = index.search([_query(example) for example in examples], RANKED)
    rankings = (np.array([row[hit.product_id] for hit in hits], dtype=np.int64) for hits in found)
    return draw(rankings, barred, **window)


@contextmanager
def _indexed(encoder: KnownVectors, products: Sequence[Product]) -> Iterator[Index]:
    with tempfile.TemporaryDirectory() as folder:
        yield Index.build(Path(folder) / "index", products, encoder, dense="exact")


def _query(example: RetrievalExample) -> Query:
    return Query(example.whole, title=example.title if example.title != example.whole else "")
