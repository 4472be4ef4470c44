"""How many frames other readers give for a file, each in a process of its own that may die; for ``watch_fuzz``.

echo clip.mp4 | python eval/watch_fuzz_peers.py opencv       prints {"frames": 150, "error": ""}
"""

from __future__ import annotations

import json
import queue
import subprocess
import sys
import threading
from typing import NamedTuple

MEMORY = 4 << 30


class Read(NamedTuple):
    """Frames that came out, and the error that was told (or that the process died of)."""

    frames: int
    error: str


class Peer:
    """A reader in a process of its own, started again when it has died."""

    def __init__(self, name: str, seconds: float) -> None:
        self.name, self.seconds = name, seconds
        self._process: subprocess.Popen[str] | None = None

    def read(self, path: str) -> Read:
        """Frames of a file; one that kills or hangs the process gives ``crashed`` or ``hung``."""
        if self._process is None or self._process.poll() is not None:
            command = [sys.executable, __file__, self.name]
            quiet = subprocess.DEVNULL
            pipe = subprocess.PIPE
            self._process = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=quiet, text=True)
            self._lines: queue.SimpleQueue[str] = queue.SimpleQueue()
            threading.Thread(target=self._listen, args=(self._process, self._lines), daemon=True).start()
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(path) + "\n")
        self._process.stdin.flush()
        try:
            line = self._lines.get(timeout=self.seconds)
        except queue.Empty:
            self.close()
            return Read(0, "hung")
        if not line:
            self.close()
            return Read(0, "crashed")
        return Read(**json.loads(line))

    def close(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    @staticmethod
    def _listen(process: subprocess.Popen[str], lines: queue.SimpleQueue[str]) -> None:
        assert process.stdout is not None
        for line in process.stdout:
            lines.put(line)
        lines.put("")


def opencv(path: str) -> tuple[int, str]:
    """What ``VideoCapture`` gives: it tells of no error but that it cannot open."""
    import cv2

    capture = cv2.VideoCapture(path)
    if not capture.isOpened():
        return 0, "cannot be opened"
    frames = 0
    while capture.grab():
        frames += 1
    capture.release()
    return frames, ""


def pyav(path: str) -> tuple[int, str]:
    """What the loop of PyAV's own documentation gives."""
    import av

    frames = 0
    try:
        with av.open(path) as container:
            for _ in container.decode(video=0):
                frames += 1
    except (av.error.FFmpegError, ValueError, IndexError, OSError) as error:
        return frames, f"{type(error).__name__}: {error}"[:200]
    return frames, ""


def main() -> None:
    import resource

    resource.setrlimit(resource.RLIMIT_DATA, (MEMORY, MEMORY))
    read = {"opencv": opencv, "pyav": pyav}[sys.argv[1]]
    for line in sys.stdin:
        frames, error = read(json.loads(line))
        print(json.dumps({"frames": frames, "error": error}), flush=True)


if __name__ == "__main__":
    main()
