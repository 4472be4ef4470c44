"""A model hub in one process: the few endpoints that ``huggingface_hub`` asks for, over files on disk.

``HubStandIn()`` is a context manager; ``url`` goes into ``HF_ENDPOINT``. Large files are answered with a redirect to a
"CDN" path, as the real hub does.
"""

from __future__ import annotations

import hashlib
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlparse


class HubStandIn:
    """Repositories by id: revision name to commit, commit to folder."""

    def __init__(self) -> None:
        self.refs: dict[str, dict[str, str]] = {}
        self.commits: dict[tuple[str, str], Path] = {}
        self.gated: set[str] = set()
        self.cut: set[str] = set()  # file names that are sent by half
        self.asked: list[str] = []
        self.down = False

    def add(self, name: str, folder: Path, revision: str = "main") -> str:
        """Publish a folder; returns its commit, made from the contents."""
        digest = hashlib.sha1()
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                digest.update(path.relative_to(folder).as_posix().encode() + path.read_bytes())
        commit = digest.hexdigest()
        self.refs.setdefault(name, {})[revision] = commit
        self.commits[name, commit] = folder
        return commit

    def __enter__(self) -> HubStandIn:
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_HEAD(self) -> None:
                hub._answer(self, body=False)

            def do_GET(self) -> None:
                hub._answer(self, body=True)

            def log_message(self, *_: object) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.cdn = f"http://localhost:{self._server.server_port}/cdn"  # another host, as the real one is
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def _answer(self, request: BaseHTTPRequestHandler, *, body: bool) -> None:
        path = unquote(urlparse(request.path).path).strip("/")
        self.asked.append(f"{request.command} {path}")
        if self.down:
            return self._send(request, 503, b"down")
        parts = path.split("/")
        if parts[0] == "cdn":
            return self._file(request, Path("/" + "/".join(parts[1:])), {}, body)
        name = "/".join(parts[2:4] if parts[:2] == ["api", "models"] else parts[:2])
        rest = parts[4:] if parts[:2] == ["api", "models"] else parts[2:]
        if name in self.gated:
            return self._send(request, 401, b"{}", {"X-Error-Code": "GatedRepo", "X-Error-Message": "ask first"})
        if name not in self.refs:
            return self._send(request, 404, b"{}", {"X-Error-Code": "RepoNotFound"})
        revision = rest[1] if len(rest) > 1 else "main"
        commit = self.refs[name].get(revision, revision)
        folder = self.commits.get((name, commit))
        if folder is None:
            return self._send(request, 404, b"{}", {"X-Error-Code": "RevisionNotFound"})
        files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())
        if parts[:2] == ["api", "models"] and rest[:1] == ["tree"]:
            tree = [
                {"type": "file", "path": f, "oid": self._etag(folder / f), "size": (folder / f).stat().st_size}
                for f in files
            ]
            return self._send(request, 200, json.dumps(tree).encode())
        if parts[:2] == ["api", "models"]:
            info = {"id": name, "modelId": name, "sha": commit, "siblings": [{"rfilename": f} for f in files]}
            return self._send(request, 200, json.dumps(info).encode())
        file = folder / "/".join(rest[2:])
        if not file.is_file():
            return self._send(request, 404, b"", {"X-Error-Code": "EntryNotFound", "X-Repo-Commit": commit})
        headers = {"X-Repo-Commit": commit, "ETag": f'"{self._etag(file)}"'}
        if file.suffix == ".safetensors":
            linked = {"X-Linked-Etag": headers["ETag"], "X-Linked-Size": str(file.stat().st_size)}
            return self._send(request, 302, b"", headers | linked | {"Location": self.cdn + str(file)})
        return self._file(request, file, headers, body)

    def _file(self, request: BaseHTTPRequestHandler, file: Path, headers: dict[str, str], body: bool) -> None:
        data = file.read_bytes()
        headers = headers | {"ETag": f'"{self._etag(file)}"'}
        if body and file.name in self.cut:
            request.send_response(200)
            for key, value in (headers | {"Content-Length": str(len(data))}).items():
                request.send_header(key, value)
            request.end_headers()
            request.wfile.write(data[: len(data) // 2])
            request.close_connection = True
            return
        self._send(request, 200, data, headers, body=body)

    def _send(
        self,
        request: BaseHTTPRequestHandler,
        status: int,
        data: bytes,
        headers: dict[str, str] | None = None,
        *,
        body: bool = True,
    ) -> None:
        request.send_response(status)
        for key, value in {**(headers or {}), "Content-Length": str(len(data))}.items():
            request.send_header(key, value)
        request.end_headers()
        if body and request.command != "HEAD":
            request.wfile.write(data)

    def _etag(self, file: Path) -> str:
        return hashlib.sha256(file.read_bytes()).hexdigest()
