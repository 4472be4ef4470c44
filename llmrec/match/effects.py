"""What rules did to the products of a list: from which rank to which, and what to their scores."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from math import inf, nextafter
from typing import Literal

import numpy as np

from llmrec.records import Hit, RuleEffect

#: Products of a list, the first so many, whose scores give the unit of boosts.
MEASURED = 50
#: Standard deviations between the quartiles of a normal distribution.
MIDDLE_HALF = 1.349


class Effects:
    """Takes down what happens to one list.

    Attributes:
        of: By product, in the order in which it happened.
    """

    def __init__(self) -> None:
        self.of: dict[str, list[RuleEffect]] = {}

    def note(
        self,
        rule: str,
        action: Literal["boost", "hold", "cap", "diversity"],
        before: Sequence[Hit],
        after: Sequence[Hit],
        by: Mapping[str, float],
    ) -> None:
        """Note what a rule changed between two orders of a list; ``by`` is what it added to scores."""
        was = {hit.product_id: rank for rank, hit in enumerate(before, start=1)}
        for rank, hit in enumerate(after, start=1):
            added = by.get(hit.product_id) or None
            if added is not None or was[hit.product_id] != rank:
                self.add(hit.product_id, RuleEffect(rule, action, was[hit.product_id], rank, added))

    def add(self, product_id: str, effect: RuleEffect) -> None:
        """Note one effect."""
        self.of.setdefault(product_id, []).append(effect)


def deviation(scores: Sequence[float]) -> float:
    """The unit of boosts: the standard deviation of a list's scores, as their middle half has it.

    The few that are far ahead, as those are that the content is about, do not enter: with them the unit would be so
    large in one list, and so small in another, that the same boost meant a few ranks here and seventy there. Where the
    middle half is all the same it is the plain deviation, and 1 where all scores are the same.
    """
    own = np.asarray(scores[:MEASURED])
    if len(own) < 2:
        return 1.0
    high, low = np.percentile(own, [75, 25])
    for found in (float(high - low) / MIDDLE_HALF, float(own.std())):
        if found > 1e-9:
            return found
    return 1.0


def ranked(hits: Sequence[Hit], by: Mapping[str, float]) -> list[Hit]:
    """A list after something was added to scores, best first, ties broken by id."""
    scored = [Hit(hit.product_id, hit.score + by.get(hit.product_id, 0.0), hit.retriever) for hit in hits]
    return sorted(scored, key=lambda hit: (-hit.score, hit.product_id))


def falling(hits: Sequence[Hit]) -> list[Hit]:
    """The same order with scores that give it: one that is too high is lowered to just below the one before.

    Whoever reads a list by its scores, ties by id, as measures do, reads the order that it has.
    """
    found: list[Hit] = []
    for hit in hits:
        if found and (-hit.score, hit.product_id) < (-found[-1].score, found[-1].product_id):
            hit = Hit(hit.product_id, nextafter(found[-1].score, -inf), hit.retriever)
        found.append(hit)
    return found
