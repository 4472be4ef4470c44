"""A scene to frames: a backdrop, drawings that move, and words that come and go.

A scene of ``clips.yaml``::

    {backdrop: kitchen, move: [1.0, 1.06],
     things: [{draw: draw_home.kettle, at: [.5, .55, .8], to: [.48, .55, .9]}],
     words: [{text: "70 °C for sencha", style: pill, at: [.5, .14]}]}

Places are parts of the frame (0 to 1), the third number of a thing its height in parts of the frame's height.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator
from functools import cache
from typing import Any

from pen import down, font
from PIL import Image, ImageChops, ImageDraw, ImageFilter

# wall from top to bottom, then table from back to front
BACKDROPS = {
    "kitchen": (("#f3e6cf", "#e3cda6"), ("#b98a5c", "#8a5f38")),
    "desk": (("#dbe4ea", "#b7c7d2"), ("#8d6e52", "#6a4f38")),
    "studio": (("#f7f2ea", "#e6dccb"), ("#efe7d9", "#d3c6b0")),
    "night": (("#141a33", "#2c3560"), ("#3a2c44", "#231a2b")),
    "forest": (("#cfe3d0", "#8fb596"), ("#7b6a4c", "#55472f")),
    "blush": (("#f8dfe0", "#eebfc2"), ("#d99ea4", "#bd7b84")),
    "play": (("#d6ecf5", "#a9d3e8"), ("#e6c98f", "#c79f5c")),
    "workshop": (("#d9d2c5", "#b5aa97"), ("#6f6a63", "#4b4742")),
    "mint": (("#e0f0ea", "#b9dacd"), ("#f2efe8", "#d5cfc3")),
    "live": (("#3b2146", "#7a3b6b"), ("#4a3550", "#2d2133")),
}
# font, letters' colour, ground's colour, size in parts of the frame's shorter side
STYLES = {
    "pill": ("DejaVuSans-Bold", "#ffffff", "#1d1f24d0", 0.052),
    "bright": ("DejaVuSans-Bold", "#1d1f24", "#ffd84ae8", 0.055),
    "serif": ("DejaVuSerif-BoldItalic", "#2b2320", None, 0.075),
    "light": ("DejaVuSerif-BoldItalic", "#fff6e2", None, 0.075),
    "mono": ("DejaVuSansMono-Bold", "#e8f2ff", "#22344fd8", 0.045),
    "plain": ("DejaVuSans", "#2b2320", "#ffffffd0", 0.045),
    "chat": ("DejaVuSans", "#ffffff", "#00000080", 0.04),
    "live": ("DejaVuSans-Bold", "#ffffff", "#e0263c", 0.042),
    "stix": ("STIXGeneralBol", "#2b2320", "#ffffffd8", 0.062),
    "price": ("DejaVuSans-Bold", "#ffffff", "#d5303e", 0.062),
}
MARGIN = 1.08


def frames(scene: dict[str, Any], size: tuple[int, int], count: int) -> Iterator[Image.Image]:
    """The ``count`` frames of a scene as RGB images of ``size`` (width, height)."""
    backdrop = _backdrop(scene["backdrop"], size)
    things = [(_sprite(thing["draw"], _largest(thing, size)), thing) for thing in scene.get("things", [])]
    words = [(_label(line["text"], line.get("style", "pill"), min(size)), line) for line in scene.get("words", [])]
    zoom = scene.get("move", [1.0, 1.0])
    for place in range(count):
        part = place / max(count - 1, 1)
        ease = part * part * (3 - 2 * part)
        frame = backdrop.copy()
        for sprite, thing in things:
            _put(
                frame,
                sprite,
                [a + (b - a) * ease for a, b in zip(thing["at"], thing.get("to", thing["at"]), strict=True)],
            )
        frame = _zoomed(frame, size, zoom[0] + (zoom[1] - zoom[0]) * ease)
        for label, line in words:
            _show(frame, label, line, part, count)
        yield frame


@cache
def _backdrop(name: str, size: tuple[int, int]) -> Image.Image:
    wall, table = BACKDROPS[name]
    width, height = (round(side * MARGIN) for side in size)
    horizon = round(height * 0.7)
    image = Image.new("RGB", (width, height))
    image.paste(down(*wall)(width, horizon).convert("RGB"), (0, 0))
    image.paste(down(*table)(width, height - horizon).convert("RGB"), (0, horizon))
    light = Image.new("L", (width, height))
    ImageDraw.Draw(light).ellipse((width * 0.05, -height * 0.25, width * 0.75, height * 0.65), fill=70)
    light = light.filter(ImageFilter.GaussianBlur(width / 9))
    image.paste(Image.new("RGB", image.size, "white"), mask=light)
    draw = ImageDraw.Draw(image)
    draw.line((0, horizon, width, horizon), fill=table[1], width=2)
    if name == "live":
        for place in range(5):
            x = width * (0.1 + 0.2 * place)
            glow = Image.new("L", image.size)
            ImageDraw.Draw(glow).ellipse((x - 26, height * 0.08, x + 26, height * 0.08 + 52), fill=150)
            image.paste("#ffd9a0", mask=glow.filter(ImageFilter.GaussianBlur(12)))
    return image


@cache
def _sprite(draw: str, side: int) -> Image.Image:
    module, name = draw.split(".")
    picture: Image.Image = getattr(importlib.import_module(module), name)()
    return picture.resize((side, side), Image.Resampling.LANCZOS)


def _largest(thing: dict[str, Any], size: tuple[int, int]) -> int:
    return round(max(thing["at"][2], thing.get("to", thing["at"])[2]) * size[1] * MARGIN)


def _put(frame: Image.Image, sprite: Image.Image, pose: list[float]) -> None:
    side = pose[2] * frame.height
    turn = pose[3] if len(pose) > 3 else 0
    picture = sprite.resize((round(side), round(side)), Image.Resampling.BICUBIC)
    if turn:
        picture = picture.rotate(turn, Image.Resampling.BICUBIC)
    left, top = round(pose[0] * frame.width - side / 2), round(pose[1] * frame.height - side / 2)
    shade = picture.getchannel("A").filter(ImageFilter.GaussianBlur(side / 45)).point(lambda value: value * 0.35)
    frame.paste("#1a1208", (left + round(side / 45), top + round(side / 30)), shade)
    frame.paste(picture, (left, top), picture)


def _zoomed(frame: Image.Image, size: tuple[int, int], zoom: float) -> Image.Image:
    width, height = frame.width / zoom / MARGIN, frame.height / zoom / MARGIN
    left, top = (frame.width - width) / 2, (frame.height - height) / 2
    return frame.resize(size, Image.Resampling.BICUBIC, box=(left, top, left + width, top + height))


@cache
def _label(text: str, style: str, side: int) -> Image.Image:
    face, color, ground, part = STYLES[style]
    letters = font(face, round(side * part))
    box = ImageDraw.Draw(Image.new("L", (1, 1))).multiline_textbbox((0, 0), text, font=letters, spacing=6)
    pad = round(side * part * 0.55)
    width, height = round(box[2] - box[0] + 2.4 * pad), round(box[3] - box[1] + 1.4 * pad)
    label = Image.new("RGBA", (width, height))
    draw = ImageDraw.Draw(label)
    if ground:
        draw.rounded_rectangle((0, 0, width - 1, height - 1), radius=height * 0.3, fill=ground)
    draw.multiline_text((width / 2, height / 2), text, font=letters, fill=color, anchor="mm", align="center", spacing=6)
    return label


def _show(frame: Image.Image, label: Image.Image, line: dict[str, Any], part: float, count: int) -> None:
    start, end = line.get("when", [0.0, 1.0])
    if not start <= part <= end:
        return
    # words slide up into place within a fifth of a second
    risen = min(1.0, (part - start) * count / 4) if start > 0 else 1.0
    x, y = line["at"]
    left = round(x * frame.width - (0 if line.get("left") else label.width / 2))
    left = max(6, min(left, frame.width - label.width - 6))
    top = round(y * frame.height - label.height / 2 + (1 - risen) * 14)
    alpha = ImageChops.multiply(label.getchannel("A"), Image.new("L", label.size, round(255 * risen)))
    frame.paste(label, (left, top), alpha)
