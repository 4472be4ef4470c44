"""On-screen text: packaging, captions, price tags.

``[Reading("CAMPRODON", 0.94), …]`` for the yellow box of OpenCV's sample clip, whose print is 16 pixels high.

rapidocr (PP-OCRv6 small, shipped inside its package: nothing is downloaded) looks for text in the picture enlarged to
960 pixels, with thresholds below its defaults: left to itself it finds no text on that box at all.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from rapidfuzz import fuzz

from llmrec.errors import MissingExtraError
from llmrec.records import TimedText
from llmrec.video.settings import WatchSettings

if TYPE_CHECKING:
    from PIL.Image import Image

#: Pictures are enlarged at most so many times: beyond it there is only blur to read.
MOST_ENLARGED = 3.0
#: Readings of so few letters and digits are mostly shreds of a pattern, and must be surer than others.
SHORT, SHORT_CONFIDENCE = 4, 0.8
#: Two readings are one caption from this similarity on (0 to 100), if their digits agree.
ONE_CAPTION = 75.0
#: A caption may be missed in so many frames in a row and still be the same caption.
MAY_MISS = 1


class Reading(NamedTuple):
    """A line of text read in one picture, with the recogniser's confidence, 0 to 1."""

    text: str
    confidence: float


class ScreenReader(Protocol):
    """Anything that reads the text in a picture."""

    def read(self, image: Image) -> list[Reading]:
        """The lines of text in a picture, top to bottom."""
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
                "Global.use_cls": False,  # tells upside-down lines only
                "Global.text_score": settings.ocr_confidence,
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
        """The lines of text in a picture, top to bottom; single characters and unsure readings are left out."""
        import numpy as np
        from PIL import Image as images

        scale = min(MOST_ENLARGED, self.side / max(image.size))
        if scale > 1:
            size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
            image = image.resize(size, resample=images.Resampling.BICUBIC)
        found: Any = self._engine(np.ascontiguousarray(np.asarray(image.convert("RGB"))[:, :, ::-1]))
        lines = zip(found.txts or (), found.scores or (), strict=True)
        readings = [Reading(" ".join(text.split()), float(score)) for text, score in lines]
        return [reading for reading in readings if self._credible(reading)]

    def _credible(self, reading: Reading) -> bool:
        signs = sum(map(str.isalnum, reading.text))
        least = max(self.confidence, SHORT_CONFIDENCE) if signs <= SHORT else self.confidence
        return signs > 1 and reading.confidence >= least


def merge_readings(frames: Sequence[tuple[float, float, Sequence[Reading]]]) -> list[TimedText]:
    """Readings of successive frames to captions: near-equal lines become one, the surest reading is kept.

    Args:
        frames: Start, end (seconds) and readings of each frame, in order of time.

    Returns:
        Timed text from the start of the first frame that shows a line to the end of the last, in order of time.
    """
    done: list[_Caption] = []
    shown: list[_Caption] = []
    for number, (start, end, readings) in enumerate(frames):
        done += [caption for caption in shown if number - caption.last > MAY_MISS + 1]
        shown = [caption for caption in shown if number - caption.last <= MAY_MISS + 1]
        for reading in readings:
            same = max(shown, key=lambda caption: caption.likeness(reading), default=None)
            if same is None or same.likeness(reading) < ONE_CAPTION:
                shown.append(_Caption(reading, start, end, number))
            else:
                same.add(reading, end, number)
    captions = sorted(done + shown, key=lambda caption: (caption.start, caption.first))
    return [TimedText(c.start, c.end, c.best.text, "screen", round(c.best.confidence, 3)) for c in captions]


class _Caption:
    """A line of text that several frames show."""

    def __init__(self, reading: Reading, start: float, end: float, number: int) -> None:
        self.best, self.start, self.end = reading, start, end
        self.first = self.last = number

    def likeness(self, reading: Reading) -> float:
        """0 to 100; a price or a size that differs in a digit is another text."""
        mine, its = _bare(self.best.text), _bare(reading.text)
        if [c for c in mine if c.isdigit()] != [c for c in its if c.isdigit()]:
            return 0.0
        return fuzz.ratio(mine, its)

    def add(self, reading: Reading, end: float, number: int) -> None:
        self.end, self.last = max(self.end, end), number
        if reading.confidence > self.best.confidence:
            self.best = reading


def _bare(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
