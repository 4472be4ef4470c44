"""What went wrong, the worst first: each miss with the content's words, the right products and those shown instead.

Worst first means: contents whose product was not found, refused or made up (the surest wrong answer first), then those
whose product was ranked low, the lowest first.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence

import msgspec
import numpy as np

from llmrec.evaluate.ranking import Qrels, Run, ranked
from llmrec.evaluate.results import ContentText, JudgedProduct, Miss, TopScores
from llmrec.records import Content, Match, Product, RankedProduct

#: Longest text, most texts and most products that a miss keeps.
TEXT, TEXTS, PRODUCTS = 280, 14, 5


def find_misses(
    run: Run,
    qrels: Qrels,
    records: Mapping[str, Match],
    *,
    baseline: Run | None = None,
    contents: Iterable[Content] = (),
    catalog: Iterable[Product] = (),
    limit: int = 25,
) -> tuple[int, tuple[Miss, ...]]:
    """Count the misses and describe the worst.

    Args:
        records: The matches behind the run, where there are such: their evidence and decisions.
        contents, catalog: Read once, for the texts of what is shown.
        limit: How many misses are described.

    Returns:
        How many misses there are, and the worst ``limit`` of them.
    """
    found = [entry for content_id in qrels if (entry := _miss(content_id, run, qrels, records))]
    found.sort(key=lambda entry: (*entry[0], entry[1].content_id))
    worst = [miss for _, miss in found[:limit]]
    if baseline is not None:
        worst = [msgspec.structs.replace(m, baseline_rank=_first(baseline, qrels, m.content_id)[0]) for m in worst]
    wanted = {product.product_id for miss in worst for product in (*miss.expected, *miss.shown)}
    products = {product.id: product for product in catalog if product.id in wanted}
    ids = {miss.content_id for miss in worst}
    texts = {content.id: content for content in contents if content.id in ids}
    return len(found), tuple(_described(miss, texts.get(miss.content_id), products) for miss in worst)


def top_scores(run: Run, qrels: Qrels, bins: int = 24) -> TopScores | None:
    """How the first product's score is spread where it was right, wrong, or where nothing would have been right."""
    groups: tuple[list[float], list[float], list[float]] = ([], [], [])
    for content_id, grades in qrels.items():
        for product_id, score in ranked(run.get(content_id, ()), content_id)[:1]:
            answerable = any(grade > 0 for grade in grades.values())
            groups[2 if not answerable else 0 if grades.get(product_id, 0) > 0 else 1].append(score)
    scores = [score for group in groups for score in group]
    if not scores or not math.isfinite(max(scores) - min(scores)):
        return None
    low, high = min(scores), max(scores)
    # a spread too small for that many bins in double precision is shown as one value
    edges = np.linspace(low, high, bins + 1)
    if not (np.diff(edges) > 0).all():
        edges = np.array([low - 0.5, low + 0.5]) if abs(low) < 1e15 else np.array([low * 0.9, low * 1.1])
        edges.sort()
    counts = [tuple(np.histogram(group, edges)[0].tolist()) for group in groups]
    return TopScores(tuple(edges.tolist()), *counts)


def _miss(
    content_id: str, run: Run, qrels: Qrels, records: Mapping[str, Match]
) -> tuple[tuple[int, float], Miss] | None:
    grades = qrels[content_id]
    record = records.get(content_id)
    refused = record is not None and record.no_match.decision is True
    answered = record is not None and record.no_match.decision is False
    rank, products = _first(run, qrels, content_id)
    surety = products[0][1] if products else -math.inf
    relevant = [product_id for product_id, grade in grades.items() if grade > 0]
    severity = (0, -surety)
    if not relevant:
        if not answered:
            return None
        fault = "false match"
    elif refused:
        fault = "false no-match"
    elif rank is None:
        fault = "not found"
    elif rank > 1:
        fault = "ranked low"
        severity = (1, -float(rank))
    else:
        return None
    places = {product_id: place for place, (product_id, _) in enumerate(products, start=1)}
    scores = {product_id: float(score) for product_id, score in products}
    by_id = {product.product_id: product for product in record.products} if record else {}

    def judged(product_id: str) -> JudgedProduct:
        known: RankedProduct | None = by_id.get(product_id)
        return JudgedProduct(
            product_id,
            grade=int(grades.get(product_id, 0)),
            rank=places.get(product_id),
            score=scores.get(product_id),
            probability=known.probability if known else None,
            evidence=known.evidence if known else (),
        )

    relevant.sort(key=lambda product_id: (places.get(product_id, math.inf), product_id))
    expected = tuple(judged(product_id) for product_id in relevant[:PRODUCTS])
    shown = tuple(judged(product_id) for product_id, _ in products[:PRODUCTS])
    return severity, Miss(content_id, fault, rank=rank, expected=expected, shown=shown)  # type: ignore[arg-type]


def _first(run: Run, qrels: Qrels, content_id: str) -> tuple[int | None, list[tuple[str, float]]]:
    """Rank of the first relevant product, and the products best first."""
    products = ranked(run.get(content_id, ()), content_id)
    grades = qrels[content_id]
    places = (place for place, (product_id, _) in enumerate(products, start=1) if grades.get(product_id, 0) > 0)
    return next(places, None), products


def _described(miss: Miss, content: Content | None, products: Mapping[str, Product]) -> Miss:
    def titled(items: Sequence[JudgedProduct]) -> tuple[JudgedProduct, ...]:
        described = []
        for item in items:
            product = products.get(item.product_id)
            if product:
                item = msgspec.structs.replace(item, title=_cut(product.title), brand=_cut(product.brand))
            described.append(item)
        return tuple(described)

    miss = msgspec.structs.replace(miss, expected=titled(miss.expected), shown=titled(miss.shown))
    if content is None:
        return miss
    return msgspec.structs.replace(
        miss, content_kind=content.kind, texts=_texts(content), keyframe=_keyframe(content, miss)
    )


def _texts(content: Content) -> tuple[ContentText, ...]:
    own = [("title", content.title), ("caption", content.caption), ("hashtags", " ".join(content.hashtags))]
    texts = [ContentText(source, _cut(text)) for source, text in own if text]
    texts += [ContentText(timed.source, _cut(timed.text), timed.start) for timed in content.timed_text]
    return tuple(texts[:TEXTS])


def _keyframe(content: Content, miss: Miss) -> str:
    """The still nearest to where evidence for the first product shown was met, else the middle one."""
    if not content.keyframes:
        return ""
    starts = [e.start for product in miss.shown[:1] for e in product.evidence if e.start is not None]
    if starts:
        return min(content.keyframes, key=lambda frame: abs(frame.time - starts[0])).path
    return content.keyframes[len(content.keyframes) // 2].path


def _cut(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= TEXT else text[: TEXT - 1] + "…"
