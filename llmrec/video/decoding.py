"""The frames of a stream that are decoded: all of a short clip, those that ``packets.Plan`` names of a longer one.

An hour of 720p with a keyframe every ten seconds is read at seventy times real time and more on one core; decoding all
of it runs at five to twenty.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, Literal

from llmrec.video.alone import DECODERS, decode_alone
from llmrec.video.coverage import Coverage
from llmrec.video.demuxing import demuxed
from llmrec.video.packets import How, Parcel, Plan
from llmrec.video.settings import WatchSettings
from llmrec.video.source import length_of, start_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.codeccontext import VideoCodecContext
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

#: Up to this many pixels (frames × width × height) a stream is decoded whole: one to five seconds on one core.
CHEAP_PIXELS = 1e9
#: From this many frames a second those that no other refers to are passed over even so.
MANY = 20.0
#: … unless that leaves more than so many seconds without a frame.
SPARSE = 0.3
#: FFmpeg's names. A frame inside coded by itself (at a cut soon after another) costs no more than a keyframe.
SKIP: dict[How, Literal["DEFAULT", "NONREF", "NONINTRA"]] = {
    How.WHOLE: "DEFAULT",
    How.REFERENCES: "NONREF",
    How.SKIP: "NONINTRA",
    How.END: "DEFAULT",
}
#: Decoders that can pass over a packet and keep count of it; others are not given what is passed over.
PASSING = frozenset(("h264", "hevc", "mpeg1video", "mpeg2video", "mpeg4", "vp8", "vp9"))
#: Pictures that build on one another although all of them are called keyframes.
BUILDING = frozenset(("apng", "gif"))
#: FFmpeg's numbers of P, B and S frames.
REFERRING = (2, 3, 4)
#: Share of the frames that may come out before their time.
OUT_OF_ORDER = 0.05
#: A clock that goes back by more than this many seconds was set anew, as where recordings were joined.
BACK = 2.0


def decoded(
    container: InputContainer, stream: VideoStream, settings: WatchSettings, coverage: Coverage
) -> Iterator[tuple[float, VideoFrame]]:
    """Decode a stream front to back as far as it is worth; damaged packets are counted and passed over.

    Args:
        container: Freshly opened.
        stream: One of its video streams.
        settings: Limits.
        coverage: Filled on the way.

    Yields:
        Seconds from the start of the content, and the frame; in the order of the decoder.

    Raises:
        InputError: A limit is passed.
    """
    context = stream.codec_context
    context.thread_count = settings.thread_count()
    context.thread_type = "AUTO"
    rate = float(stream.average_rate or stream.guessed_rate or 25)
    origin = start_of(container)
    length, plan = length_of(container), None
    if not decodes_whole(stream, length, settings):
        plan = Plan(context.width * context.height, alone=context.codec.name in DECODERS)
    sparing = plan is None and rate >= MANY and not settings.all_frames
    if sparing:
        context.skip_frame = SKIP[How.REFERENCES]
    passing = context.codec.name in PASSING
    clock, base, stamps = Clock(1 / rate, length), stream.time_base or Fraction(1, 1000), Stamps()

    def timed(frame: VideoFrame) -> tuple[float, VideoFrame]:
        stamp = stamps.read(frame.pts, frame.dts)
        return clock.read(None if stamp is None else float(stamp * (frame.time_base or base)) - origin), frame

    tally = Tally(coverage)
    key: Packet | None = None
    apart: list[VideoFrame] = []  # decoded alone, to be given in their place
    try:
        packets = demuxed(container, stream, settings, coverage)
        for parcel, how in _planned(packets, plan, origin, Clock(1 / rate, length)):
            if parcel.key:
                key = parcel.packet
            if how is How.ALONE:
                frame = decode_alone(context, key, parcel.packet) if key is not None else None
                apart += [frame] if frame is not None else []
                how = How.SKIP
            tally.met += parcel.size > 0
            if how is How.SKIP and not passing:
                continue
            if plan is not None:
                context.skip_frame = SKIP[how]
            for frame in _decode(context, parcel, how, tally):
                while apart and frame.pts is not None and (apart[0].pts or 0) < frame.pts:
                    yield timed(apart.pop(0))
                if plan is not None:
                    plan.came(1)
                    if key is not None and frame.pts is not None and frame.pts == key.pts and _refers(frame):
                        plan.distrust()
                before = clock.last
                yield timed(frame)
                if sparing and clock.last - before > SPARSE:
                    context.skip_frame, sparing = SKIP[How.WHOLE], False
            if how is How.END:
                yield from map(timed, apart)
                apart = []
                tally.close()
    finally:
        tally.close()


def decodes_whole(stream: VideoStream, seconds: float, settings: WatchSettings) -> bool:
    """Whether a stream of this length is short or small enough to decode all of it, or is to be."""
    context = stream.codec_context
    pixels = seconds * float(stream.average_rate or 25) * context.width * context.height
    return settings.all_frames or 0 < pixels <= CHEAP_PIXELS or context.codec.name in BUILDING


def _planned(packets: Iterator[Packet], plan: Plan | None, origin: float, clock: Clock) -> Iterator[tuple[Parcel, How]]:
    """Packets as the plan has them; the last is empty."""
    for packet in packets:
        if not packet.size:
            continue
        stamp = packet.pts if packet.pts is not None else packet.dts
        time = clock.read(None if stamp is None else float(stamp * packet.time_base) - origin)
        parcel = Parcel(time, packet.size, packet.is_keyframe, packet)
        if plan is None:
            yield parcel, How.WHOLE
        else:
            yield from plan.add(parcel)
    if plan is not None:
        yield from plan.finish()
    else:
        yield Parcel(0.0, 0, False), How.END


def _decode(context: VideoCodecContext, parcel: Parcel, how: How, tally: Tally) -> Iterator[VideoFrame]:
    import av

    wanted = how in (How.WHOLE, How.REFERENCES)
    tally.tried += wanted
    try:
        frames = context.decode(parcel.packet)
    except (av.error.FFmpegError, ValueError):
        frames = []
        tally.bad += wanted
    if how is How.END:
        context.flush_buffers()
    for frame in frames:
        tally.coverage.decoded += 1
        tally.bad += bool(frame.is_corrupt)
        yield frame


class Tally:
    """Damage within a group of packets of which some are decoded: their share stands for the group."""

    def __init__(self, coverage: Coverage) -> None:
        self.coverage = coverage
        self.met = self.tried = self.bad = 0

    def close(self) -> None:
        """Note the group that ends in ``coverage``, and begin another."""
        if self.bad:
            share = min(1.0, self.bad / self.tried) if self.tried else 1.0
            self.coverage.bad += max(1, round(share * self.met))
        self.met = self.tried = self.bad = 0


def _refers(frame: VideoFrame) -> bool:
    """Whether a frame is drawn from others."""
    return not frame.key_frame and int(frame.pict_type) in REFERRING


class Stamps:
    """Which of a frame's two time stamps is to be believed.

    Frames come out in the order in which they are shown. Where the times to show them go back again and again, as in a
    file that lost them or whose table of them is damaged, those of decoding hold, as FFmpeg's own players have it.
    """

    def __init__(self) -> None:
        self.frames = 0
        self._last: list[int | None] = [None, None]
        self._back = [0, 0]

    def read(self, pts: int | None, dts: int | None) -> int | None:
        """The time stamp of the next frame, None if it has none."""
        self.frames += 1
        for which, stamp in enumerate((pts, dts)):
            last = self._last[which]
            if stamp is not None:
                self._back[which] += last is not None and stamp <= last
                self._last[which] = stamp
        damaged = self._back[0] > self._back[1] + OUT_OF_ORDER * self.frames
        return dts if pts is None or (damaged and dts is not None) else pts


class Clock:
    """Times that never fall far back: where a recording's clock was set anew, it goes on from where it was.

    Args:
        step: Usual seconds between two readings.
        length: Declared seconds of the content, 0 if unknown; a time far beyond is not believed.
    """

    def __init__(self, step: float, length: float = 0.0) -> None:
        self.step, self.length = step, length
        self.last = -step
        self._shift = 0.0

    def read(self, time: float | None) -> float:
        """Seconds from the start for a time stamp; without a good one, one step after the last reading."""
        if time is None or (self.length and time > 1.1 * self.length + 10):
            self.last += self.step
            return self.last
        time += self._shift
        if time < self.last - BACK:
            self._shift += self.last + self.step - time
            time = self.last + self.step
        self.last = max(self.last, time)
        return max(0.0, time)
