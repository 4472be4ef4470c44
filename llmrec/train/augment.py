"""Other looks of a photo: nearer, off centre, mirrored, in other light."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from PIL.Image import Image

#: Smallest share of the picture that a look keeps.
SMALLEST = 0.35


def looks(image: Image, count: int, seed: int) -> list[Image]:
    """The picture itself and ``count - 1`` random looks at it, the same for the same seed."""
    chance = random.Random(seed)
    return [image, *(_look(image, chance) for _ in range(count - 1))]


def _look(image: Image, chance: random.Random) -> Image:
    from PIL import Image as images
    from PIL import ImageEnhance

    side = chance.uniform(SMALLEST, 1) ** 0.5
    wide, high = (max(1, round(size * side * chance.uniform(0.85, 1))) for size in image.size)
    left, top = chance.randint(0, image.width - wide), chance.randint(0, image.height - high)
    look = image.crop((left, top, left + wide, top + high))
    for light in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        look = light(look).enhance(chance.uniform(0.75, 1.25))
    return look.transpose(images.Transpose.FLIP_LEFT_RIGHT) if chance.random() < 0.5 else look
