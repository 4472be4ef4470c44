"""BM25 over one field, by ``bm25s``: a score for every product that shares a word with the query.

Scores are computed when the index is built and looked up when it is asked (bm25s; Lù 2024, arXiv 2407.03618), with
the Lucene form of BM25 (Kamphuis et al., ECIR 2020).
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.errors import ArtefactError
from llmrec.index.query_words import SHORTEST_CODE, lookalike, query_words
from llmrec.index.tokens import tokens

if TYPE_CHECKING:
    from numpy.typing import NDArray

K1, B = 1.2, 0.75


class Lexical:
    """BM25 over the texts of one field; a text is known by its row."""

    def __init__(self, model: Any, count: int) -> None:
        self._model = model
        self._count = count

    @classmethod
    def build(cls, texts: Sequence[str]) -> Lexical:
        """Index texts; a text without words is never found."""
        import bm25s

        words = [tokens(text) for text in texts]
        if not any(words):
            words = [[""] for _ in words]  # bm25s needs a vocabulary; no query holds the empty word
        model = bm25s.BM25(k1=K1, b=B, method="lucene", backend="numpy")
        model.index(words, show_progress=False)
        return cls(model, len(words))

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
        self._model.save(folder, allow_pickle=False, show_progress=False)

    def scores(self, text: str) -> NDArray[np.float32]:
        """BM25 of a query with every text, float32 ``[n]``; 0 where no word is shared."""
        found = np.zeros(self._count, dtype=np.float32)
        arrays = self._model.scores
        data, rows, starts = arrays["data"], arrays["indices"], arrays["indptr"]
        vocabulary = self._model.vocab_dict
        for word, weight in query_words(text, vocabulary, self._lookalikes).items():
            column = vocabulary[word]
            start, end = starts[column], starts[column + 1]
            # a row occurs once in a column, so plain indexing adds every value
            found[rows[start:end]] += np.float32(weight) * data[start:end]
        return found

    def _lookalikes(self, form: str) -> Sequence[str]:
        return self._forms.get(form, ())

    @cached_property
    def _forms(self) -> dict[str, list[str]]:
        """Words of the vocabulary by their ``lookalike`` form; made when first needed."""
        forms: dict[str, list[str]] = {}
        for word in self._model.vocab_dict:
            if len(word) >= SHORTEST_CODE:
                forms.setdefault(lookalike(word), []).append(word)
        return forms
