"""Decoded frames as a person would see them: the right colours, whole lines, white behind what is see-through.

``Seen(frame).to_image()`` gives an RGB picture of an 8-bit, 10-bit, HDR, interlaced or transparent frame alike.
"""

from __future__ import annotations

from functools import cache
from threading import local
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from llmrec.video.shelf import Place, Shelf

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.reformatter import VideoReformatter
    from PIL.Image import Image

#: Frames kept for choosing are made at most this long in pixels, which bounds memory.
KEPT_SIDE = 1920
#: Transfer curves of HDR by their number in ITU-T H.273: PQ (SMPTE ST 2084) and HLG (ARIB STD-B67).
PQ, HLG = 16, 18
BT709, BT2020, UNSPECIFIED = 1, 9, 2
#: Luminance of white paper or a subtitle in HDR, in cd/m² (ITU-R BT.2408).
PAPER_WHITE = 203.0
#: Light up to this share of paper white keeps its value, what is brighter is pressed together above it.
KNEE = 0.7
#: From BT.2020 to BT.709 primaries, linear light (ITU-R BT.2087).
TO_BT709 = np.array([[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]], np.float32)
#: A pixel is combed if it differs by more than this (grey levels) from both the line above and the line below.
COMB = 12
#: Side of the blocks that are repaired, and the share of combed pixels from which one is.
BLOCK, COMBED = 16, 0.06

_scalers = local()


