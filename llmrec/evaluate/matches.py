"""A run of ranked products held against the products that are right.

::

    run = {"clip-1": {"B07": 3.1, "B08": 2.9}}
    qrels = {"clip-1": {"B07": 1}, "clip-2": {}}           # clip-2: the catalog has no such product
    evaluate_matches(run, qrels).metrics["recall@1"].value  # 1.0
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from llmrec.errors import InputError
from llmrec.evaluate.intervals import PERMUTATIONS, RESAMPLES, bootstrap_means, holm, paired_test
from llmrec.evaluate.misses import find_misses, top_scores
from llmrec.evaluate.no_match import evaluate_no_match
from llmrec.evaluate.ranking import Metric, Qrels, Run, answerable, parse_metric, per_query
from llmrec.evaluate.results import Comparison, CurvePoint, Estimate, MatchCounts, MatchEvaluation, Settings
from llmrec.evaluate.runs import run_from_matches
from llmrec.records import Content, Match, Product

#: Cutoffs at which the recall curve is drawn, as far down as the run goes.
CURVE = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 15, 20, 30, 50, 100)


def default_metrics(ks: Sequence[int] = (1, 5, 10)) -> list[Metric]:
    """Recall at each cutoff, then MRR, nDCG and MAP over the list down to the largest cutoff."""
    deepest = max(ks)
    return [*(Metric("recall", k) for k in ks), *(Metric(kind, deepest) for kind in ("mrr", "ndcg", "map"))]


def evaluate_matches(
    run: Run | Iterable[Match],
    qrels: Qrels,
    *,
    metrics: Sequence[str | Metric] | None = None,
    baseline: Run | Iterable[Match] | None = None,
    contents: Iterable[Content] = (),
    catalog: Iterable[Product] = (),
    misses: int = 25,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    name: str = "",
    baseline_name: str = "",
) -> MatchEvaluation:
    """Score a run against qrels, with intervals, and against a baseline run if one is given.

    Args:
        run: Content id to products and scores, or the matches themselves, whose decisions, probabilities and evidence
            are then used too. Contents missing here but judged score 0.
        qrels: Content id to product id to grade; a content without a grade above 0 expects no match, and is left out
            of the ranking metrics.
        metrics: Metric names; ``default_metrics()`` when None.
        baseline: A second run, compared per content.
        contents, catalog: Records for the texts of the worst misses; streams are read once.
        misses: How many misses are described.
        confidence: Coverage of the intervals.
        seed: Of the resampling.

    Raises:
        InputError: No content has a relevant product, an unknown metric, or an unusable run.
    """
    settings = Settings(confidence, resamples, permutations, seed)
    parsed = [parse_metric(metric) for metric in metrics] if metrics is not None else default_metrics()
    names = list(dict.fromkeys(str(metric) for metric in parsed))
    queries = answerable(qrels)
    if not queries:
        step = "Give at least one content with a product of relevance 1 or more."
        raise InputError("qrels: no content has a relevant product", next_step=step)
    given = [] if isinstance(run, Mapping) else list(run)
    ranking = run if isinstance(run, Mapping) else run_from_matches(given)
    records = {match.content_id: match for match in given}
    other = baseline if baseline is None or isinstance(baseline, Mapping) else run_from_matches(baseline)

    depth = max((len(products) for products in ranking.values()), default=0)
    ks = [k for k in CURVE if k <= max(depth, 1)]
    curve_names = [f"recall@{k}" for k in ks]
    columns = list(dict.fromkeys(names + curve_names))
    values = _table(ranking, qrels, columns, queries)
    tables = [values]
    if other is not None:
        others = _table(other, qrels, columns, queries)
        tables += [others, values - others]
    # one resampling for all columns: a metric and its difference rest on the same draws
    drawn = bootstrap_means(np.concatenate(tables, axis=1), confidence=confidence, resamples=resamples, seed=seed)
    width = len(columns)
    estimates, baseline_estimates, differences = (
        dict(zip(columns, drawn[i * width : (i + 1) * width], strict=False)) for i in range(3)
    )
    comparison = {}
    if other is not None:
        p_values = [
            paired_test(values[:, i] - others[:, i], permutations=permutations, seed=seed) for i in range(len(names))
        ]
        rows = zip(names, p_values, holm(p_values), strict=True)
        comparison = {n: Comparison(differences[n], p, adjusted) for n, p, adjusted in rows}

    wrong, worst = find_misses(
        ranking, qrels, records, baseline=other, contents=contents, catalog=catalog, limit=misses
    )
    counts = MatchCounts(
        judged=len(qrels),
        ranked=len(queries),
        no_match_expected=len(qrels) - len(queries),
        missing_from_run=sum(content_id not in ranking for content_id in qrels),
        not_judged=sum(content_id not in qrels for content_id in ranking),
        depth=depth,
        order_differs=sum(_contradicts(match) for match in records.values()),
    )
    return MatchEvaluation(
        counts,
        {n: estimates[n] for n in names},
        settings,
        run=name,
        baseline=baseline_name,
        baseline_metrics=_picked(baseline_estimates, names),
        comparison=comparison,
        no_match=evaluate_no_match(ranking, qrels, records, settings),
        curve=tuple(
            CurvePoint(k, estimates[c], baseline_estimates.get(c)) for k, c in zip(ks, curve_names, strict=True)
        ),
        top_scores=top_scores(ranking, qrels),
        wrong=wrong,
        misses=worst,
        per_query={q: dict(zip(names, map(float, row), strict=False)) for q, row in zip(queries, values, strict=True)},
    )


def _table(run: Run, qrels: Qrels, names: Sequence[str], queries: Sequence[str]) -> NDArray[np.float64]:
    scores = per_query(run, qrels, names, queries=queries)
    return np.stack([scores[name] for name in names], axis=1)


def _picked(estimates: Mapping[str, Estimate], names: Sequence[str]) -> dict[str, Estimate]:
    return {name: estimates[name] for name in names if name in estimates}


def _contradicts(match: Match) -> bool:
    """Whether the ranks of a match order its products otherwise than scores do (ties may stand either way)."""
    scores = [product.score for product in sorted(match.products, key=lambda product: product.rank)]
    return any(after > before for before, after in pairwise(scores))
