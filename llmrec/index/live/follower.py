"""An index for whoever serves: always the latest, and no search waits for it."""

from __future__ import annotations

import logging
from threading import Event, Thread
from types import TracebackType

from llmrec.errors import LlmrecError
from llmrec.index.index import Index
from llmrec.records import Query

logger = logging.getLogger(__name__)

#: Seconds between two looks.
EVERY = 0.1


class Follower:
    """Looks for changes in a thread of its own; ``index`` is the latest that it has seen.

    A new version is opened, and asked once, before it takes the place of the old one, so that the first search in it
    does not pay for what is read when it is first needed.

    ::

        with Follower(Index.open("shop.index", encoder)) as live:
            live.index.search(queries, 10)

    Args:
        index: The index to start from.
        every: Seconds between two looks.
    """

    def __init__(self, index: Index, every: float = EVERY) -> None:
        self.index = index
        #: Why the index cannot be followed now; it is tried again at each look. None: it can.
        self.fault: LlmrecError | None = None
        self._every = every
        self._stopped = Event()
        self._thread = Thread(target=self._follow, daemon=True, name="llmrec-follower")

    def __enter__(self) -> Follower:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._stopped.set()
        self._thread.join()

    def _follow(self) -> None:
        while not self._stopped.wait(self._every):
            try:
                newer = self.index.latest()
                if newer is not self.index:
                    if newer.version != self.index.version:
                        warm(newer)
                    self.index = newer
                self.fault = None
            except LlmrecError as error:
                # who serves goes on with what there is
                if self.fault is None:
                    logger.warning("%s; what was there before is searched on", error)
                self.fault = error


def warm(index: Index) -> None:
    """Read what an index needs for its first search."""
    asked = [Query(index.product(id).title) for id in index.ids[:1]]
    index.search_by("hybrid" if index.can_encode else "bm25", asked, 1)
