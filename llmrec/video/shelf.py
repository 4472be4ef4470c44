"""Decoded frames on disk, so that the memory of choosing does not grow with the length of a video.

A frame of 720p is 1.4 MB; of an hour seventy are held until the end. All but some of them wait in a temporary file that
has no name, without any loss: ``place = shelf.put(frame); place.frame()``.
"""

from __future__ import annotations

import tempfile
from collections import defaultdict
from threading import Lock
from typing import IO, TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

#: What a frame says of its colours.
COLOURS = ("colorspace", "color_range", "color_trc", "color_primaries")


class Shelf:
    """A temporary file of frames; it is made when the first is put there, and goes with the last."""

    def __init__(self) -> None:
        self.end = 0
        self.free: dict[int, list[int]] = defaultdict(list)
        self._file: IO[bytes] | None = None
        self._lock = Lock()

    def put(self, frame: VideoFrame) -> Place | None:
        """Write a frame; None if it cannot be (no room, colours by a table)."""
        if frame.format.has_palette or any(plane.line_size <= 0 for plane in frame.planes):
            return None
        parts = [_rows(plane) for plane in frame.planes]
        size = sum(part.nbytes for part in parts)
        try:
            with self._lock:
                if self._file is None:
                    self._file = tempfile.TemporaryFile(prefix="llmrec-", buffering=0)  # noqa: SIM115
                at = self.free[size].pop() if self.free[size] else self.end
                self._file.seek(at)
                for part in parts:
                    left = part.reshape(-1).data
                    while left:
                        left = left[self._file.write(left) :]
                self.end = max(self.end, at + size)
        except OSError:
            return None
        return Place(self, at, size, frame)

    def get(self, at: int, size: int) -> NDArray[np.uint8]:
        """The bytes of a frame."""
        data = np.empty(size, np.uint8)
        with self._lock:
            assert self._file is not None
            self._file.seek(at)
            left = data.data
            while left:
                count = self._file.readinto(left)  # type: ignore[attr-defined]
                if not count:
                    raise OSError("the temporary file of frames was cut")
                left = left[count:]
        return data


class Place:
    """Where a frame lies on a shelf; the room is free again when the place is forgotten."""

    def __init__(self, shelf: Shelf, at: int, size: int, frame: VideoFrame) -> None:
        self._shelf, self._at, self._size = shelf, at, size
        self._shape = (frame.width, frame.height, frame.format.name)
        self._strides = [plane.line_size for plane in frame.planes]
        self._colours = [int(getattr(frame, name)) for name in COLOURS]

    def __del__(self) -> None:
        self._shelf.free[self._size].append(self._at)

    def frame(self) -> VideoFrame:
        """The frame as it was.

        Raises:
            OSError: The disk failed.
        """
        from av.video.frame import VideoFrame

        data, at = self._shelf.get(self._at, self._size), 0
        frame = VideoFrame(*self._shape)
        for plane, stride in zip(frame.planes, self._strides, strict=True):
            rows, bytes_ = _rows(plane), stride * plane.height
            width = min(stride, plane.line_size)
            rows[:, :width] = data[at : at + bytes_].reshape(plane.height, stride)[:, :width]
            at += bytes_
        for name, value in zip(COLOURS, self._colours, strict=True):
            setattr(frame, name, value)
        return frame


def _rows(plane: object) -> NDArray[np.uint8]:
    """The bytes of a plane by lines, uint8 ``[height, stride]``, in place."""
    height, stride = plane.height, plane.line_size  # type: ignore[attr-defined]
    return np.frombuffer(plane, np.uint8, height * stride).reshape(height, stride)  # type: ignore[call-overload,no-any-return]
