"""How much of a stream could be read, so that a damaged file never passes for a whole one.

A clip of 10 s whose file was cut after 6 s gives ``video: 40% could not be read (up to 6.0 of 10.0 s)``; one that lost
two seconds in the middle ``video: 20% could not be read (nothing from 4.0 to 6.0 s)``.
"""

from __future__ import annotations

from dataclasses import dataclass

#: A hole between two packets longer than this many seconds, and than so many usual steps, is a loss.
HOLE_SECONDS = 1.0
HOLE_STEPS = 8.0
#: Fewer bytes than these are not missed.
HOLE_BYTES = 2048
#: Share of the file's bytes a second that other streams may take, as long as it cannot be told.
OTHERS = 0.7


@dataclass
class Coverage:
    """Counts of one stream, filled while it is decoded.

    Attributes:
        name: ``video`` or ``audio``.
        expected: Declared length in seconds, 0 if unknown.
        reached: End in seconds of the last frame or packet that was read.
        packets: Compressed packets met.
        torn: Packets that the demuxer flagged as damaged.
        bad: Packets that could not be decoded, or were decoded with faults; where only some of a group are decoded,
            their share stands for the group.
        decoded: Frames that came out.
        holes: Seconds inside for which there were no packets.
        hole: Start and end in seconds of the longest of them.
        stopped: Why reading ended early, empty if it did not.
        step: Usual seconds from packet to packet, 0 if unknown.
        rate: Bytes a second of the whole file, 0 if unknown.
    """

    name: str
    expected: float = 0.0
    reached: float = 0.0
    packets: int = 0
    torn: int = 0
    bad: int = 0
    decoded: int = 0
    holes: float = 0.0
    hole: tuple[float, float] = (0.0, 0.0)
    stopped: str = ""
    step: float = 0.0
    rate: float = 0.0
    _begin: int | None = None
    _end: int = 0
    _bytes: int = 0

    def meet(self, start: float, end: float, place: int | None = None, size: int = 0) -> None:
        """Note a packet that was met; one far beyond the declared end is not believed.

        Args:
            start, end: Its time in seconds.
            place: Where in the file it lies, None if unknown. Pictures may pause; then no bytes are missing, and what
                lies between two packets is no more than the other streams have taken so far.
            size: Its bytes.
        """
        if self.expected > 0 and start > 1.1 * self.expected + 10:
            self.torn += 1
            return
        apart = start - self.reached
        if self.packets > 1 and apart > max(HOLE_SECONDS, HOLE_STEPS * self.step) and self._missing(apart, place):
            self.holes += apart
            if apart > self.hole[1] - self.hole[0]:
                self.hole = (self.reached, start)
        self.reached = max(self.reached, end)
        if place is not None:
            self._begin = place if self._begin is None else self._begin
            self._end = place + size
            self._bytes += size

    def _missing(self, seconds: float, place: int | None) -> bool:
        """Whether bytes that were not read lie before a packet at ``place`` that comes ``seconds`` after the last."""
        if self.name != "video":
            return True  # sound does not pause
        if place is None or self._begin is None:
            return False
        passed, between = self.reached, place - self._end
        if passed < 1:  # too little to tell streams apart
            return between > max(HOLE_BYTES, OTHERS * self.rate * seconds)
        own, others = (size / passed for size in (self._bytes, self._end - self._begin - self._bytes))
        return between - 1.3 * others * (seconds + 1) > max(HOLE_BYTES, own * seconds / 4)

    @property
    def lost(self) -> float:
        """Share of the stream that could not be read, 0 to 1: missing at the end, missing inside, or bad."""
        missing = 1 - self.reached / self.expected if self.expected > 0 else 0.0
        # a stream may end a little before its container
        if missing * self.expected <= max(0.5, 0.03 * self.expected):
            missing = 0.0
        length = max(self.expected, self.reached)
        inside = self.holes / length if length > 0 else 0.0
        bad = min(1.0, max(self.bad, self.torn) / self.packets) if self.packets else 0.0
        absent = min(1.0, max(missing, 0.0) + inside)
        return absent + (1 - absent) * bad

    def problem(self) -> str:
        """One line for a person, empty if all was read."""
        if self.lost == 0:
            return f"{self.name}: {self.stopped}" if self.stopped else ""
        share = f"{self.lost:.0%}" if self.lost >= 0.01 else "under 1%"
        where = []
        if self.expected:
            where.append(f"up to {min(self.reached, self.expected):.1f} of {self.expected:.1f} s")
        if self.holes:
            where.append(f"nothing from {self.hole[0]:.1f} to {self.hole[1]:.1f} s")
        place = f" ({', '.join(where)})" if where else ""
        reason = f": {self.stopped}" if self.stopped else ""
        return f"{self.name}: {share} could not be read{place}{reason}"
