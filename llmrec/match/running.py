"""What a stream has shown so far: the matches of its windows added up, told anew after each.

``shop@000015`` and ``shop@000030`` become ``shop``, whose products are those of all windows::

    {"content_id":"shop","products":[{"product_id":"K1","rank":1,"score":0.0328,…,"shown":[{"start":2.0,"end":31.5}]}]}

Scores of different windows do not compare, ranks do: a product's score is the sum of ``1 / (60 + rank)`` over the
windows in which it was found (reciprocal-rank fusion, Cormack et al., 2009). Its evidence is that of its best window.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec

from llmrec.match.shown import merged
from llmrec.records import Match, RankedProduct, Span

#: Of reciprocal-rank fusion.
OFFSET = 60
#: Products that are remembered of a stream; those with the least score are forgotten first.
REMEMBERED = 1000


@dataclass
class _Sum:
    best: RankedProduct
    score: float = 0.0
    shown: list[Span] = field(default_factory=list)


class Running:
    """Adds up the matches of windows, by stream.

    Args:
        k: Products of a total.
    """

    def __init__(self, k: int = 10) -> None:
        self.k = k
        self._streams: dict[str, dict[str, _Sum]] = {}

    def add(self, match: Match) -> Match:
        """The total of a window's stream; a match that is of no window (no ``@`` in its id) comes back as it is."""
        name, mark, _ = match.content_id.rpartition("@")
        if not mark:
            return match
        sums = self._streams.setdefault(name, {})
        for product in match.products:
            one = sums.setdefault(product.product_id, _Sum(product))
            one.score += 1 / (OFFSET + product.rank)
            if (product.rank, -product.score) < (one.best.rank, -one.best.score):
                one.best = product
            one.shown = list(merged((span.start, span.end) for span in [*one.shown, *product.shown]))
        ordered = sorted(sums.items(), key=lambda item: (-item[1].score, item[1].best.rank, item[0]))
        for id, _ in ordered[REMEMBERED:]:
            del sums[id]
        products = tuple(
            msgspec.structs.replace(one.best, rank=rank, score=one.score, probability=None, shown=tuple(one.shown))
            for rank, (_, one) in enumerate(ordered[: self.k], start=1)
        )
        return Match(name, products)
