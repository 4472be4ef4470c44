"""The child process of ``isolate``: reads jobs from its standard input, one JSON object a line, and answers likewise.

::

    {"path": "Y2xpcC5tcDQ=", "id": "clip"}                    in: the path as bytes, base64
    {"type": "Sized", "seconds": 12.5, "bytes": 812345}       out: how long it may take is judged by this
    {"type": "Done", "watched": {"content": …}}               out: or Failed, or Raised

Answers are plain records, checked against their types where they arrive: nothing that a decoder may have taken over can
make the parent run anything.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import IO, Any

import msgspec

from llmrec.errors import LlmrecError
from llmrec.records import ContentKind
from llmrec.video.settings import WatchSettings
from llmrec.video.source import length_of, open_container
from llmrec.video.watcher import Watched, Watcher, WatchFailure

#: Most bytes of one answer.
LONGEST = 256 << 20


class Setup(msgspec.Struct, frozen=True):
    """What a child is to be: ``make`` is ``module:function``, called with the settings, the folder and ``options``."""

    settings: WatchSettings
    frames_dir: str | None
    make: str
    options: dict[str, Any]
    parent: int
    log_level: int


class Job(msgspec.Struct, frozen=True):
    """A file to watch, its path as bytes; or, without one, the order to load what every file needs (and ``speech``)."""

    path: bytes = b""
    speech: bool = True
    id: str | None = None
    kind: ContentKind | None = None


class Ready(msgspec.Struct, frozen=True, tag=True):
    """The child has begun, or is prepared; ``image_encoder`` is the digest of its image encoder."""

    image_encoder: str = ""


class Sized(msgspec.Struct, frozen=True, tag=True):
    """Declared length and bytes of the file in hand."""

    seconds: float
    bytes: int


class Done(msgspec.Struct, frozen=True, tag=True):
    """The file has been watched."""

    watched: Watched


class Failed(msgspec.Struct, frozen=True, tag=True):
    """The file gives no content."""

    failure: WatchFailure


class Raised(msgspec.Struct, frozen=True, tag=True):
    """What would fail for every file: the name of the error, its message and next step."""

    error: str
    message: str
    next_step: str


Answer = Ready | Sized | Done | Failed | Raised


def plain(settings: WatchSettings, frames_dir: Path | None) -> Watcher:
    """A watcher with the readers of its settings."""
    return Watcher(settings, frames_dir=frames_dir)


def serve(jobs: IO[bytes], answers: IO[bytes]) -> None:
    """Answer jobs until there are no more."""

    def tell(answer: Answer) -> None:
        answers.write(msgspec.json.encode(answer) + b"\n")
        answers.flush()

    setup = msgspec.json.decode(jobs.readline(), type=Setup)
    logging.basicConfig(level=setup.log_level)
    _limit_memory(setup.settings.max_memory)
    threading.Thread(target=_leave_with, args=(setup.parent,), daemon=True).start()
    watcher: Watcher | None = None
    tell(Ready())
    for line in jobs:
        job = msgspec.json.decode(line, type=Job)
        try:
            if watcher is None:
                module, _, name = setup.make.partition(":")
                make: Callable[..., Watcher] = getattr(importlib.import_module(module), name)
                watcher = make(setup.settings, Path(setup.frames_dir) if setup.frames_dir else None, **setup.options)
            if not job.path:
                if job.speech:
                    watcher.prepare()
                tell(Ready(watcher.image_encoder.digest if watcher.image_encoder is not None else ""))
                continue
            path = Path(os.fsdecode(job.path))
            tell(_sized(path, setup.settings))
            result = watcher.attempt(path, id=job.id, kind=job.kind)
            tell(Done(result) if isinstance(result, Watched) else Failed(result))
        except LlmrecError as error:
            tell(Raised(type(error).__name__, error.message, error.next_step))
        except UnicodeEncodeError:  # a name that is not text cannot be written into a contents file either
            shown = os.fsencode(path).decode(errors="replace")
            tell(Failed(WatchFailure(shown, f"{shown}: its name is not text", "Rename the file.")))


def main() -> None:
    """Run as the child: whatever a library prints goes to standard error, answers alone to standard output."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    with suppress(BrokenPipeError):  # the parent has gone
        serve(sys.stdin.buffer, answers)


def _sized(path: Path, settings: WatchSettings) -> Sized:
    try:
        if path.is_dir():
            sizes = [file.stat().st_size for file in path.iterdir() if file.is_file()]
            return Sized(float(len(sizes)), sum(sizes))
        size = path.stat().st_size
    except OSError:
        return Sized(0.0, 0)
    try:
        with open_container(path, settings) as container:
            return Sized(length_of(container), size)
    except LlmrecError:
        return Sized(1.0, size)


def _limit_memory(most: int) -> None:
    """Refuse more memory than ``most`` bytes where the system can (Linux): an allocation then fails."""
    try:
        import resource

        hard = resource.getrlimit(resource.RLIMIT_DATA)[1]
        least = most if hard == resource.RLIM_INFINITY else min(most, hard)
        resource.setrlimit(resource.RLIMIT_DATA, (least, hard))
    except (ImportError, AttributeError, ValueError, OSError):
        return


def _leave_with(parent: int) -> None:
    """End with the parent, also when it was killed while a file is being watched."""
    while os.getppid() == parent:
        time.sleep(1)
    os._exit(1)
