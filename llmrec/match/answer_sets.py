"""The right answers of calibrating contents and their scores: what the sets of ``llmrec.match.conformal`` rest on."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llmrec.match.conformal import Answer, Sets, fit_sets, masses, utilities_of
from llmrec.match.mixing import Candidates, folds_of, sharpness
from llmrec.match.reranking import Second, reordered
from llmrec.match.scorers import Scorer
from llmrec.match.second_look import Seen
from llmrec.match.signals import WIDTH, offer_of
from llmrec.records import Hit, Product

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmrec.match.calibration import Calibration, Verdict


class Told(NamedTuple):
    """What is said of a list: both probabilities, and the list after a second look, if it got one."""

    right: float
    absent: float
    looked: Second | None


def learn_sets(lists: Sequence[Seen], told: Sequence[Told], fitted_on: Sequence[Seen], *, held_out: bool) -> Sets:
    """Sets from the right answers of lists.

    Args:
        lists: Whose right answers are scored.
        told: What is said of them by models that have not seen them.
        fitted_on: Lists from which the shares of the products of a list are learned.
        held_out: Whether nothing at all was fitted on ``lists``.
    """
    sharp = sharpness([_candidates(seen) for seen in fitted_on if seen.right])
    return fit_sets([answer(*one, sharp) for one in zip(lists, told, strict=True)], sharp, held_out=held_out)


def answer(seen: Seen, told: Told, sharp: float) -> Answer:
    """The score of a list's right answer; of several right products the one that is first in a set counts."""
    hits = told.looked.hits if told.looked is not None else seen.hits
    scores = masses(told.right, told.absent, utilities(seen.hits, told.looked, sharp))
    if not seen.right:
        return Answer(scores.none, 1, seen.weight)
    places = [i for i, hit in enumerate(hits[:WIDTH]) if hit.product_id in seen.right]
    return Answer(float(scores.products[places[0]]) if places else math.inf, 0, seen.weight)


def utilities(hits: Sequence[Hit], looked: Second | None, sharp: float) -> NDArray[np.float64]:
    """What speaks for the first products of a list, in its last order; ``hits`` are in the first stage's."""
    scores = np.array([hit.score for hit in hits[:WIDTH]])
    return utilities_of(scores, looked.mixed if looked is not None else None, sharp)


def held_out(lists: Sequence[Seen], groups: Sequence[str], share: float, seed: int) -> NDArray[np.bool_]:
    """About ``share`` of the lists, whole groups of them."""
    if not share:
        return np.zeros(len(lists), dtype=np.bool_)
    parts = 100
    return folds_of(groups, seed + 1, parts) < round(share * parts)


def judge_lists(
    made: Calibration, lists: Sequence[Seen], product: Callable[[str], Product], scorer: Scorer | None
) -> list[Told]:
    """What a calibration says of lists that it has not seen."""
    found = []
    for seen in lists:
        verdict: Verdict = made.judge(seen.hits, seen.standing, seen.query, product(seen.hits[0].product_id))
        looked = None
        if made.reranks and made.second is not None and scorer is not None:
            sure = made.second.sure
            if sure is None or verdict.right < sure:
                offer = offer_of(seen.query)
                pairs = [(offer, product(hit.product_id)) for hit in seen.hits[: made.second.depth]]
                looked = reordered(seen.hits, scorer.logits(pairs), len(pairs), made.second.mix)
                best = product(looked.hits[0].product_id)
                verdict = made.judge_second(looked, seen.hits, seen.standing, seen.query, best)
        found.append(Told(verdict.right, verdict.absent, looked))
    return found


def _candidates(seen: Seen) -> Candidates:
    hits = seen.hits[:WIDTH]
    scores = np.array([hit.score for hit in hits])
    right = np.array([hit.product_id in seen.right for hit in hits], dtype=np.bool_)
    return Candidates(scores, np.zeros(len(hits)), right)
