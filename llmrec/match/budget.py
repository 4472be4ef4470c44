"""Which pairs a reranker looks at when there is not time for all: the best placed of the most doubtful first.

::

    clock = Clock()
    for chunk in clock.chunks(pairs, seconds=2.0):      # the pairs in their order, as many as there is time for
        score(chunk)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

Item = TypeVar("Item")

#: Pairs that are scored in one call.
CHUNK = 64
#: Pairs of the first call, of which nothing is known.
FIRST = 8
#: Places in a list that are looked at in one round, doubled with each.
ROUND = 5
#: Of what the last part took, in what a pair is taken to take.
SHARE = 0.3
#: What the time of a pair is taken to be worth when none was allowed: a slow moment shall not end all looking.
HOPE = 0.7


def in_turn(doubts: Sequence[float], depths: Sequence[int]) -> list[tuple[int, int]]:
    """(list, place) of all candidates: the first five of every list, then the next ten and so on, each time the most
    doubtful list first.

    Args:
        doubts: How sure the first stage is of each list: the less, the sooner.
        depths: Candidates of each list.
    """
    order = sorted(range(len(doubts)), key=lambda i: (doubts[i], i))
    found: list[tuple[int, int]] = []
    start, size = 0, ROUND
    while start < max(depths, default=0):
        found += [(i, place) for i in order for place in range(start, min(start + size, depths[i]))]
        start, size = start + size, 2 * size
    return found


class Clock:
    """Learns how long a pair takes, and stops before the time is over.

    Args:
        now: Seconds, from any start.
    """

    def __init__(self, now: Callable[[], float] = time.perf_counter) -> None:
        self._now = now
        #: Pairs that were scored, and how long that took.
        self.pairs, self.seconds = 0, 0.0
        self._each: float | None = None

    def chunks(self, items: Sequence[Item], seconds: float | None) -> Iterator[Sequence[Item]]:
        """Parts of ``items`` in order, until all are through or ``seconds`` would be passed.

        What the caller does with a part is measured.

        Args:
            seconds: None: there is time for all.
        """
        began = self._now()
        done = 0
        while done < len(items):
            size = CHUNK
            if seconds is not None:
                left = began + seconds - self._now()
                each = self._each
                size = min(size, FIRST) if each is None else min(size, int(left / max(each, 1e-9)))
                if size < 1 or left <= 0:
                    if not done and each is not None:
                        self._each = HOPE * each
                    return
            before = self._now()
            part = items[done : done + size]
            yield part
            spent = self._now() - before
            self.pairs += len(part)
            self.seconds += spent
            own = spent / len(part)
            self._each = own if self._each is None else self._each + SHARE * (own - self._each)
            done += len(part)
