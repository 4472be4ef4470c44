"""Product names found by pieces of words: for text that was misread, cut off or glued together.

::

    >>> Grams.build(["p1", "p2"], ["Cheez-It", "Twix Cookie Bar"]).search([("HEEZJ", 0.9)], k=10)
    [Hit(product_id='p1', score=1.0, retriever='grams')]

A word of a name gives its pieces of two to four characters, with marks where it starts and ends; a reading that has
most of them finds the name, whatever its other letters are. Pieces are weighted by rarity and by how surely and how
often they were read, names by length (the cosine of weighted n-grams; Cavnar and Trenkle, 1994, for the n-grams,
Zobel and Dart, 1995, for finding misspelt names by them).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from llmrec.index.products import ranked
from llmrec.index.scoring import top_rows
from llmrec.index.tokens import runs
from llmrec.records import Hit

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Characters of a piece.
SIZES = (2, 3, 4)
#: Marks where a word starts and ends, so that a short word is more than its letters.
START, END = "\x02", "\x03"
#: What a piece without letters counts: shreds of patterns are often read as digits.
DIGITS = 0.5
#: Characters of two neighbouring words that are glued: readings lose spaces, and names gain hyphens.
GLUED = 3
#: Power of a name's length that its score is divided by; 1 is the cosine, and a quarter finds as much
#: (``eval/print_study.py``).
LENGTH = 1.0


class Grams:
    """Names by their pieces; a name is known by its row.

    Args:
        vocabulary: Column of each piece.
        starts: Where each column begins in ``rows`` and ``weights``, int64 ``[pieces + 1]``.
        rows: Rows that have the piece, int32.
        weights: What the piece counts in each, float32.
        rarity: Weight of each piece in a query, float32 ``[pieces]``.
        ids: The product that each row names.
    """

    def __init__(
        self,
        vocabulary: dict[str, int],
        starts: NDArray[np.int64],
        rows: NDArray[np.int32],
        weights: NDArray[np.float32],
        rarity: NDArray[np.float32],
        ids: Sequence[str],
    ) -> None:
        self._vocabulary, self._starts, self._rows = vocabulary, starts, rows
        self._weights, self._rarity, self._ids = weights, rarity, ids

    @classmethod
    def build(cls, ids: Sequence[str], names: Sequence[str], known: Grams | None = None) -> Grams:
        """Index the names of products; one without letters and digits is never found.

        Args:
            ids: Of the products.
            names: Of the products.
            known: Says how rare pieces are, where the names are too few to tell; None: the names do.
        """
        vocabulary: dict[str, int] = {}
        columns: list[int] = []
        lengths = np.zeros(len(names) + 1, dtype=np.int64)
        for number, name in enumerate(names):
            own = [vocabulary.setdefault(piece, len(vocabulary)) for piece in pieces(name)]
            columns += own
            lengths[number + 1] = len(own)
        column = np.asarray(columns, dtype=np.int64)
        row = np.repeat(np.arange(len(names), dtype=np.int32), lengths[1:])
        frequency = np.bincount(column, minlength=len(vocabulary))
        rarity = np.log1p((len(names) - frequency + 0.5) / (frequency + 0.5)).astype(np.float32)
        rarity[[not any(map(str.isalpha, piece)) for piece in vocabulary]] *= DIGITS
        if known is not None:
            rarity = np.array([known.rarity(piece) for piece in vocabulary], dtype=np.float32)
        weight = rarity[column]
        norm = np.sqrt(np.bincount(row, weights=weight.astype(np.float64) ** 2, minlength=len(names)))
        weight = (weight / np.maximum(norm, 1e-9)[row] ** LENGTH).astype(np.float32)
        order = np.argsort(column, kind="stable")
        starts = np.concatenate([[0], np.cumsum(frequency)]).astype(np.int64)
        return cls(vocabulary, starts, row[order], weight[order], rarity, ids)

    def __len__(self) -> int:
        return len(self._ids)

    def scores(self, lines: Iterable[tuple[str, float]]) -> NDArray[np.float32]:
        """How well each name agrees with lines that were read, float32 ``[n]``; 0 where no piece is shared.

        Args:
            lines: Each with its confidence, 0 to 1; what is read more than once counts more, but not as often.
        """
        read: Counter[str] = Counter()
        for text, confidence in lines:
            for piece in pieces(text):
                read[piece] += confidence  # type: ignore[assignment]  # a counter of weights
        found = np.zeros(len(self._ids), dtype=np.float32)
        for piece, amount in read.items():
            column = self._vocabulary.get(piece)
            if column is not None:
                start, end = int(self._starts[column]), int(self._starts[column + 1])
                # a row occurs once in a column, so plain indexing adds every value
                found[self._rows[start:end]] += self._rarity[column] * math.log1p(amount) * self._weights[start:end]
        return found

    def rarity(self, piece: str) -> float:
        """What a piece weighs in a query; one that no name has, as if one had."""
        column = self._vocabulary.get(piece)
        if column is not None:
            return float(self._rarity[column])
        rarest = math.log1p((len(self._ids) + 0.5) / 0.5)
        return rarest if any(map(str.isalpha, piece)) else rarest * DIGITS

    def search(self, lines: Iterable[tuple[str, float]], k: int) -> list[Hit]:
        """The ``k`` names that agree best with lines that were read (``scores``), ties broken by id."""
        return best_names(self.scores(lines), k, lambda rows: [self._ids[row] for row in rows])


def best_names(
    scores: NDArray[np.float32],
    k: int,
    ids_of: Callable[[Iterable[int]], Sequence[str]],
    kept: NDArray[np.bool_] | None = None,
) -> list[Hit]:
    """The ``k`` best of names that were scored by their pieces, ties broken by id.

    ``kept``, bool ``[n]``, says which may be found; None: all. A hit's score is in deviations from the mean over the
    catalog, as the scores of ``bm25`` and ``dense`` are.
    """
    rows = top_rows(scores if kept is None else np.where(kept, scores, 0), k)
    ids = ids_of(rows.tolist())
    mean, deviation = float(scores.mean()), max(float(scores.std()), 1e-9)
    best = ranked(ids, scores[rows])[:k]
    return [Hit(ids[i], (float(scores[rows[i]]) - mean) / deviation, "grams") for i in best]


def pieces(text: str) -> list[str]:
    """The distinct pieces of a text's words, in order of first appearance."""
    words = ["".join(filter(str.isalnum, word)) for run in runs(text) for word in run.replace("-", " ").split()]
    words = [word for word in words if word]
    marked = [f"{START}{word}{END}" for word in words if len(word) > 1]
    found = [word[i : i + size] for word in marked for size in SIZES for i in range(len(word) - size + 1)]
    for before, after in pairwise(words):
        joint = before[-GLUED:] + after[:GLUED]
        seam = len(before[-GLUED:])
        for size in SIZES:
            found += [joint[i : i + size] for i in range(len(joint) - size + 1) if i < seam < i + size]
    return list(dict.fromkeys(found))
