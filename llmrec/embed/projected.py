"""A tower that was taught a shop's products: beside its own vector, how likely each known product is.

::

    my-shop/   manifest.json       {"kind": "image-projection", "models": {"tower": {"reference", "digest"}, …}, …}
               model.safetensors   mean, scale [d]; weight [d, products], bias; keys [texts, t], key_products [texts]

A picture's vector is that of the tower, weighing ``1 - share``, followed by the square roots of the probabilities of
the known products, weighing ``share``; the product of two such parts is the affinity of Bhattacharyya (1943). A text
lies at the known products whose texts are nearest to it. So a photo of a known product meets the product's card and
title; anything else lies between the known products that it resembles, and keeps what the tower sees.
Written by ``llmrec.train.train_projection``.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.embed.encoder import unit
from llmrec.errors import ArtefactError, InputError
from llmrec.seams import Encoder, ImageEncoder
from llmrec.storage import read_manifest

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

KIND, FORMAT = "image-projection", 1

#: Cosine that divides the weights of two known texts by e: a title meets its own product, not its namesakes.
SHARPNESS = 0.02

#: Pictures whose views are held at a time.
WINDOW = 64

_PARTS = ("mean", "scale", "weight", "bias", "keys", "key_products")


class ProjectedEncoder:
    """Encodes pictures and texts by a trained projection over ``tower``; see ``load_image_encoder``.

    Attributes:
        reference: The folder.
        digest: Digest of the projection and of the models beneath.
        dimension: Of the tower, and one for each known product.
        joint: True.
        products: Ids of the known products.
    """

    joint = True

    def __init__(
        self,
        tower: ImageEncoder,
        texts: Encoder,
        tensors: dict[str, NDArray[np.float32]],
        *,
        products: Sequence[str],
        share: float,
        views: int,
        reference: str,
        digest: str,
    ) -> None:
        self.tower, self.texts = tower, texts
        self.products = list(products)
        self.reference, self.digest = reference, digest
        self.dimension = tower.dimension + len(self.products)
        self._tensors, self._share, self._views = tensors, share, views

    def encode_images(self, images: Sequence[Image]) -> NDArray[np.float32]:
        """Encode pictures into float32 ``[n, dimension]``, unit length, in input order."""
        count = len(crops((8, 8), self._views))
        vectors = np.empty((len(images), self.dimension), dtype=np.float32)
        for start in range(0, len(images), WINDOW):
            some = images[start : start + WINDOW]
            views = [image.crop(box) for image in some for box in crops(image.size, self._views)]
            seen = self.tower.encode_images(views if count > 1 else some)
            known = self.probabilities(seen).reshape(len(some), count, -1).mean(axis=1)
            whole = unit(seen.reshape(len(some), count, -1).mean(axis=1), self.reference)
            parts = [whole * (1 - self._share) ** 0.5, np.sqrt(known * self._share)]
            vectors[start : start + len(some)] = np.concatenate(parts, axis=1)
        return unit(vectors, self.reference)

    def encode_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts into the space of the pictures, float32 ``[n, dimension]``, unit length, in input order."""
        if isinstance(texts, str):
            raise InputError("encode_texts() takes a list of texts, not one text", next_step="Write [text].")
        own = np.zeros((len(texts), self.tower.dimension), dtype=np.float32)
        if self.tower.joint and len(texts):
            own = self.tower.encode_texts(texts)
        if not len(texts):
            return np.empty((0, self.dimension), dtype=np.float32)
        likeness = self.texts.encode(texts, kind="query") @ self._tensors["keys"].T
        weights = softmax(likeness / np.float32(SHARPNESS))
        known = np.zeros((len(texts), len(self.products)), dtype=np.float32)
        np.add.at(known.T, self._tensors["key_products"].astype(np.int64), weights.T)
        vectors = np.concatenate([own * (1 - self._share) ** 0.5, np.sqrt(known * self._share)], axis=1)
        return unit(vectors, self.reference)

    def probabilities(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """How likely each known product is, of vectors of the tower ``[n, d]``: float32 ``[n, products]``."""
        part = self._tensors
        features = (rooted(seen) - part["mean"]) / part["scale"]
        scores: NDArray[np.float32] = np.asarray(features @ part["weight"] + part["bias"], dtype=np.float32)
        return softmax(scores)


def load_projected(folder: Path, load_tower: Callable[[str], ImageEncoder], device: str | None) -> ProjectedEncoder:
    """Open a folder that ``train_projection`` wrote; ``load_tower`` opens the tower by its reference.

    Raises:
        ArtefactError: Damaged, or made over other models than its references give now.
        ModelError: A model beneath cannot be loaded.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    from llmrec.embed.loading import load_encoder

    remedy = "Train the projection again."
    manifest = read_manifest(folder, kind=KIND, format_version=FORMAT, remedy=remedy)
    try:
        tensors = {name: np.asarray(array) for name, array in load_file(folder / "model.safetensors").items()}
        models, products = manifest["models"], [str(product) for product in manifest["products"]]
        share, views = float(manifest["settings"]["share"]), int(manifest["settings"]["views"])
        shapes = {name: tensors[name].shape for name in _PARTS}
        names = {role: (str(models[role]["reference"]), str(models[role]["digest"])) for role in ("tower", "texts")}
    except (SafetensorError, OSError, KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{folder}: damaged projection ({error})", next_step=remedy) from error
    if any(Path(name).resolve() == folder.resolve() for name, _ in names.values()):
        raise ArtefactError(f"{folder}: names itself as the model beneath", next_step=remedy)
    tower, texts = load_tower(names["tower"][0]), load_encoder(names["texts"][0], device=device)
    for model, (name, digest) in ((tower, names["tower"]), (texts, names["texts"])):
        if model.digest != digest:
            raise ArtefactError(f"{folder}: was made over another {name} than there is now", next_step=remedy)
    width, count = tower.dimension, len(products)
    fits = shapes["weight"] == (width, count) and shapes["mean"] == shapes["scale"] == (width,)
    fits = fits and shapes["bias"] == (count,) and shapes["keys"] == (len(tensors["key_products"]), texts.dimension)
    if not fits or not ((tensors["key_products"] >= 0) & (tensors["key_products"] < count)).all():
        raise ArtefactError(f"{folder}: its tensors do not fit the models beneath", next_step=remedy)
    return ProjectedEncoder(
        tower, texts, tensors, products=products, share=share, views=views, reference=str(folder),
        digest=digest_of(manifest),
    )  # fmt: skip


def digest_of(manifest: dict[str, Any]) -> str:
    """Digest of a projection: its weights, its settings and the models beneath."""
    parts = [manifest[key] for key in ("models", "settings", "products")]
    parts.append(manifest["files"]["model.safetensors"]["sha256"])
    return hashlib.sha256(json.dumps(parts, sort_keys=True).encode()).hexdigest()


def is_projection(folder: Path) -> bool:
    """Whether a folder holds a projection, by its manifest."""
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(manifest, dict) and manifest.get("kind") == KIND


def crops(size: tuple[int, int], views: int) -> list[tuple[int, int, int, int]]:
    """Boxes (left, top, right, bottom) of the views of a picture: the whole; of five also three quarters of each
    side in every corner."""
    width, height = size
    boxes = [(0, 0, width, height)]
    if views > 1:
        wide, high = max(1, width * 3 // 4), max(1, height * 3 // 4)
        boxes += [(x, y, x + wide, y + high) for x in (0, width - wide) for y in (0, height - high)]
    return boxes


def rooted(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Signed square roots at unit length (power normalisation, Perronnin et al. 2010): no few features rule."""
    roots = np.sign(vectors) * np.sqrt(np.abs(vectors))
    return roots / np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), 1e-12)


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows to probabilities."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
