"""Rolling windows over a stream: 0-20 s, 15-35 s, 30-50 s, …, each with its own few frames and its own sound."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmrec.records import TimedText
from llmrec.video.choosing import Chooser
from llmrec.video.sound import GAP, RATE, Block

if TYPE_CHECKING:
    from llmrec.video.frames import Candidate

#: Captions of one window at most; real ones have a few dozen.
MOST_CAPTIONS = 500
#: A last window is given for at least so many seconds that no other covers.
LEAST = 0.5


@dataclass
class Window:
    """A stretch of a stream in the making.

    Attributes:
        start, end: Seconds from the start of the stream.
        chooser: Holds the frames that differ.
        sound: Seconds and int16 samples at 16 kHz, in order.
        samples: How many they are.
        captions: Timed text that the stream itself carries.
        last: Latest second of anything in it.
        problems: One line for each thing that was lost.
    """

    start: float
    end: float
    chooser: Chooser
    sound: list[tuple[float, NDArray[np.int16]]] = field(default_factory=list)
    samples: int = 0
    captions: list[TimedText] = field(default_factory=list)
    last: float = -1.0
    problems: list[str] = field(default_factory=list)

    def block(self) -> Block | None:
        """The sound as one block; gaps are silence."""
        parts: list[NDArray[np.int16]] = []
        begin, held = (self.sound[0][0] if self.sound else 0.0), 0
        for second, samples in self.sound:
            missing = second - (begin + held / RATE)
            if missing > GAP:
                parts.append(np.zeros(int(min(missing, self.end - self.start) * RATE), np.int16))
                held += len(parts[-1])
            parts.append(samples)
            held += len(samples)
        return Block(begin, np.concatenate(parts).astype(np.float32) / 32768.0) if parts else None


class Rolling:
    """Sorts what comes out of a stream into windows.

    Args:
        window: Length in seconds.
        hop: Seconds from one start to the next; ``window / 4`` at least, so that few are open at once.
        budget: Pictures of a window at most.
    """

    def __init__(self, window: float, hop: float, budget: int) -> None:
        self.window, self.hop, self.budget = window, hop, budget
        self._open: dict[int, Window] = {}
        self._told = -1.0  # up to here all is in a window that was given
        self._closed = -1

    def frame(self, candidate: Candidate) -> None:
        """Add a frame."""
        for window in self._over(candidate.time, candidate.time):
            window.chooser.add(candidate)

    def sound(self, second: float, samples: NDArray[np.int16]) -> None:
        """Add sound that begins at ``second``."""
        for window in self._over(second, second + len(samples) / RATE):
            if window.samples < 2 * self.window * RATE:  # a clock that stands still must not fill the memory
                window.sound.append((second, samples))
                window.samples += len(samples)

    def caption(self, text: TimedText) -> None:
        """Add a caption."""
        for window in self._over(text.start, text.start):
            if len(window.captions) < MOST_CAPTIONS:
                window.captions.append(text)

    def close(self, second: float) -> list[Window]:
        """The windows that end by ``second``, oldest first."""
        ended = [number for number, window in sorted(self._open.items()) if window.end <= second]
        return [self._take(number) for number in ended]

    def finish(self) -> list[Window]:
        """What is left at the end of the stream; a window that adds nothing to the one before is left out."""
        left = []
        for number in sorted(self._open):
            if self._open[number].last > self._told + LEAST:
                window = self._take(number)
                window.end = min(window.end, window.last)
                self._told = window.last
                left.append(window)
        self._open.clear()
        return left

    def _take(self, number: int) -> Window:
        window = self._open.pop(number)
        self._told, self._closed = max(self._told, window.end), max(self._closed, number)
        return window

    def _over(self, second: float, last: float) -> list[Window]:
        """The windows that cover a moment, opened if need be; what comes late opens no window again."""
        latest = int(second // self.hop)
        first = max(self._closed + 1, int((second - self.window) // self.hop) + 1, 0)
        found = []
        for number in range(first, latest + 1):
            if number not in self._open:
                start = number * self.hop
                self._open[number] = Window(start, start + self.window, Chooser(self.budget))
            self._open[number].last = max(self._open[number].last, min(last, self._open[number].end))
            found.append(self._open[number])
        return found
