"""The few frames that stand for a clip: one for each thing that is shown, the sharpest of each stable run.

Frames are compared by miniatures. A run goes on while the picture stays like its first frame; when more runs are
held than there is room for, the two most alike are found and the blurrier is let go. So a still shot of a minute
costs one keyframe, a fast montage gets many, and memory stays flat however long the clip is.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from llmrec.video.frames import Candidate

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
    kept: list[Run] = []
    current: Run | None = None
    first = last = None
    shot = 0
    for candidate in candidates:
        if last is not None and changes(last, candidate.small).mean() > CUT:
            shot += 1
        last = candidate.small
        if current is not None and first is not None and difference(first, candidate.small) < SAME:
            current.end = candidate.time
            if candidate.sharpness > current.best.sharpness:
                current.best = candidate
            continue
        if current is not None:
            current.end = candidate.time
            _keep(kept, current, 2 * budget)
        current, first = Run(candidate, candidate.time, candidate.time, shot), candidate.small
    if current is not None:
        _keep(kept, current, 2 * budget)
    _thin(kept, budget, SAME)
    return kept


def difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> float:
    """How unlike two miniatures are, in grey levels: mean over all, averaged with the mean over the most changed."""
    changed = changes(one, other)
    most = max(1, int(len(changed) * SMALL_PART))
    top = np.partition(changed, len(changed) - most)[-most:]
    return float(changed.mean() + top.mean()) / 2


def changes(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.int16]:
    """Change of each pixel of two miniatures: that of the channel that changed most, int16 ``[n]``."""
    return np.abs(one.astype(np.int16) - other.astype(np.int16)).max(axis=-1).ravel()


def _keep(kept: list[Run], run: Run, room: int) -> None:
    blank = [other for other in kept if other.best.small.std() < BLANK]
    if kept and run.best.small.std() < BLANK:
        return
    for other in blank:
        kept.remove(other)
    kept.append(run)
    _thin(kept, room, 0.0)


def _thin(kept: list[Run], room: int, alike: float) -> None:
    """Drop runs until there is room and no two are alike; neighbours that are alike become one."""
    if len(kept) < 2:
        return
    distances = np.array([[difference(a.best.small, b.best.small) for b in kept] for a in kept])
    np.fill_diagonal(distances, np.inf)
    while len(kept) > 1:
        i, j = sorted(divmod(int(distances.argmin()), len(kept)))
        if len(kept) <= room and distances[i, j] >= alike:
            return
        drop = i if kept[i].best.sharpness < kept[j].best.sharpness else j
        stay = kept[j if drop == i else i]
        if j == i + 1 and distances[i, j] < ONE_SCENE and kept[i].shot == kept[j].shot:
            stay.start, stay.end = kept[i].start, kept[j].end
        del kept[drop]
        distances = np.delete(np.delete(distances, drop, axis=0), drop, axis=1)
