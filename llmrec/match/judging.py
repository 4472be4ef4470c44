"""The second look, probabilities and decisions on the lists that a matcher finds."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any, NamedTuple

import msgspec

from llmrec.errors import ArtefactError, InputError
from llmrec.match.answer_sets import utilities
from llmrec.match.calibration import REMEDY, Calibration, Verdict
from llmrec.match.conformal import Sets, masses, members
from llmrec.match.reranking import Reranking, Second
from llmrec.match.signals import WIDTH
from llmrec.records import Hit, Match, NoMatch, Query, Reranked


class Judged(NamedTuple):
    """A list in its last order; None where nothing is said of it."""

    hits: list[Hit]
    verdict: Verdict | None = None
    reranked: Reranked | None = None
    #: How many products are in the set that is asked for, and whether "no match" is.
    members: tuple[int, bool] | None = None


class Judge:
    """Looks at lists of one index again, and judges them by a calibration; without either they stay as they are.

    Attributes:
        rerank: What looks again; None where nothing does.

    Raises:
        InputError: A precision without a calibration, or one that it never reached.
        ArtefactError: A calibration made with another encoder than the index has, with another reranker, or without.
    """

    def __init__(
        self,
        index: Any,
        calibration: Calibration | None,
        min_precision: float | None,
        where: str | None = None,
        rerank: Reranking | None = None,
        alpha: float | None = None,
    ) -> None:
        self._index, self._calibration, self._where = index, calibration, where
        self._bar: float | None = None
        self._sets: Sets | None = None
        self._mass = 0.0
        self.rerank = rerank
        if calibration is None:
            if min_precision is not None or alpha is not None:
                step = "Give a calibration as well (llmrec calibrate)."
                what = "a precision is" if min_precision is not None else "sets are"
                raise InputError(f"{what} asked for without a calibration", next_step=step)
            return
        if calibration.encoder != getattr(index, "encoder_digest", calibration.encoder):
            raise ArtefactError("the calibration was made with another encoder than the index has", next_step=REMEDY)
        self.rerank = agreed(calibration, rerank)
        if min_precision is not None:
            self._bar = calibration.final.bar(min_precision)
        if alpha is not None:
            self._sets, self._mass = calibration.sets, bar_of(calibration, alpha)

    def over(self, index: Any) -> Judge:
        """The same judge of a later state of its index."""
        moved = copy(self)
        moved._index = index
        return moved

    def __call__(self, lists: Sequence[tuple[list[Hit], Query]]) -> list[Judged]:
        """Each list in its last order, and what it is worth."""
        if self._calibration is None:
            if self.rerank is None:
                return [Judged(hits) for hits, _ in lists]
            again = self.rerank(lists, self._index.product)
            return [Judged(second.hits, None, second.about) for second in again]
        wide = WIDTH if self.rerank is None else max(WIDTH, self.rerank.depth)
        ids = [[hit.product_id for hit in hits[:wide]] for hits, _ in lists]
        standings = self._index.standing([query for _, query in lists], ids, self._where)
        found = [
            Judged(hits, self._first(hits, query, standing))
            for (hits, query), standing in zip(lists, standings, strict=True)
        ]
        second = self._calibration.second
        looks: list[Second | None] = [None for _ in lists]
        if self.rerank is None or second is None:
            return self._cut(found, lists, looks)
        right = [judged.verdict.right if judged.verdict else 0.0 for judged in found]
        again = self.rerank(lists, self._index.product, probabilities=right, sure=second.sure, mix=second.mix)
        for i, (looked, (hits, query), standing) in enumerate(zip(again, lists, standings, strict=True)):
            verdict = found[i].verdict
            if looked.about.looked:
                product = self._index.product(looked.hits[0].product_id)
                verdict = self._calibration.judge_second(looked, hits, standing, query, product)
                looks[i] = looked
            found[i] = Judged(looked.hits, verdict, looked.about)
        return self._cut(found, lists, looks)

    def _cut(
        self, found: list[Judged], lists: Sequence[tuple[list[Hit], Query]], looks: Sequence[Second | None]
    ) -> list[Judged]:
        """With the set of each list, where sets are asked for."""
        if self._sets is None:
            return found
        cut = []
        for judged, (hits, _), looked in zip(found, lists, looks, strict=True):
            assert judged.verdict is not None
            speaking = utilities(hits, looked, self._sets.sharpness)
            scores = masses(judged.verdict.right, judged.verdict.absent, speaking)
            cut.append(judged._replace(members=members(scores, self._mass)))
        return cut

    def _first(self, hits: Sequence[Hit], query: Query, standing: Any) -> Verdict:
        assert self._calibration is not None
        if not hits:
            return Verdict(0.0, 1.0)
        return self._calibration.judge(hits, standing, query, self._index.product(hits[0].product_id))

    def trusts(self, judged: Judged) -> bool:
        """Whether a precision was asked for, and a list's first product is right with it."""
        return judged.verdict is not None and self._bar is not None and judged.verdict.right >= self._bar

    def told(self, match: Match, judged: Judged) -> Match:
        """The match with the verdict written into it, and how much of it was looked at again.

        The probability is that of the product which is first in the judged list, wherever rules have put it.
        """
        verdict, first = judged.verdict, judged.hits[0].product_id if judged.hits else ""
        if verdict is None:
            return msgspec.structs.replace(match, reranked=judged.reranked) if judged.reranked else match
        decision = None if self._bar is None else verdict.right < self._bar
        count, possible = (len(match.products), None) if judged.members is None else judged.members
        products = tuple(
            msgspec.structs.replace(product, probability=verdict.right) if product.product_id == first else product
            for product in match.products[:count]
        )
        return Match(match.content_id, products, NoMatch(decision, verdict.absent, possible), judged.reranked)


