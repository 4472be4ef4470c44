"""BM25 over a field that changes: the texts of the version, what came after them, and without what is gone.

The scores are those of BM25 with the rarity of words as it is now; only the average length of a text stays that of the
version until it is compacted. A word that only texts have which are gone is unknown again.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Container, Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmrec.index.lexical import Lexical, damping
from llmrec.index.query_words import SHORTEST_CODE, QueryWords, lookalike
from llmrec.index.tokens import tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

_NOTHING = np.zeros(0, dtype=np.int32)


class Texts:
    """The words of the texts that came after those of a version, by word; grows, for one writing thread.

    Args:
        start: Row of the first.
        average: Mean words of a text of the version.
    """

    def __init__(self, start: int, average: float) -> None:
        self._start = start
        self._average = average
        self._words: dict[str, tuple[array[int], array[float]]] = {}
        self.forms: dict[str, list[str]] = {}
        self.count = 0

    def append(self, text: str) -> list[str]:
        """Add a text; returns its distinct words."""
        words = tokens(text)
        counts = Counter(words)
        length = damping(len(words), self._average)
        row = self._start + self.count
        for word, n in counts.items():
            column = self._words.get(word)
            if column is None:
                column = self._words[word] = (array("i"), array("f"))
                if len(word) >= SHORTEST_CODE:
                    self.forms.setdefault(lookalike(word), []).append(word)
            # the weight first: a reader counts the rows
            column[1].append(n / (length + n))
            column[0].append(row)
        self.count += 1
        return list(counts)

    def column(self, word: str, end: int) -> tuple[NDArray[np.int32], NDArray[np.float32]]:
        """Rows below ``end`` that hold a word, ascending, and the saturated frequency of it in each."""
        column = self._words.get(word)
        if column is None:
            return _NOTHING, _NOTHING.astype(np.float32)
        # copies: an array that is looked at through NumPy cannot grow
        rows = np.frombuffer(column[0][:], dtype=np.int32)
        rows = rows[: int(np.searchsorted(rows, end))]
        return rows, np.frombuffer(column[1][: len(rows)], dtype=np.float32)


class LiveLexical(Lexical):
    """A field as it is at one moment.

    Args:
        base: The field of the version.
        texts: What came after it, or None.
        count: Texts in all, those that are gone among them.
        gone: Rows that are gone, ascending.
    """

    def __init__(self, base: Lexical, texts: Texts | None, count: int, gone: NDArray[np.int64]) -> None:
        super().__init__(base.model, count, count - len(gone))
        self._base, self._texts, self._gone = base, texts, gone
        self._known: dict[str, int] = {}
        self._is_gone: NDArray[np.bool_] | None = None
        if len(gone):
            self._is_gone = np.zeros(count, dtype=np.bool_)
            self._is_gone[gone] = True

    @property
    def vocabulary(self) -> Container[str]:
        """The words that a text has now."""
        return _Words(self)

    def rows(self, word: str) -> NDArray[np.int32]:
        """Rows of the texts that hold a word, those that are gone among them."""
        own = self._base.rows(word) if word in self._base.vocabulary else _NOTHING
        if self._texts is None:
            return own
        return np.concatenate([own, self._texts.column(word, self._count)[0]])

    def frequency(self, word: str) -> int:
        """Texts that hold a word now."""
        found = self._known.get(word)
        if found is None:
            rows = self.rows(word)
            found = len(rows) if self._is_gone is None else len(rows) - int(np.count_nonzero(self._is_gone[rows]))
            if len(rows):  # of words that nobody has there is no end
                self._known[word] = found
        return found

    def scores(self, words: QueryWords) -> NDArray[np.float32]:
        """BM25 of a query with every text, float32 ``[n]``; 0 where no word is shared, and for texts that are gone."""
        found = np.zeros(self._count, dtype=np.float32)
        for word, weight in words.weights.items():
            frequency = self.frequency(word)
            if not frequency:
                continue
            rarity = self._rarity(frequency)
            if word in self._base.vocabulary:
                rows, scores, then = self._base.column(word)
                found[rows] += np.float32(weight * rarity / then) * scores
            if self._texts is not None:
                rows, saturated = self._texts.column(word, self._count)
                found[rows] += np.float32(weight * rarity) * saturated
        found[self._gone] = 0
        return found

    def moments(self, scores: NDArray[np.float32]) -> tuple[float, float]:
        """Mean and deviation of scores over the texts that are there."""
        alive = max(self._alive, 1)
        mean = float(scores.sum(dtype=np.float64)) / alive
        square = float(np.dot(scores, scores)) / alive
        return mean, max(square - mean * mean, 0.0) ** 0.5

    def _lookalikes(self, form: str) -> Sequence[str]:
        added = self._texts.forms.get(form, ()) if self._texts else ()
        return [word for word in dict.fromkeys([*self._base._lookalikes(form), *added]) if word in self.vocabulary]


class _Words:
    """The words that a field has at one moment."""

    def __init__(self, field: LiveLexical) -> None:
        self._field = field

    def __contains__(self, word: object) -> bool:
        return isinstance(word, str) and self._field.frequency(word) > 0
