"""Model numbers: a product whose title names another one than the query names is probably another product.

Measured on product tables of several sources: half of all pairs of listings name different model numbers where each
names one; of the true pairs, one to four in a hundred do (``eval/fusion_study.md``).
"""

from __future__ import annotations

import re
from bisect import bisect_left
from collections.abc import Container, Sequence
from functools import cached_property, lru_cache
from typing import TYPE_CHECKING

import numpy as np

from llmrec.index.lexical import Lexical
from llmrec.index.query_words import QueryWords
from llmrec.index.tokens import tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Five or more characters with letters before digits or between them: "dle0442w", "0625b002"; not "500gb", "1080p",
#: which are sizes, nor "1920x1080".
_CODE = re.compile(r"(?!.*\d+x\d+)(?=\w{5,}$)(?=(?:.*\d){2,})(?:[^\W\d]+\d+\w*|\d+[^\W\d]+\d+\w*)")

#: Two codes are taken for one when the first so many characters, or the last, of one are the whole of the other.
SHORTEST = 4


@lru_cache(maxsize=200_000)
def is_code(word: str) -> bool:
    """Whether a word has the form of a model number."""
    return _CODE.fullmatch(word) is not None


def named_codes(text: str, words: QueryWords) -> set[str]:
    """The model numbers of a query, and with them its long numbers; empty when it names no model number."""
    named = {word for word in (*tokens(text), *words.weights) if is_code(word)}
    if not named:
        return named
    return named | {word for word in words.weights if word.isdigit() and len(word) >= SHORTEST}


def kin_of(code: str, vocabulary: Container[str], codes: Sequence[str]) -> list[str]:
    """Words that are a code, its beginning or end, or begin with it.

    Args:
        code: The model number, or long number.
        vocabulary: The words of the catalog.
        codes: The model numbers among them, sorted.
    """
    beginnings = (code[:i] for i in range(SHORTEST, len(code)))
    ends = (code[-i:] for i in range(SHORTEST, len(code)))
    pieces = {code, *beginnings, *ends}
    kin = [piece for piece in pieces if piece in vocabulary and (piece == code or is_code(piece))]
    return kin + beginning_with(code, codes)


def beginning_with(code: str, codes: Sequence[str]) -> list[str]:
    """Those of sorted model numbers that begin with a code."""
    start = end = bisect_left(codes, code)
    while end < len(codes) and codes[end].startswith(code):
        end += 1
    return list(codes[start:end])


class CodeBook:
    """Which products of a catalog name a model number in their title."""

    def __init__(self, title: Lexical, whole: Lexical) -> None:
        self._title = title
        self._whole = whole

    def others(self, text: str, words: QueryWords) -> NDArray[np.bool_] | None:
        """Products whose title names a model number while no part of them names that of the query.

        Args:
            text: The query.
            words: Its words, as the whole text of the products knows them.

        Returns:
            bool ``[n]``, or None when the query names no model number.
        """
        named = named_codes(text, words)
        if not named:
            return None
        found = self.carriers.copy()
        for code in named:
            for kin in self._kin(code):
                found[self._whole.rows(kin)] = False
        return found

    def _kin(self, code: str) -> list[str]:
        """Words of the catalog that are the code, its beginning or end, or begin with it."""
        return kin_of(code, self._whole.vocabulary, self.codes)

    @cached_property
    def codes(self) -> list[str]:
        """The model numbers of the catalog, sorted."""
        return sorted(word for word in self._whole.all_words() if is_code(word))

    @cached_property
    def carriers(self) -> NDArray[np.bool_]:
        """The products whose title names one that few others name, bool ``[n]``."""
        found = np.zeros(len(self._title), dtype=np.bool_)
        for word in self._title.all_words():
            if is_code(word) and self._title.is_rare(word):
                found[self._title.rows(word)] = True
        return found
