"""Packets that a transport stream has lost inside, by its own counters.

Each packet of a stream carries a counter of four bits and begins with ``0x47``: ``… 13, 14, 15, 0, 5, 6 …`` has lost
four packets or more, which FFmpeg passes over without a word where whole pictures are gone. (ISO/IEC 13818-1, 2.4.3.)
"""

from __future__ import annotations

from typing import IO, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Sizes of packets: plain, with a time before each (M2TS), with a checksum after it.
SIZES = (188, 192, 204)
SYNC, EMPTY_PID, PIDS = 0x47, 0x1FFF, 1 << 13
#: Packets that are read at a time.
BLOCK = 1 << 16
#: A counter that jumps at more than this share of its packets is no counter.
NO_COUNTER = 0.5


class Grid(NamedTuple):
    """Where the packets lie: bytes from one to the next, and the first sync byte."""

    step: int
    first: int

    @property
    def start(self) -> int:
        """The byte at which the first packet begins; below 0 if its beginning is cut off."""
        return self.first - (4 if self.step == 192 else 0)


def grid_of(head: bytes, size: int) -> Grid | None:
    """Find the packets in the beginning of a file of ``size`` bytes; None if it is damaged."""
    for step in SIZES:
        for first in range(min(step, len(head))):
            marks = range(first, len(head), step)
            if len(marks) >= min(8, size // step) > 0 and all(head[at] == SYNC for at in marks):
                return Grid(step, first)
    return None


class Packets(NamedTuple):
    """Packets that are damaged or missing at least, all that there are, and counters that begin anew at a joint."""

    lost: int
    all: int
    anew: int = 0


def lost_packets(file: IO[bytes], grid: Grid) -> Packets:
    """Count the packets that are damaged or missing inside.

    Where a recording was joined to another that begins anew, nothing is missing; nor where a packet says itself that
    its counter jumps, is sent twice, or belongs to a stream of no pictures or sound.
    """
    counters = [_Counter() for _ in range(PIDS)]
    torn = total = 0
    tables = -1  # the last packet that begins a list of the streams
    file.seek(grid.first)
    while True:
        data = file.read(BLOCK * grid.step)
        data += bytes(-len(data) % grid.step) if len(data) % grid.step >= 188 else b""
        count = len(data) // grid.step
        if not count:
            break
        packets = np.frombuffer(data, np.uint8, count * grid.step).reshape(count, grid.step)
        good = (packets[:, 0] == SYNC) & (packets[:, 1] < 0x80)
        torn += int((~good).sum())
        pids = np.where(good, (packets[:, 1] & 0x1F).astype(np.int32) << 8 | packets[:, 2], EMPTY_PID)
        starts = np.flatnonzero((pids == 0) & (packets[:, 1] & 0x40 > 0)) + total
        for pid in np.unique(pids):
            if pid != EMPTY_PID:
                counters[pid].read(packets, np.flatnonzero(pids == pid), total, np.append(tables, starts))
        tables = int(starts[-1]) if len(starts) else tables
        total += count
    missing = sum(counter.missing for counter in counters if counter.jumps <= NO_COUNTER * counter.met)
    return Packets(max(torn, missing), total, sum(counter.anew for counter in counters))


class _Counter:
    """The counter of one stream over the blocks of a file."""

    def __init__(self) -> None:
        self.met = self.jumps = self.missing = self.anew = 0
        self._media = self._told = False
        self._first, self._last, self._place, self._time = -1, -1, -1, -1

    def read(self, packets: NDArray[np.uint8], rows: NDArray[np.intp], total: int, tables: NDArray[np.intp]) -> None:
        """Take this stream's ``rows`` of a block before which there were ``total`` packets."""
        kinds = packets[rows, 3] >> 4 & 3
        told = (kinds > 1) & (packets[rows, 4] > 0) & (packets[rows, 5] & 0x80 > 0)
        full = kinds & 1 > 0
        # a jump may be told by a packet that carries nothing but that
        tellings = np.cumsum(told) + self._told
        told, rows = np.diff(tellings[full], prepend=0) > 0, rows[full]
        if not len(rows):
            self._told = bool(tellings[-1])
            return
        self._told = bool(tellings[-1] > tellings[full][-1])
        values = (packets[rows, 3] & 15).astype(np.int16)
        self._first = self._first if self._first >= 0 else int(values[0])
        begins = packets[rows, 1] & 0x40 > 0
        if not self._media:
            self._media = any(_is_media(packets[row]) for row in rows[begins][:8])
        before = np.concatenate([[self._last], values[:-1]])
        apart = (values - before - 1) % 16
        for at in np.flatnonzero((apart > 0) & (apart < 15) & ~told & (before >= 0)) if self._media else ():
            if begins[at] and self._anew(packets, rows, begins, int(at), total, tables):
                self.anew += 1
                continue
            self.jumps += 1
            self.missing += int(apart[at])
        self.met += len(rows)
        self._last, self._place = int(values[-1]), total + int(rows[-1])
        for row in rows[begins][::-1][:4]:
            if (time := _time(packets[row])) >= 0:
                self._time = time
                break

    def _anew(
        self,
        packets: NDArray[np.uint8],
        rows: NDArray[np.intp],
        begins: NDArray[np.bool_],
        at: int,
        total: int,
        tables: NDArray[np.intp],
    ) -> bool:
        """Whether another recording begins: after a list of the streams, with an earlier time or the counter anew.

        Some that cut streams into segments begin each of them at 0, others at another number that is always the same.
        """
        place = total + int(rows[at - 1]) if at else self._place
        listed = np.searchsorted(tables, total + int(rows[at])) > np.searchsorted(tables, place)
        if not listed:
            return False
        if packets[rows[at], 3] & 15 in (0, self._first):
            return True
        times = [_time(packets[row]) for row in rows[:at][begins[:at]][-4:]]
        earlier = next((time for time in reversed(times) if time >= 0), self._time)
        now = _time(packets[rows[at]])
        return 0 <= now < earlier - 90_000  # a second; a clock of 90 kHz


def _payload(packet: NDArray[np.uint8]) -> bytes:
    """What a packet carries, at most the 32 bytes that begin it."""
    at = 4 + (int(packet[4]) + 1 if packet[3] & 0x20 else 0)
    return packet[at : min(at + 32, 188)].tobytes()


def _is_media(packet: NDArray[np.uint8]) -> bool:
    """Whether a packet begins a piece of pictures or sound (MPEG's stream ids, private 1 and extended)."""
    head = _payload(packet)
    return len(head) > 3 and head[:3] == b"\0\0\x01" and (0xC0 <= head[3] <= 0xEF or head[3] in (0xBD, 0xFD))


def _time(packet: NDArray[np.uint8]) -> int:
    """The time of the piece that a packet begins, of a clock of 90 kHz; -1 if it gives none."""
    head = _payload(packet)
    if len(head) < 14 or head[:3] != b"\0\0\x01" or not head[7] & 0x80:
        return -1
    return (head[9] >> 1 & 7) << 30 | head[10] << 22 | head[11] >> 1 << 15 | head[12] << 7 | head[13] >> 1
