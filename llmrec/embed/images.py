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
from llmrec.embed.projected import is_projection, load_projected
from llmrec.embed.towers import CONVOLUTIONAL, ConvolutionalTower, read_config
from llmrec.errors import InputError, MissingExtraError, ModelError
from llmrec.models import resolve
from llmrec.seams import Encoder, ImageEncoder

#: Raised when the same weights come to give other vectors.
VERSION = 2

#: Kinds of ``ModelFolder`` that encode texts.
TEXT_KINDS = frozenset({"sentence-encoder", "static-encoder", "text-encoder", "causal-lm"})


def load_image_encoder(reference: str, *, device: str | None = None, batch_size: int = 16) -> ImageEncoder:
    """Load an encoder of pictures.

    Args:
        reference: ``starter:NAME``, a local folder or a hub id: an image classifier or backbone, a CLIP or SigLIP
            model, or a folder that ``llmrec.train.train_projection`` wrote. Several models joined by ``+`` work as
            one; a text encoder among them puts texts beside the pictures.
        device: ``cpu``, ``cuda``, ``cuda:N``; None: CUDA where there is one.
        batch_size: Pictures that are encoded together.

    Raises:
        ArtefactError: A trained projection that is damaged, or made over other models than there are now.
        ModelError: The model cannot be found, loaded, is not safe to load, or is none of pictures.
        InputError: An option that cannot be, or parts that cannot be joined.
        MissingExtraError: Pillow is not installed.
    """
    try:
        import PIL  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("encoding pictures", "video") from error
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size}: must be 1 or more", next_step="Leave it out for 16.")
    if is_projection(Path(reference)):

        def tower_of(beneath: str) -> ImageEncoder:
            return load_image_encoder(beneath, device=device, batch_size=batch_size)

        return load_projected(Path(reference), tower_of, device)
    names = [reference] if Path(reference).exists() else reference.split("+")
    towers, texts = [], None
    digests, references = [], []
    for name in names:
        folder = resolve(name.strip())
        references.append(folder.reference)
        if folder.kind in TEXT_KINDS and len(names) > 1:
            if texts is not None:
                raise InputError(f"{reference}: has two text encoders", next_step="Keep one of them.")
            texts = _text_encoder(name.strip(), device)
            digests.append(texts.digest)
        else:
            towers.append(_tower(folder.path, device))
            digests.append(folder.digest)
    if not towers:
        raise InputError(f"{reference}: has no image tower", next_step="Put one in front: starter:efficientnet-lite2.")
    tower = _joined(towers, texts)
    digest = hashlib.sha256(json.dumps([digests, type(tower).__name__, VERSION]).encode()).hexdigest()
    return PictureEncoder(tower, reference="+".join(references), digest=digest, batch_size=batch_size)


def _joined(towers: list[Tower], texts: Encoder | None) -> Tower:
    from llmrec.embed.joined import JoinedTower, NamedTower

    if texts is not None:
        return NamedTower(towers, texts)
    return towers[0] if len(towers) == 1 else JoinedTower(towers)


def _text_encoder(reference: str, device: str | None) -> Encoder:
    from llmrec.embed.loading import load_encoder

    return load_encoder(reference, device=device)


def _tower(folder: Path, device: str | None) -> Tower:
    config: dict[str, Any] = read_config(folder)
    kind = str(config.get("model_type"))
    if kind in CONVOLUTIONAL:
        return ConvolutionalTower(folder, config, device=device)
    if not (folder / "preprocessor_config.json").is_file():
        step = "Give an image model: starter:efficientnet-lite2, a CLIP, SigLIP, DINOv2 or ResNet model."
        raise ModelError(f"{folder}: {kind!r} is no image model (no preprocessor_config.json)", next_step=step)
    from llmrec.embed.vision import JointVisionTower, VisionTower, is_joint

    return (JointVisionTower if is_joint(config) else VisionTower)(folder, config, device=device)
