"""Watchers whose files do to the process what a decoder's fault would do: named by what is in the file."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

from llmrec.errors import InputError, ModelError
from llmrec.records import Content
from llmrec.video import Watched, Watcher, WatchSettings


class Mortal(Watcher):
    """Dies as the file asks; else says which process watched it, and how many files it had watched before."""

    loaded = 0

    def prepare(self) -> None:
        if "no-model" in os.environ.get("MORTAL", ""):
            raise ModelError("no such model", next_step="Name another.")

    def examine(self, path, *, id=None, kind=None) -> Watched:
        print("a library that prints on standard output")
        match Path(path).read_text().strip():
            case "abort":
                os.abort()
            case "crash":
                os.kill(os.getpid(), signal.SIGSEGV)
            case "exit":
                os._exit(3)
            case "hang":
                time.sleep(600)
            case "slow":
                time.sleep(0.5)
            case "eat":
                kept = []
                while True:
                    kept.append(bytearray(64 << 20))
            case "bad":
                raise InputError(f"{path}: is bad", next_step="Make it good.")
            case "ask the network":
                raise ModelError("no such model", next_step="Name another.")
        self.loaded += 1
        return Watched(Content(id or "x", "video", title=f"{os.getpid()} {self.loaded}"), ("a problem",))


def make(settings: WatchSettings, frames_dir: Path | None, **options) -> Watcher:
    if options.get("broken"):
        os._exit(7)
    return Mortal(settings, frames_dir=frames_dir)
