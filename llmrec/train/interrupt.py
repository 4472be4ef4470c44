"""Ctrl-C (or a scheduler's SIGTERM) saves a checkpoint at the end of the step; a second one ends at once."""

from __future__ import annotations

import signal
import sys
from types import FrameType, TracebackType
from typing import Any

from llmrec.train.events import Listener


class Interrupt:
    """Takes the signals inside its block.

    Args:
        main: Whether this process tells that it was heard.
    """

    def __init__(self, *, main: bool = True) -> None:
        self.main, self.heard = main, False
        self._before: dict[int, Any] = {}

    def asked(self) -> bool:
        """Whether this process was asked to stop."""
        return self.heard

    def __enter__(self) -> Interrupt:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._before[number] = signal.signal(number, self._hear)
            except ValueError:  # not the main thread: the caller's business
                break
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _hear(self, number: int, frame: FrameType | None) -> None:
        if self.heard:
            raise KeyboardInterrupt
        self.heard = True
        if self.main:
            print("stopping after this step; again to stop at once", file=sys.stderr)


class Steering(Listener):
    """Turns to the order of each epoch; saves and stops where all processes have agreed to."""

    def __init__(self, trainer: Any) -> None:
        self.trainer, self.interrupted = trainer, False

    def on_epoch_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.trainer.begin_epoch(int((state.epoch or 0) + 1e-9))

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        # what would end here anyway is no interruption
        if self.trainer.stopping and not control.should_training_stop:
            self.interrupted = True
            control.should_save = control.should_training_stop = True
            # made up for when the training goes on
            control.should_evaluate = False

    def on_epoch_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        if self.interrupted:
            control.should_save = control.should_evaluate = control.should_log = False
