"""The encoder that all image towers share: shapes, batches, order, unit length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol, runtime_checkable

import numpy as np

from llmrec.embed.encoder import unit
from llmrec.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    #: What a tower takes of one picture (``[h, w]`` …) or of a batch (``[n, h, w]`` …), by name.
    Prepared = dict[str, NDArray[Any]]


class Tower(Protocol):
    """A loaded image model."""

    dimension: int

    def prepare(self, image: Image) -> Prepared:
        """One picture as the tower takes it; pictures whose arrays have the same shapes are embedded together."""
        ...

    def embed(self, batch: Prepared) -> NDArray[np.float32]:
        """Encode prepared pictures, each array ``[n, …]``, into float32 ``[n, dimension]`` of any length."""
        ...


@runtime_checkable
class Classifier(Protocol):
    """A tower that knows classes by name too."""

    labels: list[str]

    def classify(self, batch: Prepared) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """What ``embed`` gives, and the probability of each label, float32 ``[n, labels]``."""
        ...


@runtime_checkable
class Reader(Protocol):
    """A tower that puts texts into the space of its pictures."""

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts into float32 ``[n, dimension]`` of any length."""
        ...


class PictureEncoder:
    """Encodes pictures in batches of one shape; see ``load_image_encoder``.

    Attributes:
        reference: The model reference, as it stands in manifests.
        digest: Digest of the weights and of all that changes the vectors but precision and device.
        dimension: Length of the vectors.
        joint: Whether ``encode_texts`` gives vectors of the same space.
        tower: The loaded model.
    """

    def __init__(self, tower: Tower, *, reference: str, digest: str, batch_size: int = 16) -> None:
        self.tower = tower
        self.reference = reference
        self.digest = digest
        self.dimension = tower.dimension
        self.joint = isinstance(tower, Reader)
        self.batch_size = batch_size

    def encode_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Encode pictures into float32 ``[n, dimension]``, unit length, in input order.

        Raises:
            ModelError: The model gave something that is not a number.
        """
        vectors = np.empty((len(images), self.dimension), dtype=np.float32)
        # a few batches are prepared at a time: a thousand frames in memory as floats would be a gigabyte
        window = 8 * self.batch_size
        for start in range(0, len(images), window):
            prepared = [self.tower.prepare(image) for image in images[start : start + window]]
            for rows in same_shape(prepared, self.batch_size):
                vectors[[start + row for row in rows]] = self.tower.embed(stack([prepared[row] for row in rows]))
        return unit(vectors, self.reference)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts into the space of the pictures, float32 ``[n, dimension]``, unit length, in input order.

        Raises:
            InputError: The encoder knows pictures only, or a string in place of a sequence of strings.
        """
        if isinstance(texts, str):
            raise InputError("encode_texts() takes a list of texts, not one text", next_step="Write [text].")
        if not isinstance(self.tower, Reader):
            step = (
                "Take a CLIP or SigLIP model, or join a text encoder to it: starter:efficientnet-lite2+starter:minilm."
            )
            raise InputError(f"{self.reference}: knows pictures only, no texts", next_step=step)
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), self.batch_size):
            rows = slice(start, start + self.batch_size)
            vectors[rows] = self.tower.embed_texts(texts[rows])
        return unit(vectors, self.reference)


def same_shape(prepared: Sequence[Prepared], size: int) -> list[list[int]]:
    """Batches of at most ``size`` rows of ``prepared`` whose arrays have the same shapes, each row once."""
    shapes: dict[tuple[tuple[int, ...], ...], list[int]] = {}
    for row, arrays in enumerate(prepared):
        shapes.setdefault(tuple(array.shape for array in arrays.values()), []).append(row)
    return [rows[first : first + size] for rows in shapes.values() for first in range(0, len(rows), size)]


def stack(prepared: Sequence[Prepared]) -> Prepared:
    """Join pictures of one shape to a batch."""
    return {name: np.stack([arrays[name] for arrays in prepared]) for name in prepared[0]}
