"""Names found by pieces of words, of a catalog that changes: blocks of names that are indexed when they are full."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmrec.index.grams import Grams

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Names of a block: what is indexed anew when one more comes.
BLOCK = 512


class AddedGrams:
    """The names that came after those of a version, indexed when they are first asked for."""

    def __init__(self, base: Grams) -> None:
        self._base = base
        self._blocks: dict[int, Grams] = {}

    def scores(self, lines: Iterable[tuple[str, float]], names: Sequence[str]) -> NDArray[np.float32]:
        """How well each name agrees with lines that were read, float32 ``[n]``; see ``Grams.scores``.

        Args:
            lines: Each with its confidence.
            names: All names that came after the version; a later call gives the same ones and more.
        """
        read, found = list(lines), []
        for start in range(0, len(names), BLOCK):
            own = names[start : start + BLOCK]
            block = self._blocks.get(start)
            if block is None or len(block) < len(own):
                block = self._blocks[start] = Grams.build([""] * len(own), own, self._base)
            found.append(block.scores(read)[: len(own)])
        return np.concatenate(found) if found else np.zeros(0, dtype=np.float32)
