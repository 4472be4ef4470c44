"""The frames of a stream that are looked at: four a second at most, measured so that they can be compared.

Which frames are decoded at all is told in ``decoding``.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmrec.errors import InputError
from llmrec.video.coverage import Coverage
from llmrec.video.decoding import decoded
from llmrec.video.pixels import Seen
from llmrec.video.settings import WatchSettings
from llmrec.video.shelf import Shelf

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream
    from PIL.Image import Image

#: Frames a second that are looked at where all are decoded.
SAMPLE_RATE = 4.0
#: Size of the miniature that frames are compared by, width and height.
SMALL = (48, 27)
#: Width of the grey picture whose sharpness is measured.
SHARP_WIDTH = 320


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

    def put_away(self, shelf: Shelf) -> None:
        """Keep a decoded frame on disk until somebody wants to see it."""
        if isinstance(self.frame, Seen):
            self.frame.put_away(shelf)

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
    _check_size(stream.codec_context.width, stream.codec_context.height, settings)
    rate = float(stream.average_rate or 25)
    aspect = float(stream.sample_aspect_ratio or 1)
    last = -1.0
    for time, frame in decoded(container, stream, settings, coverage):
        _check_size(frame.width, frame.height, settings)
        if time > settings.max_seconds:
            coverage.stopped = f"longer than {settings.max_seconds:g} s"
            return
        coverage.reached = max(coverage.reached, time + 1 / rate)
        if last < 0 or time >= last + 1 / SAMPLE_RATE - 0.5 / rate:
            last = time
            yield frame_candidate(time, frame, aspect)


def frame_candidate(time: float, frame: VideoFrame, aspect: float) -> Candidate:
    """A decoded frame at ``time`` seconds, measured; ``aspect`` is the width of a pixel over its height."""
    seen = Seen(frame)
    height = min(4 * SHARP_WIDTH, max(4, round(frame.height * SHARP_WIDTH / frame.width)))
    sharpness = laplacian_variance(seen.grey(SHARP_WIDTH, height))
    return Candidate(time, seen.miniature(*SMALL), sharpness, seen, frame.rotation, aspect)


def laplacian_variance(grey: NDArray[np.uint8]) -> float:
    """Variance of the four-neighbour Laplacian, a usual measure of focus (Pech-Pacheco et al., 2000)."""
    g = grey.astype(np.float32)
    laplacian = g[:-2, 1:-1] + g[2:, 1:-1] + g[1:-1, :-2] + g[1:-1, 2:] - 4 * g[1:-1, 1:-1]
    return float(laplacian.var()) if laplacian.size else 0.0


def _check_size(width: int, height: int, settings: WatchSettings) -> None:
    if width * height > settings.max_pixels:
        step = "Scale the video down, or raise max_pixels."
        raise InputError(f"frames of {width} × {height} pixels are over the limit", next_step=step)
