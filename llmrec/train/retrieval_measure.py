"""Where the right products stand among all: the measure of an encoder."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llmrec.evaluate.ranking import per_query
from llmrec.train.retrieval_data import RetrievalExample

METRICS = ("mrr", "ndcg@10", "recall@1", "recall@10")
#: Products of a ranking that are looked at.
DEPTH = 1000
#: Queries that are compared with all products at once.
CHUNK = 512


def ranks(
    fields: Sequence[tuple[NDArray[np.float32], NDArray[np.float32]]],
    keys: Sequence[str],
    examples: Sequence[RetrievalExample],
) -> dict[str, list[float]]:
    """Metrics of each example, by the mean of the cosines of both fields."""
    values: dict[str, list[float]] = {name: [] for name in METRICS}
    for start in range(0, len(examples), CHUNK):
        some = examples[start : start + CHUNK]
        scores = sum(left[start : start + CHUNK] @ right.T for left, right in fields) / len(fields)
        run = {}
        for number, row in enumerate(np.asarray(scores)):
            best = np.argsort(-row, kind="stable")[:DEPTH]
            run[str(number)] = {keys[i]: float(row[i]) for i in best}
        # only what is right counts: a lower grade is a variant of it
        qrels = {str(i): dict.fromkeys(e.positives, 1) for i, e in enumerate(some)}
        found = per_query(run, qrels, METRICS, queries=list(qrels))
        for name in METRICS:
            values[name] += found[name].tolist()
    return values


def centred(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Unit vectors without what all have in common (Mu and Viswanath 2018, arXiv 1702.01417).

    The vectors of a language model all point one way: their plain cosines are above 0.9 whatever the texts are.
    """
    return unit(vectors - vectors.mean(axis=0))


def unit(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows scaled to unit length; rows of zeros stay so."""
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)
