"""From contents to ranked products with evidence.

::

    matcher = Matcher(Index.open("shop.index", encoder=load_encoder("starter:minilm")))
    for match in matcher.match(read_records("contents.jsonl", Content)):
        print(match.content_id, match.products[0].product_id, match.products[0].evidence)
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Protocol

import msgspec

from llmrec.errors import InputError
from llmrec.match.evidence import LIMIT, explain, field_forms, segments_of, word_weights
from llmrec.match.fusion import WEIGHTS, fuse_views
from llmrec.match.views import View, views_of
from llmrec.match.watching import Watch, media_of, watched
from llmrec.records import Content, Hit, Intent, Match, Product, Query, RankedProduct

#: Candidates among which the rarity of a word is judged.
POOL = 50


class Catalogued(Protocol):
    """What a matcher needs of an index: to find products and to show them."""

    def search(self, queries: Sequence[Query], k: int, where: str | None = None) -> list[list[Hit]]: ...

    def product(self, product_id: str) -> Product: ...


class MatchSettings(msgspec.Struct, frozen=True):
    """How contents are matched.

    ``depth`` products of each view are fused; ``weights`` are those of the groups of views (``llmrec.match.fusion``).
    """

    k: int = 10
    depth: int = 100
    weights: Mapping[str, float] = msgspec.field(default_factory=lambda: WEIGHTS)
    evidence: int = LIMIT


class Matcher:
    """Finds the products that contents show or want.

    Args:
        index: A built index, opened with its encoder.
        watch: Turns a media file into timed text and keyframes (``llmrec.video.Watcher().watch``); needed only for
            contents that name a media file and have not been watched.
        intents: Writes the shopping intent of contents (``llmrec.summarize.IntentWriter(generator).intents``).
        settings: See ``MatchSettings``.
    """

    def __init__(
        self,
        index: Catalogued,
        *,
        watch: Watch | None = None,
        intents: Callable[[Iterable[Content]], Iterable[Intent]] | None = None,
        settings: MatchSettings | None = None,
    ) -> None:
        self.index = index
        self.settings = settings or MatchSettings()
        # bounded, so that a run over millions of products stays within memory
        self._fields = lru_cache(maxsize=50_000)(lambda product_id: field_forms(index.product(product_id)))
        self._watch = watch
        self._intents = intents

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
            yield from self._match_batch([self._seen(content, folder) for content in batch])

    def _seen(self, content: Content, folder: str | Path) -> Content:
        if self._watch is not None:
            return watched(content, self._watch, folder)
        if (path := media_of(content, folder)) is not None:
            step = "Run 'llmrec watch' first, or give the matcher a watcher."
            raise InputError(f"content {content.id!r}: {path} has not been watched", next_step=step)
        return content

    def _match_batch(self, contents: list[Content]) -> Iterator[Match]:
        intents: Iterable[Intent | None] = self._intents(contents) if self._intents else [None] * len(contents)
        views: list[list[View]] = [views_of(c, intent) for c, intent in zip(contents, intents, strict=True)]
        depth = max(self.settings.depth, self.settings.k)
        hits = iter(self.index.search([view.query for group in views for view in group], depth))
        for content, group in zip(contents, views, strict=True):
            fused = fuse_views([(view.group, next(hits)) for view in group], self.settings.weights)
            yield self._explained(content, fused)

    def _explained(self, content: Content, hits: list[Hit]) -> Match:
        pool = {hit.product_id: self._fields(hit.product_id) for hit in hits[: max(POOL, self.settings.k)]}
        weights = word_weights(pool.values())
        segments = segments_of(content)
        products = tuple(
            RankedProduct(
                product_id=hit.product_id,
                rank=rank,
                score=hit.score,
                evidence=explain(segments, pool[hit.product_id], weights, self.settings.evidence),
            )
            for rank, hit in enumerate(hits[: self.settings.k], start=1)
        )
        return Match(content.id, products)
