"""What a searcher needs to know of a whole catalog beside what the store can be asked: its words, and samples of it.

Scores become one only as deviations from their mean over the catalog (``llmrec.index.fusion``), and a query is read
against the words that the catalog has. For each field there are the words with how many products have them and what
they score in all, and the postings and vectors of a sample of products: some ten megabytes for a million products, kept
in the store as one NumPy archive and read when an index is opened. Nothing in it is unpickled.
"""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from functools import cached_property
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.errors import ArtefactError
from llmrec.index.codes import is_code
from llmrec.index.facet_values import folded
from llmrec.index.lexical import Lexical, rarity_of
from llmrec.index.query_words import QueryWords
from llmrec.index.remote.source import Source, sample_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Products in the samples, as many as an index folder takes (``llmrec.index.dense.SAMPLE``).
SAMPLE = 4096


class Words:
    """The words of a field without its postings, and the postings of a sample of its texts.

    Args:
        words: By column.
        frequencies: Texts that hold each word, int ``[words]``.
        totals: Sum of what each word scores, float64 ``[words]``.
        count: Texts of the field.
        sample: ``indptr``, ``indices`` and ``data`` of the sample's postings by word, and ``count``, its texts.
    """

    def __init__(
        self, words: list[str], frequencies: NDArray[Any], totals: NDArray[np.float64], count: int, sample: Any
    ) -> None:
        self.columns = {word: column for column, word in enumerate(words)}
        self.totals, self.frequencies, self.count = totals, frequencies, count
        starts = np.concatenate([[0], np.cumsum(frequencies, dtype=np.int64)])
        # of its postings Lexical asks here only how many there are
        nothing = np.broadcast_to(np.int32(0), (int(starts[-1]),))
        scores = {"indptr": starts, "indices": nothing, "data": nothing}
        self.lexical = Lexical(SimpleNamespace(scores=scores, vocab_dict=self.columns), count)
        postings = {name: sample[name] for name in ("indptr", "indices", "data")}
        self._sample = Lexical(SimpleNamespace(scores=postings, vocab_dict=self.columns), int(sample["count"]))

    def rarity(self, frequency: int) -> float:
        """The inverse document frequency of Lucene's BM25, of a word that so many texts have."""
        return rarity_of(frequency, self.count)

    def vector(self, words: QueryWords) -> tuple[list[int], list[float]]:
        """A query as columns and weights."""
        return [self.columns[word] for word in words.weights], list(words.weights.values())

    def moments(self, words: QueryWords, top: NDArray[np.float32], *, whole: bool) -> tuple[float, float]:
        """Mean and deviation of a query's scores over the catalog.

        The mean is exact. So is the deviation where ``top`` holds all scores above 0; else the squares of the rest are
        their sum, which is known, times the ratio of squares to scores below the lowest of ``top`` in the sample.

        Args:
            words: The query.
            top: Its highest scores.
            whole: Whether there are no others above 0.
        """
        own = top.astype(np.float64)
        first = sum(weight * float(self.totals[self.columns[word]]) for word, weight in words.weights.items())
        squares = float(own @ own)
        if not whole and len(own):
            floor = float(own.min())
            below = self._sample.scores(words).astype(np.float64)
            below = below[(below > 0) & (below < floor)]
            ratio = float(below @ below) / float(below.sum()) if len(below) else floor / 2
            squares += max(first - float(own.sum()), 0.0) * ratio
        mean = first / max(self.count, 1)
        return mean, max(squares / max(self.count, 1) - mean * mean, 0.0) ** 0.5


