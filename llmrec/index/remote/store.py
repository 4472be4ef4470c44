"""The store as this package uses it: collections, points, searches; its errors become ours.

An index called ``shop`` is an alias of a collection ``shop-0123456789ab``, named by the digest of what was loaded, and
``shop-0123456789ab__beside`` holds what a searcher needs beside it, its manifest last.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from llmrec.errors import ArtefactError, InputError, StorageError
from llmrec.index.remote.address import Address, connect

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from qdrant_client import QdrantClient, models

BESIDE = "__beside"
#: Bytes of a piece of what is kept beside, and pieces that are read at a time: a server takes 32 MB at once by default.
PIECE, PIECES = 1 << 20, 8
#: Searches that are sent together.
TOGETHER = 32
#: Version of the client and the server from which filters by pieces of text can be asked for.
OLDEST = (1, 20)


class Wanted(NamedTuple):
    """A search by one part (``dense:title`` …): a vector, or columns and weights; None: whatever fits the filter."""

    part: str
    vector: NDArray[np.float32] | tuple[list[int], list[float]] | None
    limit: int
    filter: models.Filter | None = None
    exact: bool = False


class Store:
    """A store and the index in it that an address names.

    Raises:
        MissingExtraError: The client library is not installed.
        InputError: The store does not answer, or is older than 1.20.
    """

    def __init__(self, address: Address, client: QdrantClient | None = None) -> None:
        self.address = address
        self.client = client or connect(address)
        with self._told():
            version = str(self.client.info().version)
        if (found := _numbers(version)) and found < OLDEST:
            step = f"Take version {'.'.join(map(str, OLDEST))} or newer of the server and the client."
            raise InputError(f"{address}: Qdrant {version} has no filter by pieces of text", next_step=step)

    def current(self) -> str | None:
        """The collection that the index's name stands for now, or None.

        Raises:
            InputError: A collection has that name itself, and is none of ours.
        """
        with self._told():
            found = [a.collection_name for a in self.client.get_aliases().aliases if a.alias_name == self.address.name]
            if not found and self.address.name in self._collections():
                step = "Name another."
                raise InputError(f"{self.address}: is a collection of something else", next_step=step)
        return found[0] if found else None

    def has(self, collection: str) -> bool:
        """Whether there is such a collection."""
        with self._told():
            return collection in self._collections()

    def create(self, collection: str, vectors: Mapping[str, int], sparse: Sequence[str], how: Any) -> None:
        """Make a collection.

        Args:
            collection: Its name.
            vectors: Length of the vectors of each part.
            sparse: Parts that are searched by words.
            how: A ``Layout``.
        """
        from qdrant_client import models

        # unit vectors: their product is the cosine, and texts without words stay at 0
        options: dict[str, Any] = {"distance": models.Distance.DOT, "on_disk": how.on_disk}
        dense = {name_of_part(part): models.VectorParams(size=size, **options) for part, size in vectors.items()}
        words = models.SparseVectorParams(index=models.SparseIndexParams(on_disk=how.on_disk))
        with self._told():
            self.client.create_collection(
                collection,
                vectors_config=dense,
                sparse_vectors_config={name_of_part(part): words for part in sparse},
                shard_number=how.shards,
                **_copies(how.replicas),
            )

    def index_payload(self, collection: str, fields: Mapping[str, str]) -> None:
        """Have the store index some fields of the payload, so that filters by them cost little."""
        if self.address.is_local:
            return  # the local form looks at every point
        with self._told():
            for key, kind in fields.items():
                self.client.create_payload_index(collection, key, field_schema=kind, wait=True)  # type: ignore[arg-type]

    def put(self, collection: str, points: Sequence[models.PointStruct]) -> None:
        """Write points; they are there when this returns."""
        with self._told():
            self.client.upload_points(collection, points, batch_size=64, max_retries=3, wait=True)

    def delete(self, collection: str, ids: Sequence[str]) -> None:
        """Take points out; they are gone when this returns."""
        from qdrant_client import models

        with self._told():
            self.client.delete(collection, models.PointIdsList(points=list(ids)), wait=True)

    def read(self, collection: str, ids: Sequence[str], fields: Sequence[str] = ()) -> dict[str, dict[str, Any]]:
        """Fields of the payload of points, by id; those that are not there are left out."""
        with self._told():
            payload = list(fields) if fields else False
            found = self.client.retrieve(collection, list(ids), with_payload=payload, with_vectors=False)
        return {str(point.id): point.payload or {} for point in found}

    def count(self, collection: str, wanted: models.Filter | None = None) -> int:
        """How many points fit a filter."""
        with self._told():
            return self.client.count(collection, count_filter=wanted, exact=True).count

    def search(self, collection: str, wanted: Sequence[Wanted]) -> list[tuple[list[str], NDArray[np.float32]]]:
        """The points that each search finds, best first, and their scores, float32 ``[n]``."""
        from qdrant_client import models

        def request(one: Wanted) -> models.QueryRequest:
            vector: Any = one.vector
            if isinstance(vector, tuple):
                vector = models.SparseVector(indices=vector[0], values=vector[1])
            elif vector is not None:
                vector = vector.tolist()
            parameters = models.SearchParams(exact=True) if one.exact and not self.address.is_local else None
            using = name_of_part(one.part) if one.part else None
            options: dict[str, Any] = {"filter": one.filter, "params": parameters, "limit": one.limit}
            return models.QueryRequest(query=vector, using=using, with_payload=False, with_vector=False, **options)

        found = []
        for start in range(0, len(wanted), TOGETHER):
            with self._told():
                requests = [request(one) for one in wanted[start : start + TOGETHER]]
                answers = self.client.query_batch_points(collection, requests=requests)
            for answer in answers:
                scores = np.array([point.score for point in answer.points], dtype=np.float32)
                found.append(([str(point.id) for point in answer.points], scores))
        return found

    def each(self, collection: str, field: str, wanted: models.Filter | None = None) -> Iterator[str]:
        """A field of the payload of every point that fits a filter, a thousand at a time, in no order."""
        offset: Any = None
        while True:
            with self._told():
                options: dict[str, Any] = {"limit": 1000, "offset": offset, "with_payload": [field]}
                found, offset = self.client.scroll(collection, scroll_filter=wanted, **options)
            yield from (str((point.payload or {})[field]) for point in found)
            if offset is None:
                return

    def write_beside(self, collection: str, data: bytes, manifest: dict[str, Any], how: Any) -> None:
        """Write what lies beside a collection, its manifest last: with it the collection counts as whole.

        It has one shard, and as many copies as the layout ``how`` gives the collection.
        """
        from qdrant_client import models

        name = collection + BESIDE
        pieces = [data[start : start + PIECE] for start in range(0, len(data), PIECE)]
        with self._told():
            if name in self._collections():
                self.client.delete_collection(name)
            self.client.create_collection(name, vectors_config={}, shard_number=1, **_copies(how.replicas))
            for number, piece in enumerate(pieces, start=1):
                point = models.PointStruct(id=number, vector={}, payload={"data": base64.b64encode(piece).decode()})
                self.client.upsert(name, [point], wait=True)
            told = {**manifest, "pieces": len(pieces), "sha256": hashlib.sha256(data).hexdigest()}
            marker = models.PointStruct(id=0, vector={}, payload={"manifest": msgspec.json.encode(told).decode()})
            self.client.upsert(name, [marker], wait=True)

    def manifest(self, collection: str) -> dict[str, Any] | None:
        """The manifest beside a collection; None: it was never whole."""
        name = collection + BESIDE
        with self._told():
            if name not in self._collections():
                return None
            found = self.client.retrieve(name, [0])
        return msgspec.json.decode((found[0].payload or {})["manifest"]) if found else None

    def read_beside(self, collection: str, manifest: Mapping[str, Any]) -> bytes:
        """What lies beside a collection.

        Raises:
            ArtefactError: It is not what its manifest says.
        """
        numbers = list(range(1, int(manifest["pieces"]) + 1))
        pieces: dict[int, bytes] = {}
        with self._told():
            for start in range(0, len(numbers), PIECES):
                for point in self.client.retrieve(collection + BESIDE, numbers[start : start + PIECES]):
                    pieces[int(point.id)] = base64.b64decode((point.payload or {})["data"])
        data = b"".join(pieces.get(number, b"") for number in numbers)
        if hashlib.sha256(data).hexdigest() != manifest["sha256"]:
            step = "Push the index again (--replace)."
            raise ArtefactError(f"{self.address}: what lies beside the vectors is damaged", next_step=step)
        return data

    def pieces(self, collection: str) -> int:
        """How many pieces lie beside a collection: its manifest, what came with it, and a note of each change."""
        return self.count(collection + BESIDE)

    def note(self, collection: str, words: Mapping[str, Mapping[str, float]]) -> None:
        """Write down that a collection changes, and the words that come new; one process at a time."""
        from qdrant_client import models

        payload = {"words": msgspec.json.encode(words).decode()}
        point = models.PointStruct(id=self.pieces(collection), vector={}, payload=payload)
        with self._told():
            self.client.upsert(collection + BESIDE, [point], wait=True)

    def notes(self, collection: str, start: int, end: int) -> list[dict[str, dict[str, float]]]:
        """The words of notes, in the order in which they were written."""
        found: dict[Any, Any] = {}
        with self._told():
            for first in range(start, end, PIECES):
                for point in self.client.retrieve(collection + BESIDE, list(range(first, min(end, first + PIECES)))):
                    found[point.id] = (point.payload or {})["words"]
        return [msgspec.json.decode(found[number]) for number in range(start, end)]

    def is_ready(self, collection: str) -> bool:
        """Whether the store has done with indexing what was written.

        Raises:
            StorageError: It says that it failed.
        """
        with self._told():
            status = str(getattr(self.client.get_collection(collection).status, "value", "green"))
        if status == "red":
            step = "Look into the log of the server; run the command again to go on."
            raise StorageError(f"{self.address}: the store failed to index what it got", next_step=step)
        # grey: it could do more, and will when it is next written to
        return status in ("green", "grey")

    def point_alias(self, collection: str) -> None:
        """Let the index's name stand for a collection, in one step."""
        from qdrant_client import models

        alias = self.address.name
        made: list[Any] = []
        if self.current() is not None:
            made.append(models.DeleteAliasOperation(delete_alias=models.DeleteAlias(alias_name=alias)))
        create = models.CreateAlias(collection_name=collection, alias_name=alias)
        with self._told():
            self.client.update_collection_aliases([*made, models.CreateAliasOperation(create_alias=create)])

    def drop(self, collection: str) -> None:
        """Remove a collection and what lies beside it; first that, so that it never passes for whole."""
        with self._told():
            for name in (collection + BESIDE, collection):
                if name in self._collections():
                    self.client.delete_collection(name)

    def close(self) -> None:
        """Let go of the store."""
        self.client.close()

    def _collections(self) -> set[str]:
        return {collection.name for collection in self.client.get_collections().collections}

    @contextmanager
    def _told(self) -> Iterator[None]:
        from qdrant_client.http.exceptions import ResponseHandlingException, UnexpectedResponse

        try:
            yield
        except ResponseHandlingException as error:
            step = "Check the address, and that the server runs."
            raise InputError(f"{self.address}: does not answer ({error})", next_step=step) from error
        except UnexpectedResponse as error:
            step = "Look into the log of the server; run the command again to go on."
            text = error.content.decode(errors="replace")[:300] if error.content else error.reason_phrase
            raise StorageError(f"{self.address}: answers {error.status_code}: {text}", next_step=step) from error


def _copies(replicas: int | None) -> dict[str, Any]:
    """How many copies there are, of which a write waits for most; payload is left on disk."""
    most = replicas // 2 + 1 if replicas else None
    return {"replication_factor": replicas, "write_consistency_factor": most, "on_disk_payload": True}


def name_of_part(part: str) -> str:
    """What the store calls a part (``dense:title``)."""
    return part.replace(":", "_")


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts) if all(part.isdigit() for part in parts) else ()
