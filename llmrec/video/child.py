"""One child process that watches: started, asked, and ended without mercy. The other end of it is ``worker``."""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
from contextlib import suppress
from pathlib import Path
from typing import IO

import msgspec

from llmrec.video.worker import LONGEST, Answer, Job, Setup

#: Bytes of memory that a watching child takes with its models.
CHILD_MEMORY = 2 << 30
CHILD = "import sys, json; sys.path[:] = json.loads(sys.argv[1]); from llmrec.video.worker import main; main()"


class TooLong(Exception):
    """No answer came in so many seconds."""

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds


class Child:
    """One child process, and a thread that reads its answers: pipes cannot be waited for with a limit everywhere."""

    def __init__(self, setup: Setup, workers: int) -> None:
        paths = [os.path.abspath(path) for path in sys.path]
        environment = dict(os.environ)
        if workers > 1 and not setup.settings.threads and not environment.get("OMP_NUM_THREADS"):
            environment["OMP_NUM_THREADS"] = str(max(1, min(4, cores() // workers)))
        # -I: neither the working folder nor PYTHON* variables choose what is imported, only our own sys.path; a
        # session of its own: Ctrl-C reaches the parent alone, which then ends its children
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-c", CHILD, json.dumps(paths)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=environment,
            start_new_session=True,
        )
        assert self._process.stdin is not None and self._process.stdout is not None
        self._jobs: IO[bytes] = self._process.stdin
        self._answers: queue.SimpleQueue[Answer | None] = queue.SimpleQueue()
        self._ended = False
        self._reader = threading.Thread(target=self._read, args=(self._process.stdout,), daemon=True)
        self._reader.start()
        self.send(setup)

    def lives(self) -> bool:
        return self._process.poll() is None

    def send(self, message: Setup | Job) -> None:
        with suppress(OSError, ValueError):  # it died: its answers have ended too
            self._jobs.write(msgspec.json.encode(message) + b"\n")
            self._jobs.flush()

    def answer(self, seconds: float | None) -> Answer | None:
        """The next answer, None if there will be none.

        Raises:
            TooLong: None came in ``seconds``.
        """
        try:
            return self._answers.get(timeout=None if seconds is None else max(0.0, seconds))
        except queue.Empty:
            raise TooLong(seconds or 0.0) from None

    def end(self) -> int:
        """Kill it if it lives; its exit code, negative for the signal by which it died."""
        if self._ended:
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(5)
        self._process.kill()
        code = self._process.wait()
        self._reader.join(5)
        with suppress(OSError, ValueError):
            self._jobs.close()
        return code

    def _read(self, answers: IO[bytes]) -> None:
        with answers, suppress(OSError, ValueError, msgspec.MsgspecError):
            while line := answers.readline(LONGEST):
                self._answers.put(msgspec.json.decode(line, type=Answer))
        self._ended = True
        self._answers.put(None)


def cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def worker_count(files: int) -> int:
    """Children for a batch: by cores, by the memory that is free, and never more than files."""
    return max(1, min(cores(), 4, free_memory() // CHILD_MEMORY, files))


def free_memory() -> int:
    """Bytes of memory that can be had; a guess where the system does not say."""
    try:
        for line in Path("/proc/meminfo").read_text().splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError, IndexError):
        pass
    return 4 << 30
