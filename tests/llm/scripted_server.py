"""A chat server in a process of its own that fails as told; run: ``python scripted_server.py SCRIPT.json LOG``.

The script lists what becomes of the first requests: a status code, ``"reset"``, ``"stall"``, ``"html"``, ``"partial"``,
or ``{"status": 429, "retry-after": "0.2"}``; after them every request is answered. The answer to a message is
``echo: `` and the last user message, or what follows ``say:`` in it. Each request is logged as one JSON line.
"""

from __future__ import annotations

import json
import socket
import struct
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

lock = threading.Lock()
open_now = most_open = 0


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    script: list = []
    log = sys.stdout

    def do_POST(self) -> None:
        global open_now, most_open
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        with lock:
            step = self.script.pop(0) if self.script else 200
            open_now += 1
            most_open = max(most_open, open_now)
            seen = {"path": self.path, "body": body, "key": self.headers.get("Authorization"), "open": most_open}
            self.log.write(json.dumps({**seen, "at": time.monotonic()}) + "\n")
            self.log.flush()
        try:
            self.answer(step, body)
        finally:
            with lock:
                open_now -= 1

    def answer(self, step, body) -> None:
        extra = step if isinstance(step, dict) else {"status": step}
        if step == "reset":  # a connection that breaks off: RST, not FIN
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()
            self.close_connection = True
            return
        if step == "stall":
            time.sleep(5)
        status = extra["status"] if isinstance(extra["status"], int) else 200
        time.sleep(extra.get("wait", 0.05))
        last = next(m["content"] for m in reversed(body["messages"]) if m["role"] == "user")
        if isinstance(last, list):  # pictures and a text
            last = " ".join(part["text"] for part in last if part["type"] == "text")
        said = last.split("say:", 1)[1] if "say:" in last else f"echo: {last}"
        usage = {"prompt_tokens": len(last.split()), "completion_tokens": len(said.split())}
        choice = {"index": 0, "message": {"role": "assistant", "content": said}, "finish_reason": "stop"}
        if body.get("logprobs") and "probable" in last:
            likely = [
                {"token": " Yes", "logprob": -0.5},
                {"token": "no", "logprob": -1.5},
                {"token": "It", "logprob": -3},
            ]
            choice["logprobs"] = {"content": [{"token": " Yes", "logprob": -0.5, "top_logprobs": likely}]}
        if said.endswith("…"):
            choice["finish_reason"] = "length"
        data = json.dumps({"choices": [choice], "usage": usage} if status == 200 else {"error": "so scripted"}).encode()
        if step == "html":
            data = b"<html>sign in</html>"
        self.send_response(status)
        if "retry-after" in extra:
            self.send_header("Retry-After", extra["retry-after"])
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[: len(data) // 2] if step == "partial" else data)
        if step == "partial":
            self.close_connection = True

    def log_message(self, *args) -> None:
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request, client_address) -> None:
        pass


if __name__ == "__main__":
    with open(sys.argv[1], encoding="utf-8") as file:
        Handler.script = json.load(file)
    Handler.log = open(sys.argv[2], "a", encoding="utf-8")  # noqa: SIM115
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_address[1], flush=True)
    server.serve_forever()
