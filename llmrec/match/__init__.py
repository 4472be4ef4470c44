"""Contents to ranked products: views, retrieval, fusion, rules, evidence."""

from llmrec.match.calibration import Calibration, calibrate
from llmrec.match.evidence import explain
from llmrec.match.fusion import fuse_views
from llmrec.match.matcher import Matcher, MatchSettings
from llmrec.match.opening import open_index, open_reranking
from llmrec.match.reranking import Reranking
from llmrec.match.rules import Rules, load_rules
from llmrec.match.scorers import load_scorer
from llmrec.match.views import views_of
from llmrec.match.watching import unique_ids, watch_contents

__all__ = [
    "Calibration",
    "MatchSettings",
    "Matcher",
    "Reranking",
    "Rules",
    "calibrate",
    "explain",
    "fuse_views",
    "load_rules",
    "load_scorer",
    "open_index",
    "open_reranking",
    "unique_ids",
    "views_of",
    "watch_contents",
]
