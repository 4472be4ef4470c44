"""Text that stands upright, letter under letter: the boxes of single letters to one line.

A sign that says S-A-L-E downwards gives four boxes, about square, one under the other. Set side by side they are a
line that can be read.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Letters that make a column at least.
LEAST = 3
#: Width of a letter's box over its height, and of one letter's size over the next one's.
WIDEST, NARROWEST, MOST_UNLIKE = 1.4, 0.3, 1.6
#: Height of a line that is put together, in pixels, and the gap between its letters as a share of that.
HEIGHT, GAP = 48, 0.15


class Bounds(NamedTuple):
    """An upright box in pixels."""

    left: float
    top: float
    right: float
    bottom: float


def columns(boxes: Sequence[NDArray[np.float32]]) -> list[list[int]]:
    """Numbers of the boxes (``[4, 2]`` corners) that form columns, each from top to bottom."""
    bounds = [Bounds(*box.min(axis=0), *box.max(axis=0)) for box in map(np.asarray, boxes)]
    letters = [i for i, b in enumerate(bounds) if NARROWEST < (b.right - b.left) / max(b.bottom - b.top, 1) < WIDEST]
    letters.sort(key=lambda i: bounds[i].top)
    found: list[list[int]] = []
    for letter in letters:
        for column in found:
            if _follows(bounds[column[-1]], bounds[letter]):
                column.append(letter)
                break
        else:
            found.append([letter])
    return [column for column in found if len(column) >= LEAST]


def _follows(above: Bounds, below: Bounds) -> bool:
    """Whether a box stands right under another of its size."""
    heights = above.bottom - above.top, below.bottom - below.top
    middle = abs((above.left + above.right) - (below.left + below.right)) / 2
    beneath = -0.3 * min(heights) < below.top - above.bottom < 0.8 * min(heights)
    return beneath and max(heights) < MOST_UNLIKE * min(heights) and middle < 0.4 * max(heights)


def side_by_side(letters: Sequence[NDArray[np.uint8]]) -> NDArray[np.uint8]:
    """Pictures of letters (``[h, w, 3]``) as one line, ``[48, w, 3]``."""
    import cv2

    tiles = [cv2.resize(one, (max(1, round(one.shape[1] * HEIGHT / one.shape[0])), HEIGHT)) for one in letters]
    gap = round(HEIGHT * GAP)
    spaced = [cv2.copyMakeBorder(tile, 0, 0, 0, gap, cv2.BORDER_REPLICATE) for tile in tiles]
    return np.asarray(np.hstack(spaced), np.uint8)
