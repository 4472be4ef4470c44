"""An index in a store, searched as an index folder is."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from copy import copy
from functools import cached_property
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from llmrec.errors import ArtefactError, InputError
from llmrec.index.build import IndexSettings
from llmrec.index.fusion import FUSIONS, Candidates, Weights, weights_of, zscore
from llmrec.index.opening import Wanted, same_encoder, wanted_of
from llmrec.index.remote.address import Address, parse_address
from llmrec.index.remote.beside import Beside, unpacked
from llmrec.index.remote.filtering import translated
from llmrec.index.remote.payload import point_of
from llmrec.index.remote.products import Products
from llmrec.index.remote.pushing import FORMAT
from llmrec.index.remote.scoring import Plan, Scored, scored
from llmrec.index.remote.store import Store
from llmrec.index.scoring import Asked, QueryVectors, takes_part
from llmrec.index.searching import DEPTH, check_search
from llmrec.index.standing import Standing, standing_of
from llmrec.index.texts import FIELDS
from llmrec.index.where import parse
from llmrec.records import Hit, Product, Query
from llmrec.seams import Encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qdrant_client import QdrantClient, models


class RemoteIndex:
    """A catalog in a store; made by ``RemoteIndex.open``, changed by ``llmrec.index.remote.changing``.

    It searches by words and vectors of texts. Pictures, and pieces of misread words, are searched in an index folder.
    """

    #: There are no pictures in it.
    image_encoder = None
    has_pictures = False
    image_digest = ""

    def __init__(self, store: Store, collection: str, manifest: dict[str, Any], beside: Beside, *, exact: bool) -> None:
        self.store, self.collection, self.manifest, self.beside = store, collection, manifest, beside
        self._exact = exact
        #: Notes of changes that it knows of, and what was kept beside it at first.
        self._pieces = int(manifest["pieces"]) + 1
        self.encoder: Encoder | None = None
        self._queries: QueryVectors | None = None
        self._products = Products(store, collection)
        self.settings = msgspec.convert(manifest["settings"], IndexSettings)

    @classmethod
    def open(
        cls,
        address: str | Address,
        encoder: Encoder | None = None,
        *,
        exact: bool = False,
        client: QdrantClient | None = None,
    ) -> RemoteIndex:
        """Open an index in a store.

        Args:
            address: Where it lies (``llmrec.index.remote.address``).
            encoder: The encoder that it was built with; without it only words are searched (``search_by``).
            exact: Whether vectors are compared one and all, which takes long and misses none.
            client: A client that is connected already.

        Raises:
            InputError: There is no such index, or the store does not answer.
            ArtefactError: It is not whole, of another format, or was built with another encoder.
            MissingExtraError: The client library is not installed.
        """
        store = Store(address if isinstance(address, Address) else parse_address(address), client)
        collection = store.current()
        if collection is None:
            step = f"Load one: llmrec index push DIR --to {store.address}"
            raise InputError(f"{store.address}: no such index", next_step=step)
        manifest = store.manifest(collection)
        if manifest is None or manifest.get("format") != FORMAT:
            why = "is not whole" if manifest is None else f"has the format {manifest.get('format')}, not {FORMAT}"
            step = f"Push it again: llmrec index push DIR --to {store.address} --replace"
            raise ArtefactError(f"{store.address}: {why}", next_step=step)
        count = int(manifest["counts"]["products"])
        beside = unpacked(store.read_beside(collection, manifest), count)
        index = cls(store, collection, manifest, beside, exact=exact).latest()
        return index if encoder is None else index.with_encoder(encoder)

    def with_encoder(self, encoder: Encoder) -> RemoteIndex:
        """The same index, searched by vectors too.

        Raises:
            ArtefactError: It was built with another encoder.
        """
        same_encoder(self.path, self.manifest["encoder"], encoder, "encoder")
        found = copy(self)
        found.encoder, found._queries = encoder, QueryVectors(encoder)
        return found

    def wanted_encoder(self, asked: str | None = None) -> Wanted | None:
        """The encoder to load for it: the one asked for, else its own; None: it has no vectors.

        Raises:
            InputError: One is asked for, and the index has no vectors.
        """
        return wanted_of(self.path, self.manifest["encoder"], asked)

    def latest(self) -> RemoteIndex:
        """The index that the name stands for now: this one, unless it was pushed again or changed.

        Raises:
            ArtefactError: It was built with another encoder since.
        """
        if self.store.current() != self.collection:
            return RemoteIndex.open(self.store.address, self.encoder, exact=self._exact, client=self.store.client)
        pieces = self.store.pieces(self.collection)
        if pieces == self._pieces:
            return self
        newer = copy(self)
        newer.beside = self.beside.with_words(self.store.notes(self.collection, self._pieces, pieces))
        newer._pieces, newer._products = pieces, Products(self.store, self.collection)
        return newer

    @property
    def path(self) -> str:
        """Its address."""
        return str(self.store.address)

    @property
    def retrievers(self) -> tuple[str, ...]:
        """The names that ``search_by`` takes, parts first, ``hybrid`` last."""
        dense = [f"dense:{field}" for field in FIELDS] if self.manifest["encoder"] else []
        return (*(f"bm25:{field}" for field in FIELDS), *dense, "bm25", *(["dense"] if dense else []), "hybrid")

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts that ``retrievers`` sum up, in alphabetical order."""
        return tuple(sorted(name for name in self.retrievers if ":" in name))

    @property
    def encoder_digest(self) -> str:
        """Digest of the encoder of its vectors; empty without vectors."""
        return str((self.manifest["encoder"] or {"digest": ""})["digest"])

    @property
    def version_digest(self) -> str:
        """Digest of the index folder that was pushed, and how often it was changed in the store."""
        changes = self._pieces - int(self.manifest["pieces"]) - 1
        return f"{self.manifest['digest']}{f'+{changes}' if changes else ''}"

    def search(self, queries: Sequence[Query], k: int, where: str | None = None) -> list[list[Hit]]:
        """Find at most ``k`` products for each query by all parts together, best first, ties broken by id.

        Raises:
            InputError: A filter that cannot be read or kept to, ``k`` under 1, or the encoder is missing.
            StorageError: The store refused.
        """
        return self.search_by("hybrid", queries, k, where)

    def search_by(self, retriever: str, queries: Sequence[Query], k: int, where: str | None = None) -> list[list[Hit]]:
        """Search by one retriever: a part (``bm25:title``, ``dense:whole``), ``bm25``, ``dense`` or ``hybrid``.

        Raises:
            InputError: See ``search``; or a retriever that this index does not have.
        """
        check_search(self.path, self.retrievers, retriever, k)
        fuse = self._fuse if retriever == "hybrid" else FUSIONS["sum"]
        best: list[list[tuple[str, float]]] = []
        for ids, found in self._scored(queries, retriever, max(DEPTH, k), where):
            if not ids:
                best.append([])
                continue
            fused = next(iter(found.raw.values())) if len(found.raw) == 1 else fuse(found)
            order = np.argsort(-fused, kind="stable")
            # of those that tie with the last, ids decide
            last = fused[order[min(k, len(order)) - 1]]
            best.append([(ids[i], float(fused[i])) for i in order if fused[i] >= last])
        named = self._products.read(dict.fromkeys(id for own in best for id, _ in own))
        hits = [[Hit(named[id].id, score, retriever) for id, score in own if id in named] for own in best]
        return [sorted(own, key=lambda hit: (-hit.score, hit.product_id))[:k] for own in hits]

    def standing(
        self, queries: Sequence[Query], ids: Sequence[Sequence[str]], where: str | None = None
    ) -> list[Standing]:
        """How products stand with each part, for each query; see ``SearchedIndex.standing``."""
        found = self._scored(queries, "hybrid", DEPTH, where)
        told = []
        for (points, scores), own in zip(found, ids, strict=True):
            place = {point: row for row, point in enumerate(points)}
            asked = [place.get(point_of(id), -1) for id in own]
            told.append(standing_of(np.arange(len(points)), scores, asked, self.parts))
        return told

    def product(self, product_id: str) -> Product:
        """A product by its id.

        Raises:
            InputError: The index has no such product.
        """
        point = point_of(product_id)
        found = self._products.read([point]).get(point)
        if found is None:
            raise InputError(f"no product {product_id!r}", next_step="Check the id.")
        return found

    def count(self, where: str) -> int:
        """How many products fit a filter.

        Raises:
            InputError: It cannot be read, or kept to.
        """
        return self.store.count(self.collection, self._filter(where))

    @property
    def ids(self) -> Iterator[str]:
        """Ids of the products, in no order; all are read through."""
        return (product.id for product in self.each_product())

    def each_product(self, where: str | None = None) -> Iterator[Product]:
        """The products, or those that fit a filter, in no order; read a thousand at a time."""
        wanted = None if where is None else self._filter(where)
        records = self.store.each(self.collection, "record", wanted)
        return (msgspec.json.decode(record, type=Product) for record in records)

    def ids_where(self, where: str | None) -> list[str]:
        """Ids of the products that fit a filter; of all without one.

        Raises:
            InputError: It cannot be read, or kept to.
        """
        return [product.id for product in self.each_product(where)]

    def without(self, ids: Sequence[str]) -> RemoteIndex:
        """Not to be had here.

        Raises:
            InputError: Always.
        """
        step = "Calibrate on the index folder that was pushed: the calibration holds for both."
        raise InputError(f"{self.path}: an index in a store cannot be thinned out", next_step=step)

    def __len__(self) -> int:
        return self.store.count(self.collection)

    def info(self) -> dict[str, Any]:
        """What the manifest says, and how many products the store counts."""
        found = {name: self.manifest[name] for name in ("created", "counts", "settings", "encoder", "digest")}
        return {"path": self.path, "collection": self.collection, **found, "stored": len(self)}

    def _scored(self, queries: Sequence[Query], retriever: str, depth: int, where: str | None) -> list[Scored]:
        wanted = None if where is None else self._filter(where)
        asked = [Asked(query) for query in queries]
        vectors = self._vectors(asked, [part for part in self.parts if part.startswith("dense:")], retriever)
        fields = [field for field in FIELDS if takes_part(f"bm25:{field}", retriever)]
        plans = [Plan(query, self.beside, own, fields) for query, own in zip(asked, vectors, strict=True)]
        return scored(self.store, self.collection, plans, depth, wanted, exact=self._exact)

    def _vectors(
        self, asked: Sequence[Asked], parts: Sequence[str], retriever: str
    ) -> list[dict[str, NDArray[np.float32]]]:
        """For each query its vector for each part that is searched; none for an empty query."""
        parts = [part for part in parts if takes_part(part, retriever)]
        if not parts:
            return [{} for _ in asked]
        if self._queries is None:
            wanted = self.wanted_encoder()
            step = f"Open it with its encoder, {wanted.reference if wanted else ''}, or search by 'bm25'."
            raise InputError(f"{self.path}: was opened without its encoder", next_step=step)
        fields = {part: part.removeprefix("dense:") for part in parts}
        texts = list(dict.fromkeys(query.text(field) for query in asked if query for field in fields.values()))
        known = dict(zip(texts, self._queries.encode(texts, kind="query"), strict=True)) if texts else {}
        return [{p: known[query.text(f)] for p, f in fields.items()} if query else {} for query in asked]

    def _filter(self, where: str) -> models.Filter:
        return translated(parse(where), self.manifest["currencies"])

    @cached_property
    def _weights(self) -> Weights:
        return weights_of(self.settings.weights)

    def _fuse(self, found: Candidates) -> NDArray[np.float32]:
        if self.settings.fusion == "zscore":
            return zscore(found, self._weights)
        return FUSIONS[self.settings.fusion](found)
