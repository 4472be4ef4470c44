"""Watching in child processes: a decoder that crashes, hangs or eats the memory costs one file, never the batch.

::

    with IsolatedWatcher(WatchSettings(), frames_dir="frames", workers=2) as watcher:
        watcher.attempt("clip.mp4")      # Watched, or WatchFailure("clip.mp4", "… crashed … (SIGSEGV)")

A child loads the models once and lives as long as it does its work; one that dies is replaced. Contents are those that
a ``Watcher`` gives.
"""

from __future__ import annotations

import logging
import os
import queue
import signal
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any

from llmrec import errors
from llmrec.errors import InputError, LlmrecError
from llmrec.records import Content, ContentKind
from llmrec.video.child import Child, TooLong
from llmrec.video.settings import WatchSettings
from llmrec.video.watcher import Watched, WatchFailure
from llmrec.video.worker import Answer, Done, Failed, Job, Raised, Ready, Setup, Sized

logger = logging.getLogger(__name__)

#: Seconds in which a child must have begun.
START_SECONDS = 120.0
CRASH_STEP = "Leave the file out, or convert it first: ffmpeg -i INPUT -c:v libx264 -c:a aac clip.mp4"


class IsolatedWatcher:
    """A ``Watcher`` whose work is done by child processes; use it as a context manager.

    Args:
        settings: How to watch; ``max_wall_seconds`` and ``max_memory`` bound each file.
        frames_dir: As of ``Watcher``.
        workers: Children at most; ``attempt`` may be called from as many threads.
        make: ``module:function`` that makes the child's ``Watcher`` from settings, folder and ``options``.
        options: More arguments of ``make``, of JSON's types.
    """

    def __init__(
        self,
        settings: WatchSettings | None = None,
        *,
        frames_dir: str | Path | None = None,
        workers: int = 1,
        make: str = "llmrec.video.worker:plain",
        options: dict[str, Any] | None = None,
    ) -> None:
        self.settings, self.workers = settings or WatchSettings(), workers
        self.frames_dir = Path(frames_dir) if frames_dir is not None else None
        folder = str(self.frames_dir) if self.frames_dir is not None else None
        level = logging.getLogger().getEffectiveLevel()
        self._setup = Setup(self.settings, folder, make, options or {}, os.getpid(), level)
        self._idle: queue.LifoQueue[Child | None] = queue.LifoQueue()
        for _ in range(workers):
            self._idle.put(None)
        self._alive: set[Child] = set()
        self._lock = threading.Lock()
        self._closed = False
        #: Digest of the image encoder, empty without one; known after ``prepare``.
        self.image_encoder = ""

    def __enter__(self) -> IsolatedWatcher:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """End the children at once; a file that one of them is watching fails."""
        with self._lock:
            self._closed = True
            children = list(self._alive)
        for child in children:
            self._end(child)

    def prepare(self, *, speech: bool = True) -> None:
        """Start a child and load what every file needs; the speech model too, as ``Watcher.prepare``, if ``speech``.

        Raises:
            ModelError, MissingExtraError: As the child's ``Watcher`` raised.
        """
        child = self._take()
        try:
            answer = self._ask(child, Job(speech=speech), None)
            if not isinstance(answer, Ready):
                raise _unstarted(self._end(child))
            self.image_encoder = answer.image_encoder
        finally:
            self._idle.put(child if child in self._alive else None)

    def attempt(
        self, path: str | Path, *, id: str | None = None, kind: ContentKind | None = None
    ) -> Watched | WatchFailure:
        """Watch one file; what is wrong with it, and what it did to the child, comes back as a ``WatchFailure``.

        Raises:
            ModelError, MissingExtraError, StorageError: What would fail for every file.
            LlmrecError: Children do not start here.
        """
        child = self._take()
        try:
            limit = self.settings.wall_limit(1.0, 0)
            try:
                answer = self._ask(child, Job(os.fsencode(path), id=id, kind=kind), limit)
            except TooLong as error:
                self._end(child)
                step = "Cut or convert the file, or raise max_wall_seconds."
                return WatchFailure(str(path), f"{path}: took longer than {error.seconds:.0f} s", step)
            if isinstance(answer, Done):
                return answer.watched
            if isinstance(answer, Failed):
                return answer.failure
            return WatchFailure(str(path), f"{path}: {_death(self._end(child))}", CRASH_STEP)
        finally:
            self._idle.put(child if child in self._alive else None)

    def watch(self, path: str | Path, *, id: str | None = None, kind: ContentKind | None = None) -> Content:
        """Watch one file, as ``Watcher.watch``.

        Raises:
            InputError: It gives no content; or the errors of ``attempt``.
        """
        watched = self.attempt(path, id=id, kind=kind)
        if isinstance(watched, WatchFailure):
            raise InputError(watched.message, next_step=watched.next_step or CRASH_STEP)
        for problem in watched.problems:
            logger.warning("%s: %s", path, problem)
        return watched.content

    def _take(self) -> Child:
        child = self._idle.get()
        try:
            if child is None or not child.lives():
                if child is not None:
                    self._end(child)
                child = self._start()
        except BaseException:
            self._idle.put(None)
            raise
        return child

    def _start(self) -> Child:
        with self._lock:
            if self._closed:
                raise LlmrecError("the watcher is closed", next_step="Make a new one.")
            child = Child(self._setup, self.workers)
            self._alive.add(child)
        try:
            answer = child.answer(START_SECONDS)
        except TooLong:
            answer = None
        if not isinstance(answer, Ready):
            raise _unstarted(self._end(child))
        return child

    def _ask(self, child: Child, job: Job, limit: float | None) -> Answer | None:
        """Send a job and wait for its answer; None if the child died.

        Raises:
            LlmrecError: As the child raised it.
            TooLong: No answer in time.
        """
        begun = time.monotonic()
        child.send(job)
        while True:
            left = None if limit is None else limit - (time.monotonic() - begun)
            try:
                answer = child.answer(left)
            except TooLong:
                assert limit is not None
                raise TooLong(limit) from None
            if isinstance(answer, Sized):
                limit = self.settings.wall_limit(answer.seconds, answer.bytes)
            elif isinstance(answer, Raised):
                raise _same(answer)
            else:
                return answer

    def _end(self, child: Child) -> int:
        with self._lock:
            self._alive.discard(child)
        return child.end()


def _death(code: int) -> str:
    if code < 0:
        try:
            name = signal.Signals(-code).name
        except ValueError:
            name = f"signal {-code}"
        why = "; it may have needed too much memory" if name == "SIGKILL" else ""
        return f"the process that decodes it crashed or was killed ({name}){why}"
    return f"the process that decodes it ended (exit code {code})"


def _unstarted(code: int) -> LlmrecError:
    step = "Run it with --no-isolate (isolate=False) to see why; what it printed is above."
    return LlmrecError(f"the process that watches files does not start: {_death(code)}", next_step=step)


def _same(raised: Raised) -> LlmrecError:
    """An error as the child raised it, of the same class."""
    kind = getattr(errors, raised.error, LlmrecError)
    if not (isinstance(kind, type) and issubclass(kind, LlmrecError)):
        kind = LlmrecError
    error: LlmrecError = kind.__new__(kind)
    LlmrecError.__init__(error, raised.message, next_step=raised.next_step)
    return error
