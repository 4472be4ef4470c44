"""A model reference to an encoder of pictures.

::

    from llmrec.embed import load_image_encoder
    encoder = load_image_encoder("starter:efficientnet-lite2")
    vectors = encoder.encode_images([Image.open("mug.jpg")])     # float32 [1, 1280], unit length
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from llmrec.embed.pictures import PictureEncoder, Tower
from llmrec.embed.towers import CONVOLUTIONAL, ConvolutionalTower, read_config
from llmrec.errors import InputError, MissingExtraError, ModelError
from llmrec.models import resolve

#: Raised when the same weights come to give other vectors.
VERSION = 1


def load_image_encoder(reference: str, *, device: str | None = None, batch_size: int = 16) -> PictureEncoder:
    """Load an encoder of pictures.

    Args:
        reference: ``starter:NAME``, a local folder or a hub id.
        device: ``cpu``, ``cuda``, ``cuda:N``; None: CUDA where there is one.
        batch_size: Pictures that are encoded together.

    Raises:
        ModelError: The model cannot be found, loaded, is not safe to load, or is none of pictures.
        InputError: An option that cannot be.
        MissingExtraError: Pillow is not installed.
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("encoding pictures", "video") from error
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size}: must be 1 or more", next_step="Leave it out for 16.")
    folder = resolve(reference)
    tower = _tower(folder.path, device)
    digest = hashlib.sha256(json.dumps([folder.digest, type(tower).__name__, VERSION]).encode()).hexdigest()
    return PictureEncoder(tower, reference=folder.reference, digest=digest, batch_size=batch_size)


def _tower(folder: Path, device: str | None) -> Tower:
    config: dict[str, Any] = read_config(folder)
    if config.get("model_type") in CONVOLUTIONAL:
        return ConvolutionalTower(folder, config, device=device)
    step = "Give an image model: starter:efficientnet-lite2, a ResNet or a ConvNeXt."
    raise ModelError(f"{folder}: {config.get('model_type')!r} is no image model that is known", next_step=step)
