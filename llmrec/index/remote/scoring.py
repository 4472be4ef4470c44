"""The candidates of queries and their scores by every part, as ``llmrec.index.scoring`` has them, asked of a store.

Two rounds of searches: each part brings in its best, and then gives the scores of the candidates that others brought
in. Scores are the index folder's own: cosines, and BM25 with its weights as sparse vectors. They differ from the
folder's in three places: a graph finds nearly all of the nearest; the deviation of BM25 over the catalog is an estimate
where more than ``MOMENTS`` products score (``Words.moments``); and of products that tie at the depth of the candidates
no more than ``MOMENTS`` are brought in.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from llmrec.index.codes import kin_of, named_codes
from llmrec.index.fusion import Candidates
from llmrec.index.query_words import QueryWords
from llmrec.index.remote.beside import Beside
from llmrec.index.remote.payload import YES
from llmrec.index.remote.store import Store, Wanted
from llmrec.index.scoring import LONG_TALK, Asked, top_rows

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qdrant_client import models

#: Products whose scores by words are asked for, to tell how scores spread over the catalog. They travel with every
#: query; what the deviation is off by is in ``eval/remote_equal.py``.
MOMENTS = 500

Scores = dict[str, float]


class Plan:
    """What is asked of each part for one query.

    Args:
        query: The query.
        beside: The words of the catalog.
        vectors: The query's vector for each part of vectors that is searched.
        fields: Fields that are searched by words.
    """

    def __init__(
        self, query: Asked, beside: Beside, vectors: Mapping[str, NDArray[np.float32]], fields: Sequence[str]
    ) -> None:
        self.query, self.beside, self.vectors = query, beside, vectors
        self.words = {f"bm25:{f}": beside.words[f].lexical.words(query.text(f)) for f in fields}
        self.found: dict[str, Scores] = {}
        self.whole: dict[str, bool] = {}
        self.spread: dict[str, tuple[float, float]] = {}
        self.brought: list[str] = []

    @property
    def parts(self) -> list[str]:
        """The parts that are searched, words first."""
        return [*self.words, *self.vectors]

    def asked(self, part: str) -> Any:
        """What a part is searched with; None: no word of the query is known to it."""
        if part in self.vectors:
            return self.vectors[part]
        return self._field(part).vector(self.words[part]) if self.words[part].weights else None

    def first(self, depth: int, where: models.Filter | None, *, exact: bool) -> list[tuple[str, bool, Wanted]]:
        """The searches that bring in candidates: part, whether it tells of the whole catalog, and the search."""
        searches = []
        for part in self.parts:
            if (vector := self.asked(part)) is None:
                continue
            if part in self.vectors:
                searches.append((part, False, Wanted(part, vector, depth, where, exact)))
                continue
            limit = max(depth, MOMENTS)
            searches.append((part, where is None, Wanted(part, vector, limit, where)))
            if where is not None:
                searches.append((part, True, Wanted(part, vector, limit)))
        return searches

    def bring(self, part: str, all_of_it: bool, ids: list[str], scores: NDArray[np.float32], depth: int) -> None:
        """Take what a search found; ``all_of_it`` when no filter held it back."""
        own = self.found.setdefault(part, {})
        own.update(zip(ids, scores.tolist(), strict=True))
        if part in self.vectors:
            self.brought += ids[:depth]
            return
        whole = len(ids) < max(depth, MOMENTS)
        if all_of_it:
            self.spread[part] = self._field(part).moments(self.words[part], scores, whole=whole)
            # a product that was not found shares no word
            self.whole[part] = whole

    def bring_best(self, ids: list[str], scores: NDArray[np.float32], depth: int) -> None:
        """Of what words found, bring in the best, with all that tie with the last of them."""
        self.brought += [ids[row] for row in top_rows(scores, depth)]

    def missing(self, candidates: Sequence[str]) -> list[tuple[str, Wanted]]:
        """Searches that score the candidates which a part did not find itself."""
        from qdrant_client import models

        searches = []
        for part in self.parts:
            vector, known = self.asked(part), self.found.get(part, {})
            if vector is None or self.whole.get(part, False):
                continue
            if unknown := [id for id in candidates if id not in known]:
                only = models.Filter(must=[models.HasIdCondition(has_id=list(unknown))])
                searches.append((part, Wanted(part, vector, len(unknown), only, exact=part in self.vectors)))
        return searches

    def scored(self, candidates: Sequence[str]) -> Candidates:
        """The scores of the candidates, but for what their model numbers say."""
        raw: dict[str, Any] = {}
        z: dict[str, Any] = {}
        for part in self.parts:
            known = self.found.get(part, {})
            raw[part] = np.array([known.get(id, 0.0) for id in candidates], dtype=np.float32)
            if part in self.vectors:
                mean, deviation = self.beside.moments(part, self.vectors[part])
            else:
                mean, deviation = self.spread.get(part, (0.0, 0.0))
            z[part] = (raw[part] - mean) / deviation if deviation >= 1e-9 else np.zeros_like(raw[part])
        z = {part: own.astype(np.float32) for part, own in z.items()}
        return Candidates(raw, z, self.query.titled)

    @property
    def title_words(self) -> QueryWords:
        """The words by which the query names a model number."""
        whole = self.beside.words["whole"].lexical
        return whole.words(self.query.title) if self.query.titled else self.words["bm25:whole"]

    def codes(self) -> set[str] | None:
        """Words by which a product names the query's model number; None: it names none, or in passing."""
        words = self.title_words
        if not self.beside.words["whole"].lexical.has_rare_code(words) and len(words.weights) > LONG_TALK:
            return None
        named = named_codes(self.query.title, words)
        if not named:
            return None
        vocabulary = self.beside.words["whole"].columns
        return {kin for code in named for kin in kin_of(code, vocabulary, self.beside.codes)}

    def _field(self, part: str) -> Any:
        return self.beside.words[part.removeprefix("bm25:")]


