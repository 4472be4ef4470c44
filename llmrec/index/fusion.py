"""One score from the scores of several retrievers, over the same candidates."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

FusionChoice = Literal["zscore", "rrf"]


def zscore(scores: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float32]:
    """Sum of the scores, each set to mean 0 and deviation 1 over the candidates of the query."""
    total = np.zeros(len(next(iter(scores.values()))), dtype=np.float32)
    for values in scores.values():
        spread = float(values.std())
        if spread > 0:
            total += (values - values.mean()) / spread
    return total


def rrf(scores: Mapping[str, NDArray[np.float32]], constant: int = 60) -> NDArray[np.float32]:
    """Reciprocal rank fusion (Cormack et al., SIGIR 2009): sum of ``1 / (constant + rank)``, ties sharing a rank."""
    total = np.zeros(len(next(iter(scores.values()))), dtype=np.float32)
    for values in scores.values():
        _, places, counts = np.unique(-values, return_inverse=True, return_counts=True)
        better = np.cumsum(counts) - counts
        total += (1.0 / (constant + 1 + better[places])).astype(np.float32)
    return total


FUSIONS = {"zscore": zscore, "rrf": rrf}
