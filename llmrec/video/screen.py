"""On-screen text: packaging, captions, price tags.

``[Reading("CAMPRODON", 0.94), …]`` for the yellow box of OpenCV's sample clip, whose print is 16 pixels high.

rapidocr (PP-OCRv6 small, shipped inside its package: nothing is downloaded) looks for text in the picture enlarged to
960 pixels, with thresholds below its defaults: left to itself it finds no text on that box at all. A line that it is
unsure of is read again: upside down, upright where it runs down the picture, in two halves where the box may hold two
lines. A small picture (a crop, a thumbnail) gets a margin, and is looked at from more angles as long as little in it
is sure, and at other scales: that is cheap there, and every reading has a vote (``llmrec.video.voting``).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from llmrec.errors import MissingExtraError
from llmrec.video.columns import columns, side_by_side
from llmrec.video.settings import WatchSettings
from llmrec.video.tracks import merge_readings
from llmrec.video.voting import Reading

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

__all__ = ["RapidReader", "Reading", "ScreenReader", "merge_readings"]

#: Pictures are enlarged at most so many times at first: beyond it there is mostly blur to read.
MOST_ENLARGED = 4.0
#: A picture that is enlarged so many times is small: it gets a margin and more looks, and weak readings of it count.
SMALL = 2.0
#: Margin of a small picture, as a share of its long side: text that touches the edge is not found.
MARGIN = 1 / 6
#: Degrees by which a small picture is turned for more looks, and how many times it is enlarged, bare, for others.
ANGLES = (-30, 30)
SCALES = (6.0, 2.0)
#: So many letters and digits, surely read, make more looks needless.
ENOUGH, ENOUGH_CONFIDENCE = 6, 0.9
#: Below this confidence a line is read again in other ways, at most so many lines of a picture.
DOUBTFUL, MOST_DOUBTFUL = 0.8, 6
#: Height of a box over its width from which it may hold two lines; from the second on it may run down the picture.
SQUAT, TALL = 0.45, 1.5
#: Readings of so few letters and digits are mostly shreds of a pattern, and must be surer than others.
SHORT, SHORT_CONFIDENCE = 4, 0.8
#: Readings of a small picture that are kept for the vote.
WEAK = 0.3
#: Grey levels between the darkest and the brightest hundredth of a picture below which its contrast is raised.
FLAT = 200


class ScreenReader(Protocol):
    """Anything that reads the text in a picture."""

    def read(self, image: Image) -> list[Reading]:
        """The lines of text in a picture, top to bottom; a line may come with several readings."""
        ...


class RapidReader:
    """rapidocr over onnxruntime.

    Args:
        settings: Scale, confidence and threads.

    Raises:
        MissingExtraError: rapidocr is not installed.
    """

    def __init__(self, settings: WatchSettings) -> None:
        try:
            from rapidocr import RapidOCR
        except ImportError as error:
            raise MissingExtraError("reading on-screen text", "video") from error
        self.side, self.confidence = settings.ocr_side, settings.ocr_confidence
        threads = settings.thread_count()
        self._engine = RapidOCR(
            params={
                "Global.log_level": "critical",
                "Global.use_cls": False,  # tells upside-down lines only, and those are read both ways
                "Global.text_score": 0.0,
                "EngineConfig.onnxruntime.intra_op_num_threads": threads,
                "EngineConfig.onnxruntime.inter_op_num_threads": 1,
                "EngineConfig.onnxruntime.enable_cpu_mem_arena": True,  # a sixth quicker
                "Det.limit_side_len": settings.ocr_side,
                "Det.limit_type": "max",
                "Det.thresh": 0.2,
                "Det.box_thresh": 0.3,
            }
        )

    def read(self, image: Image) -> list[Reading]:
        """The lines of text in a picture, top to bottom; single characters and unsure readings are left out.

        Of a small picture unsure readings are kept too (``WEAK``), and one line may have several.
        """
        import cv2

        bare: Any = levelled(np.asarray(image.convert("RGB"))[:, :, ::-1])
        if self.side / max(image.size) < SMALL:
            return [one for one in self._look(self._enlarged(bare)) if credible(one, self.confidence)]
        margin = max(8, round(max(image.size) * MARGIN))
        framed = self._enlarged(cv2.copyMakeBorder(bare, margin, margin, margin, margin, cv2.BORDER_REPLICATE))
        readings = [one for one in self._look(framed) if credible(one, WEAK, weak=True)]
        for view in self._other_views(bare, framed):
            if sum(signs(one.text) for one in readings if one.confidence >= ENOUGH_CONFIDENCE) >= ENOUGH:
                break
            readings += [one for one in self._look(view, doubt=0) if credible(one, WEAK, weak=True)]
        return readings

    def _other_views(self, bare: NDArray[np.uint8], framed: NDArray[np.uint8]) -> Iterator[NDArray[np.uint8]]:
        """A small picture turned, and at other scales: what is found depends on both."""
        for angle in ANGLES:
            yield turned(framed, angle)
        for most in SCALES:
            yield self._enlarged(bare, most)

    def _enlarged(self, pixels: NDArray[np.uint8], most: float = MOST_ENLARGED) -> NDArray[np.uint8]:
        """The picture as large as text is looked for in, but at most so many times itself, and never smaller."""
        import cv2

        scale = min(most, self.side / max(pixels.shape[:2]))
        if scale <= 1:
            return pixels
        return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_CUBIC), np.uint8)

    def _look(self, pixels: NDArray[np.uint8], doubt: int = MOST_DOUBTFUL) -> list[Reading]:
        """Find the lines of a picture and read each; up to ``doubt`` lines in doubt are read in several ways."""
        found: Any = self._engine(pixels, use_det=True, use_cls=False, use_rec=False)
        if found.boxes is None:
            return []
        lines = [cut(pixels, box) for box in found.boxes]
        readings = self._recognise([side_by_side([lines[i] for i in one]) for one in columns(found.boxes)])
        doubtful = 0
        for line, reading in zip(lines, self._recognise(lines), strict=True):
            if reading.confidence >= DOUBTFUL or doubtful >= doubt:
                readings.append(reading)
                continue
            doubtful += 1
            readings += self._again(line, reading)
        return readings

    def _again(self, line: NDArray[np.uint8], first: Reading) -> list[Reading]:
        """Other readings of a line in doubt: the best of its directions, and its halves where those are surer."""
        height, width = line.shape[:2]
        ways = [np.ascontiguousarray(line[::-1, ::-1])]
        if height > SQUAT * width and height >= 16:
            ways += [line[: round(height * 0.55)], line[round(height * 0.45) :]]
        other, *halves = self._recognise(ways)
        best = max(first, other, key=lambda one: one.confidence)
        kept = [half for half in halves if half.confidence > WEAK]
        if kept and max(half.confidence for half in kept) >= best.confidence:
            return kept
        return [best, *kept] if best.confidence < DOUBTFUL else [best]

    def _recognise(self, lines: list[NDArray[np.uint8]]) -> list[Reading]:
        readings = []
        for line in lines:
            found: Any = self._engine(line, use_det=False, use_cls=False, use_rec=True)
            text, score = (found.txts[0], found.scores[0]) if found.txts else ("", 0.0)
            readings.append(Reading(" ".join(text.split()), float(score)))
        return readings


def credible(reading: Reading, least: float, *, weak: bool = False) -> bool:
    """Whether a reading is more than a shred of a pattern."""
    count = signs(reading.text)
    needed = max(least, SHORT_CONFIDENCE) if count <= SHORT and not weak else least
    return count > 1 and reading.confidence >= needed


def signs(text: str) -> int:
    """Letters and digits of a text."""
    return sum(map(str.isalnum, text))


def levelled(pixels: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """The picture with its grey levels spread over the whole range, where they fill little of it."""
    sample = pixels[:: max(1, pixels.shape[0] // 200), :: max(1, pixels.shape[1] // 200)]
    levels: Any = np.percentile(sample, [1, 99])
    low, high = float(levels[0]), float(levels[1])
    if not 8 <= high - low < FLAT:
        return np.ascontiguousarray(pixels, np.uint8)
    spread = (pixels.astype(np.float32) - low) * (255 / (high - low))
    return np.clip(spread, 0, 255).astype(np.uint8)


def turned(pixels: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """The picture turned counter-clockwise, with room for its corners."""
    import cv2

    height, width = pixels.shape[:2]
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), degrees, 1.0)
    cos, sin = abs(matrix[0, 0]), abs(matrix[0, 1])
    wide, high = round(height * sin + width * cos), round(height * cos + width * sin)
    matrix[:, 2] += ((wide - width) / 2, (high - height) / 2)
    return np.asarray(cv2.warpAffine(pixels, matrix, (wide, high), borderMode=cv2.BORDER_REPLICATE), np.uint8)


def cut(pixels: NDArray[np.uint8], box: NDArray[np.float32]) -> NDArray[np.uint8]:
    """A box (its corners clockwise from the upper left, ``[4, 2]``) as a level line; a tall one is laid down."""
    import cv2

    box = np.asarray(box, np.float32)
    sides = np.linalg.norm(box - np.roll(box, -1, axis=0), axis=1)
    width, height = max(float(sides[0]), float(sides[2]), 2.0), max(float(sides[1]), float(sides[3]), 2.0)
    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    matrix = cv2.getPerspectiveTransform(box, corners)
    size = (round(width), round(height))
    line = cv2.warpPerspective(pixels, matrix, size, borderMode=cv2.BORDER_REPLICATE, flags=cv2.INTER_CUBIC)
    return np.ascontiguousarray(np.rot90(line) if height >= TALL * width else line)
