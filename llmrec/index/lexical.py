"""BM25 over one field, by ``bm25s``: a score for every product that shares a word with the query.

Scores are computed when the index is built and looked up when it is asked (bm25s; Lù 2024, arXiv 2407.03618), with
the Lucene form of BM25 (Kamphuis et al., ECIR 2020).
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.errors import ArtefactError
from llmrec.index.query_words import SHORTEST_CODE, QueryWords, code_weight, lookalike, query_words
from llmrec.index.tokens import tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

K1, B = 1.2, 0.75

#: A word is rare when at most this many products, or this share of them, have it.
RARE_COUNT, RARE_SHARE = 3, 0.005


class Lexical:
    """BM25 over the texts of one field; a text is known by its row."""

    def __init__(self, model: Any, count: int, alive: int | None = None) -> None:
        self.model = model
        self._count = count
        #: Texts that count towards how rare a word is: all but those that are gone.
        self._alive = count if alive is None else alive
        #: Mean words of a text; known to one that was just built.
        self.average = 0.0

    @classmethod
    def build(cls, texts: Sequence[str]) -> Lexical:
        """Index texts; a text without words is never found."""
        import bm25s

        words = [tokens(text) for text in texts]
        if not any(words):
            words = [[""] for _ in words]  # bm25s needs a vocabulary; no query holds the empty word
        model = bm25s.BM25(k1=K1, b=B, method="lucene", backend="numpy")
        model.index(words, show_progress=False)
        built = cls(model, len(words))
        built.average = sum(map(len, words)) / max(1, len(words))
        return built

    @classmethod
    def load(cls, folder: Path, count: int) -> Lexical:
        """Open a saved field; its arrays stay on disk until they are asked for, and nothing is unpickled.

        Raises:
            ArtefactError: The files do not fit together.
        """
        import bm25s

        try:
            model = bm25s.BM25.load(folder, mmap=True, allow_pickle=False, load_corpus=False, show_progress=False)
            scores, words = model.scores, model.vocab_dict
            whole = scores["num_docs"] == count and max(words.values(), default=0) <= len(scores["indptr"]) - 1
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtefactError(f"{folder}: cannot be read ({error})", next_step="Build the index again.") from error
        if not whole:
            raise ArtefactError(f"{folder}: does not fit the products beside it", next_step="Build the index again.")
        return cls(model, count)

    def save(self, folder: Path) -> None:
        """Write the arrays (``.npy``) and the vocabulary (JSON)."""
        self.model.save(folder, allow_pickle=False, show_progress=False)

    @property
    def vocabulary(self) -> Container[str]:
        """The words of the field."""
        return self.model.vocab_dict

    def all_words(self) -> Iterable[str]:
        """The words of the field, one by one."""
        return self.model.vocab_dict

    def __len__(self) -> int:
        return self._count

    def rows(self, word: str) -> NDArray[np.int32]:
        """Rows of the texts that hold a word of the vocabulary."""
        start, end = self._column(word)
        return self.model.scores["indices"][start:end]

    def frequency(self, word: str) -> int:
        """Texts that hold a word of the vocabulary."""
        start, end = self._column(word)
        return end - start

    def column(self, word: str) -> tuple[NDArray[np.int32], NDArray[np.float32], float]:
        """Rows that hold a word of the vocabulary, what it scores in each, and the rarity that the scores hold."""
        start, end = self._column(word)
        scores = self.model.scores
        return scores["indices"][start:end], scores["data"][start:end], self._rarity(end - start)

    def is_rare(self, word: str) -> bool:
        """Whether few texts hold a word of the vocabulary."""
        return self.frequency(word) <= max(RARE_COUNT, RARE_SHARE * self._alive)

    def words(self, text: str) -> QueryWords:
        """The words of a query, weighed against the words of this field."""
        return query_words(text, self.vocabulary, self._lookalikes)

    def scores(self, words: QueryWords) -> NDArray[np.float32]:
        """BM25 of a query with every text, float32 ``[n]``; 0 where no word is shared."""
        found = np.zeros(self._count, dtype=np.float32)
        data, rows = self.model.scores["data"], self.model.scores["indices"]
        for word, weight in words.weights.items():
            start, end = self._column(word)
            # a row occurs once in a column, so plain indexing adds every value
            found[rows[start:end]] += np.float32(weight) * data[start:end]
        return found

    def moments(self, scores: NDArray[np.float32]) -> tuple[float, float]:
        """Mean and deviation of scores over the texts."""
        return float(scores.mean()), float(scores.std())

    def known(self, words: QueryWords) -> float:
        """Share of the query's weight, by rarity, that lies on words which the field has: 0 to 1."""
        inside = sum(weight * self._rarity(self.frequency(word)) for word, weight in words.weights.items())
        outside = words.unknown * self._rarity(0)
        return inside / (inside + outside) if inside else 0.0

    def has_rare_code(self, words: QueryWords) -> bool:
        """Whether the query holds a model number, or a long number, that few products have."""
        return any(code_weight(word) > 1 and self.is_rare(word) for word in words.weights)

    def _column(self, word: str) -> tuple[int, int]:
        column, starts = self.model.vocab_dict[word], self.model.scores["indptr"]
        return int(starts[column]), int(starts[column + 1])

    def _rarity(self, frequency: int) -> float:
        return rarity_of(frequency, self._alive)

    def _lookalikes(self, form: str) -> Sequence[str]:
        return self._forms.get(form, ())

    @cached_property
    def _forms(self) -> dict[str, list[str]]:
        """Words of the vocabulary by their ``lookalike`` form; made when first needed."""
        forms: dict[str, list[str]] = {}
        for word in self.model.vocab_dict:
            if len(word) >= SHORTEST_CODE:
                forms.setdefault(lookalike(word), []).append(word)
        return forms


def rarity_of(frequency: int, count: int) -> float:
    """The inverse document frequency of Lucene's BM25, of a word that so many of ``count`` texts have."""
    return float(np.log(1 + (count - frequency + 0.5) / (frequency + 0.5)))


def damping(words: int, average: float) -> float:
    """What BM25 adds to how often a text of so many words has a word, so that often counts little more than once."""
    return K1 * (1 - B + B * words / max(average, 1e-9))