class Scored(NamedTuple):
    """The candidates of a query, by the ids of their points, and their scores."""

    ids: list[str]
    scores: Candidates


def scored(
    store: Store, collection: str, plans: Sequence[Plan], depth: int, where: models.Filter | None, *, exact: bool
) -> list[Scored]:
    """Search for all queries and score what each part brings in by all parts.

    Args:
        store: The store.
        collection: The collection that is searched.
        plans: One for each query.
        depth: Candidates that each part brings in.
        where: Which products may be brought in; None: all. Deviations are from the mean over the whole catalog.
        exact: Whether vectors are compared one and all.
    """
    first = [(plan, *search) for plan in plans for search in plan.first(depth, where, exact=exact)]
    answers = store.search(collection, [wanted for *_, wanted in first])
    for (plan, part, all_of_it, wanted), (ids, scores) in zip(first, answers, strict=True):
        plan.bring(part, all_of_it, ids, scores, depth)
        if part not in plan.vectors and wanted.filter is where:
            plan.bring_best(ids, scores, depth)
    candidates = [sorted(set(plan.brought)) for plan in plans]
    second = [(plan, *search) for plan, ids in zip(plans, candidates, strict=True) for search in plan.missing(ids)]
    named = [(number, kin) for number, plan in enumerate(plans) if (kin := _kin(plan)) is not None]
    asked = [wanted for *_, wanted in second]
    for number, kin in named:
        asked += _naming(plans[number], candidates[number], kin)
    answers = store.search(collection, asked)
    for (plan, part, _), (ids, scores) in zip(second, answers, strict=False):
        plan.found.setdefault(part, {}).update(zip(ids, scores.tolist(), strict=True))
    others = {}
    for place, (number, _) in enumerate(named):
        carriers, kin_ids = (set(ids) for ids, _ in answers[len(second) + 2 * place :][:2])
        others[number] = np.array([id in carriers and id not in kin_ids for id in candidates[number]], dtype=np.bool_)
    return [
        Scored(ids, _complete(plan, ids, others.get(number)))
        for number, (plan, ids) in enumerate(zip(plans, candidates, strict=True))
    ]


def _kin(plan: Plan) -> set[str] | None:
    return plan.codes() if "bm25:whole" in plan.words else None


def _naming(plan: Plan, candidates: Sequence[str], kin: set[str]) -> tuple[Wanted, Wanted]:
    """Searches for the candidates that name a model number, and for those that name one of the query's."""
    from qdrant_client import models

    limit = max(1, len(candidates))
    only = models.HasIdCondition(has_id=list(candidates))
    coded = models.FieldCondition(key="coded", match=models.MatchValue(value=YES))
    columns = [plan.beside.words["whole"].columns[word] for word in sorted(kin)]
    nothing = models.Filter(must=[models.HasIdCondition(has_id=[])])
    kin_search = Wanted("bm25:whole", (columns, [1.0] * len(columns)), limit, models.Filter(must=[only]))
    return (
        Wanted("", None, limit, models.Filter(must=[only, coded])),
        kin_search if columns else Wanted("", None, 1, nothing),
    )


def _complete(plan: Plan, ids: Sequence[str], other: NDArray[np.bool_] | None) -> Candidates:
    found = plan.scored(ids)
    if "bm25:whole" not in plan.words:
        return found
    whole = plan.beside.words["whole"].lexical
    known, coded = whole.known(plan.words["bm25:whole"]), whole.has_rare_code(plan.title_words)
    return found._replace(known=known, coded=coded, other=other)
