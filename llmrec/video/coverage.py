"""How much of a stream could be read, so that a damaged file never passes for a whole one.

A clip of 10 s whose file was cut after 6 s gives ``video: 40% could not be read (up to 6.0 of 10.0 s)``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass
class Coverage:
    """Counts of one stream, filled while it is decoded.

    Attributes:
        name: ``video`` or ``audio``.
        expected: Declared length in seconds, 0 if unknown.
        reached: End in seconds of the last frame or packet that was read.
        packets: Compressed packets met.
        bad: Packets that could not be decoded, or were decoded with faults.
        decoded: Frames that came out.
        stopped: Why reading ended early, empty if it did not.
    """

    name: str
    expected: float = 0.0
    reached: float = 0.0
    packets: int = 0
    bad: int = 0
    decoded: int = 0
    stopped: str = ""

    @property
    def lost(self) -> float:
        """Share of the stream that could not be read, 0 to 1: what is missing at the end or bad on the way."""
        missing = 1 - self.reached / self.expected if self.expected > 0 else 0.0
        # a stream may end a little before its container
        if missing * self.expected <= max(0.5, 0.03 * self.expected):
            missing = 0.0
        bad = self.bad / self.packets if self.packets else 0.0
        return min(1.0, max(missing, 0.0) + (1 - max(missing, 0.0)) * bad)

    def problem(self) -> str:
        """One line for a person, empty if all was read."""
        if self.lost == 0:
            return f"{self.name}: {self.stopped}" if self.stopped else ""
        share = f"{self.lost:.0%}" if self.lost >= 0.01 else "under 1%"
        upto = f" (up to {self.reached:.1f} of {self.expected:.1f} s)" if self.expected else ""
        reason = f": {self.stopped}" if self.stopped else ""
        return f"{self.name}: {share} could not be read{upto}{reason}"
