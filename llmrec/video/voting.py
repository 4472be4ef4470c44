"""Several readings of one line to one: each character is voted on.

::

    >>> vote([Reading("CAMEEBODON", 0.63), Reading("CAMPRODOM", 0.6), Reading("CAMPRUDON", 0.6)])
    Reading(text='CAMPRODON', confidence=0.79)

The readings are aligned with the one that agrees best with all others, and each place goes to the character (or to
none) with most confidence behind it: ROVER (Fiscus, 1997), with the characters of a line for the words of speech.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import NamedTuple

from rapidfuzz import fuzz
from rapidfuzz.distance import Levenshtein

#: Confidence that no number of agreeing readings exceeds.
SUREST = 0.999
#: Confidence with which even a reading without any has a vote.
LEAST = 0.01
#: Readings are aligned up to this many, the surest first: more would not change the vote.
MOST = 32


class Reading(NamedTuple):
    """A line of text read in one picture, with the recogniser's confidence, 0 to 1."""

    text: str
    confidence: float


def vote(readings: Sequence[Reading], looks: Sequence[int] | None = None) -> Reading:
    """Agree on one reading.

    Args:
        readings: At least one reading of the same line.
        looks: The picture that each was read in. Readings of one picture share its faults, so only the surest of
            them adds to the confidence; default: each was read in a picture of its own.

    Returns:
        The text with most confidence behind each character. Its confidence is what is left of the doubt when all
        pictures are taken together, times the share of the votes that its characters got; a lone reading keeps its
        own.
    """
    if len(readings) == 1:
        return readings[0]
    numbers = range(len(readings)) if looks is None else looks
    ranked = sorted(zip(readings, numbers, strict=True), key=lambda one: -one[0].confidence)[:MOST]
    chosen = [reading for reading, _ in ranked]
    backbone = max(chosen, key=lambda one: sum(o.confidence**2 * fuzz.ratio(one.text, o.text) for o in chosen)).text
    text, share = _elect(backbone, chosen)
    doubt: dict[int, float] = defaultdict(lambda: 1.0)
    for reading, look in ranked:
        agreement = fuzz.ratio(text.casefold(), reading.text.casefold()) / 100
        doubt[look] = min(doubt[look], 1 - reading.confidence * agreement)
    left = 1.0
    for own in doubt.values():
        left *= own
    return Reading(" ".join(text.split()), round(min(SUREST, (1 - left)) * share, 4))


def _elect(backbone: str, readings: Sequence[Reading]) -> tuple[str, float]:
    """The text that wins place by place, and the mean share of the votes of its characters."""
    places: list[Counter[str]] = [Counter() for _ in backbone]
    between: list[Counter[str]] = [Counter() for _ in range(len(backbone) + 1)]
    total = 0.0
    for reading in readings:
        weight = max(reading.confidence, LEAST) ** 2
        total += weight
        taken = reading.text
        for code in Levenshtein.opcodes(backbone, taken):
            if code.tag == "insert":
                between[code.src_start][taken[code.dest_start : code.dest_end]] += weight  # type: ignore[assignment]
                continue
            for offset in range(code.src_end - code.src_start):
                char = "" if code.tag == "delete" else taken[code.dest_start + offset]
                places[code.src_start + offset][char] += weight  # type: ignore[assignment]
    text, shares = "", []
    for place in range(len(backbone) + 1):
        for votes in (between[place], *places[place : place + 1]):
            if votes is between[place]:
                votes = votes + Counter({"": total - sum(votes.values())})  # type: ignore[dict-item]
            best, behind = max(votes.items(), key=lambda item: (item[1], item[0]), default=("", 0.0))
            if best:
                text += best
                shares += [behind / total] * len(best)
    return text, sum(shares) / len(shares) if shares else 0.0
