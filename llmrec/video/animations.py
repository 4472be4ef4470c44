"""Pictures: one photo, or a WebP that moves (GIF and animated PNG are read by FFmpeg, which has no such WebP)."""

from __future__ import annotations

import struct
import time
from collections.abc import Iterator
from pathlib import Path

from llmrec.errors import InputError
from llmrec.storage.pictures import flat
from llmrec.video.choosing import Run, choose
from llmrec.video.coverage import Coverage
from llmrec.video.frames import SAMPLE_RATE, Candidate
from llmrec.video.images import image_candidate, read_image
from llmrec.video.settings import WatchSettings, need_video_extra


def picture_runs(path: Path, settings: WatchSettings, streams: list[Coverage]) -> list[Run]:
    """What a picture file shows: one run of a photo, the chosen ones of an animation, which is noted in ``streams``.

    Raises:
        InputError: Not such a picture, damaged, or over a limit; names the file.
        MissingExtraError: Pillow is not installed.
    """
    if not _moves(path):
        return [Run(image_candidate(read_image(path, settings), 0.0), 0.0, 0.0, 0)]
    streams.append(Coverage("video"))
    return choose(_frames(path, settings, streams[-1]), settings.budget(0))


def _moves(path: Path) -> bool:
    with path.open("rb") as file:
        head = file.read(21)
    return head[8:16] == b"WEBPVP8X" and len(head) == 21 and bool(head[20] & 2)


def _frames(path: Path, settings: WatchSettings, coverage: Coverage) -> Iterator[Candidate]:
    need_video_extra()
    from PIL import Image as images

    limit = settings.wall_limit(0, path.stat().st_size)
    ends = time.monotonic() + limit
    with path.open("rb") as file:
        declared = struct.unpack("<I", file.read(8)[4:])[0] + 8
    if declared > path.stat().st_size:
        coverage.stopped = f"the file ends early: {declared - path.stat().st_size:,} bytes are missing"
    last = -1.0
    try:
        with images.open(path, formats=("WEBP",)) as image:
            if image.width * image.height > settings.max_pixels:
                reason = f"{image.width} × {image.height} pixels are over the limit"
                raise InputError(f"{path}: {reason}", next_step="Scale it down, or raise max_pixels.")
            for number in range(getattr(image, "n_frames", 1)):
                if time.monotonic() > ends or number > settings.max_decoded:
                    step = "Cut it, or raise max_wall_seconds and max_decoded."
                    raise InputError(f"{path}: has too many frames ({number} in {limit:.0f} s)", next_step=step)
                coverage.packets += 1
                image.seek(number)
                image.load()
                coverage.decoded += 1
                shown = image.info.get("timestamp", 0) / 1000
                coverage.reached = shown + image.info.get("duration", 0) / 1000
                if shown > settings.max_seconds:
                    coverage.stopped = f"longer than {settings.max_seconds:g} s"
                    return
                if last < 0 or shown >= last + 1 / SAMPLE_RATE - 0.01:
                    last = shown
                    yield image_candidate(flat(image), shown)
    except (OSError, EOFError, SyntaxError, ValueError, images.DecompressionBombError) as error:
        coverage.bad += 1
        coverage.packets += coverage.packets == 0
        coverage.stopped = str(error) or type(error).__name__