def bar_of(calibration: Calibration, alpha: float) -> float:
    """The bar of sets of answers.

    Raises:
        ArtefactError: The calibration was made before there were sets.
        InputError: ``alpha`` is out of reach.
    """
    if calibration.sets is None:
        raise ArtefactError("the calibration was made before there were sets of answers", next_step=REMEDY)
    return calibration.sets.bar(alpha)


def set_counts(matches: Sequence[Match]) -> dict[str, int]:
    """Products of all sets, sets of one product, and sets with "no match" in them."""
    return {
        "products": sum(len(match.products) for match in matches),
        "single": sum(len(match.products) == 1 for match in matches),
        "no_match_possible": sum(match.no_match.possible is True for match in matches),
    }


def agreed(calibration: Calibration, rerank: Reranking | None) -> Reranking | None:
    """The reranker that is used with a calibration: None where it is without one, or found that it does not help.

    Raises:
        ArtefactError: The two do not go together.
    """
    second = calibration.second
    if second is None:
        if rerank is not None:
            step = "Calibrate with the reranker (llmrec calibrate --rerank), or leave it out."
            raise ArtefactError("the calibration was made without a reranker", next_step=step)
        return None
    if rerank is not None and rerank.scorer.digest != second.digest:
        what = f"made with the reranker {second.reference}, not {rerank.scorer.reference}, or with another state of it"
        raise ArtefactError(f"the calibration was {what}", next_step=REMEDY)
    if rerank is not None and rerank.depth != second.depth:
        step = f"Take {second.depth}, or calibrate again."
        raise ArtefactError(
            f"the calibration was made at a depth of {second.depth}, not {rerank.depth}", next_step=step
        )
    if not second.helps:
        return None
    if rerank is None:
        if (own := calibration.own_scorer) is None:
            step = f"Give it as well: {second.reference}."
            raise ArtefactError(f"the calibration was made with the reranker {second.reference}", next_step=step)
        return Reranking(own, depth=second.depth)
    return rerank
