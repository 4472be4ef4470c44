"""Contents to ranked products: views, retrieval, fusion, evidence."""

from llmrec.match.evidence import explain
from llmrec.match.fusion import fuse_views
from llmrec.match.matcher import Matcher, MatchSettings
from llmrec.match.views import views_of

__all__ = ["MatchSettings", "Matcher", "explain", "fuse_views", "views_of"]
