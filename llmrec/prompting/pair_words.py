"""The words of two offers held against each other: what both say, and what only one says.

::

    >>> compare("Denon DVD-3800BDCI Blu-Ray player 1 TB", "denon dvd3800bdci 2TB black")
    Compared(same=('denon', 'dvd3800bdci'), left=('1tb', 'blu', 'ray', 'player'), right=('2tb', 'black'))

Words with digits come first: model numbers, sizes and versions decide. Model numbers are joined over hyphens and
spaces (``DVD-3800BDCI``, ``dvd 3800 bdci``), numbers with their unit (``1 TB``, ``2,5"``), so that one thing is one
word however it is written. Follows the domain knowledge that Ditto injects (Li et al., VLDB 2021, section 4.1).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from typing import NamedTuple

_UNITS = {
    "inch": 'inch inches in zoll pouces " \u2033',
    "ft": "ft feet foot",
    "mm": "mm millimeter millimeters", "cm": "cm", "m": "m meter meters metre metres",
    "gb": "gb gig gigabyte gigabytes go", "tb": "tb terabyte terabytes to", "mb": "mb megabyte megabytes mo",
    "kb": "kb",
    "mbps": "mbps mbit", "gbps": "gbps gbit",
    "mp": "mp megapixel megapixels mpix mpx",
    "hz": "hz hertz", "khz": "khz", "mhz": "mhz", "ghz": "ghz", "rpm": "rpm",
    "w": "w watt watts", "kw": "kw", "v": "v volt volts", "mah": "mah", "va": "va", "btu": "btu btus",
    "ml": "ml", "cl": "cl", "l": "l liter liters litre litres ltr", "oz": "oz ounce ounces",
    "lb": "lb lbs pound pounds", "g": "g gr gram grams", "kg": "kg kilogram kilograms",
    "x": "x", "port": "port ports", "pack": "pack pk pcs pieces", "user": "user users", "day": "day days",
    "ch": "ch channel channels",
}  # fmt: skip
_UNIT = {word: unit for unit, words in _UNITS.items() for word in words.split()}
#: Units that are words or parts of model numbers as well: a unit only when written onto the number.
_ATTACHED_ONLY = frozenset({"in", "to", "go", "x", "m", "g", "l", "v", "w"})

_TAG = re.compile(r'"@[a-z]{2}(?:-[a-z]{2,4})?\b')
_THOUSANDS = re.compile(r"(?<=\d),(?=\d{3}(?!\d))")
_COMMA = re.compile(r"(?<=\d),(?=\d)")
_RUN = re.compile(r"""(?<!\w)\d+(?:\.\d+)?\s?(?:"|\u2033|'')|[^\W_]+(?:[-.+_]+[^\W_]+)*""")
_NUMBER = re.compile(r"\d+(?:\.\d+)?")
_MEASURE = re.compile(r'(\d+(?:\.\d+)?)\s?([^\W\d_]+|"|\u2033)')
_SPLIT = re.compile(r"[-+_]+|\.(?!\d)|(?<!\d)\.")
#: Longest run of words that is put together to meet a model number written as one.
MOST_JOINED = 3
#: Characters from which on a run of words may be one.
SHORTEST_JOINED = 5
#: Digits from which on a number with a hyphen to a word is part of a model number.
SHORTEST_NUMBER = 3


class Words(NamedTuple):
    """The words of a text, made ready to be held against others: an offer is compared with many.

    ``joins`` are neighbouring words that may be one model number or compound, ``joined`` the same by what they give.
    """

    words: Sequence[str]
    known: frozenset[str]
    joins: tuple[tuple[tuple[str, ...], str], ...]
    joined: frozenset[str]


class Compared(NamedTuple):
    """Distinct words that both offers have, and that only one has; those with digits first, else in order of text."""

    same: tuple[str, ...]
    left: tuple[str, ...]
    right: tuple[str, ...]


def compare(left: str, right: str) -> Compared:
    """Hold the words of two texts against each other."""
    return compare_words(pair_words(left), pair_words(right))


def compare_words(left: Sequence[str], right: Sequence[str]) -> Compared:
    """As ``compare``, for texts that are split already by ``pair_words``.

    A word is shared as well when it stands in the other text in pieces or as a piece of a joined model number.
    """
    return compare_ready(ready(left), ready(right))


def ready(words: Sequence[str]) -> Words:
    """Words made ready for ``compare_ready``."""
    joins = tuple(_joins(words))
    return Words(words, frozenset(words), joins, frozenset(joined for _, joined in joins))


