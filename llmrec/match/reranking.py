"""A second look at the best products of each list by a model that reads content and product together.

::

    reranking = Reranking(load_scorer("adapter:minilm-pairs"), depth=20, budget=0.5)
    for match in Matcher(index, rerank=reranking).match(contents): ...
    reranking.told          # Told(contents=200, sure=131, short=0, pairs=1380, seconds=41.2)

Not looked at are lists of which the first stage is sure: by the calibrated probability that its first product is right
where there is a calibration, else where that product leads by ``LEAD`` standard deviations of the list.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llmrec.errors import InputError
from llmrec.match.budget import Clock, in_turn
from llmrec.match.mixing import DEFAULT, Mix, order_of, standard
from llmrec.match.scorers import Scorer
from llmrec.match.signals import offer_of
from llmrec.records import Hit, Match, Product, Query, Reranked

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

DEPTH = 20
#: Standard deviations of its list by which a first product leads that is not looked at again. On training halves of
#: Abt-Buy and Amazon-Google 99% of such products were right, and rerankers agreed.
LEAD = 2.0


class Second(NamedTuple):
    """A list after the second look.

    Attributes:
        hits: The new order. The scores of the list stand where they stood: a product has that of the place it took.
        order: The places of the first ``depth`` products in the first stage's list, in their new order.
        logits: What the reranker says of them, in the new order; NaN where it did not look.
        mixed: Their mixed scores, in the new order; NaN likewise.
        about: How many were looked at, of how many.
    """

    hits: list[Hit]
    order: NDArray[np.int64]
    logits: Floats
    mixed: Floats
    about: Reranked


@dataclass
class Told:
    """What was done so far: contents, those of which the first stage was sure, those for which the time was short."""

    contents: int = 0
    sure: int = 0
    short: int = 0
    pairs: int = 0
    seconds: float = 0.0


class Reranking:
    """Reorders the first products of lists.

    Args:
        scorer: See ``load_scorer``.
        mix: How both stages' scores become one; None: ``DEFAULT``, by which the first stage counts most. A calibration
            brings its own.
        depth: Products of a list that are looked at.
        budget: Seconds for each content, on the average of those that are matched together; None: no bound.
        clock: Measures how long a pair takes.

    Raises:
        InputError: A depth below 2, or a budget that is no time.
    """

    def __init__(
        self,
        scorer: Scorer,
        mix: Mix | None = None,
        *,
        depth: int = DEPTH,
        budget: float | None = None,
        clock: Clock | None = None,
    ) -> None:
        if depth < 2:
            raise InputError(f"depth={depth}: nothing to reorder", next_step="Rerank at least 2 products.")
        if budget is not None and not budget > 0:
            raise InputError(f"budget={budget}: no time at all", next_step="Give seconds above 0, or no reranker.")
        self.scorer, self.depth, self.budget = scorer, depth, budget
        self.mix = mix or DEFAULT
        self.told = Told()
        self._clock = clock or Clock()
        self._warm = False

    def __call__(
        self,
        lists: Sequence[tuple[list[Hit], Query]],
        product: Callable[[str], Product],
        *,
        probabilities: Sequence[float] | None = None,
        sure: float | None = None,
        mix: Mix | None = None,
    ) -> list[Second]:
        """Look again at lists, in order.

        Args:
            lists: Hits, best first, and the query that stands for the content.
            product: Gives a product by its id.
            probabilities: That the first product of each list is right.
            sure: From which probability on a list is not looked at; None: all are.
            mix: In place of the own one.
        """
        sizes = [min(self.depth, len(hits)) for hits, _ in lists]
        if probabilities is None:
            doubts = [lead(hits[: self.depth]) for hits, _ in lists]
            skipped = [size < 2 or doubt >= LEAD for size, doubt in zip(sizes, doubts, strict=True)]
        else:
            doubts, bar = list(probabilities), math.inf if sure is None else sure
            skipped = [size < 2 or doubt >= bar for size, doubt in zip(sizes, doubts, strict=True)]
        depths = [0 if skip else size for size, skip in zip(sizes, skipped, strict=True)]
        logits = self._looked(lists, product, doubts, depths)
        weights = mix or self.mix
        found = [
            reordered(hits, own, depth, weights) for (hits, _), own, depth in zip(lists, logits, depths, strict=True)
        ]
        self.told.contents += len(lists)
        self.told.sure += sum(skipped)
        self.told.short += sum(second.about.looked < second.about.of for second in found)
        return found

    def _looked(
        self,
        lists: Sequence[tuple[list[Hit], Query]],
        product: Callable[[str], Product],
        doubts: Sequence[float],
        depths: Sequence[int],
    ) -> list[Floats]:
        """What the reranker says of the first products of each list, NaN where there was no time."""
        logits = [np.full(depth, np.nan) for depth in depths]
        offers = {i: offer_of(query) for i, (_, query) in enumerate(lists) if depths[i]}
        turn = in_turn(doubts, depths)
        if turn and self.budget is not None and not self._warm:
            # the first call of a model takes longer than any other
            i, place = turn[0]
            self.scorer.logits([(offers[i], product(lists[i][0][place].product_id))])
            self._warm = True
        seconds = None if self.budget is None else self.budget * len(lists)
        before = self._clock.seconds
        for part in self._clock.chunks(turn, seconds):
            pairs = [(offers[i], product(lists[i][0][place].product_id)) for i, place in part]
            for (i, place), logit in zip(part, self.scorer.logits(pairs), strict=True):
                logits[i][place] = logit
            self.told.pairs += len(part)
        self.told.seconds += self._clock.seconds - before
        return logits


def looked_at(matches: Iterable[Match]) -> dict[str, int]:
    """Contents that a reranker looked at, those it did not need to, those it had too little time for, and its pairs."""
    seen = [match.reranked for match in matches if match.reranked is not None]
    return {
        "looked": sum(own.looked > 0 for own in seen),
        "sure": sum(own.of == 0 for own in seen),
        "short": sum(own.looked < own.of for own in seen),
        "pairs": sum(own.looked for own in seen),
    }


def lead(hits: Sequence[Hit]) -> float:
    """By how many standard deviations of a list its first product leads."""
    z = standard(np.array([hit.score for hit in hits]))
    return float(z[0] - z[1]) if len(z) > 1 else math.inf


def reordered(hits: Sequence[Hit], logits: Floats, depth: int, mix: Mix) -> Second:
    """A list in its new order; ``depth`` 0: as it was."""
    size = len(logits)
    mixed = mix.scores(np.array([hit.score for hit in hits[:size]]), logits) if size else np.zeros(0)
    order = order_of(mixed)
    moved = any(i != place for place, i in enumerate(order))
    scores = [hit.score for hit in hits]
    places = [*order.tolist(), *range(size, len(hits))]
    found = [
        Hit(hits[i].product_id, score, hits[i].retriever)
        for i, score in zip(places, falling(scores) if moved else scores, strict=True)
    ]
    about = Reranked(int(np.isfinite(logits).sum()), depth)
    return Second(found, order, logits[order], mixed[order], about)


def falling(scores: Sequence[float]) -> list[float]:
    """The scores, each below the one before by as little as there is: of equal ones the order by id would be told."""
    found: list[float] = []
    for score in scores:
        found.append(min(score, math.nextafter(found[-1], -math.inf)) if found else score)
    return found
