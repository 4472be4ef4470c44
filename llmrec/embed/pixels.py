"""A picture to the numbers that a convolutional tower takes: whole, in its own shape, scaled to the area of training.

A 1280 x 720 frame for a tower trained on 224 x 224 becomes 288 x 160: about as many pixels, nothing cut off, nothing
squashed. Catalog photos and video frames differ in shape, and what is for sale is often near an edge.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

#: Convolutional towers halve a picture five times.
STEP = 32

#: Longest side to shortest; narrower pictures are squashed to it.
LONGEST = 2.0


@dataclass(frozen=True)
class Pixels:
    """How one tower wants its pixels; ``side`` is that of the square it was trained on."""

    side: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    scale: float = 1 / 255

    @classmethod
    def of(cls, folder: Path) -> Pixels:
        """Read ``preprocessor_config.json``.

        Raises:
            ModelError: There is none, or it lacks sizes or colours.
        """
        path = folder / "preprocessor_config.json"
        try:
            given = json.loads(path.read_text(encoding="utf-8"))
            scale = float(given.get("rescale_factor", 1 / 255)) if given.get("do_rescale", True) else 1.0
            mean, std = ([0.0] * 3, [1.0] * 3)
            if given.get("do_normalize", True):
                mean, std = given["image_mean"], given["image_std"]
            pixels = cls(_side(given), tuple(map(float, mean)), tuple(map(float, std)), scale)
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            step = "Give a folder with the preprocessor_config.json that the model was published with."
            raise ModelError(f"{path}: does not say how pictures are prepared ({error})", next_step=step) from error
        if pixels.side < 1 or len(pixels.mean) != 3 or len(pixels.std) != 3 or not all(pixels.std):
            raise ModelError(f"{path}: sizes or colours that cannot be", next_step="Fetch the model again.")
        return pixels

    def shape(self, width: int, height: int) -> tuple[int, int]:
        """Width and height that a picture is scaled to: near ``side`` squared pixels, each a multiple of 32."""
        ratio = min(max(width / height, 1 / LONGEST), LONGEST) ** 0.5
        wide, high = (max(STEP, round(self.side * part / STEP) * STEP) for part in (ratio, 1 / ratio))
        return (self.side, self.side) if wide == high else (wide, high)

    def prepare(self, image: Image, side: int | None = None) -> NDArray[np.float32]:
        """Scale and normalise, float32 ``[3, height, width]``; ``side`` in place of the tower's own."""
        own = self if side is None else Pixels(side, self.mean, self.std, self.scale)
        image = image.convert("RGB")
        # bicubic; a frame is first thinned out, since the filter over all its pixels costs more than the tower
        scaled = image.resize(own.shape(*image.size), 3, reducing_gap=3.0)
        numbers = np.asarray(scaled, dtype=np.float32) * np.float32(self.scale)
        mean, std = (np.array(colours, dtype=np.float32) for colours in (self.mean, self.std))
        return np.ascontiguousarray(((numbers - mean) / std).transpose(2, 0, 1), dtype=np.float32)


def _side(given: dict[str, Any]) -> int:
    """Side of the square that the tower saw in training, cropped where it was cropped."""
    size = given["crop_size"] if given.get("do_center_crop") and given.get("crop_size") else given["size"]
    if isinstance(size, int | float):
        return int(size)
    return int(size.get("shortest_edge") or size["height"])