def compare_ready(left: Words, right: Words) -> Compared:
    """As ``compare_words``, for words that were made ready before."""
    shared_left, shared_right = _met(left, right), _met(right, left)
    return Compared(
        # pieces on one side may be one word on the other: the shorter telling, whichever side is called left
        min(
            (
                _ordered(w for w in left.words if w in shared_left),
                _ordered(w for w in right.words if w in shared_right),
            ),
            key=_told,
        ),
        _ordered(word for word in left.words if word not in shared_left),
        _ordered(word for word in right.words if word not in shared_right),
    )


def pair_words(text: str) -> list[str]:
    """The words of a text, folded and in order: model numbers joined, numbers with their unit, decimals shortened."""
    text = _fold(text)
    text = text.replace("''", '"') if "''" in text else text
    text = _COMMA.sub(".", _THOUSANDS.sub("", _TAG.sub(" ", text)))
    words: list[str] = []
    for run in _RUN.findall(text):
        for word in _parts(run):
            unit = _UNIT.get(word)
            if unit and words and word not in _ATTACHED_ONLY and _NUMBER.fullmatch(words[-1]):
                words[-1] += unit
            else:
                words.append(word)
    return words


def measures(words: Sequence[str]) -> dict[str, set[str]]:
    """The numbers of each unit: ``["8gb", "16gb", "2.5inch"]`` gives ``{"gb": {"8", "16"}, "inch": {"2.5"}}``."""
    found: dict[str, set[str]] = {}
    for word in words:
        if (match := _MEASURE.fullmatch(word)) and match[2] in _UNITS:
            found.setdefault(match[2], set()).add(match[1])
    return found


def is_code(word: str) -> bool:
    """Whether a word looks like a model number: letters and digits, or a long number; no number with a unit."""
    if len(word) < 4 or not any(char.isdigit() for char in word):
        return False
    if word.isdigit():
        return len(word) > 4
    match = _MEASURE.fullmatch(word)
    return "." not in word and not (match and match[2] in _UNITS)


def is_number(word: str) -> bool:
    """Whether a word is a bare number, such as a version or a year."""
    return _NUMBER.fullmatch(word) is not None


def _parts(run: str) -> list[str]:
    """One run of characters as words: a model number whole, all else in its parts."""
    if measure := _MEASURE.fullmatch(run):
        unit = _UNIT.get(measure[2])
        return [_short(measure[1]) + (unit or measure[2])]
    if not any(char.isdigit() for char in run):
        return [part for part in re.split(r"[-.+_]+", run) if part]
    pieces = [piece for piece in _SPLIT.split(run) if piece]
    if len(pieces) == 1:
        return [_short(run)] if _NUMBER.fullmatch(run) else [run]
    if any(_quantity(piece) for piece in pieces) and not _coded(pieces):
        return [part for piece in pieces for part in _parts(piece)]
    return ["".join(pieces).replace(".", "")]


def _quantity(piece: str) -> bool:
    """A number alone, or with a known unit."""
    match = _MEASURE.fullmatch(piece)
    return _NUMBER.fullmatch(piece) is not None or bool(match and match[2] in _UNIT)


def _coded(pieces: Sequence[str]) -> bool:
    """Whether the pieces are of one model number: "kx-tg1032", "cc-9011133-ww"; not "24-105mm", "5-port", "x-32gb"."""
    if any(not _quantity(piece) and any(char.isdigit() for char in piece) for piece in pieces):
        return True
    worded = any(piece.isalpha() and piece not in _UNIT for piece in pieces)
    return worded and any(piece.isdigit() and len(piece) >= SHORTEST_NUMBER for piece in pieces)


def _short(number: str) -> str:
    """``4.0`` is ``4``, ``2.50`` is ``2.5``."""
    return number.rstrip("0").rstrip(".") if "." in number else number


def _met(words: Words, other: Words) -> set[str]:
    """The words that the other text has too, whole or put together."""
    found = set((words.known & other.known) | (words.known & other.joined))
    for run, joined in words.joins:
        if joined in other.known:
            found.update(run)
    return found


def _joins(words: Sequence[str]) -> list[tuple[tuple[str, ...], str]]:
    """Neighbouring words put together, where that may be one model number or compound."""
    runs = [tuple(words[i : i + n]) for n in range(2, MOST_JOINED + 1) for i in range(len(words) - n + 1)]
    return [(run, joined) for run in runs if len(joined := "".join(run)) >= SHORTEST_JOINED]


def _told(words: tuple[str, ...]) -> tuple[int, list[str]]:
    return len(words), sorted(words)


def _ordered(words: Iterable[str]) -> tuple[str, ...]:
    distinct = dict.fromkeys(words)
    return tuple(sorted(distinct, key=lambda word: not any(char.isdigit() for char in word)))


def _fold(text: str) -> str:
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFD", unicodedata.normalize("NFKC", text).casefold())
    return unicodedata.normalize("NFC", "".join(char for char in folded if not unicodedata.combining(char)))
