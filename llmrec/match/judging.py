"""Probabilities and decisions on the lists that a matcher finds."""

from __future__ import annotations

from collections.abc import Sequence
from copy import copy
from typing import Any

import msgspec

from llmrec.errors import ArtefactError, InputError
from llmrec.match.calibration import REMEDY, Calibration, Verdict
from llmrec.match.signals import WIDTH
from llmrec.records import Hit, Match, NoMatch, Query


class Judge:
    """Judges lists of one index by a calibration; without one it has nothing to say.

    Raises:
        InputError: A precision without a calibration, or one that it never reached.
        ArtefactError: A calibration made with another encoder than the index has.
    """

    def __init__(
        self, index: Any, calibration: Calibration | None, min_precision: float | None, where: str | None = None
    ) -> None:
        self._index, self._calibration, self._where = index, calibration, where
        self._bar: float | None = None
        if calibration is None:
            if min_precision is not None:
                step = "Give a calibration as well (llmrec calibrate)."
                raise InputError("a precision is asked for without a calibration", next_step=step)
            return
        if calibration.encoder != getattr(index, "encoder_digest", calibration.encoder):
            raise ArtefactError("the calibration was made with another encoder than the index has", next_step=REMEDY)
        if min_precision is not None:
            self._bar = calibration.decider.bar(min_precision)

    def over(self, index: Any) -> Judge:
        """The same judge of a later state of its index."""
        moved = copy(self)
        moved._index = index
        return moved

    def __call__(self, lists: Sequence[tuple[list[Hit], Query]]) -> list[Verdict | None]:
        """What each list is worth; None where nothing is said, or nothing was found."""
        if self._calibration is None:
            return [None for _ in lists]
        queries = [query for _, query in lists]
        ids = [[hit.product_id for hit in hits[:WIDTH]] for hits, _ in lists]
        verdicts: list[Verdict | None] = []
        for (hits, query), standing in zip(lists, self._index.standing(queries, ids, self._where), strict=True):
            if not hits:
                verdicts.append(Verdict(0.0, 1.0))
                continue
            product = self._index.product(hits[0].product_id)
            verdicts.append(self._calibration.judge(hits, standing, query, product))
        return verdicts

    def told(self, match: Match, verdict: Verdict | None) -> Match:
        """The match with the verdict written into it."""
        if verdict is None:
            return match
        decision = None if self._bar is None else verdict.right < self._bar
        products = tuple(
            msgspec.structs.replace(product, probability=verdict.right) if product.rank == 1 else product
            for product in match.products
        )
        return Match(match.content_id, products, NoMatch(decision, verdict.absent))
