"""Measures of a ranking against judged relevance, for all queries at once.

::

    recall@10   share of the relevant products that are among the first 10
    hit@1       1 when a relevant product is among the first 1 (success@1, accuracy@1)
    ndcg@10     gain = grade, discount log2(rank + 1) (Järvelin and Kekäläinen 2002, as trec_eval has it)
    mrr, map    over the whole list, or cut: mrr@10, map@10; also precision@k and rprec

A run maps a content id to products and scores; qrels map a content id to products and grades, of which grades above 0
are relevant. Values agree with ``ir-measures`` (trec_eval) to 1e-6 where no two scores tie. Ties: a higher score is
first, then the smaller id; trec_eval takes the *larger* id first, and sees scores in single precision only (so
``write_run(..., untie=True)`` writes scores that it orders as we do).
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec
import numpy as np
from numpy.typing import NDArray

from llmrec.errors import InputError

#: Products of one content: id to score, or (id, score) pairs in any order.
Ranking: TypeAlias = Mapping[str, float] | Sequence[tuple[str, float]]
Run: TypeAlias = Mapping[str, Ranking]
Qrels: TypeAlias = Mapping[str, Mapping[str, int]]

#: Queries worked on at once: bounds the memory of the padded matrices.
CHUNK = 2048

_NAMES = {
    "recall": "recall", "r": "recall",
    "precision": "precision", "p": "precision",
    "hit": "hit", "hits": "hit", "hr": "hit", "success": "hit", "accuracy": "hit",
    "mrr": "mrr", "rr": "mrr",
    "ndcg": "ndcg", "map": "map", "ap": "map",
    "rprec": "rprec", "rprecision": "rprec", "r-precision": "rprec",
}  # fmt: skip
_NEED_CUTOFF = {"recall", "precision", "hit"}


class Metric(msgspec.Struct, frozen=True):
    """A measure, cut at ``cutoff`` or over the whole list (None)."""

    kind: str
    cutoff: int | None = None

    def __str__(self) -> str:
        return self.kind if self.cutoff is None else f"{self.kind}@{self.cutoff}"


def parse_metric(text: str | Metric) -> Metric:
    """Read a metric's name (``recall@10``, ``nDCG@10``, ``RR``); case and the usual short names are accepted.

    Raises:
        InputError: An unknown name, or a cutoff missing or out of place.
    """
    if isinstance(text, Metric):
        return text
    match = re.fullmatch(r"([a-z-]+)(?:@([1-9][0-9]{0,8}))?", text.strip().lower())
    kind = _NAMES.get(match[1]) if match else None
    cutoff = int(match[2]) if match and match[2] else None
    if kind is None or (kind in _NEED_CUTOFF and cutoff is None) or (kind == "rprec" and cutoff):
        step = "Use recall@K, precision@K, hit@K, mrr, mrr@K, ndcg, ndcg@K, map, map@K or rprec."
        raise InputError(f"no such metric: {text!r}", next_step=step)
    return Metric(kind, cutoff)


def ranked(products: Ranking, content_id: str = "") -> list[tuple[str, float]]:
    """Products best first: the higher score, then the smaller id.

    Raises:
        InputError: A product stands twice, or a score is not a finite number.
    """
    pairs = list(products.items() if isinstance(products, Mapping) else products)
    for product_id, score in pairs:
        if not math.isfinite(score):
            step = "Scores must be finite numbers; leave the product out instead."
            raise InputError(f"run, content {content_id!r}: score of {product_id!r} is {score}", next_step=step)
    if len({product_id for product_id, _ in pairs}) < len(pairs):
        step = "Give each product once, with its best score."
        raise InputError(f"run, content {content_id!r}: a product stands twice", next_step=step)
    return sorted(pairs, key=lambda pair: (-pair[1], pair[0]))


def answerable(qrels: Qrels) -> list[str]:
    """The contents that have at least one relevant product, in the order of the qrels."""
    return [content_id for content_id, grades in qrels.items() if any(grade > 0 for grade in grades.values())]


def per_query(
    run: Run, qrels: Qrels, metrics: Sequence[str | Metric], *, queries: Sequence[str] | None = None
) -> dict[str, NDArray[np.float64]]:
    """Score each query by each metric.

    Args:
        run: Content id to products and scores; a content that is missing scores 0.
        qrels: Content id to graded products.
        metrics: Names or parsed metrics.
        queries: Which contents, in which order; all ``answerable`` ones when None.

    Returns:
        Metric name to float64 ``[len(queries)]``.

    Raises:
        InputError: An unknown metric or an unusable run.
    """
    parsed = [parse_metric(metric) for metric in metrics]
    queries = answerable(qrels) if queries is None else queries
    parts: dict[str, list[NDArray[np.float64]]] = {str(metric): [] for metric in parsed}
    for gains, ideal in _matrices(run, qrels, queries, parsed):
        for metric in parsed:
            parts[str(metric)].append(_score(metric, gains, ideal))
    return {name: np.concatenate(arrays) if arrays else np.zeros(0) for name, arrays in parts.items()}


def _matrices(
    run: Run, qrels: Qrels, queries: Sequence[str], metrics: Sequence[Metric]
) -> Iterator[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Grades as ranked ``[b, depth]`` and in the best possible order ``[b, most relevant]``, padded with zeros."""
    cutoffs = [metric.cutoff for metric in metrics]
    depth = None if None in cutoffs else max((c for c in cutoffs if c), default=0)
    for start in range(0, len(queries), CHUNK):
        rows, best = [], []
        for content_id in queries[start : start + CHUNK]:
            grades = qrels[content_id]
            products = ranked(run.get(content_id, ()), content_id)[:depth]
            rows.append([max(grades.get(product_id, 0), 0) for product_id, _ in products])
            best.append(sorted((grade for grade in grades.values() if grade > 0), reverse=True))
        yield _padded(rows), _padded(best)


def _padded(rows: list[list[int]]) -> NDArray[np.float64]:
    matrix = np.zeros((len(rows), max([1, *map(len, rows)])))
    for row, values in zip(matrix, rows, strict=True):
        row[: len(values)] = values
    return matrix


def _score(metric: Metric, gains: NDArray[np.float64], ideal: NDArray[np.float64]) -> NDArray[np.float64]:
    found = gains[:, : metric.cutoff] > 0
    relevant = np.maximum((ideal > 0).sum(axis=1), 1)
    ranks = np.arange(1, found.shape[1] + 1)
    match metric.kind:
        case "recall":
            return found.sum(axis=1) / relevant
        case "precision":
            assert metric.cutoff
            return found.sum(axis=1) / metric.cutoff
        case "hit":
            return np.asarray(found.any(axis=1), dtype=np.float64)
        case "mrr":
            return (found / ranks).max(axis=1)
        case "map":
            return (found * found.cumsum(axis=1) / ranks).sum(axis=1) / relevant
        case "rprec":
            return (found & (ranks <= relevant[:, None])).sum(axis=1) / relevant
        case "ndcg":
            best = _dcg(ideal[:, : metric.cutoff])
            return _dcg(gains[:, : metric.cutoff]) / np.maximum(best, 1e-300)
    raise AssertionError(metric.kind)


def _dcg(gains: NDArray[np.float64]) -> NDArray[np.float64]:
    return (gains / np.log2(np.arange(2, gains.shape[1] + 2))).sum(axis=1)
