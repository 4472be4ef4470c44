"""An index folder into a store: batch by batch, and taken for whole only when it is.

The collection is named by the digest of the folder. One that was begun is gone on with: what is there already is not
sent again. Only when every product is counted, the manifest is written and the store has indexed what it got does the
index's name come to stand for it, in one step; until then searchers see what was there before.
"""

from __future__ import annotations

import hashlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from llmrec.errors import InputError, StorageError
from llmrec.index.remote.address import Address, parse_address
from llmrec.index.remote.beside import currencies_of, gathered, packed
from llmrec.index.remote.payload import INDEXED, key_of, payload_of, point_of
from llmrec.index.remote.source import Row, Source
from llmrec.index.remote.store import Store, name_of_part

if TYPE_CHECKING:
    from qdrant_client import QdrantClient, models

logger = logging.getLogger(__name__)

FORMAT = 1
BATCH = 256
#: Seconds between looks at whether the store has indexed everything.
PAUSE = 1.0

Progress = Callable[[Iterable[Any], str, int], Iterator[Any]]


class Layout(NamedTuple):
    """How the store keeps an index.

    Attributes:
        shards: Parts that a collection is cut into; None: the store's own choice.
        replicas: Copies of each; None: the store's own choice.
        on_disk: Whether vectors and postings are read from disk and not held in memory.
        facets: Fields of ``attributes`` and ``extra`` that the store indexes for filters: ``attributes.colour``.
    """

    shards: int | None = None
    replicas: int | None = None
    on_disk: bool = False
    facets: Sequence[str] = ()


def push(
    path: str | Path,
    to: str | Address,
    *,
    replace: bool = False,
    layout: Layout = Layout(),
    keep: bool = True,
    progress: Progress | None = None,
    client: QdrantClient | None = None,
) -> dict[str, Any]:
    """Load an index folder into a store.

    Args:
        path: The index folder.
        to: Where to (``llmrec.index.remote.address``).
        replace: Whether an index of that name is replaced; it answers until the new one is whole.
        layout: How the store keeps it.
        keep: Whether the one that is replaced stays in the store, for searchers that have it open, until the next push.
        progress: Wraps the loop over batches: (items, label, total).
        client: A client that is connected already.

    Returns:
        ``address``, ``collection``, ``products``, ``sent`` (products that were not there yet), ``seconds``.

    Raises:
        InputError: The name is taken, the store does not answer, or the folder has changes that are not in its files.
        ArtefactError: Not an index, or damaged.
        StorageError: The store refused, or holds another number of products in the end.
    """
    started = time.perf_counter()
    indexed = {**INDEXED, **{_facet(name): "keyword" for name in layout.facets}}
    source = Source(path)
    if source.pictures:
        logger.warning("%s: its pictures are not pushed; they are searched in the folder only", path)
    store = Store(to if isinstance(to, Address) else parse_address(to), client)
    digest = hashlib.sha256(f"{FORMAT} {source.digest}".encode()).hexdigest()[:12]
    collection = f"{store.address.name}-{digest}"
    before = store.current()
    told = {"address": str(store.address), "collection": collection, "products": source.count}
    if before == collection and store.manifest(collection) is not None:
        store.index_payload(collection, indexed)
        return {**told, "sent": 0, "seconds": time.perf_counter() - started}
    if before is not None and not replace:
        raise InputError(f"{store.address}: holds another index", next_step="Add --replace, or name another.")
    begun = store.has(collection)
    if not begun:
        sizes = {f"dense:{field}": own.shape[1] for field, own in source.dense.items()}
        store.create(collection, sizes, [f"bm25:{field}" for field in source.postings], layout)
    store.index_payload(collection, indexed)
    sent = 0
    batches: Iterable[list[Row]] = source.batches(BATCH)
    for batch in progress(batches, "pushing", -(-source.count // BATCH)) if progress else batches:
        ids = [point_of(row.product.id) for row in batch]
        there = store.read(collection, ids) if begun else {}
        points = [point_for(row) for id, row in zip(ids, batch, strict=True) if id not in there]
        if points:
            store.put(collection, points)
        sent += len(points)
    if (counted := store.count(collection)) != source.count:
        step = "Run the command again."
        raise StorageError(f"{store.address}: holds {counted} products, not {source.count}", next_step=step)
    store.write_beside(collection, packed(gathered(source)), _manifest(source, before), layout)
    while not store.is_ready(collection):
        time.sleep(PAUSE)
    older = (store.manifest(before) or {}).get("before") if before else None
    store.point_alias(collection)
    for name in (older, None if keep else before):
        if name and name != collection:
            store.drop(name)
    return {**told, "sent": sent, "seconds": time.perf_counter() - started}


def point_for(row: Row) -> models.PointStruct:
    """A product as a point of the store."""
    from qdrant_client import models

    vectors: dict[str, Any] = {}
    for part, own in row.vectors.items():
        if isinstance(own, tuple):
            vectors[name_of_part(part)] = models.SparseVector(indices=own[0].tolist(), values=own[1].tolist())
        else:
            vectors[name_of_part(part)] = np.asarray(own).tolist()
    payload = payload_of(row.product, coded=row.coded)
    return models.PointStruct(id=point_of(row.product.id), vector=vectors, payload=payload)


def _manifest(source: Source, before: str | None) -> dict[str, Any]:
    return {
        "kind": "index",
        "format": FORMAT,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "digest": source.digest,
        "counts": source.counts,
        "settings": msgspec.to_builtins(source.settings),
        "encoder": source.encoder,
        "averages": source.averages,
        "currencies": currencies_of(source),
        "before": before,
    }


def _facet(name: str) -> str:
    field, _, key = name.partition(".")
    if field not in ("attributes", "extra") or not key:
        step = "Write attributes.colour, or extra.material."
        raise InputError(f"{name!r}: no field that can be indexed", next_step=step)
    return key_of(field, key)
