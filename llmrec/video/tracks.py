"""Lines read in successive frames to captions: what stays on screen is one text, with a start and an end.

Readings of a line that stays are pooled by ``voting``: six weak ones make a sure one.
"""

from __future__ import annotations

from collections.abc import Sequence

from rapidfuzz import fuzz

from llmrec.records import TimedText
from llmrec.video.voting import Reading, vote

#: Two readings are one caption from this similarity on (0 to 100) ...
ONE_CAPTION = 75.0
#: ... and two of which one is unsure from this on: a letter or two of them is misread.
ONE_WEAK_CAPTION = 60.0
#: Confidence from which a digit that differs is another text (a price, a size) and not a misreading.
SURE = 0.8
#: Other readings of an unsure caption that are kept, and what is left of their confidence: less than that of any text
#: that stands for itself, but pieces of a name may be in them.
OTHERS, OTHER = 4, 0.6
#: A caption may be missed in so many frames in a row and still be the same caption; one in doubt is missed more often.
MAY_MISS, MAY_MISS_WEAK = 1, 3


def merge_readings(frames: Sequence[tuple[float, float, Sequence[Reading]]]) -> list[TimedText]:
    """Readings of successive frames to captions.

    Args:
        frames: Start, end (seconds) and readings of each frame, in order of time. One frame may have several readings
            of one line.

    Returns:
        Timed text from the start of the first frame that shows a line to the end of the last, in order of time. A
        caption that stays unsure is followed by its other readings, with less confidence.
    """
    done: list[_Caption] = []
    shown: list[_Caption] = []
    for number, (start, end, readings) in enumerate(frames):
        done += [caption for caption in shown if not caption.may_go_on(number)]
        shown = [caption for caption in shown if caption.may_go_on(number)]
        for reading in sorted(readings, key=lambda one: -one.confidence) if len(readings) > 1 else readings:
            same = max(shown, key=lambda caption: caption.likeness(reading), default=None)
            if same is None or same.likeness(reading) <= 0:
                shown.append(_Caption(reading, start, end, number))
            else:
                same.add(reading, end, number)
    captions = sorted(done + shown, key=lambda caption: (caption.start, caption.first))
    return [text for caption in captions for text in caption.texts()]


class _Caption:
    """A line of text that several frames show."""

    def __init__(self, reading: Reading, start: float, end: float, number: int) -> None:
        self.best, self.start, self.end = reading, start, end
        self.readings, self.looks = [reading], [number]
        self.first = self.last = number

    def may_go_on(self, number: int) -> bool:
        """Whether a frame that shows it again would show the same caption."""
        return number - self.last <= 1 + (MAY_MISS if self.best.confidence >= SURE else MAY_MISS_WEAK)

    def likeness(self, reading: Reading) -> float:
        """How far the similarity is above that of two texts; 0: another text."""
        mine, its = _bare(self.best.text), _bare(reading.text)
        sure = min(self.best.confidence, reading.confidence) >= SURE
        if sure and [c for c in mine if c.isdigit()] != [c for c in its if c.isdigit()]:
            return 0.0
        return max(0.0, fuzz.ratio(mine, its) - (ONE_CAPTION if sure else ONE_WEAK_CAPTION) + 1e-6)

    def texts(self) -> list[TimedText]:
        """What was agreed upon, and other readings of a line in doubt."""
        agreed = vote(self.readings, self.looks)
        found = [agreed] if agreed.text else []
        if agreed.confidence < SURE:
            known = {_bare(agreed.text)}
            for reading in sorted(self.readings, key=lambda one: -one.confidence):
                if len(found) <= OTHERS and (bare := _bare(reading.text)) not in known:
                    known.add(bare)
                    found.append(Reading(reading.text, reading.confidence * OTHER))
        return [TimedText(self.start, self.end, one.text, "screen", round(one.confidence, 3)) for one in found]

    def add(self, reading: Reading, end: float, number: int) -> None:
        self.end, self.last = max(self.end, end), number
        self.readings.append(reading)
        self.looks.append(number)
        if reading.confidence > self.best.confidence:
            self.best = reading


def _bare(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())
