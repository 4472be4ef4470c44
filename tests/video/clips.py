"""Small clips of our own making, drawn with Pillow and encoded with PyAV."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import numpy as np

RATE = 16_000


def picture(words: str = "", ground: str = "white", size: tuple[int, int] = (320, 240), seed: int = 0):
    """A picture with a texture of its own (by ``seed``) and words in the middle."""
    from PIL import Image, ImageDraw, ImageFont

    image = Image.new("RGB", size, ground)
    draw = ImageDraw.Draw(image)
    rng = np.random.default_rng(seed)
    if seed:
        for x, y, w, h, *colour in rng.integers(0, 256, (40, 7)):
            left, top = int(x) % size[0], int(y) % size[1]
            corner = (left + 8 + int(w) // 6, top + 8 + int(h) // 6)
            draw.rectangle(((left, top), corner), fill=tuple(map(int, colour)))
    if words:
        font = ImageFont.load_default(size=size[1] // 8)
        box = draw.textbbox((size[0] / 2, size[1] / 2), words, font=font, anchor="mm")
        draw.rectangle((box[0] - 8, box[1] - 8, box[2] + 8, box[3] + 8), fill="white")
        draw.text((size[0] / 2, size[1] / 2), words, fill="black", font=font, anchor="mm")
    return image


def write_clip(
    path: Path,
    scenes: Sequence[tuple[float, object]] = (),
    *,
    sound: np.ndarray | None = None,
    rate: int = 10,
    codec: str = "libx264",
    gap: int | None = None,
    options: dict[str, str] | None = None,
    rotation: int = 0,
    metadata: dict[str, str] | None = None,
    times: Sequence[int] | None = None,
) -> Path:
    """Write a clip.

    Args:
        path: Its ending chooses the container.
        scenes: Seconds and PIL picture of each.
        sound: Samples at 16 kHz, float32; stored as AAC (Opus in WebM).
        rate: Frames a second.
        gap: Frames between keyframes.
        rotation: Degrees written into the display matrix.
        times: Milliseconds of the frames, for a variable rate: the scenes share them evenly.
    """
    import av

    with av.open(str(path), "w", options=options or {}) as out:
        out.metadata.update(metadata or {})
        video = audio = None
        if scenes:
            video = out.add_stream(codec, rate=rate)
            video.width, video.height = scenes[0][1].size
            video.pix_fmt = "yuv420p" if codec != "gif" else "rgb8"
            if codec != "gif":
                video.options = {"g": str(gap)} if gap else {}
            if rotation:
                video.set_display_rotation(rotation)
        if sound is not None:
            audio = out.add_stream("libopus" if path.suffix in {".webm", ".ogg"} else "aac", rate=48_000, layout="mono")
        if video is not None:
            shown = [image for seconds, image in scenes for _ in range(round(seconds * rate))]
            if times:
                shown = [scenes[i * len(scenes) // len(times)][1] for i in range(len(times))]
                video.codec_context.time_base = Fraction(1, 1000)
            for number, image in enumerate(shown):
                frame = av.VideoFrame.from_image(image)
                frame.pts = times[number] if times else number
                frame.time_base = Fraction(1, 1000) if times else Fraction(1, rate)
                out.mux(video.encode(frame))
            out.mux(video.encode(None))
        if audio is not None:
            samples = np.repeat(np.asarray(sound, np.float32), 3)  # 16 kHz to 48 kHz
            for start in range(0, len(samples), 960):
                part = samples[start : start + 960]
                part = np.pad(part, (0, 960 - len(part)))
                frame = av.AudioFrame.from_ndarray(part[None, :], format="flt", layout="mono")
                frame.rate, frame.pts, frame.time_base = 48_000, start, Fraction(1, 48_000)
                out.mux(audio.encode(frame))
            out.mux(audio.encode(None))
    return path


def tone(seconds: float, hertz: float = 440.0) -> np.ndarray:
    return (0.2 * np.sin(2 * np.pi * hertz * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)
