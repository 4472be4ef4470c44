"""Several towers as one, and texts beside pictures without training: ``starter:efficientnet-lite2+starter:minilm``.

The parts of a reference are joined by ``+``. Each image tower gives its unit vector; they stand one behind the other,
so that a cosine is the mean of theirs. A text encoder among the parts makes the whole joint by convex combination of
semantic embeddings (ConSE, Norouzi et al. 2013, arXiv 1312.5650): a picture lies at the mean of the names of the
classes that the first classifying tower sees in it, each as likely as it says.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from llmrec.embed.encoder import unit
from llmrec.embed.pictures import Classifier
from llmrec.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from llmrec.embed.pictures import Prepared, Tower
    from llmrec.seams import Encoder

#: Classes that place a picture among the texts, as in the paper.
TOP = 10

#: Share of a cosine between two pictures that their places among the texts decide.
NAMES_SHARE = 0.1


class JoinedTower:
    """Image towers one behind the other."""

    def __init__(self, towers: Sequence[Tower]) -> None:
        self._towers = list(towers)
        self.dimension = sum(tower.dimension for tower in towers)

    def prepare(self, image: Image) -> Prepared:
        """What each tower takes, under names of its own."""
        parts = enumerate(tower.prepare(image) for tower in self._towers)
        return {f"{number}/{name}": array for number, part in parts for name, array in part.items()}

    def embed(self, batch: Prepared) -> NDArray[np.float32]:
        """Unit vectors of the towers in a row, each as heavy as the others, float32 ``[n, dimension]``."""
        vectors = [unit(tower.embed(part(batch, number)), "tower") for number, tower in enumerate(self._towers)]
        return np.concatenate(vectors, axis=1) / np.float32(len(vectors) ** 0.5)


class NamedTower(JoinedTower):
    """Image towers, and a text encoder that the names of their classes are put into.

    A picture's vector is that of the towers followed by that of its names; a text's is zeros followed by its own.
    """

    def __init__(self, towers: Sequence[Tower], texts: Encoder) -> None:
        super().__init__(towers)
        number = next((n for n, tower in enumerate(towers) if isinstance(tower, Classifier) and tower.labels), None)
        if number is None:
            step = "Put a tower that was trained on ImageNet in front: starter:efficientnet-lite2."
            raise InputError("no part of the image encoder has classes whose names texts could meet", next_step=step)
        self._number, self._texts = number, texts
        self._seen = self.dimension
        self.dimension += texts.dimension
        tower = towers[number]
        assert isinstance(tower, Classifier)
        self._names = texts.encode(tower.labels)

    def embed(self, batch: Prepared) -> NDArray[np.float32]:
        """Towers and names, float32 ``[n, dimension]``."""
        vectors = []
        for number, tower in enumerate(self._towers):
            own = part(batch, number)
            if number == self._number and isinstance(tower, Classifier):
                found, probabilities = tower.classify(own)
            else:
                found = tower.embed(own)
            vectors.append(unit(found, "tower"))
        seen = np.concatenate(vectors, axis=1) / np.float32(len(vectors) ** 0.5)
        named = unit(by_names(probabilities, self._names), "names")
        return np.concatenate([seen * (1 - NAMES_SHARE) ** 0.5, named * NAMES_SHARE**0.5], axis=1)

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Texts beside the names, float32 ``[n, dimension]``."""
        vectors = self._texts.encode(texts, kind="query")
        return np.concatenate([np.zeros((len(vectors), self._seen), dtype=np.float32), vectors], axis=1)


def by_names(probabilities: NDArray[np.float32], names: NDArray[np.float32]) -> NDArray[np.float32]:
    """Mean of the vectors of the ``TOP`` likeliest names ``[labels, d]``, weighted by probability, ``[n, d]``."""
    rest = np.argsort(-probabilities, axis=1, kind="stable")[:, TOP:]
    likely = probabilities.copy()
    np.put_along_axis(likely, rest, 0, axis=1)
    return (likely @ names) / likely.sum(axis=1, keepdims=True)


def part(batch: Prepared, number: int) -> Prepared:
    """What ``prepare`` put down for one tower."""
    prefix = f"{number}/"
    return {name.removeprefix(prefix): array for name, array in batch.items() if name.startswith(prefix)}