class Beside:
    """See the module; made by ``gathered`` or ``unpacked``.

    Attributes:
        arrays: What is kept, by name.
        count: Products of the catalog.
    """

    def __init__(self, arrays: Mapping[str, NDArray[Any]], count: int) -> None:
        self.arrays, self.count = arrays, count
        self.words = {name.removeprefix("words:"): self._words(name) for name in arrays if name.startswith("words:")}
        self._vectors = {name: own for name, own in arrays.items() if name.startswith("dense:")}

    def _words(self, name: str) -> Words:
        field = name.removeprefix("words:")
        own = {key: self.arrays[f"{key}:{field}"] for key in ("frequencies", "totals", "indptr", "indices", "data")}
        texts = bytes(self.arrays[name]).decode().split("\n") if len(self.arrays[name]) else []
        sample = {**own, "count": self.arrays["sampled"][0]}
        return Words(texts, own["frequencies"], own["totals"], self.count, sample)

    @cached_property
    def codes(self) -> list[str]:
        """The model numbers of the catalog, sorted."""
        return sorted(word for word in self.words["whole"].columns if is_code(word))

    def with_words(self, added: Sequence[Mapping[str, Mapping[str, float]]]) -> Beside:
        """The same with words that came later: for each field those words and what each scores in all."""
        if not any(words for fields in added for words in fields.values()):
            return self
        arrays = dict(self.arrays)
        for fields in added:
            for field, words in fields.items():
                _add(arrays, field, words)
        return Beside(arrays, self.count)

    def moments(self, part: str, vector: NDArray[np.float32]) -> tuple[float, float]:
        """Mean and deviation of a query's cosine with a part's vectors, over the sample."""
        cosines = self._vectors[part] @ vector
        return float(cosines.mean()), float(cosines.std())


def gathered(source: Source) -> Beside:
    """Gather it from an index folder."""
    rows = sample_of(source.count, SAMPLE)
    arrays: dict[str, Any] = {"sampled": np.array([len(rows)])}
    for field, own in source.postings.items():
        arrays[f"words:{field}"] = np.frombuffer("\n".join(source.words[field]).encode(), dtype=np.uint8)
        arrays[f"frequencies:{field}"] = np.bincount(own.indices, minlength=own.shape[1]).astype(np.int32)
        totals = np.bincount(own.indices, weights=own.data.astype(np.float64), minlength=own.shape[1])
        arrays[f"totals:{field}"] = totals
        sample = own[rows].tocsc()
        for name in ("indptr", "indices", "data"):
            arrays[f"{name}:{field}"] = getattr(sample, name)
    for field, vectors in source.dense.items():
        arrays[f"dense:{field}"] = np.ascontiguousarray(vectors[rows])
    return Beside(arrays, source.count)


def currencies_of(source: Source) -> list[str]:
    """The currencies of a catalog's prices, folded, as they come."""
    named = (product.price.currency for product in source.products() if product.price is not None)
    return list(dict.fromkeys(folded(currency) for currency in named if currency.strip()))


def packed(beside: Beside) -> bytes:
    """As one NumPy archive."""
    target = io.BytesIO()
    np.savez_compressed(target, **dict(beside.arrays))  # type: ignore[arg-type]
    return target.getvalue()


def unpacked(data: bytes, count: int) -> Beside:
    """Read what ``packed`` wrote.

    Raises:
        ArtefactError: It is damaged.
    """
    try:
        with np.load(io.BytesIO(data), allow_pickle=False) as archive:
            return Beside({name: archive[name] for name in archive.files}, count)
    except (OSError, ValueError, KeyError, UnicodeDecodeError) as error:
        step = "Push the index again (--replace)."
        raise ArtefactError(f"what lies beside the vectors cannot be read ({error})", next_step=step) from error


def _add(arrays: dict[str, NDArray[Any]], field: str, words: Mapping[str, float]) -> None:
    """Add words to a field; none of the sample's texts has one."""
    if not words:
        return
    texts, more = bytes(arrays[f"words:{field}"]), "\n".join(words).encode()
    grown = {
        "words": np.frombuffer(texts + b"\n" + more if texts else more, dtype=np.uint8),
        "frequencies": np.append(arrays[f"frequencies:{field}"], np.ones(len(words), dtype=np.int32)),
        "totals": np.append(arrays[f"totals:{field}"], np.array(list(words.values()), dtype=np.float64)),
        "indptr": np.append(arrays[f"indptr:{field}"], np.full(len(words), arrays[f"indptr:{field}"][-1])),
    }
    arrays.update({f"{name}:{field}": own for name, own in grown.items()})
