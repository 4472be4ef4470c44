"""Caps: so many products of a brand, a category or a kind at most; the next in the list take the places of the rest."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Sequence

from llmrec.index.filters import All, Compare, Filter, Not, as_text
from llmrec.index.tokens import fold
from llmrec.index.where import parse
from llmrec.match.rules import Rule
from llmrec.records import Hit, Product

#: What a cap counts: the number of its rule, and the brand or category; empty for one that counts what fits a filter.
Counted = tuple[int, tuple[str, ...]]


class Caps:
    """Counts what is shown of one list.

    Args:
        rules: Their caps, in order.
        product: Gives a product by its id.
        fits: Tells which products fit a filter.
    """

    def __init__(
        self,
        rules: Sequence[Rule],
        product: Callable[[str], Product],
        fits: Callable[[str, Sequence[str]], list[bool]],
    ) -> None:
        self.rules = tuple(rules)
        self._product, self._fits = product, fits
        self._counts: Counter[Counted] = Counter()
        #: As the catalog writes what is counted.
        self._written: defaultdict[Counted, set[str]] = defaultdict(set)

    def take(self, hits: Sequence[Hit]) -> list[int | None]:
        """Go on down a list: for each product None, or the number of the rule that leaves it out."""
        ids = [hit.product_id for hit in hits]
        fits = [[True] * len(ids) if rule.where is None else self._fits(rule.where, ids) for rule in self.rules]
        found: list[int | None] = []
        for place, id in enumerate(ids):
            product = self._product(id)
            counted = [
                (number, value)
                for number, rule in enumerate(self.rules)
                if fits[number][place] and (value := self._value(number, rule, product)) is not None
            ]
            over = next((number for number, value in counted if self._is_full((number, value))), None)
            if over is None:
                self._counts.update(counted)
            found.append(over)
        return found

    def others(self) -> str:
        """The filter that leaves out what is full, so that the rest can be searched for."""
        parts: list[Filter] = []
        for number, rule in enumerate(self.rules):
            full = [key for key in self._counts if key[0] == number and self._is_full(key)]
            if not full:
                continue
            what: list[Filter] = [] if rule.where is None else [parse(rule.where)]
            if rule.field is not None:
                written = sorted(set().union(*(self._written[key] for key in full)))
                what.append(Compare(rule.field, "==", tuple(written)))
            parts.append(Not(what[0] if len(what) == 1 else All(tuple(what))))
        return as_text(parts[0] if len(parts) == 1 else All(tuple(parts)))

    def _is_full(self, counted: Counted) -> bool:
        most = self.rules[counted[0]].most
        assert most is not None
        return self._counts[counted] >= most

    def _value(self, number: int, rule: Rule, product: Product) -> tuple[str, ...] | None:
        """The brand or category that a product counts for; None where it has none and so is counted by nobody."""
        if rule.field is None:
            return ()
        levels = (product.brand,) if rule.field == "brand" else product.category
        value = tuple(plain for level in levels if (plain := " ".join(fold(level).split())))
        if not value:
            return None
        self._written[number, value].add(" > ".join(levels))
        return value
