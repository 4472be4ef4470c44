"""Keyframes on disk: ``frames/clip-1/000003250.jpg`` is what ``clip-1`` showed 3.25 s in."""

from __future__ import annotations

import hashlib
import io
import re
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from llmrec.records import Keyframe
from llmrec.seams import ImageEncoder
from llmrec.storage import atomic_file
from llmrec.storage.pictures import SIDE
from llmrec.video.choosing import Run

if TYPE_CHECKING:
    from PIL.Image import Image

JPEG_QUALITY = 88


def save_keyframe(picture: Image, run: Run, folder: Path) -> Keyframe:
    """Write a run's picture as ``folder/MILLISECONDS.jpg``."""
    milliseconds = round(run.best.time * 1000)
    path = folder / f"{milliseconds:09d}.jpg"
    packed = io.BytesIO()
    # full colour resolution: coloured print on coloured packaging is what is to be read
    picture.save(packed, "JPEG", quality=JPEG_QUALITY, subsampling=0)
    with atomic_file(path) as file:
        file.write(packed.getvalue())
    return Keyframe(milliseconds / 1000, str(path), run.shot)


def with_vector(frame: Keyframe | None, picture: Image, run: Run, encoder: ImageEncoder) -> Keyframe:
    """A keyframe with the vector of its picture; without a saved frame one that has no path."""
    small = picture.copy()
    small.thumbnail((SIDE, SIDE))
    vector = encoder.encode_images([small])[0].astype("<f2").tobytes()
    return msgspec.structs.replace(frame or Keyframe(round(run.best.time, 3), "", run.shot), vector=vector)


def file_name(id: str) -> str:
    """A content's id as the name of a folder; ids that differ give names that differ."""
    safe = re.sub(r"[^\w.-]+", "_", id).strip("._")[:80]
    return safe if safe == id else f"{safe}-{hashlib.sha256(id.encode()).hexdigest()[:8]}".lstrip("-")
