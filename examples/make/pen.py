"""A small drawing kit over Pillow: shapes with gradients, drawn large and shrunk so that edges are smooth.

    pen = Pen()
    pen.box((300, 200, 700, 900), radius=60, fill=across("#c9b89a", "#efe3c9", "#a8946f"))
    pen.text("TIDEWREN", (500, 520), size=60, color="white")
    pen.image()            # RGBA, 1000 x 1000, transparent around the product

Places are in a square of 1000 x 1000, y downwards.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import numpy as np
from PIL import Image, ImageColor, ImageDraw, ImageFilter, ImageFont

SIDE = 1000
FINE = 2
Point = tuple[float, float]
Fill = str | Callable[[int, int], Image.Image]


@cache
def font(name: str, size: int) -> ImageFont.FreeTypeFont:
    """One of the fonts that matplotlib bundles (DejaVu, STIX): the same on every machine."""
    import matplotlib

    folder = Path(matplotlib.get_data_path()) / "fonts" / "ttf"
    return ImageFont.truetype(str(folder / f"{name}.ttf"), size)


def across(*colors: str, angle: float = 0.0) -> Callable[[int, int], Image.Image]:
    """A gradient through evenly spaced colours from left to right, turned by ``angle`` degrees (90: downwards)."""
    stops = np.array([ImageColor.getcolor(color, "RGBA") for color in colors], dtype=np.float32)

    def paint(width: int, height: int) -> Image.Image:
        turn = np.deg2rad(angle)
        x, y = np.meshgrid(np.linspace(-0.5, 0.5, width), np.linspace(-0.5, 0.5, height))
        reach = abs(np.cos(turn)) + abs(np.sin(turn))
        place = np.clip((x * np.cos(turn) + y * np.sin(turn)) / reach + 0.5, 0, 1) * (len(stops) - 1)
        pixels = np.stack([np.interp(place, range(len(stops)), stops[:, band]) for band in range(4)], axis=-1)
        return Image.fromarray(pixels.astype(np.uint8), "RGBA")

    return paint


def down(*colors: str) -> Callable[[int, int], Image.Image]:
    """A gradient from top to bottom."""
    return across(*colors, angle=90)


def smooth(points: Sequence[Point], *, closed: bool = True, steps: int = 16) -> list[Point]:
    """A Catmull-Rom curve through the points."""
    p = np.array(points, dtype=float)
    p = np.vstack([p[-1], p, p[0], p[1]]) if closed else np.vstack([2 * p[0] - p[1], p, 2 * p[-1] - p[-2]])
    t = np.linspace(0, 1, steps, endpoint=False)[:, None]
    curve = [
        0.5 * (2 * b + (c - a) * t + (2 * a - 5 * b + 4 * c - d) * t**2 + (3 * b - a - 3 * c + d) * t**3)
        for a, b, c, d in zip(p, p[1:], p[2:], p[3:], strict=False)
    ]
    points = [tuple(point) for part in curve for point in part]
    return points if closed else [*points, tuple(p[-2])]


class Pen:
    """Draws filled shapes one above the other."""

    def __init__(self) -> None:
        self._canvas = Image.new("RGBA", (SIDE * FINE, SIDE * FINE))

    def image(self) -> Image.Image:
        """What was drawn, 1000 x 1000 RGBA."""
        return self._canvas.resize((SIDE, SIDE), Image.Resampling.LANCZOS)

    def polygon(self, points: Sequence[Point], fill: Fill, *, blur: float = 0) -> None:
        self._lay(lambda draw: draw.polygon([(x * FINE, y * FINE) for x, y in points], fill=255), fill, blur)

    def blob(self, points: Sequence[Point], fill: Fill, *, blur: float = 0) -> None:
        """A smooth closed shape through the points."""
        self.polygon(smooth(points), fill, blur=blur)

    def ellipse(self, box: Sequence[float], fill: Fill, *, blur: float = 0) -> None:
        self._lay(lambda draw: draw.ellipse([value * FINE for value in box], fill=255), fill, blur)

    def box(self, box: Sequence[float], fill: Fill, *, radius: float = 0, blur: float = 0) -> None:
        scaled = [value * FINE for value in box]
        self._lay(lambda draw: draw.rounded_rectangle(scaled, radius * FINE, fill=255), fill, blur)

    def line(self, points: Sequence[Point], fill: Fill, width: float, *, curved: bool = True) -> None:
        """A line with round ends, curved through its points or straight between them."""
        path = smooth(points, closed=False) if curved and len(points) > 2 else list(points)
        scaled, half = [(x * FINE, y * FINE) for x, y in path], width * FINE / 2

        def stroke(draw: ImageDraw.ImageDraw) -> None:
            draw.line(scaled, fill=255, width=round(width * FINE), joint="curve")
            for x, y in scaled:
                draw.ellipse([x - half, y - half, x + half, y + half], fill=255)

        self._lay(stroke, fill, 0)

    def arc(self, box: Sequence[float], start: float, end: float, fill: Fill, width: float) -> None:
        """Part of the rim of an ellipse, from ``start`` to ``end`` degrees, clockwise from three o'clock."""
        turn = np.deg2rad(np.linspace(start, end, 60))
        x = (box[0] + box[2]) / 2 + (box[2] - box[0]) / 2 * np.cos(turn)
        y = (box[1] + box[3]) / 2 + (box[3] - box[1]) / 2 * np.sin(turn)
        self.line(list(zip(x, y, strict=True)), fill, width, curved=False)

    def text(
        self, text: str, at: Point, *, size: float, color: str, face: str = "DejaVuSans-Bold", turn: float = 0
    ) -> None:
        """Words centred on a place; ``turn`` in degrees, anticlockwise."""
        layer = Image.new("RGBA", self._canvas.size)
        place = (at[0] * FINE, at[1] * FINE)
        ImageDraw.Draw(layer).text(place, text, font=font(face, round(size * FINE)), fill=color, anchor="mm")
        self._canvas.alpha_composite(layer.rotate(turn, Image.Resampling.BICUBIC, center=place) if turn else layer)

    def paste(self, picture: Image.Image, box: Sequence[float], *, turn: float = 0) -> None:
        """Another drawing inside this one."""
        size = (round((box[2] - box[0]) * FINE), round((box[3] - box[1]) * FINE))
        layer = Image.new("RGBA", self._canvas.size)
        shrunk = picture.resize(size, Image.Resampling.LANCZOS).rotate(turn, Image.Resampling.BICUBIC)
        layer.paste(shrunk, (round(box[0] * FINE), round(box[1] * FINE)))
        self._canvas.alpha_composite(layer)

    def _lay(self, stroke: Callable[[ImageDraw.ImageDraw], None], fill: Fill, blur: float) -> None:
        mask = Image.new("L", self._canvas.size)
        stroke(ImageDraw.Draw(mask))
        if blur:
            mask = mask.filter(ImageFilter.GaussianBlur(blur * FINE))
        if (box := mask.getbbox()) is None:
            return
        mask = mask.crop(box)
        paint = Image.new("RGBA", mask.size, fill) if isinstance(fill, str) else fill(*mask.size)
        alpha = np.asarray(mask, dtype=np.float32) * np.asarray(paint.getchannel("A"), dtype=np.float32) / 255
        paint.putalpha(Image.fromarray(alpha.astype(np.uint8)))
        layer = Image.new("RGBA", self._canvas.size)
        layer.paste(paint, box[:2])
        self._canvas.alpha_composite(layer)
