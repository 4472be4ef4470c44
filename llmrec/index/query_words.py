"""The words of a query and how much each counts: what people say around a product's name must not outvote the name.

::

    >>> query_words("so this is the p s l x three fifty h, the Sony turntable", {"pslx350h", "sony", "turntable"})

Words that only hold a sentence together count for little, a word said often counts little more than once, a model
number counts double. One that was spelt out ("p s l x 3 5 0 h", "fz eighteen") is put together again, and one that was
misread off a screen ("PSLX35OH") is read anew, where the catalog has it.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from functools import cache
from itertools import zip_longest
from typing import NamedTuple

from llmrec.index.tokens import parts_of, runs, tokens

#: Spoken words that lists of written function words leave out.
_SAID = "oh ok okay yes yeah hello hi hey please thank thanks welcome guys everybody everyone really gonna wanna um uh"

_LANGUAGES = (
    "DANISH", "DUTCH", "FRENCH", "GERMAN", "ITALIAN", "NORWEGIAN", "PORTUGUESE", "RUSSIAN", "SPANISH", "SWEDISH",
    "TURKISH", "CHINESE", "KOREAN",
)  # fmt: skip

#: Function words of a language that a query must hold before that language's list is used beside the English one.
ENOUGH = 3

#: What a function word counts. With nothing, "the who" and "who" would be one title; with more, talk drowns products.
FUNCTION_WEIGHT = 0.1

#: What a model number (letters and digits) and a long number count, and the length from which a word is one.
CODE_WEIGHT, NUMBER_WEIGHT, SHORTEST_CODE = 2.0, 1.5, 4
_CODE = re.compile(r"(?=.*\d)(?=.*[^\W\d])\w+")
_ALIKE = str.maketrans("oilsbz", "011582")

_ONES = "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
_NUMBERS = {word: str(i) for i, word in enumerate((_ONES + "seventeen eighteen nineteen").split())}
_TENS = {
    word: str(i)
    for i, word in enumerate(["twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"], start=2)
}  # fmt: skip

#: Runs that a spelt model number may consist of, and characters of a run that can be part of one.
MOST_RUNS, LONGEST_RUN = 10, 5


class QueryWords(NamedTuple):
    """The words of a query that the catalog has, with their weights, and the sum of the weights of those it has not."""

    weights: dict[str, float]
    unknown: float


def query_words(
    text: str, vocabulary: Container[str], lookalikes: Callable[[str], Sequence[str]] | None = None
) -> QueryWords:
    """Weigh the words of a query.

    Args:
        text: The query.
        vocabulary: The words of the catalog; others are left out.
        lookalikes: Words of the catalog by their ``lookalike`` form: finds what was misread off a screen.

    Returns:
        The weight of a word is the square root of how often it was said (1 for a number put together or read anew),
        times what its form says: function words count less, model numbers more.
    """
    counts = Counter(tokens(text))
    held = _function_words(counts)
    if all(word in held for word in counts):
        held = frozenset()
    said = {word: math.sqrt(n) * (FUNCTION_WEIGHT if word in held else 1.0) for word, n in counts.items()}
    weights = {word: weight for word, weight in said.items() if word in vocabulary}
    for word in [*_spelt(text, vocabulary), *_misread(counts, vocabulary, lookalikes)]:
        weights[word] = max(weights.get(word, 0.0), 1.0)
    unknown = sum(w * code_weight(word) for word, w in said.items() if word not in held and word not in weights)
    return QueryWords({word: weight * code_weight(word) for word, weight in weights.items()}, unknown)


def lookalike(word: str) -> str:
    """The word with the characters that screens confuse made one: ``psl350`` and ``p5l35o`` give the same."""
    return word.translate(_ALIKE)


def _spelt(text: str, vocabulary: Container[str]) -> list[str]:
    """Model numbers of the vocabulary that stand in the text in two or more pieces, and their parts."""
    words = runs(text)
    said = [_numeral(word, after) for word, after in zip_longest(words, words[1:], fillvalue="")]
    found: list[str] = []
    for start, first in enumerate(said):
        joined = first
        if not _piece(first):
            continue
        for piece in said[start + 1 : start + MOST_RUNS]:
            if not _piece(piece):
                break
            joined += piece
            if joined in vocabulary and any(char.isdigit() for char in joined) and not joined.isdigit():
                found.extend(part for part in parts_of(joined) if part in vocabulary)
    return found


def _misread(
    counts: Iterable[str], vocabulary: Container[str], lookalikes: Callable[[str], Sequence[str]] | None
) -> Iterator[str]:
    """Words of the catalog for words of letters and digits that the catalog does not have."""
    for word in counts:
        if lookalikes and len(word) >= SHORTEST_CODE and word not in vocabulary and _CODE.fullmatch(word):
            yield from lookalikes(lookalike(word))


def code_weight(word: str) -> float:
    """What a word counts by its form: above 1 for model numbers and long numbers."""
    if len(word) < SHORTEST_CODE:
        return 1.0
    return NUMBER_WEIGHT if word.isdigit() else CODE_WEIGHT if _CODE.fullmatch(word) else 1.0


def _piece(run: str) -> bool:
    return len(run) <= LONGEST_RUN and run.isalnum() and run.isascii()


def _numeral(run: str, after: str) -> str:
    """``eighteen`` is 18; ``fifty`` is 50, but 5 before ``two``."""
    if run in _TENS:
        return _TENS[run] if after in _NUMBERS and after != "zero" else _TENS[run] + "0"
    return _NUMBERS.get(run, run)


def _function_words(counts: Counter[str]) -> frozenset[str]:
    english, *others = _lists()
    best = max(others, key=lambda words: sum(word in words for word in counts))
    hits = sum(word in best for word in counts)
    if hits >= ENOUGH and hits > sum(word in english for word in counts):
        return best
    return english


@cache
def _lists() -> tuple[frozenset[str], ...]:
    from bm25s import stopwords

    def words(listed: Iterable[str]) -> frozenset[str]:
        # single letters are sizes and parts of model numbers
        return frozenset(
            word for word in tokens(" ".join(listed)) if len(word) > 1 or word in "ai" or not word.isascii()
        )

    english = words([*stopwords.STOPWORDS_EN_PLUS, _SAID])
    return (english, *(words(getattr(stopwords, f"STOPWORDS_{name}")) for name in _LANGUAGES))
