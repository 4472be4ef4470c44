"""The candidates of a query and their scores by every retriever."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from threading import Lock
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np

from llmrec.index.codes import CodeBook
from llmrec.index.fusion import Candidates
from llmrec.index.lexical import Lexical
from llmrec.index.texts import FIELDS
from llmrec.index.vectors import Vectors
from llmrec.records import Query
from llmrec.seams import Encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray


#: Queries whose vectors are remembered.
REMEMBERED = 4096

#: Words of a query, known to the catalog, from which it is taken for talk.
LONG_TALK = 80


class Asked:
    """A query with a text for each field; either stands in for the other."""

    def __init__(self, query: Query) -> None:
        title, text = query.title.strip(), query.text.strip()
        self.titled = bool(title)
        self.title, self.whole = title or text, text or title

    def __bool__(self) -> bool:
        return bool(self.whole)

    def text(self, field: str) -> str:
        """What is asked of a field."""
        return self.title if field == "title" else self.whole


class QueryVectors:
    """An encoder of queries that remembers the last texts: what stands in a list is asked by the same words again."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._lock = Lock()
        self._known: OrderedDict[str, NDArray[np.float32]] = OrderedDict()

    def encode(self, texts: Sequence[str], kind: Literal["query"]) -> list[NDArray[np.float32]]:
        """The vector of each text."""
        with self._lock:
            found = {text: self._known[text] for text in dict.fromkeys(texts) if text in self._known}
        missing = [text for text in dict.fromkeys(texts) if text not in found]
        if missing:
            found.update(zip(missing, self._encoder.encode(missing, kind=kind), strict=True))
        with self._lock:
            for text, vector in found.items():
                self._known[text] = vector
                self._known.move_to_end(text)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return [found[text] for text in texts]


class Near(NamedTuple):
    """A query's vector and the rows nearest to it, for one field."""

    vector: NDArray[np.float32]
    rows: NDArray[np.int64]


def nearest(
    queries: Sequence[Asked],
    dense: Mapping[str, Vectors],
    encoder: Encoder | QueryVectors,
    depth: int,
    kept: NDArray[np.bool_] | None = None,
) -> list[dict[str, Near]]:
    """The nearest rows of each query in each field, of those kept; nothing for an empty query."""
    texts = list(dict.fromkeys(query.text(field) for query in queries if query for field in FIELDS))
    found: list[dict[str, Near]] = [{} for _ in queries]
    if not texts:
        return found
    vectors = dict(zip(texts, encoder.encode(texts, kind="query"), strict=True))
    numbers = [number for number, query in enumerate(queries) if query]
    for field, index in dense.items():
        batch = np.stack([vectors[queries[number].text(field)] for number in numbers])
        for number, vector, rows in zip(numbers, batch, index.top(batch, depth, kept), strict=True):
            found[number][field] = Near(vector, rows)
    return found


def candidates(
    query: Asked,
    lexical: Mapping[str, Lexical],
    dense: Mapping[str, Vectors],
    near: dict[str, Near],
    codes: CodeBook,
    depth: int,
    kept: NDArray[np.bool_] | None = None,
) -> tuple[NDArray[np.int64], Candidates]:
    """Rows that any retriever brings in, and the scores of all of them by all retrievers.

    Args:
        query: The query.
        lexical: Fields that are searched by words.
        dense: Fields that are searched by vectors.
        near: What ``nearest`` found for the query.
        codes: The model numbers of the catalog; asked only when words of the whole text are searched.
        depth: How many rows each retriever brings in.
        kept: Rows that may be brought in, bool ``[n]``; None: all. Deviations are from the mean over the whole catalog
            all the same, so that a score does not depend on what is kept.
    """
    words = {field: index.words(query.text(field)) for field, index in lexical.items()}
    by_words = {field: index.scores(words[field]) for field, index in lexical.items()}
    allowed = by_words if kept is None else {field: np.where(kept, scores, 0) for field, scores in by_words.items()}
    brought = [top_rows(scores, depth) for scores in allowed.values()] + [found.rows for found in near.values()]
    rows = np.unique(np.concatenate(brought)) if brought else np.zeros(0, dtype=np.int64)
    raw: dict[str, Any] = {}
    z: dict[str, Any] = {}
    for field, scores in by_words.items():
        raw[f"bm25:{field}"] = scores[rows]
        z[f"bm25:{field}"] = _standard(scores[rows], *lexical[field].moments(scores))
    for field, found in near.items():
        similarity = dense[field].similarity(found.vector, rows)
        raw[f"dense:{field}"] = similarity
        z[f"dense:{field}"] = _standard(similarity, *dense[field].moments(found.vector))
    scored = Candidates(raw, z, query.titled)
    if "whole" not in lexical:
        return rows, scored
    whole = lexical["whole"]
    asked = whole.words(query.title) if query.titled else words["whole"]
    coded = whole.has_rare_code(asked)
    # in long talk, a model number that the catalog does not have is likely to be that of something else
    other = codes.others(query.title, asked) if coded or len(asked.weights) <= LONG_TALK else None
    known = whole.known(words["whole"])
    return rows, scored._replace(known=known, coded=coded, other=None if other is None else other[rows])


def top_rows(scores: NDArray[np.float32], depth: int) -> NDArray[np.int64]:
    """Rows of the ``depth`` highest scores above 0, with all that tie with the lowest of them."""
    rows = np.flatnonzero(scores > 0)
    if len(rows) > depth:
        floor = np.partition(scores[rows], -depth)[-depth]
        rows = rows[scores[rows] >= floor]
    return rows


def _standard(values: NDArray[np.float32], mean: float, deviation: float) -> NDArray[np.float32]:
    if deviation < 1e-9:
        return np.zeros(len(values), dtype=np.float32)
    return ((values - mean) / deviation).astype(np.float32)


def takes_part(part: str, retriever: str) -> bool:
    """Whether a part (``bm25:title``) belongs to what is asked for (itself, ``bm25``, ``hybrid``)."""
    return retriever == "hybrid" or part == retriever or part.startswith(f"{retriever}:")
