"""What an evaluation finds, as records: printed with ``--json``, and read back by ``llmrec evaluate report``."""

from __future__ import annotations

import msgspec


class Estimate(msgspec.Struct, frozen=True):
    """A value with its confidence interval over ``n`` items; no interval where ``n`` is too small."""

    value: float
    low: float | None
    high: float | None
    n: int

    def __str__(self) -> str:
        if self.low is None or self.high is None:
            return f"{self.value:.3f}"
        return f"{self.value:.3f} [{self.low:.3f}, {self.high:.3f}]"


class Comparison(msgspec.Struct, frozen=True):
    """A metric of the run less that of the baseline, paired by query.

    ``p_value`` is two-sided; ``p_adjusted`` is Holm's, over all metrics compared.
    """

    difference: Estimate
    p_value: float
    p_adjusted: float


class MatchCounts(msgspec.Struct, frozen=True):
    """How many contents were judged, and how many of those the ranking metrics rest on (``ranked``)."""

    judged: int
    ranked: int
    no_match_expected: int
    missing_from_run: int
    not_judged: int
    depth: int


class MatchEvaluation(msgspec.Struct, frozen=True, tag_field="kind", tag="matches", omit_defaults=True):
    """A run held against qrels.

    ``metrics`` and ``baseline_metrics`` are keyed by metric name (``recall@1``); ``per_query`` is content id to metric
    to value, for the contents that have a relevant product.
    """

    counts: MatchCounts
    metrics: dict[str, Estimate]
    run: str = ""
    baseline: str = ""
    baseline_metrics: dict[str, Estimate] = {}
    comparison: dict[str, Comparison] = {}
    per_query: dict[str, dict[str, float]] = {}
