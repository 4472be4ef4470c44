"""An open index as it is searched: by words, by vectors, by pictures, by pieces of words, or by all together."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from copy import copy
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import numpy as np

from llmrec.errors import InputError
from llmrec.index.fusion import FUSIONS, Candidates, Weights, weights_of, zscore
from llmrec.index.grams import best_names
from llmrec.index.likeness import likeness
from llmrec.index.live.parts import without
from llmrec.index.opening import read_settings
from llmrec.index.parts import Parts
from llmrec.index.pictures import BOTH
from llmrec.index.products import ranked
from llmrec.index.scoring import Asked, Near, QueryVectors, candidates, nearest, takes_part
from llmrec.index.standing import Standing, standing_of
from llmrec.records import Hit, Product, ProductSummary, Query
from llmrec.seams import Encoder, ImageEncoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Candidates that each retriever brings in; all of them are then scored by all retrievers.
DEPTH = 200


def check_search(path: Path | str, retrievers: Sequence[str], retriever: str, k: int) -> None:
    """Check what is asked of an index.

    Raises:
        InputError: ``k`` under 1, or a retriever that it does not have.
    """
    if k < 1:
        raise InputError(f"k={k}: must be 1 or more", next_step="Ask for at least one product.")
    if retriever not in retrievers:
        step = f"Choose one of: {', '.join(retrievers)}."
        raise InputError(f"{path}: no retriever {retriever!r}", next_step=step)


class SearchedIndex:
    """What is asked of an open index; ``llmrec.index.Index`` builds and opens one."""

    def __init__(
        self, path: Path, version: Path, manifest: dict[str, Any], encoder: Encoder | None, parts: Parts
    ) -> None:
        self.path = path
        self._version = version
        self._manifest = manifest
        self._encoder = encoder
        self._queries = QueryVectors(encoder) if encoder is not None else None
        self._parts = parts
        self.settings = read_settings(manifest)
        #: The encoder of pictures that the index was opened with; ``search_pictures`` takes its vectors.
        self.image_encoder: ImageEncoder | None = None

    @property
    def version(self) -> str:
        """Name of the version that is open."""
        return self._version.name

    @property
    def has_pictures(self) -> bool:
        """Whether ``search_pictures`` can find something."""
        return self._parts.pictures is not None

    @property
    def image_digest(self) -> str:
        """Digest of the encoder of the pictures; empty without pictures."""
        return str((self._manifest["models"]["image_encoder"] or {"digest": ""})["digest"])

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that ``retrievers`` sum up, in alphabetical order."""
        return tuple(sorted(name for name in self.retrievers if ":" in name))

    @property
    def retrievers(self) -> tuple[str, ...]:
        """The names that ``search_by`` takes, parts first, ``hybrid`` last; ``search_pictures`` is apart."""
        parts = [f"bm25:{field}" for field in self._parts.lexical] + [f"dense:{field}" for field in self._parts.dense]
        return (*parts, "bm25", *(["dense"] if self._parts.dense else []), "hybrid")

    def search(self, queries: Sequence[Query], k: int, where: str | None = None) -> list[list[Hit]]:
        """Find at most ``k`` products for each query by all retrievers together, best first, ties broken by id.

        Args:
            queries: What is looked for.
            k: Products per query at most.
            where: Only products that fit this filter (``llmrec.index.where``): ``price < 50 and brand == "Acme"``.

        Raises:
            InputError: A filter that cannot be read, ``k`` under 1, or the encoder is missing.
        """
        return self.search_by("hybrid", queries, k, where)

    def search_by(self, retriever: str, queries: Sequence[Query], k: int, where: str | None = None) -> list[list[Hit]]:
        """Search by one retriever: a part (``bm25:title``, ``dense:whole``), ``bm25``, ``dense`` or ``hybrid``.

        Raises:
            InputError: See ``search``; or a retriever that this index does not have.
        """
        check_search(self.path, self.retrievers, retriever, k)
        # "bm25" and "dense" are what they are called: the fields summed, without what the default fusion knows besides
        fuse = self._fuse if retriever == "hybrid" else FUSIONS["sum"]
        found: list[list[Hit]] = []
        for rows, scored in self.scored(queries, retriever, depth=max(DEPTH, k), where=where):
            if not len(rows):
                found.append([])
                continue
            fused = next(iter(scored.raw.values())) if len(scored.raw) == 1 else fuse(scored)
            ids = self._parts.table.ids_of(rows.tolist())
            found.append([Hit(ids[i], float(fused[i]), retriever) for i in ranked(ids, fused)[:k]])
        return found

    def scored(
        self, queries: Sequence[Query], retriever: str = "hybrid", *, depth: int = DEPTH, where: str | None = None
    ) -> Iterator[tuple[NDArray[np.int64], Candidates]]:
        """For each query the rows that a retriever brings in, ``depth`` from each part, and their scores unfused.

        Raises:
            InputError: The encoder is missing, or the filter cannot be read.
        """
        kept = self._parts.kept(where)
        lexical = {f: index for f, index in self._parts.lexical.items() if takes_part(f"bm25:{f}", retriever)}
        dense = {f: index for f, index in self._parts.dense.items() if takes_part(f"dense:{f}", retriever)}
        asked = [Asked(query) for query in queries]
        near: list[dict[str, Near]] = [{} for _ in asked]
        if dense:
            near = nearest(asked, dense, self._query_vectors(), depth, kept)
        for query, close in zip(asked, near, strict=True):
            yield candidates(query, lexical, dense, close, self._parts.codes, depth, kept)

    def without(self, ids: Iterable[str]) -> Self:
        """The same index as if some products had never been in it, in memory; this one stays as it is.

        Words that only they have are unknown to it, which leaving them out of a ranking alone does not do.

        Raises:
            InputError: There is no such product.
        """
        rows = np.array([self._parts.table.row(id) for id in ids], dtype=np.int64)
        thinned = copy(self)
        thinned._parts = without(self._parts, rows)
        return thinned

    def standing(
        self, queries: Sequence[Query], ids: Sequence[Sequence[str]], where: str | None = None
    ) -> list[Standing]:
        """How products stand with each retriever, for each query.

        Args:
            queries: What was looked for.
            ids: For each query the products that are asked about.
            where: As for ``search``.

        Raises:
            InputError: The encoder is missing, the filter cannot be read, or there is no such product.
        """
        asked = [[self._parts.table.row(id) for id in own] for own in ids]
        found = self.scored(queries, where=where)
        parts = self.parts
        return [standing_of(rows, scored, own, parts) for (rows, scored), own in zip(found, asked, strict=True)]

    def vectors_found(self, rows: NDArray[np.int64], k: int) -> dict[str, float | None]:
        """Share of rows whose own vector, or one equal to it, is among the ``k`` nearest to it, for each field."""
        found: dict[str, float | None] = {}
        for field, dense in self._parts.dense.items():
            vectors = dense.take(rows)
            good = [
                bool((dense.similarity(vector, near) >= vector @ vector - 1e-5).any())
                for vector, near in zip(vectors, dense.top(vectors, k), strict=True)
                if vector.any()
            ]
            found[f"dense:{field}"] = float(np.mean(good)) if good else None
        return found

    @property
    def can_encode(self) -> bool:
        """Whether queries can be searched by vectors, where it has any."""
        return self._queries is not None or not self.encoder_digest

    @property
    def encoder_digest(self) -> str:
        """Digest of the encoder of its vectors; empty without vectors."""
        return str((self._manifest["models"]["encoder"] or {"digest": ""})["digest"])

    def ranked(self, rows: NDArray[np.int64], scores: NDArray[np.float32]) -> NDArray[np.int64]:
        """Places of ``rows`` by their scores, best first, ties broken by id."""
        return ranked(self._parts.table.ids_of(rows.tolist()), scores)

    @cached_property
    def _weights(self) -> Weights:
        return weights_of(self.settings.weights)

    def _fuse(self, scored: Candidates) -> NDArray[np.float32]:
        if self.settings.fusion == "zscore":
            return zscore(scored, self._weights)
        return FUSIONS[self.settings.fusion](scored)

    def search_pictures(
        self, vectors: NDArray[np.float32], k: int, retriever: str = BOTH, *, where: str | None = None
    ) -> list[list[Hit]]:
        """Find at most ``k`` products that look like each picture, best first, ties broken by id.

        Args:
            vectors: By the index's image encoder, float32 ``[n, d]``.
            k: Products per picture at most.
            retriever: ``vision:images``, ``vision:title``, or their sum, ``vision``.
            where: As for ``search``.

        Returns:
            Hits scored in deviations from the mean over the catalog, by ``vision:images`` or ``vision:title``,
            whichever speaks the louder; empty lists for an index without pictures.

        Raises:
            InputError: Vectors of another length, or that are not numbers; ``k`` under 1.
        """
        if k < 1:
            raise InputError(f"k={k}: must be 1 or more", next_step="Ask for at least one product.")
        if self._parts.pictures is None:
            return [[] for _ in vectors]
        parts = self._parts
        return self._parts.pictures.search(vectors, k, parts.table.ids_of, retriever, parts.kept(where))

    @property
    def ids(self) -> list[str]:
        """Ids of the products, in the order of the catalog."""
        return self._parts.table.ids

    @property
    def rows(self) -> NDArray[np.int64]:
        """Rows of the products that are there, as ``scored`` knows them, in the order of ``ids``."""
        return np.flatnonzero(~self._parts.is_gone)

    @property
    def products(self) -> list[Product]:
        """The products, in the order of the catalog, all in memory."""
        return self._parts.table.records

    def each_product(self) -> Iterator[Product]:
        """The products, in the order of the catalog, read a part at a time."""
        return self._parts.table.each()

    def product(self, product_id: str) -> Product:
        """A product by its id.

        Raises:
            InputError: The index has no such product.
        """
        table = self._parts.table
        return table.record(table.row(product_id))

    def find(self, product_id: str) -> int | None:
        """Row of a product, as ``scored`` knows it; None: it is not there."""
        return self._parts.table.find(product_id)

    def summary(self, product_id: str) -> ProductSummary | None:
        """What a language model wrote about a product; None: nothing.

        Raises:
            InputError: The index has no such product.
        """
        return self._parts.summaries.get(self._parts.table.row(product_id))

    def likeness(self, ids: Sequence[str]) -> NDArray[np.float32] | None:
        """How alike products are by their vectors, float32 ``[n, n]`` (``llmrec.index.likeness``); None: it has none.

        Raises:
            InputError: The index has no such product.
        """
        return likeness(self._parts, ids)

    def count(self, where: str) -> int:
        """How many products fit a filter.

        Raises:
            InputError: It cannot be read.
        """
        kept = self._parts.kept(where)
        return len(self) if kept is None else int(kept.sum())

    def ids_where(self, where: str | None) -> list[str]:
        """Ids of the products that fit a filter; of all that can be found without one.

        Raises:
            InputError: It cannot be read.
        """
        kept = self._parts.kept(where)
        return list(self.ids) if kept is None else self._parts.table.ids_of(np.flatnonzero(kept).tolist())

    def search_pieces(self, lines: Iterable[tuple[str, float]], k: int, where: str | None = None) -> list[Hit]:
        """Find at most ``k`` products by pieces of words, for text that was misread; see ``Grams.scores``.

        Raises:
            InputError: The filter cannot be read.
        """
        parts = self._parts
        return best_names(parts.scores_by_pieces(list(lines)), k, parts.table.ids_of, parts.kept(where))

    def __len__(self) -> int:
        return len(self._parts)

    def _query_vectors(self) -> QueryVectors:
        if self._queries is None:
            built = self._manifest["models"]["encoder"]
            cut = f", dimension={built['dimension']}" if built.get("cut") else ""
            step = f"Open it with Index.open(path, load_encoder({built['reference']!r}{cut})), or search by 'bm25'."
            raise InputError(f"{self.path}: was opened without its encoder", next_step=step)
        return self._queries
