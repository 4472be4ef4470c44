"""Where a claim's words stand in a source text, and whether they stand there at all.

Words are compared without case, plural ending or number format ("1,300 watts" meets "1300 Watt", "eight" meets "8").
The words are matched literally: "sofa" does not meet "couch". A model that checks meaning is a later matter.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache

#: Scripts without spaces, in which there are no word bounds to look for: Thai, Lao, Burmese, Khmer, kana, Han.
_UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff]")
_TOKEN = re.compile(r"\d+(?:[.,]\d+)*|[^\W\d_]+")
_UNITS = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen seventeen"
    " eighteen nineteen"
)
_TENS = "twenty thirty forty fifty sixty seventy eighty ninety"
_SPOKEN = {word: str(value) for value, word in enumerate(_UNITS.split())}
_SPOKEN |= {word: str(10 * value) for value, word in enumerate(_TENS.split(), 2)}
_FILLERS = (
    "a an and are as at be by can comes for from has have in includes including is it its of on or that the this to"
    " with which you your der die das und mit für ein eine le la les de des et un une el los y con"
)
#: Words that hold a sentence together and claim nothing.
FILLERS = frozenset(_FILLERS.split())


@dataclass(frozen=True)
class Word:
    """A word of a text: its comparable form and the characters ``[start, end)``."""

    form: str
    start: int
    end: int

    @property
    def number(self) -> bool:
        return self.form[0].isdigit()


@lru_cache(maxsize=4096)
def words(text: str) -> tuple[Word, ...]:
    """The words and numbers of a text, in order."""
    return tuple(Word(_form(m[0]), m.start(), m.end()) for m in _TOKEN.finditer(text))


def claims(text: str) -> list[Word]:
    """The words that claim something: all but fillers."""
    return [word for word in words(text) if word.form not in FILLERS]


def forms(texts: Iterable[str]) -> set[str]:
    """The comparable forms of all words in some texts."""
    return {word.form for text in texts for word in words(text)}


def find_literal(claim: str, text: str) -> tuple[int, int] | None:
    """Where a claim stands word for word; white space and case may differ."""
    parts = [re.escape(part) for part in claim.split()]
    if not parts:
        return None
    bounded = r"(?<!\w)" + r"\s+".join(parts) + r"(?!\w)"
    pattern = r"\s*".join(parts) if _UNSPACED.search(claim) else bounded
    match = re.search(pattern, text, re.IGNORECASE)
    return match.span() if match else None


def find_words(
    claim: str, text: str, least: float, given: frozenset[str] = frozenset()
) -> tuple[int, int, float] | None:
    """The shortest stretch of a text with a claim's words.

    Args:
        claim: The claim; all its numbers must stand in the text.
        text: The source.
        least: Share of its words that must stand there.
        given: Words that need not stand there: the name of the field ("colour" in "colour blue").

    Returns:
        Start, end, and the share that stands there.
    """
    said = claims(claim) or list(words(claim))
    wanted = [word for word in said if word.form not in given]
    source = words(text)
    present = {word.form for word in source}
    there = {word.form for word in wanted if word.form in present}
    if not wanted or any(word.number and word.form not in there for word in wanted):
        return None
    share = sum(word.form in there for word in wanted) / len(wanted)
    if share < least or not there:
        return None
    # the shortest window with all of them: move its end, then draw its start up
    count: dict[str, int] = {}
    best: tuple[int, int] | None = None
    left = 0
    for right in source:
        if right.form not in there:
            continue
        count[right.form] = count.get(right.form, 0) + 1
        while len(count) == len(there):
            start = source[left]
            if best is None or right.end - start.start < best[1] - best[0]:
                best = (start.start, right.end)
            if start.form in count:
                count[start.form] -= 1
                if not count[start.form]:
                    del count[start.form]
            left += 1
    return (*best, share) if best else None


def _form(word: str) -> str:
    if word[0].isdigit():
        # 1,300 -> 1300; 2.0 -> 2; 4,5 -> 4.5
        whole = re.sub(r"[.,](?=\d{3}(?:\D|$))", "", word).replace(",", ".")
        whole = whole.rstrip("0").rstrip(".") if whole.count(".") == 1 else whole
        return whole.lstrip("0") or "0"
    folded = word.casefold()
    if folded in _SPOKEN:
        return _SPOKEN[folded]
    if folded.isascii() and len(folded) > 3 and folded.endswith("s") and not folded.endswith("ss"):
        return folded[:-1]
    return folded
