"""The clips of ``watch_speed``: drawn from a seed, so that anybody gets the same ones.

A minute is ten shots of a moving shelf of packages with grain; a ``Flash`` shows another package for half a second,
over the whole picture or over a quarter of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

WIDTH, HEIGHT, RATE = 1280, 720, 25
SHOT_SECONDS = 6
FLASH_SECONDS = 0.48


class Flash(NamedTuple):
    """A package that is shown for ``FLASH_SECONDS`` from ``start`` on."""

    start: float
    whole: bool


def shelf(seed: int, size: tuple[int, int]) -> NDArray[np.uint8]:
    """A picture of packages: boxes in many colours with words on them, uint8 RGB."""
    from PIL import Image, ImageDraw, ImageFont

    draw_from = np.random.default_rng(seed)
    ground = Image.new("RGB", size, tuple(int(c) for c in draw_from.integers(60, 200, 3)))
    draw = ImageDraw.Draw(ground)
    for number in range(max(1, size[0] * size[1] // 30_000)):
        x, y = int(draw_from.integers(0, size[0])), int(draw_from.integers(0, size[1]))
        w, h = int(draw_from.integers(80, 260)), int(draw_from.integers(80, 260))
        colour = tuple(int(c) for c in draw_from.integers(0, 256, 3))
        draw.rectangle((x, y, x + w, y + h), fill=colour, outline="black", width=3)
        font = ImageFont.load_default(size=int(draw_from.integers(14, 40)))
        draw.text((x + 8, y + 8), f"BRAND {seed}{number}", fill="white" if sum(colour) < 380 else "black", font=font)
    return np.asarray(ground)


def frames(seconds: int, seed: int, grain: float, flashes: tuple[Flash, ...] = ()) -> Iterator[NDArray[np.uint8]]:
    """The pictures of a clip, uint8 RGB ``[720, 1280, 3]``.

    Args:
        seconds: Length.
        seed: Of everything drawn.
        grain: Standard deviation of the noise in grey levels, which is what costs an encoder its bits.
        flashes: Packages that are shown for half a second.
    """
    noise_from = np.random.default_rng(seed)
    noise = [noise_from.normal(0, grain, (HEIGHT, WIDTH, 1)).astype(np.int16) for _ in range(8 if grain else 0)]
    cards = [shelf(seed + 1000 + number, (WIDTH, HEIGHT)) for number in range(len(flashes))]
    for number in range(seconds * RATE):
        shot, step = divmod(number, SHOT_SECONDS * RATE)
        if step == 0:
            wide = shelf(seed + shot, (WIDTH + 2 * SHOT_SECONDS * RATE, HEIGHT))
        picture = wide[:, 2 * step : 2 * step + WIDTH]
        for flash, card in zip(flashes, cards, strict=True):
            if flash.start <= number / RATE < flash.start + FLASH_SECONDS:
                picture = picture.copy()
                target = picture if flash.whole else picture[200:560, 100:740]
                target[:] = card[: target.shape[0], : target.shape[1]]
        if grain:
            picture = np.clip(picture + noise[number % 8], 0, 255).astype(np.uint8)
        yield np.ascontiguousarray(picture)


def write(path: Path, pictures: Iterator[NDArray[np.uint8]], size: tuple[int, int], options: dict[str, str]) -> Path:
    """Encode pictures with x264 and the options of its command line."""
    import av

    unfinished = path.with_suffix(".part.mp4")
    with av.open(str(unfinished), "w") as out:
        video = out.add_stream("libx264", rate=RATE)
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        video.options = {"preset": "veryfast", "threads": "1", **options}
        for number, picture in enumerate(pictures):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(video.encode(frame))
        out.mux(video.encode(None))
    return unfinished.replace(path)


def repeat(source: Path, path: Path, times: int) -> Path:
    """The same packets ``times`` over, without encoding them anew."""
    import av

    unfinished = path.with_suffix(".part.mp4")
    with av.open(str(unfinished), "w") as out, av.open(str(source)) as first:
        stream = out.add_stream_from_template(first.streams.video[0])
        length = first.streams.video[0].duration
        for turn in range(times):
            with av.open(str(source)) as again:
                for packet in again.demux(again.streams.video[0]):
                    if packet.size and packet.pts is not None and packet.dts is not None:
                        packet.pts, packet.dts = packet.pts + turn * length, packet.dts + turn * length
                        packet.stream = stream
                        out.mux(packet)
    return unfinished.replace(path)
