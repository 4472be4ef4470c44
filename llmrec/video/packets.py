"""Which packets of a stream are decoded, judged by their times and sizes alone, before any is.

A group of pictures of ten seconds, ``[key 180 kB, then 299 packets of 5 kB, one of them 60 kB]``: the keyframe is
decoded when it comes; the rest waits until the next keyframe, and is then decoded up to the large packet, at which
something new came into the picture, if the allowance permits. Encoders put a keyframe at most cuts; a caption or a
product that comes in without a cut shows as such a large packet.

The allowance grows with the time that is covered, so that a stream is read at a steady speed in bounded memory, in one
pass, without seeking. What it does not reach is not seen: something that comes and goes between two keyframes while
the allowance is spent.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from enum import Enum
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

#: Work to decode one byte, in pixels: measured with FFmpeg's H.264 decoder on one core, 0.1 ms for a kilobyte and
#: 1.4 ms for a million pixels.
PIXELS_PER_BYTE = 70
#: Work allowed for each second of video, in pixels: about 8 ms of one core.
ALLOWANCE = 6e6
#: Allowance at the start, and the most that is saved up.
FIRST, MOST = 6e7, 3.6e8
#: What is left for large packets to come when the allowance is spent on quiet movement.
RESERVE = 3e7
#: Keyframes closer than this many seconds are decoded only from the allowance; a fraction short, for uneven rates.
EVERY = 1.95
#: No two looks are closer than this.
CLOSEST = 0.24
#: A stream without a keyframe for so many seconds is decoded whole until the next: x264's usual 250 frames are less.
GAP = 12.0
#: Bytes that wait for a decision at most; then the stream is decoded until the next keyframe.
WAITING = 64 << 20
#: So many keyframes without a picture: the file calls packets keyframes that are none.
TRIES = 8
#: A packet is large if it is so much larger than those around it …
LARGE = 1.5
#: … and the difference is this share of its keyframe.
NEW_SHARE = 0.05
#: A packet that brings more than a whole keyframe is a cut to which the encoder gave none: it can be decoded over the
#: keyframe alone, without what lies between.
WHOLE_SHARE = 1.0
#: Of one group so many at most, and no two closer than so many seconds: what comes back after a flash is known.
MOST_ALONE, APART = 8, 1.0
#: Seconds after a large packet until what it brought in is settled and sharp.
SETTLE = 0.4
#: Packets are compared by the largest of each stretch of so many seconds, which levels P and B frames.
STRETCH = 0.25
#: Without large packets, the picture is looked at again when as many bytes have come as its keyframe had, and after
#: this many seconds at least.
AGAIN = 2.0


class How(Enum):
    """What the decoder does with a packet: decode it; decode it unless nothing refers to it; decode it although what it
    refers to was passed over; or pass over it. At the end of a group it gives what it still holds.
    """

    WHOLE = "whole"
    REFERENCES = "references"
    ALONE = "alone"
    SKIP = "skip"
    END = "end"


class Parcel(NamedTuple):
    """A packet: seconds at which it is shown, bytes (0: none, at the end), whether it is a keyframe; and itself."""

    time: float
    size: int
    key: bool
    packet: Any = None


class Plan:
    """Decides packet by packet, holding one group of pictures at most.

    Args:
        pixels: Of one frame, which with the bytes gives the work to decode it.
        alone: Whether the decoder copes with packets whose references were passed over.
    """

    def __init__(self, pixels: int, alone: bool = False) -> None:
        self.pixels, self.alone = pixels, alone
        self.allowance = FIRST
        self._time: float | None = None
        self._looked: float | None = None
        self._group: list[Parcel] = []
        self._bytes = 0
        self._key: Parcel | None = None
        self._key_done = self._following = False
        self._fed = self._came = 0
        self._whole, self._keys = False, 0

    def add(self, parcel: Parcel) -> Iterator[tuple[Parcel, How]]:
        """Take the next packet; give those that are due, in the order of the stream."""
        if self._whole:
            yield parcel, How.WHOLE
            return
        self._earn(parcel.time)
        if parcel.key:
            yield from self._close()
            self._key, self._following, self._key_done = parcel, False, False
            since = self._since(parcel.time)
            cost = self._cost(1, parcel.size)
            if since >= EVERY or (since >= CLOSEST and cost <= self.allowance):
                self.allowance -= cost
                yield self._open(parcel)
            return
        if self._following:
            self._looked = self._later(parcel.time)
            self._fed += 1
            yield parcel, How.REFERENCES
            return
        self._group.append(parcel)
        self._bytes += parcel.size
        if self._since(parcel.time) >= GAP or self._bytes > WAITING:
            self._following = True
            yield from self._up_to(len(self._group))

    def finish(self) -> Iterator[tuple[Parcel, How]]:
        """Give what is still due at the end."""
        if self._looked is None:  # a stream without any keyframe
            self._following = True
            yield from self._up_to(len(self._group))
        yield from self._close()

    def came(self, frames: int) -> None:
        """Tell that frames came out of packets that were to be decoded: the others cost next to nothing."""
        self._came += frames

    def distrust(self) -> None:
        """Tell that what the file calls a keyframe is none: from here on all is decoded."""
        self._whole = True

    def _open(self, parcel: Parcel) -> tuple[Parcel, How]:
        if self._keys >= TRIES and not self._came:
            self.distrust()
        self._keys += 1
        self._key_done, self._looked = True, self._later(parcel.time)
        self._fed += 1
        return parcel, How.WHOLE

    def _close(self) -> Iterator[tuple[Parcel, How]]:
        yield from self._up_to(*self._worth())
        if self._key_done or self._following:
            yield Parcel(0.0, 0, False), How.END
        self._key = None

    def _up_to(self, stop: int, alone: Sequence[int] = ()) -> Iterator[tuple[Parcel, How]]:
        """The waiting group: its first ``stop`` packets decoded and those in ``alone``, the rest passed over."""
        group, self._group, self._bytes = self._group, [], 0
        if (stop or alone) and self._key is not None and not self._key_done:
            yield self._open(self._key)
        if stop:
            self._looked = self._later(max(parcel.time for parcel in group[:stop]))
        begin = self._key.time if self._key is not None else None
        for number, parcel in enumerate(group):
            # what is shown before its keyframe refers to frames before it, which may have been passed over
            leading = begin is not None and parcel.time < begin
            if number < stop and not leading:
                self._fed += 1
                yield parcel, How.REFERENCES
            elif number in alone:
                self._looked = self._later(parcel.time)
                yield parcel, How.ALONE
            elif self._key_done:
                yield parcel, How.SKIP

    def _worth(self) -> tuple[int, list[int]]:
        """How many packets of the waiting group are worth decoding, 0 for none, and which ones behind them alone."""
        if self._key is None or not self._group:
            return 0, []
        begin, room = self._key.time, self.allowance
        if not self._key_done:
            room -= self._cost(1, self._key.size)
        times = np.array([parcel.time - begin for parcel in self._group])
        sizes = np.array([parcel.size for parcel in self._group], np.float64)
        large = large_packets(times, sizes, self._key.size)
        alone = self._alone(large, times, room)
        room -= sum(self._alone_cost(number) for number in alone)
        stop, work = 0, 0.0
        ends = [(_last(times, times[number] + SETTLE), 0.0) for number, _ in large]
        for end, reserve in [*ends, *((end, RESERVE) for end in self._quiet_ends(times, sizes))]:
            cost = self._cost(end, int(sizes[:end].sum()))
            if end > stop and cost + reserve <= room:
                stop, work = end, cost
        alone = [number for number in alone if number >= stop]
        work += sum(self._alone_cost(number) for number in alone)
        if work and not self._key_done:
            work += self._cost(1, self._key.size)
        self.allowance -= work
        return stop, alone

    def _alone(self, large: list[tuple[int, float]], times: NDArray[np.float64], room: float) -> list[int]:
        """Which large packets to decode over the keyframe alone: those that bring most, while there is room."""
        chosen: list[int] = []
        for number, share in sorted(large, key=lambda pair: -pair[1]) if self.alone else ():
            if share < WHOLE_SHARE or len(chosen) == MOST_ALONE:
                break
            apart = all(abs(times[number] - times[other]) >= APART for other in chosen)
            if apart and times[number] > 0 and self._alone_cost(number) <= room:
                room -= self._alone_cost(number)
                chosen.append(number)
        return sorted(chosen)

    def _alone_cost(self, number: int) -> float:
        assert self._key is not None
        return 2 * self.pixels + (self._key.size + self._group[number].size) * PIXELS_PER_BYTE

    def _quiet_ends(self, times: NDArray[np.float64], sizes: NDArray[np.float64]) -> Iterator[int]:
        """Ends of looks at a picture that changes without large packets."""
        assert self._key is not None
        start = size = 0.0
        for number, time in enumerate(times):
            size += sizes[number]
            if time - start >= AGAIN and size >= self._key.size:
                start, size = time, 0.0
                yield _last(times, time)

    def _cost(self, packets: int, size: int) -> float:
        share = max(0.25, min(1.0, (self._came + 10) / (self._fed + 10)))
        return packets * self.pixels * share + size * PIXELS_PER_BYTE

    def _earn(self, time: float) -> None:
        if self._time is not None:
            self.allowance = min(MOST, self.allowance + max(0.0, time - self._time) * ALLOWANCE)
        self._time = time if self._time is None else max(time, self._time)

    def _since(self, time: float) -> float:
        """Seconds since the last look; before the first there is always reason for one."""
        return EVERY + max(0.0, time) if self._looked is None else time - self._looked

    def _later(self, time: float) -> float:
        return max(self._looked or 0.0, time)


def large_packets(times: NDArray[np.float64], sizes: NDArray[np.float64], key_size: int) -> list[tuple[int, float]]:
    """Packets much larger than those around them, which bring something new into the picture.

    Args:
        times: Seconds since the keyframe, float64 ``[n]``.
        sizes: Bytes, float64 ``[n]``.
        key_size: Bytes of the keyframe, by which it is judged how much of the picture is new.

    Returns:
        Place of each, and the bytes that it has beyond the usual as a share of the keyframe's.
    """
    if not len(times):
        return []
    stretch = np.maximum(times / STRETCH, 0).astype(int)
    largest = np.zeros(stretch.max() + 1)
    np.maximum.at(largest, stretch, sizes)
    usual = float(np.median(largest[largest > 0])) if (largest > 0).any() else 0.0
    new = (largest > LARGE * usual) & (largest - usual > NEW_SHARE * key_size)
    places = [int(np.flatnonzero((stretch == at) & (sizes == largest[at]))[0]) for at in np.flatnonzero(new)]
    return [(place, float(sizes[place] - usual) / max(1, key_size)) for place in sorted(places)]


def _last(times: NDArray[np.float64], time: float) -> int:
    """One more than the place of the last packet that is shown by ``time``."""
    shown = np.flatnonzero(times <= time)
    return int(shown[-1]) + 1 if len(shown) else 0
