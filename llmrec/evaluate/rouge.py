"""ROUGE-1, ROUGE-2 and ROUGE-L by Google's ``rouge-score``, with a tokenizer that knows more scripts than ASCII.

``rouge-score`` alone drops every letter outside a-z0-9: a Thai or Arabic summary always scores 0. Ours gives the same
tokens, hence the same scores, on ASCII text, and elsewhere::

    UnicodeTokenizer().tokenize("Café au lait, 250 ml")    # café, au, lait, 250, ml
    UnicodeTokenizer().tokenize("ที่นอน 蓝色T恤")             # ที่, น, อ, น, 蓝, 色, t, 恤

Scripts written without spaces (Han, kana, Thai, Lao, Khmer, Myanmar) are cut into characters, each with its marks;
marks are kept everywhere, for they are part of the word (Hindi vowels, Arabic vowels, accents).
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

KINDS = ("rouge1", "rouge2", "rougeL")
#: Columns that ``Rouge`` gives: F first, since it is the score that is published.
COLUMNS = tuple(f"{kind}{part}" for kind in KINDS for part in ("", "_precision", "_recall"))

#: First and last code points of scripts that put no space between words.
_UNSPACED = (
    (0x0E00, 0x0EFF), (0x1000, 0x109F), (0x1780, 0x17FF), (0x3005, 0x3007), (0x3040, 0x30FF), (0x31F0, 0x31FF),
    (0x3400, 0x4DBF), (0x4E00, 0x9FFF), (0xA9E0, 0xA9FF), (0xAA60, 0xAA7F), (0xF900, 0xFAFF), (0x1AFF0, 0x1B16F),
    (0x20000, 0x3FFFF),
)  # fmt: skip
#: Letters that are written onto the one before: Thai and Lao AM.
_ATTACHED = {"\u0e33", "\u0eb3"}
#: Signs that put the next consonant under the one before: Khmer coeng, Myanmar virama.
_STACKERS = {"\u17d2", "\u1039"}
_ASCII_WORD = re.compile("[a-z0-9]+")
_TATWEEL, _ZERO_WIDTH_SPACE = "\u0640", "\u200b"


class UnicodeTokenizer:
    """Words of letters, digits and their marks, in lower case; takes the place of ``rouge_score``'s tokenizer.

    Args:
        stem: Porter-stem the English (a-z0-9) words of more than three letters, as ``use_stemmer=True`` does.
    """

    def __init__(self, stem: bool = False) -> None:
        self._stemmer: Any = None
        if stem:
            from nltk.stem.porter import PorterStemmer

            self._stemmer = PorterStemmer()

    def tokenize(self, text: str) -> list[str]:
        """Cut a text into tokens."""
        tokens = _ASCII_WORD.findall(text.lower()) if text.isascii() else self._unicode(text)
        if self._stemmer:
            return [self._stemmer.stem(t) if len(t) > 3 and t.isascii() else t for t in tokens]
        return tokens

    def _unicode(self, text: str) -> list[str]:
        tokens: list[str] = []
        whole = False  # whether the last token is still open to the next character
        for char in _folded(text):
            group = unicodedata.category(char)[0]
            if char == _ZERO_WIDTH_SPACE or group not in "LMN":
                # joiners and direction marks stand within words; all else ends them
                whole = whole and unicodedata.category(char) == "Cf" and char != _ZERO_WIDTH_SPACE
                continue
            if group == "N" and unicodedata.category(char) != "Nd":
                whole = False
            elif group == "M" or char in _ATTACHED:
                if whole:
                    tokens[-1] += char
            elif group == "L" and _unspaced(char):
                if whole and tokens[-1][-1] in _STACKERS:
                    tokens[-1] += char
                else:
                    tokens.append(char)
                whole = True
            elif whole and not _unspaced(tokens[-1][0]):
                tokens[-1] += char
            else:
                tokens.append(char)
                whole = True
        return tokens


class Rouge:
    """Scores texts against one or more references each.

    Args:
        stem: As for ``UnicodeTokenizer``.
        over: ``"mean"`` over the references (FewSum, Bražinskas et al. 2020), or ``"max"``: per kind, the reference
            with the highest F (``rouge-score``'s ``score_multi``).
    """

    def __init__(self, *, stem: bool = False, over: Literal["mean", "max"] = "mean") -> None:
        from rouge_score.rouge_scorer import RougeScorer

        self._scorer = RougeScorer(list(KINDS), tokenizer=UnicodeTokenizer(stem))
        self._over = over

    def score(self, prediction: str, references: Sequence[str]) -> NDArray[np.float64]:
        """F, precision and recall of each kind, float64 ``[len(COLUMNS)]``; at least one reference is wanted."""
        if self._over == "max":
            return _row(self._scorer.score_multi(list(references), prediction))
        return np.mean([_row(self._scorer.score(reference, prediction)) for reference in references], axis=0)


def _row(scores: dict[str, Any]) -> NDArray[np.float64]:
    parts = [(scores[kind].fmeasure, scores[kind].precision, scores[kind].recall) for kind in KINDS]
    return np.array(parts, dtype=np.float64).ravel()


def _folded(text: str) -> str:
    """Lower case, composed, full- and half-width forms made plain, the Arabic stretching sign left out."""
    plain = (unicodedata.normalize("NFKC", c) if unicodedata.east_asian_width(c) in "FH" else c for c in text)
    return unicodedata.normalize("NFC", "".join(plain).replace(_TATWEEL, "").lower())


def _unspaced(char: str) -> bool:
    point = ord(char)
    return point >= 0x0E00 and any(first <= point <= last for first, last in _UNSPACED)
