"""Folders of small pictures: crops of one thing, each worth a look.

Of full frames a few sharp ones that differ are read, since reading is dear. Crops are cheap to read, and what one of
them leaves unsure the next may show: they are read all, and ``llmrec.video.voting`` pools what was read.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import chain, islice

from llmrec.video.choosing import Run, choose
from llmrec.video.frames import Candidate

#: Pictures with no more pixels than this are crops ...
CROP_PIXELS = 480 * 320
#: ... and are read all, up to this many.
MOST = 48


def choose_pictures(candidates: Iterable[Candidate], budget: int) -> list[Run]:
    """The pictures of a folder that are looked at, in order of time.

    Args:
        candidates: The pictures; read once.
        budget: Most full frames.

    Returns:
        All pictures where there are few and all of them are small, else what ``choose`` takes.
    """
    stream = iter(candidates)
    first: list[Candidate] = []
    for candidate in islice(stream, MOST + 1):
        first.append(candidate)
        width, height = candidate.frame.size
        if width * height > CROP_PIXELS or len(first) > MOST:
            return choose(chain(first, stream), budget)
    ends = [candidate.time for candidate in first[1:]] + [candidate.time for candidate in first[-1:]]
    return [Run(candidate, candidate.time, end, 0) for candidate, end in zip(first, ends, strict=True)]
