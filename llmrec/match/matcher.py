"""From contents to ranked products with evidence.

::

    matcher = Matcher(Index.open("shop.index", encoder=load_encoder("starter:minilm")))
    for match in matcher.match(read_records("contents.jsonl", Content)):
        print(match.content_id, match.products[0].product_id, match.products[0].evidence)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import copy
from functools import lru_cache
from pathlib import Path
from typing import NamedTuple, Protocol

import msgspec

from llmrec.errors import InputError
from llmrec.match.calibration import Calibration
from llmrec.match.evidence import LIMIT, FieldForms, Segment, explain, field_forms, segments_of, word_weights
from llmrec.match.frames import FrameSearch, pool, showing
from llmrec.match.fusion import WEIGHTS, fuse_views
from llmrec.match.judging import Judge
from llmrec.match.reranking import Reranking
from llmrec.match.rules import Rules
from llmrec.match.shown import shown_times
from llmrec.match.signals import WIDTH
from llmrec.match.steering import Steered, Steering
from llmrec.match.views import View, views_of
from llmrec.match.watching import Watch, media_of, watched
from llmrec.records import Content, Evidence, Hit, Intent, Keyframe, Match, Product, Query, RankedProduct

#: Candidates among which the rarity of a word is judged.
POOL = 50


class Catalogued(Protocol):
    """What a matcher needs of an index: to find products and to show them."""

    def search(self, queries: Sequence[Query], k: int, where: str | None = None) -> list[list[Hit]]: ...

    def product(self, product_id: str) -> Product: ...


class _Found(NamedTuple):
    """What was found for a content: all its rankings made one, what of it is shown, and what tells when it is."""

    hits: list[Hit]
    steered: Steered
    frames: list[tuple[Keyframe, list[Hit]]]
    parts: list[tuple[float, float, str]]


#: What each view of a content found, and each frame.
_Rankings = tuple[list[tuple[View, list[Hit]]], list[tuple[Keyframe, list[Hit]]]]


class MatchSettings(msgspec.Struct, frozen=True):
    """How contents are matched.

    ``depth`` products of each view are fused; ``weights`` are those of the groups of views (``llmrec.match.fusion``);
    ``evidence`` bounds the quotations of a product; ``vision`` says whether frames are compared with product pictures;
    only products that fit the filter ``where`` (``llmrec.index.where``) are found. ``rules`` (``llmrec.match.rules``)
    ban, boost and cap products; ``diversity``, from 0 to below 1, is what being unlike those before counts beside the
    score.
    """

    k: int = 10
    depth: int = 100
    weights: Mapping[str, float] = msgspec.field(default_factory=lambda: WEIGHTS)
    evidence: int = LIMIT
    vision: bool = True
    where: str | None = None
    rules: Rules | None = None
    diversity: float = 0.0


class Matcher:
    """Finds the products that contents show or want.

    Args:
        index: A built index, opened with its encoder.
        watch: Turns a media file into timed text and keyframes (``llmrec.video.Watcher().watch``); needed only for
            contents that name a media file and have not been watched.
        intents: Writes the shopping intent of contents (``llmrec.summarize.IntentWriter(generator).intents``).
        settings: See ``MatchSettings``.
        calibration: Says how probably the first product is right (``llmrec.match.calibration``); None: nothing is said.
        rerank: Looks a second time at the best products of each list (``llmrec.match.reranking``). A calibration says
            how its scores count, and is refused when it was made with another one.
        min_precision: Share of the shown first products that shall be right: below the bar that the calibration has
            for it, ``no_match`` is the decision. None: a probability, and no decision.

        alpha: The products of a match are cut to a set that holds the right one, or else ``no_match.possible`` is true,
            for all but this share of the contents (``llmrec.match.conformal``). None: ``k`` products.

    Raises:
        InputError: A precision or a set without a calibration, or one that it never reached; a set of more than ``k``,
            or of products that rules move; settings that the index cannot keep to.
        ArtefactError: A calibration made with another encoder than the index has, or with another reranker.
    """

    def __init__(
        self,
        index: Catalogued,
        *,
        watch: Watch | None = None,
        intents: Callable[[Iterable[Content]], Iterable[Intent | Sequence[Intent]]] | None = None,
        settings: MatchSettings | None = None,
        calibration: Calibration | None = None,
        min_precision: float | None = None,
        rerank: Reranking | None = None,
        alpha: float | None = None,
    ) -> None:
        self.settings = settings or MatchSettings()
        if alpha is not None and self.settings.k < WIDTH:
            step = f"Ask for {WIDTH} products or more: the set cuts them."
            raise InputError(f"k={self.settings.k}: sets may hold {WIDTH} products", next_step=step)
        own = self.settings
        if alpha is not None and (
            own.diversity or (own.rules and any(rule.action != "ban" for rule in own.rules.rules))
        ):
            step = "Leave boosts, caps and diversity out, or the set."
            raise InputError("a set of answers is cut from the list as it was found, which rules move", next_step=step)
        self._judge = Judge(index, calibration, min_precision, self.settings.where, rerank, alpha)
        self._watch = watch
        self._intents = intents
        self._look_into(index)

    def _look_into(self, index: Catalogued) -> None:
        self.index = index
        # bounded, so that a run over millions of products stays within memory
        self._fields = lru_cache(maxsize=50_000)(lambda product_id: field_forms(index.product(product_id)))
        self._frames = FrameSearch(index if self.settings.vision else None)
        own = self.settings
        self._steering = Steering(index, own.rules, own.diversity, own.where, own.k)

    def over(self, index: Catalogued) -> Matcher:
        """The same matcher over another index, without calibration and reranker."""
        return Matcher(index, watch=self._watch, intents=self._intents, settings=self.settings)

    def latest(self) -> Matcher:
        """The same matcher over the index as it is on disk now; this one where nothing was written to that.

        A run over a file matches all of it against one state of the catalog; whoever serves asks before each content.

        Raises:
            ArtefactError: The index is damaged, or was built anew with another encoder.
        """
        newest = getattr(self.index, "latest", lambda: self.index)()
        if newest is self.index:
            return self
        moved = copy(self)
        moved._look_into(newest)
        moved._judge = self._judge.over(newest)
        return moved

    def match(self, contents: Iterable[Content], *, folder: str | Path = ".", batch_size: int = 32) -> Iterator[Match]:
        """Match contents, in order, a batch at a time.

        Args:
            contents: What is to be matched.
            folder: Where relative media paths start: the folder of the contents file.
            batch_size: Contents that are searched together.

        Raises:
            InputError: A content's media is missing or cannot be watched; names the content.
        """
        stream = iter(contents)
        while batch := list(itertools.islice(stream, batch_size)):
            yield from self._match_batch([self._seen(content, folder) for content in batch], folder)

    def _seen(self, content: Content, folder: str | Path) -> Content:
        if self._watch is not None:
            return watched(content, self._watch, folder)
        if (path := media_of(content, folder)) is not None:
            step = "Run 'llmrec watch' first, or give the matcher a watcher."
            raise InputError(f"content {content.id!r}: {path} has not been watched", next_step=step)
        return content

    def rankings(self, contents: Sequence[Content], *, folder: str | Path = ".") -> list[_Rankings]:
        """What each view and each frame of watched contents finds, before it is made one ranking."""
        written = self._intents(contents) if self._intents else [() for _ in contents]
        views: list[list[View]] = [views_of(c, _listed(own)) for c, own in zip(contents, written, strict=True)]
        found: dict[int, _Rankings] = {}
        # rules may ban products for some kinds of content; those that are asked alike are asked together
        wheres = [self._steering.where(content.kind) for content in contents]
        for where in dict.fromkeys(wheres):
            own = [i for i, other in enumerate(wheres) if other == where]
            asked = self._search([contents[i] for i in own], [views[i] for i in own], where, folder)
            found.update(zip(own, asked, strict=True))
        return [found[i] for i in range(len(contents))]

    def _search(
        self, contents: Sequence[Content], views: Sequence[Sequence[View]], where: str | None, folder: str | Path
    ) -> list[_Rankings]:
        depth = max(self.settings.depth, self.settings.k)
        asked = [view.query for group in views for view in group if not view.lines]
        hits = iter(self.index.search(asked, depth, where))
        found = [
            [(view, self._by_pieces(view, depth, where) if view.lines else next(hits)) for view in group]
            for group in views
        ]
        looks = [self._frames.search(content, depth, folder, where) for content in contents]
        return list(zip(found, looks, strict=True))

    def _by_pieces(self, view: View, depth: int, where: str | None) -> list[Hit]:
        """What a view's misread lines find by pieces of words; nothing in an index that has none."""
        search: Callable[..., list[Hit]] | None = getattr(self.index, "search_pieces", None)
        return search(view.lines, depth, where) if search else []

    def _match_batch(self, contents: list[Content], folder: str | Path) -> Iterator[Match]:
        found = self.rankings(contents, folder=folder)
        lists = [self._fused(rankings, frames) for rankings, frames in found]
        judged = self._judge([(hits, main_query(rankings)) for hits, (rankings, _) in zip(lists, found, strict=True)])
        for content, (rankings, frames), last in zip(contents, found, judged, strict=True):
            parts = [
                (view.start, view.end, own[0].product_id)
                for view, own in rankings
                if own and view.start is not None and view.end is not None
            ]
            held = last.hits[0].product_id if last.hits and self._judge.trusts(last) else None
            steered = self._steering(last.hits, content.kind, self._again(content, rankings, folder), held)
            yield self._judge.told(self._explained(content, _Found(last.hits, steered, frames, parts)), last)

    @property
    def rerank(self) -> Reranking | None:
        """What looks a second time; None where nothing does, or where the calibration found that it does not help."""
        return self._judge.rerank

    def _again(
        self, content: Content, rankings: Sequence[tuple[View, list[Hit]]], folder: str | Path
    ) -> Callable[[str], list[Hit]]:
        """Searches for a content once more, with another filter."""
        views = [view for view, _ in rankings]
        return lambda where: self._fused(*self._search([content], [views], where, folder)[0])

    def lists(self, contents: Sequence[Content], *, folder: str | Path = ".") -> list[tuple[list[Hit], Query]]:
        """The first stage's ranking of each content, and the query that stands for it; see ``rankings``.

        Raises:
            InputError: A content's media has not been watched, or cannot be.
        """
        seen = [self._seen(content, folder) for content in contents]
        found = self.rankings(seen, folder=folder)
        return [(self._fused(*one), main_query(one[0])) for one in found]

    def _fused(self, rankings: list[tuple[View, list[Hit]]], frames: list[tuple[Keyframe, list[Hit]]]) -> list[Hit]:
        groups = [(view.group, own) for view, own in rankings]
        return fuse_views([*groups, ("pictures", pool([seen for _, seen in frames]))], self.settings.weights)

    def _explained(self, content: Content, found: _Found) -> Match:
        best = found.steered.hits
        among = [*found.hits[: max(POOL, self.settings.k)], *best]
        candidates = {hit.product_id: self._fields(hit.product_id) for hit in among}
        weights = word_weights(candidates.values())
        segments = segments_of(content)
        seen = showing(found.frames)
        times = [frame.time for frame, _ in found.frames]
        own = {hit.product_id: candidates[hit.product_id] for hit in best}
        shown = shown_times(segments, own, weights, seen, times, found.parts)
        products = tuple(
            RankedProduct(
                product_id=hit.product_id,
                rank=rank,
                score=hit.score,
                evidence=self._evidence(segments, own[hit.product_id], weights, seen.get(hit.product_id, [])),
                shown=shown[hit.product_id],
                rules=found.steered.effects.get(hit.product_id, ()),
            )
            for rank, hit in enumerate(best, start=1)
        )
        return Match(content.id, products)

    def _evidence(
        self,
        segments: Sequence[Segment],
        fields: FieldForms,
        weights: Mapping[str, float],
        seen: Sequence[tuple[Keyframe, Hit]],
    ) -> tuple[Evidence, ...]:
        """Words, and the frame that looks most like the product."""
        looks = tuple(
            Evidence("vision", frame.time, frame.time, "", hit.retriever.removeprefix("vision:"), frame.path)
            for frame, hit in seen[: min(1, self.settings.evidence)]
        )
        return explain(segments, fields, weights, self.settings.evidence - len(looks)) + looks


def main_query(rankings: Sequence[tuple[View, list[Hit]]]) -> Query:
    """The query that stands for the whole of a content."""
    whole = [view for view, _ in rankings if view.group == "whole"] or [view for view, _ in rankings if not view.lines]
    return whole[0].query if whole else Query("")


def _listed(written: Intent | Sequence[Intent] | None) -> Sequence[Intent]:
    """What an intent writer made of one content, as a list."""
    return () if written is None else (written,) if isinstance(written, Intent) else written
