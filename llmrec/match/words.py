"""Words with their places: the units in which a content and a product are compared for evidence.

Two words are one when they agree after case, accents, number words and a plural *s* are set aside. Scripts written
without spaces are compared by pairs of characters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

import msgspec

_WORD = re.compile(r"[^\W_]+(?:[’'][^\W_]+)?")
# Han, kana, Thai, Lao, Myanmar, Khmer: no spaces between words
_UNSPACED = re.compile(
    r"[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+"
)
_NUMBERS = {
    word: str(value)
    for value, word in enumerate(
        ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve"],
    )
} | {"twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "hundred": "100"}


class Word(msgspec.Struct, frozen=True):
    """A word of a text: its folded form and the characters ``[start, end)`` where it stands."""

    form: str
    start: int
    end: int


def words(text: str) -> list[Word]:
    """The words of a text, in order."""
    found: list[Word] = []
    for match in _WORD.finditer(text):
        start = match.start()
        for part in _parts(match.group()):
            if _UNSPACED.fullmatch(part) and len(part) > 1:
                pairs = (Word(part[i : i + 2], start + i, start + i + 2) for i in range(len(part) - 1))
                found.extend(pairs)
            else:
                found.append(Word(fold(part), start, start + len(part)))
            start += len(part)
    return found


@lru_cache(maxsize=100_000)
def fold(word: str) -> str:
    """The form under which a word is compared: ``Shoes'`` and ``shoe``, ``Crème`` and ``creme``, ``two`` and ``2``."""
    plain = "".join(c for c in unicodedata.normalize("NFKD", word.casefold()) if not unicodedata.combining(c))
    plain = re.sub(r"[’'](s)?$", "", plain)
    if plain in _NUMBERS:
        return _NUMBERS[plain]
    if len(plain) > 3 and plain.endswith("s") and not plain.endswith(("ss", "us", "is")) and plain.isalpha():
        return plain[:-1]
    return plain


def _parts(word: str) -> list[str]:
    """Split a run of letters where a script without spaces begins or ends."""
    pieces: list[str] = []
    last = 0
    for match in _UNSPACED.finditer(word):
        if match.start() > last:
            pieces.append(word[last : match.start()])
        pieces.append(match.group())
        last = match.end()
    if last < len(word):
        pieces.append(word[last:])
    return pieces
