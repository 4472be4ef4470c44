"""The clock of a stream, and how far watching is behind it.

Packets carry the times of an encoder that was started on another day, jump when it is restarted, and wrap after 26
hours; contents carry seconds since we began to watch.
"""

from __future__ import annotations

#: A jump of more than so many seconds, forward or back, is a new clock and not a gap.
JUMP = 10.0
#: Share of the time between windows that may be spent on one.
SHARE = 0.9
#: Pictures that are looked at however late it is.
FEWEST = 2
#: Weight of the last window in the running costs.
NEW = 0.5


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
    """How late watching is, and how many pictures it can look at without falling behind.

    Args:
        hop: Seconds of stream for each window.
        begun: When the stream began, ``time.monotonic()``.
    """

    def __init__(self, hop: float, begun: float) -> None:
        self._hop, self._edge = hop, begun
        self._picture = self._sound = 0.0

    def at_edge(self, second: float, wall: float) -> None:
        """The second had to be waited for until ``wall``: there is nothing newer."""
        self._edge = wall - second

    def lag(self, second: float, wall: float) -> float:
        """Seconds since that second of the stream could be had; below 0: ahead of real time, as in a finished file."""
        return wall - self._edge - second

    def worked(self, pictures: int, looking: float, listening: float) -> None:
        """Learn from a window what a picture costs, and what the sound of a window costs (seconds)."""
        if pictures:
            each = looking / pictures
            self._picture = each if self._picture == 0 else NEW * each + (1 - NEW) * self._picture
        self._sound = listening if self._sound == 0 else NEW * listening + (1 - NEW) * self._sound

    def pictures(self, lag: float, most: int, streams: int = 1) -> int:
        """Pictures to look at in a window that is ``lag`` seconds late, when so many streams share the machine."""
        if self._picture == 0:
            return most
        room = SHARE * self._hop / streams - self._sound - lag
        return max(min(FEWEST, most), min(most, int(room / self._picture)))
