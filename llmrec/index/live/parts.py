"""The parts of an index as they are after some changes."""

from __future__ import annotations

from collections import ChainMap
from collections.abc import Mapping, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from llmrec.index.dense import Dense
from llmrec.index.live.codes import Codes, LiveCodeBook
from llmrec.index.live.delta import Put
from llmrec.index.live.dense import LiveDense
from llmrec.index.live.grams import AddedGrams
from llmrec.index.live.growing import Growing
from llmrec.index.live.lexical import LiveLexical, Texts
from llmrec.index.live.products import LiveTable, Products
from llmrec.index.parts import BaseParts, Parts
from llmrec.index.pictures import Pictures
from llmrec.index.texts import TextChoice, field_texts
from llmrec.records import ProductSummary


class Added:
    """What came after a version; grows, for one writing thread, while others read what was there before.

    Args:
        base: The version.
        averages: Mean words of a text of each field of it.
        choice: What of a product is indexed.
    """

    def __init__(self, base: BaseParts, averages: Mapping[str, float], choice: TextChoice) -> None:
        start = len(base.table)
        self._choice = choice
        self.products = Products(base.table)
        self.summaries: dict[int, ProductSummary] = {}
        self.texts = {field: Texts(start, averages[field]) for field in base.lexical}
        self.codes = Codes(base.lexical["title"])
        self.vectors = {field: Growing(np.float32, (own.dimension,)) for field, own in base.dense.items()}
        shape = (base.pictures.images.dimension if base.pictures else 0,)
        self.pictured = Growing(np.int64)
        self.images, self.titles = Growing(np.float32, shape), Growing(np.float32, shape)
        self._base, self._start = base, start
        self.count = 0

    def append(self, put: Put) -> None:
        """Add a product."""
        texts = field_texts(put.product, put.summary, self._choice)
        words = {field: own.append(texts[field]) for field, own in self.texts.items()}
        self.codes.append(words["title"], words["whole"])
        for field, vectors in self.vectors.items():
            vectors.append(np.frombuffer(put.vectors[field], dtype="<f4"))
        if self._base.pictures is not None:
            for picture in put.pictures:
                self.images.append(np.frombuffer(picture, dtype="<f4"))
                self.pictured.append(self._start + self.count)
            if self._base.pictures.titles is not None:
                self.titles.append(np.frombuffer(put.title, dtype="<f4"))
        if put.summary is not None:
            self.summaries[self._start + self.count] = put.summary
        self.products.append(put.product)
        self.count += 1

    @cached_property
    def grams(self) -> AddedGrams:
        """The titles by pieces of words; made when first asked for."""
        return AddedGrams(self._base.grams)


class LiveParts(Parts):
    """The parts of a version without some rows, and with what was added, if anything was.

    Args:
        base: The version.
        gone: Rows that are gone, ascending.
        added: What came after it.
    """

    def __init__(self, base: BaseParts, gone: NDArray[np.int64], added: Added | None = None) -> None:
        self.base, self.added = base, added
        start = len(base.table)
        more = self.more = added.count if added else 0
        count = start + more
        fields = added.texts if added else {}
        lexical = {f: LiveLexical(own, fields.get(f), count, gone) for f, own in base.lexical.items()}
        codes = LiveCodeBook(base.codes, added.codes if added else None, lexical["title"], lexical["whole"], more)
        dense = {f: LiveDense(own, self._vectors(f, own, more), gone) for f, own in base.dense.items()}
        table = LiveTable(added.products if added else Products(base.table), count, gone)
        super().__init__(table, lexical, codes, dense, self._with_pictures(gone, more), gone)

    def _vectors(self, field: str, own: Dense, more: int) -> NDArray[np.float32]:
        if self.added is None:
            return np.zeros((0, own.dimension), dtype=np.float32)
        return self.added.vectors[field].first(more)

    def _with_pictures(self, gone: NDArray[np.int64], more: int) -> Pictures | None:
        base = self.base.pictures
        if base is None or not (more or len(gone)):
            return base
        none = np.zeros((0, base.images.dimension), dtype=np.float32)
        rows, images, titles = base.rows, none, none
        if self.added is not None:
            own = self.added.pictured.all()
            # a reader of one moment does not see what came after it
            own = own[: int(np.searchsorted(own, len(self.base.table) + more))]
            rows, images = np.concatenate([base.rows, own]), self.added.images.first(len(own))
            titles = self.added.titles.first(more)
        hidden = np.flatnonzero(np.isin(rows, gone))
        named = None
        if base.titles is not None:
            assert isinstance(base.titles, Dense)
            named = LiveDense(base.titles, titles, gone)
        assert isinstance(base.images, Dense)
        return Pictures(LiveDense(base.images, images, hidden), rows, named)

    @property
    def summaries(self) -> Mapping[int, ProductSummary]:
        """See ``Parts``."""
        return ChainMap(self.added.summaries, self.base.summaries) if self.added else self.base.summaries

    def scores_by_pieces(self, lines: Sequence[tuple[str, float]]) -> NDArray[np.float32]:
        """See ``Parts``; what came after the version is indexed block by block."""
        found = self.base.grams.scores(lines)
        if self.added is not None:
            names = [product.title for product in self.added.products.records[: self.more]]
            found = np.concatenate([found, self.added.grams.scores(lines, names)])
        found[self.gone] = 0
        return found


def without(parts: Parts, rows: NDArray[np.int64]) -> LiveParts:
    """The same parts as if some rows had never been there: words that only they have are unknown."""
    if isinstance(parts, LiveParts):
        thinned = LiveParts(parts.base, np.union1d(parts.gone, rows), parts.added)
        thinned.since = parts.since
        return thinned
    assert isinstance(parts, BaseParts)
    return LiveParts(parts, np.unique(rows))
