"""Scored pairs as a measure: F1, precision and recall at a threshold, and how well the order is."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from llmrec.evaluate.detection import DECISION_NAMES, SCORE_NAMES, decision_statistic, score_statistic
from llmrec.train.task import Measured


def measured_pairs(scores: Sequence[float], labels: Sequence[bool], threshold: float) -> Measured:
    """Measure scored pairs; a score of ``threshold`` or more says that they match."""
    truth, given = np.array(labels, dtype=bool), np.array(scores, dtype=float)
    ones = np.ones((1, len(given)))
    decided = decision_statistic(truth, given >= threshold)(ones)[0]
    ranked = score_statistic(truth, given)(ones)[0]
    whole = dict(zip([*DECISION_NAMES, *SCORE_NAMES], map(float, [*decided, *ranked]), strict=True))
    return Measured(scores=list(scores), labels=list(labels), threshold=threshold, whole=whole)
