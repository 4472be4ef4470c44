"""The few frames that stand for a clip: one for each thing that is shown, the sharpest of each stable run.

Frames are compared by miniatures. A run goes on while the picture stays like its first frame; when more runs are
held than there is room for, the two most alike are found and the blurrier is let go. So a still shot of a minute
costs one keyframe, a fast montage gets many. Of the frames held, few are in memory and the others on disk: memory stays
flat however long the clip is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmrec.video.frames import Candidate
from llmrec.video.shelf import Shelf

#: Below this difference (grey levels) two frames show the same thing.
SAME = 7.0
#: Below this difference neighbours in one shot show the same scene: one of them may stand for the time of both.
ONE_SCENE = 20.0
#: Above this mean difference between neighbours (grey levels over the whole picture) a new shot begins.
CUT = 40.0
#: Share of the miniature that changes most, which counts as much as the whole: a caption covers a small part.
SMALL_PART = 0.05
#: A picture whose grey levels spread less than this (standard deviation) is blank.
BLANK = 4.0
#: Frames held in memory; others are put away on disk, which costs a millisecond each.
IN_MEMORY = 8


@dataclass
class Run:
    """A stretch of time in which the picture hardly changes.

    Attributes:
        best: Its sharpest frame.
        start, end: Seconds from the start of the content.
        shot: Number of the shot that it belongs to, from 0.
    """

    best: Candidate
    start: float
    end: float
    shot: int


def choose(candidates: Iterable[Candidate], budget: int) -> list[Run]:
    """Choose at most ``budget`` runs that differ from one another, in order of time.

    Args:
        candidates: Frames in order of time; read once.
        budget: Most runs to return.

    Returns:
        The runs; a clip that is blank throughout gives one.
    """
    chooser = Chooser(budget)
    for candidate in candidates:
        chooser.add(candidate)
    return chooser.finish()


class Chooser:
    """``choose`` for frames that arrive one by one; at most twice ``budget`` runs are held.

    Args:
        budget: Most runs to return.
    """

    def __init__(self, budget: int) -> None:
        self.budget = budget
        self._kept = _Kept()
        self._current: Run | None = None
        self._first: NDArray[np.uint8] | None = None
        self._last: NDArray[np.uint8] | None = None
        self._shot = 0

    def add(self, candidate: Candidate) -> None:
        """Take the next frame, in order of time."""
        if self._last is not None and changes(self._last, candidate.small).mean() > CUT:
            self._shot += 1
        self._last, current = candidate.small, self._current
        if current is not None and self._first is not None and difference(self._first, candidate.small) < SAME:
            current.end = candidate.time
            if candidate.sharpness > current.best.sharpness:
                current.best = candidate
            return
        if current is not None:
            current.end = candidate.time
            self._kept.add(current, 2 * self.budget)
        self._current = Run(candidate, candidate.time, candidate.time, self._shot)
        self._first = candidate.small

    def finish(self) -> list[Run]:
        """The runs that differ from one another, in order of time; nothing can be added any more."""
        if self._current is not None:
            self._kept.add(self._current, 2 * self.budget)
            self._current = None
        self._kept.thin(self.budget, SAME)
        return self._kept.runs


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """How unlike two miniatures are, in grey levels: mean over all, averaged with the mean over the most changed."""
    changed = changes(one, other)
    most = max(1, int(len(changed) * SMALL_PART))
    top = np.partition(changed, len(changed) - most)[-most:]
    return float(changed.mean() + top.mean()) / 2


def changes(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Change of each pixel of two miniatures: that of the channel that changed most, int16 ``[n]``."""
    return np.abs(one.astype(np.int16) - other.astype(np.int16)).max(axis=-1).ravel()


class _Kept:
    """Runs in order of time, with the differences between all of them."""

    def __init__(self) -> None:
        self.runs: list[Run] = []
        self._shelf = Shelf()
        self._apart = np.zeros((0, 0))

    def add(self, run: Run, room: int) -> None:
        """Keep a run; a blank one is kept only while there is nothing else."""
        if run.best.small.std() < BLANK and self.runs:
            return
        if len(self.runs) == 1 and self.runs[0].best.small.std() < BLANK:
            self._drop(0)
        row = np.array([difference(run.best.small, other.best.small) for other in self.runs])
        self._apart = np.pad(self._apart, (0, 1), constant_values=np.inf)
        self._apart[-1, :-1] = self._apart[:-1, -1] = row
        if len(self.runs) >= IN_MEMORY:
            run.best.put_away(self._shelf)
        self.runs.append(run)
        self.thin(room, 0.0)

    def thin(self, room: int, alike: float) -> None:
        """Drop the blurrier of the two most alike until there is room and no two are alike."""
        while len(self.runs) > 1:
            i, j = sorted(divmod(int(self._apart.argmin()), len(self.runs)))
            apart, one, other = self._apart[i, j], self.runs[i], self.runs[j]
            if len(self.runs) <= room and apart >= alike:
                return
            drop, stay = (i, other) if one.best.sharpness < other.best.sharpness else (j, one)
            if j == i + 1 and apart < ONE_SCENE and one.shot == other.shot:
                stay.start, stay.end = one.start, other.end
            self._drop(drop)

    def _drop(self, at: int) -> None:
        del self.runs[at]
        self._apart = np.delete(np.delete(self._apart, at, axis=0), at, axis=1)
