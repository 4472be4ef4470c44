"""Still pictures: one photo, or a folder of frames in their natural order (``video2.png`` before ``video10.png``)."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.errors import InputError
from llmrec.storage.pictures import read_picture
from llmrec.video.coverage import Coverage
from llmrec.video.frames import SHARP_WIDTH, SMALL, Candidate, laplacian_variance
from llmrec.video.settings import WatchSettings, need_video_extra

if TYPE_CHECKING:
    from PIL.Image import Image


class _Still:
    """A picture with the method of a decoded frame that is used."""

    def __init__(self, image: Image) -> None:
        self._image, self.size = image, image.size

    def to_image(self) -> Image:
        return self._image


class _File:
    """A picture that is read again when somebody wants to see it: a folder of large photos does not fit in memory."""

    def __init__(self, path: Path, settings: WatchSettings, size: tuple[int, int]) -> None:
        self._path, self._settings, self.size = path, settings, size

    def to_image(self) -> Image:
        return read_image(self._path, self._settings)


def read_image(path: Path, settings: WatchSettings) -> Image:
    """Read a picture as RGB, turned as its EXIF data say.

    Raises:
        InputError: Not such a picture, damaged, or larger than ``settings.max_pixels``; names the file.
        MissingExtraError: Pillow is not installed.
    """
    need_video_extra()
    return read_picture(path, max_pixels=settings.max_pixels)


def image_candidate(image: Image, time: float) -> Candidate:
    """A picture as a frame at ``time`` seconds."""
    small = np.asarray(image.resize(SMALL, resample=4))  # 4: box filter, the mean of what a pixel covers
    height = min(4 * SHARP_WIDTH, max(4, round(image.height * SHARP_WIDTH / image.width)))
    grey = np.asarray(image.convert("L").resize((SHARP_WIDTH, height)))
    return Candidate(time, small, laplacian_variance(grey), _Still(image))


def folder_candidates(paths: Sequence[Path], settings: WatchSettings, coverage: Coverage) -> Iterator[Candidate]:
    """The pictures of a folder as frames, one a second; a damaged one is counted and passed over."""
    coverage.expected = float(len(paths))
    for number, path in enumerate(paths):
        coverage.packets += 1
        coverage.reached = number + 1.0
        try:
            image = read_image(path, settings)
        except InputError as error:
            coverage.bad += 1
            coverage.stopped = error.message
            continue
        coverage.decoded += 1
        yield image_candidate(image, float(number))._replace(frame=_File(path, settings, image.size))


def natural_order(path: Path) -> list[Any]:
    """Sort key under which numbers in names count as numbers."""
    parts = re.split(r"(\d+)", path.name.casefold())
    return [int(part) if index % 2 else part for index, part in enumerate(parts)]
