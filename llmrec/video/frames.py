"""The frames of a stream that are looked at: all keyframes of a long file, four a second of a short one.

Decoding only keyframes runs at about a hundred times real time on one core (720p h264), decoding all at about five;
so all frames are decoded only where that is cheap or where keyframes are too sparse to choose from.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmrec.errors import InputError
from llmrec.video.coverage import Coverage
from llmrec.video.settings import WatchSettings
from llmrec.video.source import length_of, start_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from PIL.Image import Image

#: Frames a second that are looked at where all are decoded.
SAMPLE_RATE = 4.0
#: Up to this many pixels (frames × width × height) a stream is decoded whole: about a second on one core.
CHEAP_PIXELS = 4e8
#: Size of the miniature that frames are compared by, width and height.
SMALL = (48, 27)
#: Width of the grey picture whose sharpness is measured.
SHARP_WIDTH = 320
#: Frames kept for choosing are made at most this long in pixels, which bounds memory.
KEPT_SIDE = 1920


class Candidate(NamedTuple):
    """A frame that may become a keyframe.

    Attributes:
        time: Seconds from the start of the content.
        small: RGB miniature, uint8 ``[27, 48, 3]``.
        sharpness: Variance of the Laplacian of the grey picture; higher is sharper.
        frame: The decoded frame: anything with ``to_image()`` that gives a PIL picture.
        rotation: Degrees by which the picture is to be turned counter-clockwise.
        aspect: Width of a pixel over its height.
    """

    time: float
    small: NDArray[np.uint8]
    sharpness: float
    frame: Any
    rotation: int = 0
    aspect: float = 1.0

    def picture(self) -> Image:
        """The frame as a person would see it, RGB."""
        image = self.frame.to_image().convert("RGB")
        if self.aspect != 1 and 0.25 <= self.aspect <= 4:
            image = image.resize((max(1, round(image.width * self.aspect)), image.height))
        return image.rotate(self.rotation, expand=True) if self.rotation % 360 else image


def candidates(
    container: InputContainer, stream: VideoStream, settings: WatchSettings, coverage: Coverage
) -> Iterator[Candidate]:
    """Decode a stream once, front to back, and pass on the frames worth comparing.

    Args:
        container: Freshly opened.
        stream: One of its video streams.
        settings: Limits and budget.
        coverage: Filled on the way.

    Raises:
        InputError: The picture is larger than ``settings.max_pixels``.
    """
    context = stream.codec_context
    _check_size(context.width, context.height, settings)
    only_keys = keyframes_suffice(stream, length_of(container), settings)
    if only_keys:
        context.skip_frame = "NONKEY"
    context.thread_count = settings.thread_count()
    context.thread_type = "AUTO"
    origin, rate = start_of(container), float(stream.average_rate or 25)
    aspect = float(stream.sample_aspect_ratio or 1)
    time, due = -1 / rate, -1.0
    for frame in _decoded(container, stream, coverage):
        _check_size(frame.width, frame.height, settings)
        time = max(0.0, frame.time - origin) if frame.time is not None else time + 1 / rate
        if time > settings.max_seconds:
            coverage.stopped = f"longer than {settings.max_seconds:g} s"
            return
        coverage.reached = max(coverage.reached, time + 1 / rate)
        if only_keys or time >= due:
            due = time + 1 / SAMPLE_RATE - 0.5 / rate
            yield frame_candidate(time, frame, aspect)


def keyframes_suffice(stream: VideoStream, seconds: float, settings: WatchSettings) -> bool:
    """Whether there are at least twice as many keyframes as the budget, and decoding all frames would be dear."""
    context = stream.codec_context
    pixels = seconds * float(stream.average_rate or 25) * context.width * context.height
    if 0 < pixels <= CHEAP_PIXELS:
        return False
    entries = stream.index_entries
    keys = sum(entries[i].is_keyframe for i in range(len(entries)))
    return keys >= 2 * settings.budget(seconds)


def _decoded(container: InputContainer, stream: VideoStream, coverage: Coverage) -> Iterator[VideoFrame]:
    import av

    packets: Iterator[Packet] = container.demux(stream)
    while True:
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            coverage.stopped = error.strerror or str(error)
            return
        except IndexError:  # PyAV meets a stream that the start of the file did not announce
            coverage.stopped = "its streams change on the way"
            return
        coverage.packets += packet.size > 0
        if packet.pts is not None and packet.size and not packet.is_corrupt:
            end = float((packet.pts + (packet.duration or 0)) * packet.time_base) - start_of(container)
            coverage.reached = max(coverage.reached, end)
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError):
            coverage.bad += 1
            continue
        for frame in frames:
            coverage.bad += bool(frame.is_corrupt)
            coverage.decoded += 1
            yield frame


def frame_candidate(time: float, frame: VideoFrame, aspect: float) -> Candidate:
    """A decoded frame at ``time`` seconds, measured; ``aspect`` is the width of a pixel over its height."""
    small = frame.reformat(width=SMALL[0], height=SMALL[1], format="rgb24", interpolation="AREA")
    height = min(4 * SHARP_WIDTH, max(4, round(frame.height * SHARP_WIDTH / frame.width)))
    grey = frame.reformat(width=SHARP_WIDTH, height=height, format="gray")
    rotation, longest = frame.rotation, max(frame.width, frame.height)
    if longest > KEPT_SIDE:
        width, height = (max(2, side * KEPT_SIDE // longest) for side in (frame.width, frame.height))
        frame = frame.reformat(width=width, height=height)
    return Candidate(time, _pixels(small), laplacian_variance(_pixels(grey)), frame, rotation, aspect)


def _pixels(frame: VideoFrame) -> NDArray[np.uint8]:
    return np.asarray(frame.to_ndarray(), np.uint8)


def laplacian_variance(grey: NDArray[np.uint8]) -> float:
    """Variance of the four-neighbour Laplacian, a usual measure of focus (Pech-Pacheco et al., 2000)."""
    g = grey.astype(np.float32)
    laplacian = g[:-2, 1:-1] + g[2:, 1:-1] + g[1:-1, :-2] + g[1:-1, 2:] - 4 * g[1:-1, 1:-1]
    return float(laplacian.var()) if laplacian.size else 0.0


def _check_size(width: int, height: int, settings: WatchSettings) -> None:
    if width * height > settings.max_pixels:
        step = "Scale the video down, or raise max_pixels."
        raise InputError(f"frames of {width} × {height} pixels are over the limit", next_step=step)
