"""Contents whose product the catalog does not have: were they told from the others?

The positive class is "no match". A content counts as refused when its match says so, or, in a run that decides at all,
when it was left undecided with no products.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

from llmrec.evaluate.detection import (
    DECISION_NAMES,
    SCORE_NAMES,
    decision_statistic,
    roc_points,
    score_statistic,
    thinned,
)
from llmrec.evaluate.intervals import bootstrap
from llmrec.evaluate.ranking import Qrels, Run, ranked
from llmrec.evaluate.results import NoMatchEvaluation, Settings
from llmrec.records import Match


def evaluate_no_match(
    run: Run, qrels: Qrels, records: Mapping[str, Match], settings: Settings
) -> NoMatchEvaluation | None:
    """Score the no-match answers over all judged contents.

    Args:
        run: Content id to products and scores.
        qrels: A content without a grade above 0 expects no match.
        records: The matches behind the run, where there are such: their decisions and probabilities.

    Returns:
        None where no content expects "no match" and the run never decides.
    """
    contents = list(qrels)
    truth = np.array([not any(grade > 0 for grade in qrels[c].values()) for c in contents], dtype=bool)
    decisions = [records[c].no_match.decision if c in records else None for c in contents]
    decided = sum(decision is not None for decision in decisions)
    if not truth.any() and not decided:
        return None
    tops = [next(iter(ranked(run.get(c, ()), c)), None) for c in contents]

    statistics, names = [], []
    if decided:
        answers = zip(decisions, tops, strict=True)
        said = np.array([top is None if decision is None else decision for decision, top in answers], dtype=bool)
        first = (bool(top and qrels[c].get(top[0], 0) > 0) for c, top in zip(contents, tops, strict=True))
        right = np.array(
            [s if t else f and not s for t, s, f in zip(truth, said, first, strict=True)], dtype=np.float64
        )
        statistics += [decision_statistic(truth, said), lambda w: (w @ right / w.sum(axis=1))[:, None]]
        names += [*DECISION_NAMES, "answered_right"]
    scores, by_probability = _detector(contents, records, tops)
    statistics.append(score_statistic(truth, scores))
    names += SCORE_NAMES

    metrics = bootstrap(
        lambda weights: np.concatenate([statistic(weights) for statistic in statistics], axis=1),
        len(contents),
        names,
        confidence=settings.confidence,
        resamples=settings.resamples,
        seed=settings.seed,
    )
    return NoMatchEvaluation(
        expected=int(truth.sum()),
        answerable=int((~truth).sum()),
        decided=decided,
        detector="probability" if by_probability else "top score",
        metrics=metrics,
        roc=thinned(roc_points(truth, scores)),
    )


def _detector(
    contents: list[str], records: Mapping[str, Match], tops: list[tuple[str, float] | None]
) -> tuple[NDArray[np.float64], bool]:
    """Higher where "no match" is surer: the probabilities if every match in the run has one, else falling top score."""
    given = [records[c].no_match.probability for c in contents if c in records]
    if given and None not in given:
        # nothing in the run for a content: nothing was found
        values = [records[c].no_match.probability if c in records else 1.0 for c in contents]
        return np.array(values, dtype=np.float64), True
    return np.array([-top[1] if top else np.inf for top in tops], dtype=np.float64), False
