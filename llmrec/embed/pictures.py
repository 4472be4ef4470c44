"""The encoder that all image towers share: shapes, batches, order, unit length."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from llmrec.embed.encoder import unit
from llmrec.errors import InputError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image


class Tower(Protocol):
    """A loaded image model."""

    dimension: int

    def prepare(self, image: Image) -> NDArray[Any]:
        """One picture as the tower takes it; pictures of one shape are embedded together."""
        ...

    def embed(self, batch: NDArray[Any]) -> NDArray[np.float32]:
        """Encode prepared pictures ``[n, …]`` into float32 ``[n, dimension]`` of any length."""
        ...


class JointTower(Tower, Protocol):
    """One that puts texts into the same space."""

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
    """

    def __init__(self, tower: Tower, *, reference: str, digest: str, batch_size: int = 16) -> None:
        self.tower = tower
        self.reference = reference
        self.digest = digest
        self.dimension = tower.dimension
        self.joint = hasattr(tower, "embed_texts")
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
            shapes: dict[tuple[int, ...], list[int]] = {}
            for row, pixels in enumerate(prepared):
                shapes.setdefault(pixels.shape, []).append(row)
            for rows in shapes.values():
                for first in range(0, len(rows), self.batch_size):
                    some = rows[first : first + self.batch_size]
                    vectors[[start + row for row in some]] = self.tower.embed(np.stack([prepared[row] for row in some]))
        return unit(vectors, self.reference)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts into the space of the pictures, float32 ``[n, dimension]``, unit length, in input order.

        Raises:
            InputError: The encoder knows pictures only, or a string in place of a sequence of strings.
        """
        if isinstance(texts, str):
            raise InputError("encode_texts() takes a list of texts, not one text", next_step="Write [text].")
        if not self.joint:
            step = "Take an encoder of pictures and texts, such as a CLIP or SigLIP model."
            raise InputError(f"{self.reference}: knows pictures only, no texts", next_step=step)
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        for start in range(0, len(texts), self.batch_size):
            vectors[start : start + self.batch_size] = self.tower.embed_texts(texts[start : start + self.batch_size])  # type: ignore[attr-defined]
        return unit(vectors, self.reference)
