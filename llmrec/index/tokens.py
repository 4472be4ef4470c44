"""Words of a text for lexical search, in any script.

::

    >>> tokens("Panasonic DMC-FZ18K, 8.1MP, Größe 42mm")
    ['panasonic', 'dmcfz18k', 'dmc', 'fz18k', 'fz', '18', 'k', 'dmcfz18', 'fz18', '8.1mp', '8.1', 'mp',
     'grosse', '42mm', '42', 'mm']
    >>> tokens("防水 スマホ")
    ['防水', 'スマ', 'マホ']

Case and accents are folded. Model numbers and sizes are kept whole and in their parts, so that ``FZ18``, ``FZ-18`` and
``FZ 18`` meet. Scripts written without spaces (Chinese, Japanese, Thai, Lao, Burmese, Khmer) and Korean, whose endings
cling to the word, give pairs of characters.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

# Han, Kana, Hangul, Thai, Lao, Burmese, Khmer
_PAIRED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3005-\u3007\u3040-\u30ff\u31f0-\u31ff\u3400-\u4dbf\u4e00-\u9fff"
    "\uac00-\ud7af\uf900-\ufaff\U00020000-\U0003ffff"
)
# the scripts of India write vowels as marks, which \w leaves out; their full stops are no letters
_LETTER = rf"(?:(?![{_PAIRED}\u0964\u0965])[\w\u0900-\u0dff])"
_RUN = re.compile(rf"[{_PAIRED}]+|{_LETTER}+(?:[-./_]{_LETTER}+)*")
_PAIRED_RUN = re.compile(rf"[{_PAIRED}]")
_PIECE = re.compile(r"\d+(?:\.\d+)?|(?:[^\W\d_]|[\u0900-\u0dff])+")
# "MB942Z/A" is one model number
_SUFFIX = re.compile(r"(?:(?<=\d)|(?<=\d[a-z]))/(?=[a-z0-9]$)")
_MODEL = re.compile(r"([^\W\d]+\d{2,})[^\W\d]+")
_DECIMAL = re.compile(r"[^\W\d]*\d+(?:\.\d+)+[^\W\d]*")
# accents of Latin, Greek and Cyrillic; the optional vowels of Hebrew and Arabic, and the Arabic stretch
_DROPPED = re.compile("[\u0300-\u036f\u0591-\u05c7\u0610-\u061a\u0640\u064b-\u065f\u0670]+")
_SPELT = str.maketrans({"ø": "o", "ł": "l", "đ": "d", "æ": "ae", "œ": "oe", "ı": "i", "ð": "d", "þ": "th", "ħ": "h"})
_QUOTES = re.compile(r"(?<=\w)['’ʼ`](?=\w)")


def tokens(text: str) -> list[str]:
    """Split a text into lexical tokens, in order; a word of several parts gives the whole first."""
    return [token for run in runs(text) for token in parts_of(run)]


def runs(text: str) -> list[str]:
    """The folded words of a text, each as it is written, before it is taken apart."""
    return _RUN.findall(fold(text))


def fold(text: str) -> str:
    """Case, accents, width and compatibility forms folded: ``Größe`` and ``GROSSE`` are one."""
    if not text.isascii():
        folded = unicodedata.normalize("NFKC", text).casefold().translate(_SPELT)
        text = unicodedata.normalize("NFC", _DROPPED.sub("", unicodedata.normalize("NFD", folded)))
    # last: an accent written as a mark of its own parts a letter from the quote behind it
    return _QUOTES.sub("", text.lower())


@lru_cache(maxsize=200_000)
def parts_of(run: str) -> tuple[str, ...]:
    """The tokens of one folded word: the whole first, then its parts."""
    if _PAIRED_RUN.match(run):
        return (run,) if len(run) == 1 else tuple(run[i : i + 2] for i in range(len(run) - 1))
    if run.isalpha():
        return (run,)
    run = _SUFFIX.sub("-", run)
    if "/" in run:  # alternatives ("2000/xp"), not a model number, but for "a/v"
        joined = run.replace("/", "")
        short = (joined,) if joined.isalpha() and len(joined) <= SHORT else ()
        return short + tuple(part for word in run.split("/") if word for part in parts_of(word))
    found = []
    words = _words(run)
    whole = "".join(words)
    coded = any(char.isdigit() for char in run)
    if len(words) > 1 and (coded or len(whole) <= SHORT):
        found.append(whole)
    for word in words:
        pieces = [piece.removesuffix(".0") for piece in _PIECE.findall(word)]
        if len(pieces) > 1 and coded:
            found.append(word)
        found.extend(pieces)
    # the model without the letters for its colour or country: "dle0442wh" and "dle0442w" are both a "dle0442"
    models = [match[1] for match in map(_MODEL.fullmatch, found) if match]
    return tuple(found + [model for model in dict.fromkeys(models) if model not in found])


def _words(run: str) -> list[str]:
    """The run at its hyphens and points, but for decimal ones: "8.1mp" stays whole, "9S00.006" does not."""
    split = ([part] if _DECIMAL.fullmatch(part) else part.split(".") for part in re.split("[-_]", run))
    return [word for words in split for word in words if word]


#: Letters up to which ``e-mail`` and ``a/v`` are one word as well as two.
SHORT = 5