class Seen:
    """A decoded frame, kept at ``KEPT_SIDE`` pixels at most until somebody wants to see it.

    Args:
        frame: Any frame of a video stream.
    """

    def __init__(self, frame: VideoFrame) -> None:
        self.curve = int(frame.color_trc) if _depth(frame) > 8 else 0
        self.interlaced = bool(frame.interlaced_frame)
        self.matrix = matrix_of(frame)
        longest = max(frame.width, frame.height)
        if longest > KEPT_SIDE and not self.interlaced:
            width, height = (max(2, side * KEPT_SIDE // longest) for side in (frame.width, frame.height))
            frame = frame.reformat(width=width, height=height)
        self._held: VideoFrame | Place = frame

    @property
    def frame(self) -> VideoFrame:
        """The frame itself, fetched from the shelf if it was put away."""
        return self._held.frame() if isinstance(self._held, Place) else self._held

    def put_away(self, shelf: Shelf) -> None:
        """Keep it on a shelf rather than in memory; where that cannot be, it stays."""
        if not isinstance(self._held, Place):
            self._held = shelf.put(self._held) or self._held

    def to_image(self) -> Image:
        """The frame as an RGB picture."""
        from PIL import Image

        frame = self.frame
        if _has_alpha(frame):
            clear = Image.fromarray(frame.to_ndarray(format="rgba"), "RGBA")
            ground = Image.new("RGBA", clear.size, "white")
            return Image.alpha_composite(ground, clear).convert("RGB")
        if self.curve in (PQ, HLG):
            return Image.fromarray(tone(self._array(frame, "rgb48le"), self.curve))
        pixels = self._array(frame, "rgb24")
        if self.interlaced:
            pixels = without_combs(pixels)
        picture = Image.fromarray(pixels)
        longest = max(picture.size)
        if longest > KEPT_SIDE:
            size = tuple(max(2, side * KEPT_SIDE // longest) for side in picture.size)
            picture = picture.resize((size[0], size[1]))
        return picture

    def miniature(self, width: int, height: int) -> NDArray[np.uint8]:
        """The frame at another size, each pixel the mean of what it covers: uint8 RGB ``[height, width, 3]``."""
        if self.curve in (PQ, HLG):
            return tone(self._array(self.frame, "rgb48le", width, height), self.curve)
        return np.asarray(self._array(self.frame, "rgb24", width, height), np.uint8)

    def grey(self, width: int, height: int) -> NDArray[np.uint8]:
        """Its brightness at another size, uint8 ``[height, width]``."""
        return np.asarray(_scaler("grey").reformat(self.frame, width, height, "gray").to_ndarray(), np.uint8)

    def _array(
        self, frame: VideoFrame, format: str, width: int | None = None, height: int | None = None
    ) -> NDArray[np.generic]:
        # the right matrix matters: 601 for 709 turns red towards orange
        name, method = ("picture", None) if width is None else ("miniature", "AREA")
        scaled = _scaler(name).reformat(frame, width, height, format, src_colorspace=self.matrix, interpolation=method)
        return np.asarray(scaled.to_ndarray())


def _scaler(name: str) -> VideoReformatter:
    """A scaler of this thread for one purpose: setting one up costs four times as much as using it."""
    from av.video.reformatter import VideoReformatter

    scalers = _scalers.__dict__
    if name not in scalers:
        scalers[name] = VideoReformatter()
    scaler: VideoReformatter = scalers[name]
    return scaler


def matrix_of(frame: VideoFrame) -> int | None:
    """The colour matrix to read a frame with; None leaves it to what the frame says.

    Untagged pictures of 720 lines or more are BT.709 by custom, smaller ones BT.601.
    """
    from av.video.reformatter import Colorspace

    if int(frame.color_trc) in (PQ, HLG) and int(frame.colorspace) == UNSPECIFIED:
        return int(Colorspace.BT2020)
    if int(frame.colorspace) == UNSPECIFIED and frame.height >= 720 and not frame.format.is_rgb:
        return int(Colorspace.ITU709)
    return None


def tone(pixels: NDArray[np.generic], curve: int) -> NDArray[np.uint8]:
    """HDR to sRGB: paper white and below as they are, highlights pressed together, colours inside BT.709.

    Args:
        pixels: uint16 RGB ``[h, w, 3]``, BT.2020 primaries.
        curve: ``PQ`` or ``HLG``.

    Returns:
        uint8 RGB ``[h, w, 3]``.
    """
    light = _light(curve)[pixels.astype(np.uint16)]
    if curve == HLG:  # the display's own curve, for a peak of 1,000 cd/m² (ITU-R BT.2100)
        brightness = light @ np.array([0.2627, 0.6780, 0.0593], np.float32)
        light *= (np.maximum(brightness, 1e-6) ** 0.2)[..., None] * np.float32(1000 / PAPER_WHITE)
    light = np.maximum(light @ TO_BT709.T, 0)
    most = light.max(axis=-1, keepdims=True)
    pressed = np.where(most > KNEE, 1 - (1 - KNEE) * np.exp(-(most - KNEE) / (1 - KNEE)), most)
    light *= pressed / np.maximum(most, 1e-6)
    coded = np.where(light <= 0.0031308, 12.92 * light, 1.055 * np.maximum(light, 1e-6) ** (1 / 2.4) - 0.055)
    return np.asarray(np.clip(coded * 255 + 0.5, 0, 255), np.uint8)


@cache
def _light(curve: int) -> NDArray[np.float32]:
    """Linear light of each 16-bit code: of paper white for PQ, of the scene's peak for HLG (ITU-R BT.2100)."""
    code = np.arange(65536, dtype=np.float64) / 65535
    if curve == PQ:
        m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
        power = code ** (1 / m2)
        light = 10_000 / PAPER_WHITE * (np.maximum(power - c1, 0) / (c2 - c3 * power)) ** (1 / m1)
    else:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(code <= 0.5, code**2 / 3, (np.exp((code - c) / a) + b) / 12)
    return light.astype(np.float32)


def without_combs(pixels: NDArray[np.generic]) -> NDArray[np.uint8]:
    """Interlaced pictures: where the two fields show different moments, the second is redrawn from the first.

    Args:
        pixels: uint8 RGB ``[h, w, 3]``, the fields woven.
    """
    woven = np.asarray(pixels, np.uint8)
    height, width = woven.shape[0] // 2 * 2, woven.shape[1]
    if height < 4:
        return woven
    green = woven[:height, :, 1].astype(np.int16)
    above, line = green[0::2], green[1::2]
    below = np.concatenate([above[1:], above[-1:]])
    combed = (np.minimum(line - above, line - below) > COMB) | (np.maximum(line - above, line - below) < -COMB)
    # in blocks, since single thin strokes look like combs too
    rows, columns = -(-combed.shape[0] // (BLOCK // 2)), -(-width // BLOCK)
    share = np.zeros((rows * BLOCK // 2, columns * BLOCK), np.float32)
    share[: combed.shape[0], :width] = combed
    share = share.reshape(rows, BLOCK // 2, columns, BLOCK).mean(axis=(1, 3)) > COMBED
    repair = share.repeat(BLOCK // 2, axis=0).repeat(BLOCK, axis=1)[: combed.shape[0], :width]
    fields = woven[0:height:2].astype(np.uint16)
    drawn = ((fields + np.concatenate([fields[1:], fields[-1:]]) + 1) // 2).astype(np.uint8)
    whole = woven.copy()
    whole[1:height:2] = np.where(repair[..., None], drawn, woven[1:height:2])
    return whole


def _depth(frame: VideoFrame) -> int:
    return max((part.bits for part in frame.format.components), default=8)


def _has_alpha(frame: VideoFrame) -> bool:
    return any(part.is_alpha for part in frame.format.components) or frame.format.name == "pal8"
