"""What is asked of the vectors of a field, however they are kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

import numpy as np

from llmrec.index.ann import Effort

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Vectors(Protocol):
    """Unit vectors that can be searched; one is known by its row."""

    @property
    def dimension(self) -> int:
        """Length of a vector."""
        ...

    def __len__(self) -> int: ...

    def top(
        self,
        queries: NDArray[np.float32],
        k: int,
        kept: NDArray[np.bool_] | None = None,
        *,
        effort: Effort | None = None,
    ) -> list[NDArray[np.int64]]:
        """Rows of the ``k`` nearest of each query, best first."""
        ...

    def similarity(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Cosine of one query with the vectors of ``rows``."""
        ...

    def moments(self, query: NDArray[np.float32]) -> tuple[float, float]:
        """Mean and deviation of one query's cosine over the catalog."""
        ...

    def take(self, rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """The vectors of ``rows``."""
        ...
