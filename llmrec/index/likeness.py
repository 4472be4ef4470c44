"""How alike products are, by the vectors of their whole texts.

All vectors of an encoder have something in common, some encoders much: two products drawn at random may have a cosine
of .8. What they have in common is the mean of the catalog's vectors; it is taken off before they are compared (Mu et
al. 2018, "All-but-the-Top", arXiv 1702.01417, without its second step). So 0 is what two products of the catalog have
on average, with any encoder, and 1 is the same text.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

import numpy as np

from llmrec.index.dense import SAMPLE
from llmrec.index.vectors import Vectors

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from llmrec.index.parts import Parts


def likeness(parts: Parts, ids: Sequence[str]) -> NDArray[np.float32] | None:
    """How alike products are, float32 ``[n, n]``, from 0 (no more than any two of the catalog) to 1.

    Args:
        parts: Of an open index.
        ids: Products of it.

    Returns:
        None for an index without vectors.

    Raises:
        InputError: There is no such product.
    """
    vectors = parts.dense.get("whole")
    if vectors is None:
        return None
    rows = np.array([parts.table.row(id) for id in ids], dtype=np.int64)
    own = vectors.take(rows) - _mean(vectors)
    lengths = np.linalg.norm(own, axis=1, keepdims=True)
    own /= np.where(lengths > 1e-6, lengths, 1.0)
    return np.clip(own @ own.T, 0.0, 1.0)


_means: WeakKeyDictionary[Any, NDArray[np.float32]] = WeakKeyDictionary()


def _mean(vectors: Vectors) -> NDArray[np.float32]:
    """Mean vector of the catalog, float32 ``[d]``, from a sample where it is large.

    Products that are gone count as well: a few of them move the mean as little as the sampling does.
    """
    if (known := _means.get(vectors)) is None:
        rows = np.linspace(0, len(vectors) - 1, min(len(vectors), SAMPLE)).astype(np.int64)
        known = _means[vectors] = vectors.take(rows).mean(axis=0, dtype=np.float32)
    return known
