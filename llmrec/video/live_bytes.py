"""Where the bytes of a stream come from: a file that grows, a pipe, or an HTTP answer.

Each has ``read(n)``, which waits for at least one byte and gives none only when the stream is over. Waiting ends when
``Wait.stop`` is set or nothing came for ``Wait.idle`` seconds.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Iterator
from pathlib import Path
from threading import Event
from typing import IO, TYPE_CHECKING

if TYPE_CHECKING:
    import httpx

#: Seconds between two looks at a file that has not grown.
POLL = 0.1
#: A read that took longer than this many seconds had to wait for the stream: we are at its live edge.
WAITED = 0.08
#: Longest playlist in bytes; a day of one-second segments is about 4 MB.
LONGEST_PLAYLIST = 8 << 20


class Broken(OSError):
    """A connection that was lost, and may be made again."""


class Over(OSError):
    """A stream from which nothing came for too long."""


class Wait:
    """When to stop waiting, and when waiting was last needed.

    Attributes:
        idle: Seconds without data after which a stream is over.
        stop: Set by whoever wants no more.
        waited: ``time.monotonic()`` when data came that had been waited for; 0: not since it was last looked at.
        asked: ``time.monotonic()`` when the demultiplexer was last asked for something.
        over: Why the stream ended, empty while it has not.
        fault: What ended the stream while FFmpeg was reading: errors do not pass through it, so they wait here.
        missing: What could not be had of parts of a stream, which FFmpeg passes over.
    """

    def __init__(self, idle: float, stop: Event) -> None:
        self.idle, self.stop = idle, stop
        self.waited = self.asked = 0.0
        self.over = ""
        self.fault: Exception | None = None
        self.missing: list[str] = []

    def gives_up(self, since: float) -> bool:
        """Wait a moment for data that were last seen at ``since`` (monotonic seconds); True: stop waiting."""
        if time.monotonic() - since >= self.idle:
            self.over = f"nothing came for {self.idle:g} s"
            return True
        return self.stop.wait(POLL)

    def lost(self, broken: Broken, *, is_part: bool) -> None:
        """Note that a connection was lost."""
        if is_part:
            self.missing.append(str(broken))
        else:
            self.fault = self.fault or broken

    def came(self, since: float) -> None:
        """Data came that were asked for at ``since``."""
        if time.monotonic() - since > WAITED:
            self.waited = time.monotonic()


class GrowingFile:
    """A file that somebody is still writing, read once from its start."""

    def __init__(self, path: Path, wait: Wait) -> None:
        self._file, self._wait = path.open("rb"), wait

    def read(self, size: int) -> bytes:
        since = time.monotonic()
        while not self._wait.stop.is_set() and not self._wait.over:
            if data := self._file.read(size):
                self._wait.came(since)
                return data
            if self._wait.gives_up(since):
                break
        return b""

    def close(self) -> None:
        self._file.close()


class Pipe:
    """Standard input or a named pipe, by its descriptor."""

    def __init__(self, descriptor: int, wait: Wait, *, own: bool) -> None:
        self._descriptor, self._wait, self._own = descriptor, wait, own
        self._begun = not own  # a named pipe without a writer reads as ended

    def read(self, size: int) -> bytes:
        since = time.monotonic()
        while not self._wait.stop.is_set() and not self._wait.over:
            if select.select([self._descriptor], [], [], POLL)[0]:
                data = os.read(self._descriptor, size)
                if data or self._begun:
                    self._begun = True
                    self._wait.came(since)
                    return data
            if self._wait.gives_up(since):
                break
        return b""

    def close(self) -> None:
        if self._own:
            os.close(self._descriptor)


class HttpBytes:
    """The body of an answer; one that is a playlist is held to ``LONGEST_PLAYLIST``.

    A connection that is lost before the body ended is noted in ``wait``: as a missing part if it ``is_part`` of a
    stream, else as what ended the stream.
    """

    def __init__(self, response: httpx.Response, wait: Wait, *, is_part: bool = False) -> None:
        self._response, self._wait, self._is_part = response, wait, is_part
        self._chunks: Iterator[bytes] = response.iter_raw()  # as they come, not in blocks
        self._held, self._count = b"", 0
        self.head = self._next()
        self._held, self.is_playlist = self.head, self.head.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"#EXTM3U")

    def read(self, size: int) -> bytes:
        if self._wait.stop.is_set():
            return b""
        data = self._held or self._next()
        self._count += len(data[:size])
        if self.is_playlist and self._count > LONGEST_PLAYLIST:
            self._wait.fault = Broken(f"a playlist longer than {LONGEST_PLAYLIST >> 20} MiB")
            return b""
        self._held = data[size:]
        return data[:size]

    def _next(self) -> bytes:
        import httpx

        before = time.monotonic()
        try:
            chunk = next(self._chunks, b"")
        except httpx.HTTPError as error:
            self._wait.lost(Broken(str(error) or type(error).__name__), is_part=self._is_part)
            return b""
        if "content-length" not in self._response.headers:  # a stream without end rather than a segment of one
            self._wait.came(before)
        return chunk

    def close(self) -> None:
        self._response.close()


class Nothing:
    """What is given for an address that cannot be opened: an empty file."""

    is_playlist = False

    def read(self, size: int) -> bytes:
        return b""

    def close(self) -> None:
        pass


class LocalFile:
    """A segment or playlist on disk."""

    def __init__(self, path: Path) -> None:
        self._file: IO[bytes] = path.open("rb")
        self.read, self.seek, self.tell = self._file.read, self._file.seek, self._file.tell
        self.close = self._file.close
        head = self._file.read(64)
        self.is_playlist = head.lstrip(b"\xef\xbb\xbf \r\n").startswith(b"#EXTM3U")
        self._file.seek(0)
