"""Qdrant's engine in this process (``qdrant-edge-py``) behind the calls of its client that we make.

The client's local form is written in Python anew; this is the Rust that a server runs: its graph, its inverted index,
its filters. What is not here is the network and what a cluster does.
"""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace as Told
from typing import Any

import qdrant_edge as edge
from qdrant_client import models

KINDS = {"keyword": edge.PayloadSchemaType.Keyword, "float": edge.PayloadSchemaType.Float}


class EdgeClient:
    """A client of collections that this process keeps in a folder; from ``graph`` KB on, vectors get a graph."""

    def __init__(self, folder: Path | None = None, *, graph: int = 10_000) -> None:
        self._folder = folder or Path(tempfile.mkdtemp())
        self._graph = graph
        self._shards: dict[str, Any] = {}
        self._aliases: dict[str, str] = {}

    def info(self) -> Told:
        return Told(version="1.20.0")

    def get_aliases(self) -> Told:
        return Told(aliases=[Told(alias_name=a, collection_name=c) for a, c in self._aliases.items()])

    def update_collection_aliases(self, operations: Sequence[Any]) -> None:
        for operation in operations:
            if isinstance(operation, models.DeleteAliasOperation):
                del self._aliases[operation.delete_alias.alias_name]
            else:
                self._aliases[operation.create_alias.alias_name] = operation.create_alias.collection_name

    def get_collections(self) -> Told:
        return Told(collections=[Told(name=name) for name in self._shards])

    def get_collection(self, name: str) -> Told:
        self._shards[name].optimize()
        return Told(status="green")

    def create_collection(self, name: str, *, vectors_config: Any, sparse_vectors_config: Any = None, **_: Any) -> None:
        vectors = {n: edge.EdgeVectorParams(size=v.size, distance=edge.Distance.Dot) for n, v in vectors_config.items()}
        words = {n: edge.EdgeSparseVectorParams() for n in sparse_vectors_config or {}}
        if not vectors and not words:
            words = {"none": edge.EdgeSparseVectorParams()}  # a shard wants a vector to be thought of
        optimizers = edge.EdgeOptimizersConfig(indexing_threshold=self._graph, default_segment_number=1)
        config = edge.EdgeConfig(vectors=vectors, sparse_vectors=words, optimizers=optimizers)
        (self._folder / name).mkdir(parents=True)
        self._shards[name] = edge.EdgeShard.create(str(self._folder / name), config)

    def delete_collection(self, name: str) -> None:
        self._shards.pop(name).close()

    def create_payload_index(self, name: str, key: str, *, field_schema: str, wait: bool) -> None:
        self._shards[name].update(edge.UpdateOperation.create_field_index(key, KINDS[field_schema]))

    def upload_points(self, name: str, points: Sequence[Any], **_: Any) -> None:
        self._shards[name].update(edge.UpdateOperation.upsert_points([_point(point) for point in points]))

    def upsert(self, name: str, points: Sequence[Any], *, wait: bool) -> None:
        self.upload_points(name, points)

    def delete(self, name: str, points: Any, *, wait: bool) -> None:
        self._shards[name].update(edge.UpdateOperation.delete_points(list(points.points)))

    def retrieve(
        self, name: str, ids: Sequence[Any], with_payload: Any = True, with_vectors: bool = False
    ) -> list[Any]:
        return self._shards[name].retrieve(list(ids), with_payload, with_vectors)

    def count(self, name: str, *, count_filter: Any, exact: bool) -> Told:
        return Told(count=self._shards[name].count(edge.CountRequest(filter=_filter(count_filter), exact=exact)))

    def scroll(self, name: str, *, scroll_filter: Any, limit: int, offset: Any, with_payload: Sequence[str]) -> Any:
        options: dict[str, Any] = {"limit": limit, "offset": offset, "with_payload": list(with_payload)}
        asked = edge.ScrollRequest(filter=_filter(scroll_filter), with_vector=False, **options)
        return self._shards[name].scroll(asked)

    def query_batch_points(self, name: str, *, requests: Sequence[Any]) -> list[Told]:
        asked = [_request(one) for one in requests]
        found = self._shards[name].query_batch(edge.QueryBatchRequest(asked))
        return [Told(points=points) for points in found]

    def close(self) -> None:
        for shard in self._shards.values():
            shard.close()


def _point(point: Any) -> Any:
    def vector(own: Any) -> Any:
        return edge.SparseVector(own.indices, own.values) if isinstance(own, models.SparseVector) else own

    return edge.Point(point.id, {name: vector(own) for name, own in point.vector.items()}, point.payload)


def _request(one: Any) -> Any:
    query = one.query.nearest if isinstance(one.query, models.NearestQuery) else one.query
    if isinstance(query, models.SparseVector):
        query = edge.SparseVector(query.indices, query.values)
    nearest = None if query is None else edge.Query.Nearest(query, using=one.using)
    parameters = edge.SearchParams(exact=True) if one.params and one.params.exact else None
    options: dict[str, Any] = {"filter": _filter(one.filter), "params": parameters}
    return edge.QueryRequest(query=nearest, limit=one.limit, with_payload=False, with_vector=False, **options)


def _filter(wanted: Any) -> Any:
    """The filter, by way of its JSON: what a server would be sent."""
    return None if wanted is None else _from_json(wanted.model_dump(mode="json", exclude_none=True))


def _from_json(told: dict[str, Any]) -> Any:
    return edge.Filter(**{name: [_condition(part) for part in parts] for name, parts in told.items()})


def _condition(told: dict[str, Any]) -> Any:
    if "has_id" in told:
        return edge.HasIdCondition(set(told["has_id"]))
    if "is_empty" in told:
        return edge.IsEmptyCondition(told["is_empty"]["key"])
    if "range" in told:
        return edge.FieldCondition(told["key"], range=edge.RangeFloat(**told["range"]))
    if "match" in told:
        ((kind, value),) = told["match"].items()
        match = {"any": edge.MatchAny, "value": edge.MatchValue, "substring": edge.MatchSubstring}[kind]
        return edge.FieldCondition(told["key"], match=match(value))
    return _from_json(told)
