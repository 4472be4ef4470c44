"""How the products that were found for a query stand: by each retriever, and against one another."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from llmrec.index.fusion import Candidates

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Standing(NamedTuple):
    """What the retrievers say of some products for one query.

    Attributes:
        z: float32 ``[products, parts]``, deviations from the mean over the catalog; a product that no part brought in
            has the lowest that the part gave.
        raw: float32 ``[products, parts]``, the scores themselves.
        parts: Names of the parts (``bm25:title`` …).
        known: Share of the query's weight on words that the catalog has.
        coded: Whether the query names a model number of the catalog.
        other: bool ``[products]``, whether the product names another one.
    """

    z: NDArray[np.float32]
    raw: NDArray[np.float32]
    parts: tuple[str, ...]
    known: float
    coded: bool
    other: NDArray[np.bool_]


def standing_of(rows: NDArray[np.int64], scored: Candidates, asked: Sequence[int], parts: tuple[str, ...]) -> Standing:
    """The standing of some rows of the catalog among the candidates of a query.

    Args:
        rows: The candidates.
        scored: Their scores.
        asked: The rows that are asked about, in the order in which they are wanted.
        parts: Of the index; one that took no part, since the query has no text, says 0 of every product.
    """
    place = {int(row): i for i, row in enumerate(rows)}
    z = np.zeros((len(asked), len(parts)), dtype=np.float32)
    raw = np.zeros_like(z)
    other = np.zeros(len(asked), dtype=np.bool_)
    for column, part in enumerate(parts):
        if part not in scored.z:
            continue
        low, least = (float(v.min()) if len(v) else 0.0 for v in (scored.z[part], scored.raw[part]))
        for i, row in enumerate(asked):
            at = place.get(row)
            z[i, column] = low if at is None else scored.z[part][at]
            raw[i, column] = least if at is None else scored.raw[part][at]
    for i, row in enumerate(asked):
        at = place.get(row)
        other[i] = at is not None and scored.other is not None and bool(scored.other[at])
    return Standing(z, raw, parts, float(scored.known), bool(scored.coded), other)
