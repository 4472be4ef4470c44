"""Runs, summaries and pairs to metrics with intervals, comparisons and a report; sees files, never models."""

from llmrec.evaluate.matches import default_metrics, evaluate_matches
from llmrec.evaluate.ranking import Metric, Qrels, Run, parse_metric, per_query
from llmrec.evaluate.results import Comparison, Estimate, MatchEvaluation

__all__ = [
    "Comparison",
    "Estimate",
    "MatchEvaluation",
    "Metric",
    "Qrels",
    "Run",
    "default_metrics",
    "evaluate_matches",
    "parse_metric",
    "per_query",
]
