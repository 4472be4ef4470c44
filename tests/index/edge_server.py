"""The engine of ``edge`` behind the HTTP interface of Qdrant, as far as ``llmrec.index.remote`` uses it.

So that what the client really sends and reads goes through its own HTTP code. The paths are those of Qdrant's OpenAPI
description; permissions, clusters and all else that makes a server are not here.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from pydantic import TypeAdapter
from qdrant_client import models

from tests.index.edge import EdgeClient

_ALIASES = TypeAdapter(list[models.AliasOperations])


def answer(store: EdgeClient, method: str, path: str, body: dict[str, Any]) -> Any:
    """What a request is answered with; ``KeyError`` for a path that is not here."""
    match method, [part for part in path.split("/") if part]:
        case "GET", ["aliases"]:
            return {"aliases": [vars(alias) for alias in store.get_aliases().aliases]}
        case "GET", ["collections"]:
            return {"collections": [vars(own) for own in store.get_collections().collections]}
        case "POST", ["collections", "aliases"]:
            return store.update_collection_aliases(_ALIASES.validate_python(body["actions"])) or True
        case "GET", ["collections", name]:
            return _described(store.get_collection(name).status)
        case "PUT", ["collections", name]:
            made = models.CreateCollection.model_validate(body)
            words = made.sparse_vectors
            return store.create_collection(name, vectors_config=made.vectors, sparse_vectors_config=words) or True
        case "DELETE", ["collections", name]:
            return store.delete_collection(name) or True
        case "PUT", ["collections", name, "index"]:
            store.create_payload_index(name, body["field_name"], field_schema=body["field_schema"], wait=True)
        case "PUT", ["collections", name, "points"]:
            store.upsert(name, models.PointsList.model_validate(body).points, wait=True)
        case "POST", ["collections", name, "points", "delete"]:
            store.delete(name, models.PointIdsList.model_validate(body), wait=True)
        case "POST", ["collections", name, "points"]:
            found = store.retrieve(name, body["ids"], body["with_payload"], False)
            return [{"id": point.id, "payload": point.payload} for point in found]
        case "POST", ["collections", name, "points", "count"]:
            asked = models.CountRequest.model_validate(body)
            return {"count": store.count(name, count_filter=asked.filter, exact=True).count}
        case "POST", ["collections", name, "points", "scroll"]:
            asked = models.ScrollRequest.model_validate(body)
            options = {"limit": asked.limit, "offset": asked.offset, "with_payload": body["with_payload"]}
            points, offset = store.scroll(name, scroll_filter=asked.filter, **options)
            return {"points": [{"id": p.id, "payload": p.payload} for p in points], "next_page_offset": offset}
        case "POST", ["collections", name, "points", "query", "batch"]:
            requests = models.QueryRequestBatch.model_validate(body).searches
            answers = store.query_batch_points(name, requests=requests)
            return [{"points": [{"id": p.id, "version": 0, "score": p.score} for p in a.points]} for a in answers]
        case _:
            raise KeyError(path)
    return {"operation_id": 1, "status": "completed"}


def _described(status: str) -> dict[str, Any]:
    optimizers = {"deleted_threshold": 0.2, "vacuum_min_vector_number": 1000, "default_segment_number": 0}
    graph = {"m": 16, "ef_construct": 100, "full_scan_threshold": 10_000}
    config = {"params": {}, "hnsw_config": graph, "optimizer_config": {**optimizers, "flush_interval_sec": 5}}
    return {"status": status, "optimizer_status": "ok", "segments_count": 1, "config": config, "payload_schema": {}}


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # two writes of one answer would wait for each other
    disable_nagle_algorithm = True
    store: EdgeClient
    lock = threading.Lock()

    def _do(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length") or 0)) or b"{}")
        path = urlsplit(self.path).path
        try:
            with self.lock:
                status, told = 200, {"title": "qdrant", "version": "1.20.0"}
                if path != "/":
                    told = {"result": answer(self.store, self.command, path, body), "status": "ok", "time": 0.0}
        except KeyError as error:
            status, told = 404, {"status": {"error": f"Not found: {error}"}}
        data = json.dumps(told, default=str).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_PUT = do_POST = do_DELETE = _do

    def log_message(self, *_: Any) -> None:
        """Say nothing."""


@contextmanager
def serving(folder: Path, *, graph: int = 10_000) -> Iterator[str]:
    """A server on this machine for as long as the block runs; gives ``127.0.0.1:PORT``."""
    store = EdgeClient(folder, graph=graph)
    handler = type("Handler", (_Handler,), {"store": store})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"127.0.0.1:{server.server_address[1]}"
    finally:
        server.shutdown()
        server.server_close()
        store.close()
