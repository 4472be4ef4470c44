"""The clock of a stream, and how far watching is behind it.

Packets carry the times of an encoder that was started on another day, jump when it is restarted, and wrap after 26
hours; contents carry seconds since we began to watch.
"""

from __future__ import annotations

#: A jump of more than so many seconds, forward or back, is a new clock and not a gap.
JUMP = 10.0
#: Share of the time between windows that may be spent on one.
SHARE = 0.9


class StreamClock:
    """Times of packets to seconds since the start of the stream, across jumps and connections.

    Attributes:
        now: Latest second that was met.
    """

    def __init__(self) -> None:
        self.now = 0.0
        self._shift: float | None = None
        self._base, self._heard = 0.0, 0.0

    def seconds(self, time: float, wall: float, origin: float | None = None) -> float:
        """The second of a time that a packet carries.

        Args:
            time: Seconds on the clock of the connection.
            wall: When it came, ``time.monotonic()``.
            origin: Where the connection says that its clock begins; used for its first packet.
        """
        if self._shift is None:
            begins = origin if origin is not None and abs(origin - time) < JUMP else time
            self._shift = self._base - begins
        second = time + self._shift
        gap = max(0.0, wall - self._heard) if self._heard else 0.0
        if not -JUMP <= second - self.now <= JUMP + gap:
            self._shift += self.now - second
            second = self.now
        self._heard = wall
        self.now = max(self.now, second)
        return max(0.0, second)

    def reconnected(self, wall: float) -> None:
        """A new connection: its clock is another, and goes on where the time of day says."""
        self._base = self.now + max(0.0, wall - self._heard) if self._heard else 0.0
        self._shift = None


class Pace:
    """How late watching is, and how long it may take without falling behind.

    Args:
        hop: Seconds of stream for each window.
        begun: When the stream began, ``time.monotonic()``.
    """

    def __init__(self, hop: float, begun: float) -> None:
        self._hop, self._edge = hop, begun

    def at_edge(self, second: float, wall: float) -> None:
        """The second had to be waited for until ``wall``: there is nothing newer."""
        self._edge = wall - second

    def lag(self, second: float, wall: float) -> float:
        """Seconds since that second of the stream could be had; below 0: ahead of real time, as in a finished file."""
        return wall - self._edge - second

    def room(self, lag: float, streams: int = 1) -> float:
        """Seconds that a window which is ``lag`` seconds late may take, when so many streams share the machine."""
        return SHARE * self._hop / streams - lag
