"""What a stream may open: its own host or folder, and nothing else.

A playlist is a script of a stranger: it can name ``/etc/passwd``, ``file:///home/…``, ``http://10.0.0.1/admin`` or a
``concat:`` of them. So FFmpeg opens nothing itself: every address goes through ``Reach.open``, which has no way to a
file for a remote playlist, none out of its folder for a local one, and none to another host (redirects included) that
was not allowed.
"""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urljoin, urlsplit, urlunsplit

from llmrec.errors import InputError
from llmrec.video.live_bytes import WAITED, Broken, HttpBytes, LocalFile, Nothing, Over, Wait
from llmrec.video.live_source import LiveSource
from llmrec.video.source import public_address

if TYPE_CHECKING:
    import httpx

#: Redirects that are followed, each held against the rules anew.
REDIRECTS = 5
#: Tries for an answer that a server owes (connection lost, 5xx), and seconds between them.
TRIES, PAUSE = 3, 0.4
#: Seconds to wait for a connection, and for the next bytes of an answer.
PATIENCE = 10.0
ALLOW = "Allow the host with --allow-host if you trust it."


class Reach:
    """Opens what a stream names, within bounds; use it as a context manager.

    Args:
        source: Whose stream it is.
        allow_hosts: Further hosts that it may name.
        wait: When to stop waiting.
    """

    def __init__(self, source: LiveSource, allow_hosts: tuple[str, ...], wait: Wait) -> None:
        self._source, self._wait = source, wait
        self._allowed = {host.casefold() for host in allow_hosts}
        self._folder = Path(source.address).resolve().parent if source.kind == "playlist" else None
        self._home = urlsplit(source.address) if source.kind == "http" else None
        self._ready: dict[str, HttpBytes | LocalFile] = {}
        self._client: httpx.Client | None = None
        self._fresh, self._again = time.monotonic(), False
        self._playlists: set[str] = set()

    def __enter__(self) -> Reach:
        return self

    def __exit__(self, *_: object) -> None:
        for body in self._ready.values():
            body.close()
        if self._client is not None:
            self._client.close()

    def first(self) -> tuple[str, bool]:
        """Open the stream itself: its address after redirects, and whether it is a playlist."""
        if self._folder is not None:
            address = f"file:{Path(self._source.address).resolve()}"
            body: HttpBytes | LocalFile = self._local(address)
        else:
            body, address = self._fetch(self._source.address, {})
        self._ready[address] = body
        return address, body.is_playlist

    def open(self, address: str, flags: int, options: dict[str, str]) -> HttpBytes | LocalFile | Nothing:
        """What PyAV calls for every address (``io_open``).

        What is wrong becomes ``Wait.fault``: an ``InputError`` where the address is out of bounds, ``Broken`` where the
        server does not give a playlist, ``Over`` where nothing new was in it for too long. A segment that cannot be had
        is missing.
        """
        try:
            if self._wait.stop.is_set() or self._wait.over:
                raise Over(self._wait.over or "stopped")
            body = self._ready.pop(address, None) or self._body(address, options)
            self._note(body.is_playlist)
        except Broken as error:
            self._wait.lost(error, is_part=address not in self._playlists)
            return Nothing()
        except (InputError, Over) as error:
            if not isinstance(self._wait.fault, InputError):
                self._wait.fault = error
            return Nothing()
        if body.is_playlist:
            self._playlists.add(address)
        return body

    def _body(self, address: str, options: dict[str, str]) -> HttpBytes | LocalFile:
        scheme = urlsplit(address).scheme.lower()
        if scheme in ("http", "https"):
            return self._fetch(address, options, is_part=address not in self._playlists)[0]
        if self._folder is not None and scheme in ("", "file"):
            return self._local(address)
        raise self._refusal(address)

    def _note(self, is_playlist: bool) -> None:
        """A segment for which the playlist had to be asked again, after a while: we are at the live edge."""
        now = time.monotonic()
        if is_playlist:
            self._again = self._again or now - max(self._fresh, self._wait.asked) > WAITED
            if now - self._fresh >= self._wait.idle and self._again:
                self._wait.over = f"nothing new came for {self._wait.idle:g} s"
                raise Over(self._wait.over)
            return
        if self._again:
            self._wait.waited = now
        self._fresh, self._again = now, False

    def _local(self, address: str) -> LocalFile:
        assert self._folder is not None
        path = Path(address.removeprefix("file://").removeprefix("file:")).resolve()
        if not path.is_relative_to(self._folder):
            raise self._refusal(address)
        try:
            return LocalFile(path)
        except OSError as error:
            raise Broken(f"{path.name}: {error.strerror or error}") from error

    def _fetch(self, address: str, options: dict[str, str], *, is_part: bool = False) -> tuple[HttpBytes, str]:
        """The answer of a server, and the address that gave it."""
        headers = {"Accept-Encoding": "identity", "User-Agent": "llmrec"}
        if "end_offset" in options:  # a segment that is a part of a longer file
            headers["Range"] = f"bytes={int(options.get('offset', 0))}-{int(options['end_offset']) - 1}"
        for _ in range(REDIRECTS + 1):
            response = self._answer(address, headers)
            if not response.has_redirect_location:
                break
            response.close()
            address = urljoin(address, response.headers["location"])
        shown = public_address(address)
        if response.status_code not in (200, 206):
            response.close()
            raise Broken(f"{shown} answers {response.status_code}")
        if response.headers.get("content-encoding", "identity") != "identity":
            response.close()
            raise Broken(f"{shown} answers packed data that were not asked for")
        return HttpBytes(response, self._wait, is_part=is_part), address

    def _answer(self, address: str, headers: dict[str, str]) -> httpx.Response:
        import httpx

        if self._client is None:
            patience = min(PATIENCE, self._wait.idle)
            self._client = httpx.Client(timeout=patience, headers=headers)
        parts = urlsplit(address)
        if not self._allows(address):
            raise self._refusal(address)
        auth = None
        if (
            self._home is not None
            and self._home.username is not None
            and _origin(address) == _origin(self._home.geturl())
        ):
            auth = (unquote(self._home.username), unquote(self._home.password or ""))
        bare = urlunsplit(parts._replace(netloc=parts.netloc.rpartition("@")[2]))
        for attempt in range(1, TRIES + 1):
            try:
                request = self._client.build_request("GET", bare, headers=headers)
                response = self._client.send(request, auth=auth, stream=True, follow_redirects=False)
            except (httpx.HTTPError, httpx.InvalidURL) as error:
                if attempt == TRIES or self._wait.stop.is_set():
                    raise Broken(f"{public_address(address)}: {str(error) or type(error).__name__}") from error
            else:
                if response.status_code < 500 or attempt == TRIES:
                    return response
                response.close()
            self._wait.stop.wait(PAUSE)
        raise AssertionError("unreachable")

    def _allows(self, address: str) -> bool:
        parts = urlsplit(address)
        if parts.scheme.lower() not in ("http", "https") or not parts.hostname:
            return False
        if {parts.hostname.casefold(), f"{parts.hostname}:{_port(address)}".casefold()} & self._allowed:
            return True
        if self._home is None or parts.hostname != self._home.hostname:
            return False
        if self._home.scheme == "https" and parts.scheme.lower() == "http":
            return False
        same = _port(address) == _port(self._home.geturl())
        return same or (parts.port is None and self._home.port is None)  # http that becomes https

    def _refusal(self, address: str) -> InputError:
        parts = urlsplit(address)
        where = f"{self._source.shown}: names"
        if parts.scheme.lower() in ("http", "https"):
            place = f"{parts.hostname}:{_port(address)}"
            step = f"{ALLOW} It would be: --allow-host {place}"
            return InputError(f"{where} another host, {place}", next_step=step)
        if parts.scheme.startswith("crypto"):
            step = "Give a stream without encryption, or decrypt it first with a tool that has the key."
            return InputError(f"{where} encrypted segments", next_step=step)
        what = (
            "a file outside its folder" if self._folder is not None else f"what it may not ({parts.scheme or 'file'}:)"
        )
        return InputError(f"{where} {what}", next_step="Do not watch it: it is broken or hostile.")


def _port(address: str) -> int:
    parts = urlsplit(address)
    return parts.port or (443 if parts.scheme.lower() == "https" else 80)


def _origin(address: str) -> tuple[str, str | None, int]:
    parts = urlsplit(address)
    return parts.scheme.lower(), parts.hostname, _port(address)


def no_reach(address: str, flags: int, options: dict[str, Any]) -> Nothing:
    """``io_open`` of a stream that may open nothing else."""
    return Nothing()
