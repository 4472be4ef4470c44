"""Runs, summaries and pairs to metrics with intervals, comparisons and a report; sees files, never models."""

from llmrec.evaluate.matches import default_metrics, evaluate_matches
from llmrec.evaluate.pairs import ScoredPair, evaluate_pairs, read_pairs
from llmrec.evaluate.qrels import read_qrels, write_qrels
from llmrec.evaluate.ranking import Metric, Qrels, Run, parse_metric, per_query
from llmrec.evaluate.results import Comparison, Estimate, MatchEvaluation, PairEvaluation, SummaryEvaluation
from llmrec.evaluate.runs import read_matches, read_run, run_from_matches, write_run
from llmrec.evaluate.summaries import evaluate_summaries, read_references, read_summaries

__all__ = [
    "Comparison",
    "Estimate",
    "MatchEvaluation",
    "Metric",
    "PairEvaluation",
    "Qrels",
    "Run",
    "ScoredPair",
    "SummaryEvaluation",
    "default_metrics",
    "evaluate_matches",
    "evaluate_pairs",
    "evaluate_summaries",
    "parse_metric",
    "per_query",
    "read_matches",
    "read_pairs",
    "read_qrels",
    "read_references",
    "read_run",
    "read_summaries",
    "run_from_matches",
    "write_qrels",
    "write_run",
]
