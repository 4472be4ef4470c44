"""Runs, summaries and pairs to metrics with intervals, comparisons and a report; sees files, never models."""

from llmrec.evaluate.matches import default_metrics, evaluate_matches
from llmrec.evaluate.qrels import read_qrels, write_qrels
from llmrec.evaluate.ranking import Metric, Qrels, Run, parse_metric, per_query
from llmrec.evaluate.results import Comparison, Estimate, MatchEvaluation
from llmrec.evaluate.runs import read_matches, read_run, run_from_matches, write_run

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
    "read_matches",
    "read_qrels",
    "read_run",
    "run_from_matches",
    "write_qrels",
    "write_run",
]
