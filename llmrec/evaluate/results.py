"""What an evaluation finds, as records: printed with ``--json``, and read back by ``llmrec evaluate report``.

One of them, shortened::

    {"kind":"matches","counts":{"judged":24,"ranked":20,…},"metrics":{"recall@1":{"value":0.85,"low":0.65,"high":0.95,
     "n":20}},"misses":[{"content_id":"clip-7","fault":"ranked low","rank":4,"expected":[…],"shown":[…]}]}
"""

from __future__ import annotations

from typing import Literal

import msgspec

from llmrec.records import Evidence


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


class Settings(msgspec.Struct, frozen=True):
    """How intervals and p-values were drawn."""

    confidence: float
    resamples: int
    permutations: int
    seed: int


class MatchCounts(msgspec.Struct, frozen=True):
    """How many contents were judged, and how many of those the ranking metrics rest on (``ranked``).

    ``order_differs`` counts matches whose ranks contradict their scores: the scores count.
    """

    judged: int
    ranked: int
    no_match_expected: int
    missing_from_run: int
    not_judged: int
    depth: int
    order_differs: int = 0


class NoMatchEvaluation(msgspec.Struct, frozen=True, omit_defaults=True):
    """How well "the catalog has no such product" was told, over all judged contents.

    ``metrics``: precision, recall, F1 and accuracy of the decisions and ``answered_right`` (rightly refused, or the
    first product right) where the run decides; AUROC and average precision of ``detector`` (the no-match probability,
    or the top score where the run gives none).
    """

    expected: int
    answerable: int
    decided: int
    detector: Literal["probability", "top score"]
    metrics: dict[str, Estimate]
    roc: tuple[tuple[float, float], ...] = ()


class CurvePoint(msgspec.Struct, frozen=True):
    """Recall at ``k`` of the run, and of the baseline if there is one."""

    k: int
    run: Estimate
    baseline: Estimate | None = None


class TopScores(msgspec.Struct, frozen=True):
    """Histogram of the first product's score: it was right, it was wrong, or nothing would have been right."""

    edges: tuple[float, ...]
    right: tuple[int, ...]
    wrong: tuple[int, ...]
    no_match: tuple[int, ...]


class JudgedProduct(msgspec.Struct, frozen=True, omit_defaults=True):
    """A product as a miss shows it; ``rank`` is None where the run does not have it."""

    product_id: str
    title: str = ""
    brand: str = ""
    grade: int = 0
    rank: int | None = None
    score: float | None = None
    probability: float | None = None
    evidence: tuple[Evidence, ...] = ()


class ContentText(msgspec.Struct, frozen=True, omit_defaults=True):
    """Words of a content; ``start`` in seconds where timed."""

    source: str
    text: str
    start: float | None = None


class Miss(msgspec.Struct, frozen=True, omit_defaults=True):
    """A content that was answered wrong: what it said, what was right, and what was ranked instead.

    ``rank`` and ``baseline_rank`` are those of the first relevant product.
    """

    content_id: str
    fault: Literal["not found", "ranked low", "false match", "false no-match"]
    rank: int | None = None
    baseline_rank: int | None = None
    content_kind: str = ""
    texts: tuple[ContentText, ...] = ()
    keyframe: str = ""
    expected: tuple[JudgedProduct, ...] = ()
    shown: tuple[JudgedProduct, ...] = ()


class MatchEvaluation(msgspec.Struct, frozen=True, tag_field="kind", tag="matches", omit_defaults=True):
    """A run held against qrels.

    ``metrics`` and ``baseline_metrics`` are keyed by metric name (``recall@1``); ``per_query`` is content id to metric
    to value, for the contents that have a relevant product; ``wrong`` counts all misses, of which ``misses`` holds the
    worst, worst first.
    """

    counts: MatchCounts
    metrics: dict[str, Estimate]
    settings: Settings
    run: str = ""
    baseline: str = ""
    baseline_metrics: dict[str, Estimate] = {}
    comparison: dict[str, Comparison] = {}
    no_match: NoMatchEvaluation | None = None
    curve: tuple[CurvePoint, ...] = ()
    top_scores: TopScores | None = None
    wrong: int = 0
    misses: tuple[Miss, ...] = ()
    per_query: dict[str, dict[str, float]] = {}


class SummaryLine(msgspec.Struct, frozen=True, omit_defaults=True):
    """A summary that scored low, beside a reference."""

    id: str
    score: float
    text: str
    reference: str = ""
    problems: tuple[str, ...] = ()


class SummaryEvaluation(msgspec.Struct, frozen=True, tag_field="kind", tag="summaries", omit_defaults=True):
    """Summaries held against references (``rouge``: ``rouge1`` … by F, with precision and recall), and by themselves.

    ``records`` are shares and lengths that need the summaries alone, or the products they are about.
    """

    summaries: int
    scored: int
    settings: Settings
    name: str = ""
    rouge: dict[str, Estimate] = {}
    records: dict[str, Estimate] = {}
    without_reference: int = 0
    missing: int = 0
    references: Literal["mean", "max"] = "mean"
    stemmed: bool = False
    baseline: str = ""
    comparison: dict[str, Comparison] = {}
    worst: tuple[SummaryLine, ...] = ()


class WrongPair(msgspec.Struct, frozen=True, omit_defaults=True):
    """A pair on the wrong side of the threshold."""

    id_a: str
    id_b: str
    label: bool
    score: float


class PairEvaluation(msgspec.Struct, frozen=True, tag_field="kind", tag="pairs", omit_defaults=True):
    """Scored pairs held against their labels; ``threshold_from`` says where the threshold was chosen."""

    pairs: int
    positives: int
    threshold: float
    threshold_from: Literal["given", "dev", "same file"]
    metrics: dict[str, Estimate]
    settings: Settings
    name: str = ""
    curve: tuple[tuple[float, float], ...] = ()
    wrong: int = 0
    worst: tuple[WrongPair, ...] = ()


Evaluation = MatchEvaluation | SummaryEvaluation | PairEvaluation
