"""Contents to ranked products: views, retrieval, fusion, evidence."""

from llmrec.match.calibration import Calibration, calibrate
from llmrec.match.evidence import explain
from llmrec.match.fusion import fuse_views
from llmrec.match.matcher import Matcher, MatchSettings
from llmrec.match.opening import open_index
from llmrec.match.views import views_of
from llmrec.match.watching import unique_ids, watch_contents

__all__ = [
    "Calibration",
    "MatchSettings",
    "Matcher",
    "calibrate",
    "explain",
    "fuse_views",
    "open_index",
    "unique_ids",
    "views_of",
    "watch_contents",
]
