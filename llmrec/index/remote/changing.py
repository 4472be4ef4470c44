"""Single products put into an index in a store, or taken out of it.

A product that is put is found at once by words and vectors, and so are words that nobody had before it. How rare other
words are, how long texts are on average and how scores spread stay those of the catalog that was pushed, so that many
changes want a push of the folder. One process writes at a time.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.errors import InputError
from llmrec.index.codes import is_code
from llmrec.index.facet_values import folded
from llmrec.index.lexical import damping
from llmrec.index.remote.beside import Words
from llmrec.index.remote.index import RemoteIndex
from llmrec.index.remote.payload import point_of
from llmrec.index.remote.pushing import BATCH, point_for
from llmrec.index.remote.source import Row
from llmrec.index.texts import FIELDS, field_texts
from llmrec.index.tokens import tokens
from llmrec.records import Product

if TYPE_CHECKING:
    from numpy.typing import NDArray

_Postings = tuple["NDArray[np.int32]", "NDArray[np.float32]"]


def put(index: RemoteIndex, products: Sequence[Product]) -> RemoteIndex:
    """Write products; one whose id is there already is replaced.

    Args:
        index: The index, opened with its encoder if it has vectors.
        products: What is put.

    Returns:
        The index with them. Others that have it open find them too, but for new words, which ``latest`` brings.

    Raises:
        InputError: The index was opened without its encoder, two products have one id, or one has a currency that the
            catalog did not have.
    """
    index = index.latest()
    averages = index.manifest["averages"]
    _check(index, products)
    texts = [field_texts(product, None, index.settings.text) for product in products]
    vectors = _vectors(index, texts)
    added: dict[str, dict[str, float]] = {field: {} for field in FIELDS}
    rows = []
    for number, (product, own) in enumerate(zip(products, texts, strict=True)):
        parts: dict[str, Any] = {part: rows_of[number] for part, rows_of in vectors.items()}
        for field in FIELDS:
            postings = _postings(own[field], index.beside.words[field], averages[field], added[field])
            if len(postings[0]):
                parts[f"bm25:{field}"] = postings
        title = index.beside.words["title"]
        named = (word for word in tokens(own["title"]) if is_code(word))
        coded = any(word not in title.columns or title.lexical.is_rare(word) for word in named)
        rows.append(Row(product, parts, coded))
    # before the products, which would else name words that nobody knows
    index.store.note(index.collection, added)
    for start in range(0, len(rows), BATCH):
        index.store.put(index.collection, [point_for(row) for row in rows[start : start + BATCH]])
    return index.latest()


def remove(index: RemoteIndex, ids: Iterable[str]) -> int:
    """Take products out.

    Args:
        index: The index.
        ids: Of the products.

    Returns:
        How many of them were there.
    """
    points = [point_of(id) for id in ids]
    there = list(index.store.read(index.collection, points))
    if there:
        index.store.note(index.collection, {})
        index.store.delete(index.collection, there)
    return len(there)


def _check(index: RemoteIndex, products: Sequence[Product]) -> None:
    counted = Counter(product.id for product in products)
    if twice := [id for id, n in counted.items() if n > 1 or not id]:
        raise InputError(f"product {twice[0]!r}: an id twice, or none", next_step="Give each product an id of its own.")
    known = index.manifest["currencies"]
    for product in products:
        if product.price and product.price.currency.strip() and folded(product.price.currency) not in known:
            # whether a filter has to name the currency was settled when the catalog was pushed
            step = "Build the index folder again with it, and push that."
            what = f"product {product.id!r}: the catalog has no prices in {product.price.currency}"
            raise InputError(what, next_step=step)


def _vectors(index: RemoteIndex, texts: Sequence[dict[str, str]]) -> dict[str, NDArray[np.float32]]:
    """The vectors of each part, float32 ``[n, d]``; 0 for a text that is empty, as in an index folder."""
    built = index.manifest["encoder"]
    if not built:
        return {}
    if index.encoder is None:
        step = f"Open it with its encoder, {built['reference']}."
        raise InputError(f"{index.path}: was opened without its encoder", next_step=step)
    found = {}
    for field in FIELDS:
        own = [text[field] for text in texts]
        vectors = index.encoder.encode(own, kind="document")
        found[f"dense:{field}"] = vectors * np.array([[bool(text)] for text in own], dtype=np.float32)
    return found


def _postings(text: str, words: Words, average: float, added: dict[str, float]) -> _Postings:
    """Columns and BM25 weights of a text; words that the field does not have come to ``added`` with their weight."""
    counts = Counter(tokens(text))
    length = damping(counts.total(), average)
    places = {word: len(words.columns) + place for place, word in enumerate(added)}
    columns, weights = [], []
    for word, n in counts.items():
        column = words.columns.get(word)
        frequency = 1 if column is None else int(words.frequencies[column])
        weight = words.rarity(frequency) * n / (length + n)
        if column is None:
            added[word] = added.get(word, 0.0) + weight
            column = places.setdefault(word, len(words.columns) + len(places))
        columns.append(column)
        weights.append(weight)
    order = np.argsort(columns)
    return np.array(columns, dtype=np.int32)[order], np.array(weights, dtype=np.float32)[order]
