"""One score from the scores of several retrievers, over the candidates of one query.

The default, ``zscore``, is a weighted sum of z-scores::

    sqrt(known) * (t * bm25:title + bm25:whole)  +  sure * (t * dense:title + dense:whole)

``known`` is the share of the query's weight that lies on words of the catalog: words can only vouch for what they
know. ``sure`` is how far the best product of the vectors is ahead of the next nine, less when the query names a model
number of the catalog, which decides by itself. ``t`` says how much more a title counts than the whole text. A product
that names another model number than the query loses a part of its score (``llmrec.index.codes``). The form and its
constants were chosen on tables of several sources with each source held out in turn (``eval/fusion_study.py``); a plain
sum of z-scores loses to its better half wherever the other half is blind. They were chosen for encoders that have not
seen the catalog's kind of text: one that was trained on it may bring constants of its own (``llmrec.index.weighing``).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FusionChoice = Literal["zscore", "sum", "rrf"]


class Weights(NamedTuple):
    """The constants of ``zscore``.

    Attributes:
        title_beside_title: What a title counts, where the whole text counts 1, for a query with a title of its own.
        title: The same for a query without one.
        known: Power of the known share.
        lead: Lead of the vectors' best product, in z-scores, at which they count ``dense``.
        lead_power: Power of the lead over that; ``least`` and ``most`` bound it.
        dense: What vectors count at that lead.
        beside_code: What is left of that when the query names a model number that the catalog has.
        other_code: What is left of the score of a product that names another model number.
    """

    title_beside_title: float = 1.5
    title: float = 2.0
    known: float = 0.5
    lead: float = 0.8
    lead_power: float = 1.0
    least: float = 0.3
    most: float = 3.0
    dense: float = 1.0
    beside_code: float = 0.3
    other_code: float = 0.7


def weights_of(named: Mapping[str, float]) -> Weights:
    """The constants with some of them replaced by name, as an encoder brings them.

    Raises:
        ValueError: A name that is none of them, or a number that is none or below 0.
    """
    unknown = sorted(set(named) - set(Weights._fields))
    if unknown:
        raise ValueError(f"{unknown[0]!r} is no constant of the fusion")
    for name, value in named.items():
        if not (np.isfinite(value) and value >= 0):
            raise ValueError(f"{name}={value} is no number from 0 upwards")
    return Weights()._replace(**named)


#: Products whose mean the lead is measured against.
FIELD = 9

#: The constant of reciprocal rank fusion in its paper.
RRF = 60


class Candidates(NamedTuple):
    """The candidates of one query.

    ``raw`` and ``z`` hold float32 ``[n]`` for each part (``bm25:title`` …): the score, and the score in deviations
    from the mean over the whole catalog. ``titled``: the query has a title of its own; ``known``: share of it that the
    catalog has words for; ``coded``: it names a model number of the catalog; ``other``: bool ``[n]``, the candidates
    that name another one.
    """

    raw: dict[str, NDArray[np.float32]]
    z: dict[str, NDArray[np.float32]]
    titled: bool = False
    known: float = 1.0
    coded: bool = False
    other: NDArray[np.bool_] | None = None


def zscore(found: Candidates, weights: Weights = Weights()) -> NDArray[np.float32]:
    """The default; see the module."""
    title = weights.title_beside_title if found.titled else weights.title
    dense = [z for name, z in found.z.items() if name.startswith("dense:")]
    sure = sureness(np.mean(dense, axis=0), weights, coded=found.coded) if dense else 0.0
    known = found.known**weights.known
    total = np.zeros(_length(found), dtype=np.float32)
    for name, z in found.z.items():
        kind, field = name.split(":")
        total += np.float32((known if kind == "bm25" else sure) * (title if field == "title" else 1.0)) * z
    if found.other is not None:
        total[found.other & (total > 0)] *= np.float32(weights.other_code)
    return total


def sureness(z: NDArray[np.float32], weights: Weights = Weights(), *, coded: bool = False) -> float:
    """What the vectors count for, by how far their best product is ahead of the next nine."""
    best = np.sort(z)[::-1][: FIELD + 1]
    lead = float(best[0] - best[1:].mean()) if len(best) > 1 else 0.0
    led = float(np.clip(lead / weights.lead, weights.least, weights.most)) ** weights.lead_power
    return weights.dense * led * (weights.beside_code if coded else 1.0)


def plain_sum(found: Candidates) -> NDArray[np.float32]:
    """Sum of the z-scores."""
    total = np.zeros(_length(found), dtype=np.float32)
    for z in found.z.values():
        total += z
    return total


def rrf(found: Candidates) -> NDArray[np.float32]:
    """Reciprocal rank fusion (Cormack et al., SIGIR 2009): sum of ``1 / (60 + rank)``, ties sharing a rank."""
    total = np.zeros(_length(found), dtype=np.float32)
    for raw in found.raw.values():
        _, places, counts = np.unique(-raw, return_inverse=True, return_counts=True)
        better = np.cumsum(counts) - counts
        total += (1.0 / (RRF + 1 + better[places])).astype(np.float32)
    return total


def _length(found: Candidates) -> int:
    return len(next(iter(found.raw.values())))


FUSIONS = {"zscore": zscore, "sum": plain_sum, "rrf": rrf}
