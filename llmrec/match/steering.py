"""Rules and diversity at work: which products may be found, and what becomes of the list that was.

Bans are part of the search, so that lists are full all the same. Then, on the fused list and in this order: boosts, in
the order of the file; caps, all together; diversity. What each did to a product is told with it (``RuleEffect``).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from math import inf, nextafter
from typing import TYPE_CHECKING, Any, NamedTuple, get_args

import numpy as np

from llmrec.errors import InputError
from llmrec.index.where import parse
from llmrec.match.caps import Caps
from llmrec.match.diversity import candidates_for, spread, title_likeness
from llmrec.match.effects import Effects, deviation, falling, ranked
from llmrec.match.fitting import Fitting
from llmrec.match.rules import Rule, Rules, every
from llmrec.records import ContentKind, Hit, RuleEffect

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Steered(NamedTuple):
    """The products that are shown, best first, and what was done to each of them."""

    hits: list[Hit]
    effects: dict[str, tuple[RuleEffect, ...]]


class Steering:
    """Keeps to rules over one index.

    Args:
        index: Gives products by id; one that has ``likeness`` is asked for that too.
        rules: None: there are none.
        diversity: λ of maximal marginal relevance (``llmrec.match.diversity``); 0: none.
        where: The filter that holds for all contents, beside the bans.
        k: Products that are shown.

    Raises:
        InputError: A diversity that is none, a filter that the index cannot keep to, or bans too long together.
    """

    def __init__(self, index: Any, rules: Rules | None, diversity: float, where: str | None, k: int) -> None:
        if not 0 <= diversity < 1:
            raise InputError(f"diversity={diversity}: not from 0 to below 1", next_step="Give 0 for none, or 0.3.")
        self._index, self._diversity, self._where, self._k = index, diversity, where, k
        self._rules = rules or Rules(version=1, rules=())
        self._fits = Fitting(index.product)
        for rule in self._rules.rules:
            for kind in rule.contents if rule.action == "ban" else ():
                parse(str(self.where(kind)))
            if rule.where is not None and hasattr(index, "count"):
                try:
                    index.count(rule.where)
                except InputError as error:
                    raise InputError(f"rule {rule.name!r}: {error.message}", next_step=error.next_step) from error

    def where(self, kind: ContentKind) -> str | None:
        """The filter for contents of a kind: the one for all, and nothing that is banned."""
        return self._rules.allowed(kind, self._where)

    def __call__(
        self, hits: list[Hit], kind: ContentKind, more: Callable[[str], list[Hit]], held: str | None = None
    ) -> Steered:
        """What is shown of a list.

        Args:
            hits: Best first, of a search with ``where(kind)``.
            kind: Of the content.
            more: Searches for the same content with another filter, where caps leave a list too short.
            held: A product that boosts may not move from the first place.
        """
        boosts, caps = self._rules.of("boost", kind), self._rules.of("cap", kind)
        if not hits or not (boosts or caps or self._diversity):
            return Steered(hits[: self._k], {})
        effects = Effects()
        found = self._boosted(hits, boosts, held, effects)
        found = self._capped(found, caps, lambda others: more(str(every(self.where(kind), others))), effects)
        shown = falling(self._diverse(found, effects))
        return Steered(shown, {hit.product_id: tuple(effects.of.get(hit.product_id, ())) for hit in shown})

    def _boosted(self, hits: list[Hit], rules: Sequence[Rule], held: str | None, effects: Effects) -> list[Hit]:
        unit, found = deviation([hit.score for hit in hits]), hits
        for rule in rules:
            assert rule.where is not None and rule.by is not None
            fits = self._fits(rule.where, [hit.product_id for hit in found])
            by = {hit.product_id: rule.by * unit for hit, fit in zip(found, fits, strict=True) if fit}
            before, found = found, ranked(found, by)
            effects.note(rule.name, "boost", before, found, by)
        if held is not None and found[0].product_id != held:
            own = next(hit.score for hit in found if hit.product_id == held)
            by = {held: nextafter(found[0].score, inf) - own}
            before = found
            found = sorted(ranked(found, by), key=lambda hit: hit.product_id != held)
            effects.note("min-precision", "hold", before, found, by)
        return found

    def _capped(
        self, hits: list[Hit], rules: Sequence[Rule], more: Callable[[str], list[Hit]], effects: Effects
    ) -> list[Hit]:
        if not rules:
            return hits
        caps = Caps(rules, self._index.product, self._fits)
        found, out = list(hits), caps.take(hits)
        # each search leaves out what is full, so it brings one product at least, or there are no more
        for _ in range(self._k):
            if out.count(None) >= self._k or out.count(None) == len(out):
                break
            try:
                others = more(caps.others())
            except InputError:  # a filter of too many values
                break
            known = {hit.product_id for hit in found}
            new = _below(found[-1].score, [hit for hit in others if hit.product_id not in known])
            if not new:
                break
            found += new
            out += caps.take(new)
        left_out = [0] * len(rules)
        kept = []
        for place, (hit, number) in enumerate(zip(found, out, strict=True), start=1):
            if number is not None:
                left_out[number] += 1
                continue
            for rule, passed in zip(rules, left_out, strict=True):
                if passed:
                    effects.add(hit.product_id, RuleEffect(rule.name, "cap", place, place - passed))
                    place -= passed
            kept.append(hit)
        return kept

    def _diverse(self, hits: list[Hit], effects: Effects) -> list[Hit]:
        if not self._diversity or self._k < 2 or len(hits) < 3:
            return hits[: self._k]
        pool = hits[: candidates_for(self._k)]
        alike = self._likeness([hit.product_id for hit in pool])
        order, costs = spread([hit.score for hit in pool], alike, self._k, self._diversity)
        chosen = [pool[place] for place in order]
        by = {hit.product_id: -cost for hit, cost in zip(chosen, costs, strict=True)}
        found = [Hit(hit.product_id, hit.score + by[hit.product_id], hit.retriever) for hit in chosen]
        effects.note("diversity", "diversity", pool, found, by)
        return found

    def _likeness(self, ids: Sequence[str]) -> NDArray[np.floating]:
        """By vectors where the index has them, else by the words of titles."""
        by_vectors = getattr(self._index, "likeness", None)
        found = by_vectors(ids) if by_vectors else None
        return title_likeness([self._index.product(id).title for id in ids]) if found is None else found


def notices(index: Any, rules: Rules | None, where: str | None) -> Iterator[str]:
    """What of rules will do nothing with a catalog, or too much: a filter that nothing fits is told by nobody else.

    Raises:
        InputError: A filter that the index cannot keep to.
    """
    steering = Steering(index, rules, 0.0, where, 1)
    for kind in get_args(ContentKind):
        if rules and rules.of("ban", kind) and not index.count(steering.where(kind)):
            yield f"the rules leave no product of {index.path} for contents of the kind {kind}"
    for rule in rules.rules if rules else ():
        if rule.where is not None and not index.count(rule.where):
            yield f"no product of {index.path} fits the filter of the rule {rule.name!r}: {rule.where}"
        elif rule.field is not None and not index.count(f"{rule.field} exists"):
            yield f"no product of {index.path} has a {rule.field}: the rule {rule.name!r} does nothing"


def _below(score: float, hits: Sequence[Hit]) -> list[Hit]:
    """Hits of another search, moved as one so that they come after a score."""
    step = min(0.0, nextafter(score, -inf) - hits[0].score) if hits else 0.0
    return [Hit(hit.product_id, hit.score + step, hit.retriever) for hit in hits]
