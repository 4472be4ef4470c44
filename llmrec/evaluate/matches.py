"""A run of ranked products held against the products that are right.

::

    run = {"clip-1": {"B07": 3.1, "B08": 2.9}}
    qrels = {"clip-1": {"B07": 1}, "clip-2": {}}          # clip-2: the catalog has no such product
    evaluate_matches(run, qrels).metrics["recall@1"].value # 1.0
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from llmrec.errors import InputError
from llmrec.evaluate.intervals import PERMUTATIONS, RESAMPLES, bootstrap_means, holm, paired_test
from llmrec.evaluate.ranking import Metric, Qrels, Run, answerable, parse_metric, per_query
from llmrec.evaluate.results import Comparison, Estimate, MatchCounts, MatchEvaluation


def default_metrics(ks: Sequence[int] = (1, 5, 10)) -> list[Metric]:
    """Recall at each cutoff, then MRR, nDCG and MAP over the list down to the largest cutoff."""
    deepest = max(ks)
    return [*(Metric("recall", k) for k in ks), *(Metric(kind, deepest) for kind in ("mrr", "ndcg", "map"))]


def evaluate_matches(
    run: Run,
    qrels: Qrels,
    *,
    metrics: Sequence[str | Metric] | None = None,
    baseline: Run | None = None,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    name: str = "",
    baseline_name: str = "",
) -> MatchEvaluation:
    """Score a run against qrels, with intervals, and against a baseline run if one is given.

    Args:
        run: Content id to products and scores. Contents missing here but judged score 0.
        qrels: Content id to product id to grade; a content without a grade above 0 expects no match, and is left out
            of the ranking metrics.
        metrics: Metric names; ``default_metrics()`` when None.
        baseline: A second run, compared per content.
        confidence: Coverage of the intervals.
        seed: Of the resampling.

    Raises:
        InputError: No content has a relevant product, an unknown metric, or an unusable run.
    """
    parsed = [parse_metric(metric) for metric in metrics] if metrics is not None else default_metrics()
    names = list(dict.fromkeys(str(metric) for metric in parsed))
    queries = answerable(qrels)
    if not queries:
        step = "Give at least one content with a product of relevance 1 or more."
        raise InputError("qrels: no content has a relevant product", next_step=step)

    values = _table(run, qrels, names, queries)
    options = {"confidence": confidence, "resamples": resamples, "seed": seed}
    estimates = dict(zip(names, bootstrap_means(values, **options), strict=True))  # type: ignore[arg-type]
    baseline_estimates: dict[str, Estimate] = {}
    comparison: dict[str, Comparison] = {}
    if baseline is not None:
        others = _table(baseline, qrels, names, queries)
        baseline_estimates = dict(zip(names, bootstrap_means(others, **options), strict=True))  # type: ignore[arg-type]
        differences = bootstrap_means(values - others, **options)  # type: ignore[arg-type]
        p_values = [paired_test(column, permutations=permutations, seed=seed) for column in (values - others).T]
        rows = zip(names, differences, p_values, holm(p_values), strict=True)
        comparison = {name: Comparison(difference, p, adjusted) for name, difference, p, adjusted in rows}

    counts = MatchCounts(
        judged=len(qrels),
        ranked=len(queries),
        no_match_expected=len(qrels) - len(queries),
        missing_from_run=sum(content_id not in run for content_id in qrels),
        not_judged=sum(content_id not in qrels for content_id in run),
        depth=max((len(products) for products in run.values()), default=0),
    )
    return MatchEvaluation(
        counts,
        estimates,
        run=name,
        baseline=baseline_name,
        baseline_metrics=baseline_estimates,
        comparison=comparison,
        per_query={q: dict(zip(names, map(float, row), strict=True)) for q, row in zip(queries, values, strict=True)},
    )


def _table(run: Run, qrels: Qrels, names: Sequence[str], queries: Sequence[str]) -> NDArray[np.float64]:
    scores = per_query(run, qrels, names, queries=queries)
    return np.stack([scores[name] for name in names], axis=1)
