"""A tower that was taught a shop's products: beside its own vector, how like it is to each known product.

::

    my-shop/   manifest.json       {"kind": "image-projection", "models": {"tower": {"reference", "digest"}, …}, …}
               model.safetensors   mean [d], weight [d, products], keys [texts, t], key_products [texts]

A picture's vector is that of the tower, weighing ``1 - share``, followed by its likeness to each known product, as the
regression gives it, at unit length, weighing ``share``. A text lies at the known products whose texts are nearest to
it. So a photo of a known product meets the product's card and title; anything else lies between the known products that
it resembles, and keeps what the tower sees.
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

_PARTS = ("mean", "weight", "keys", "key_products")


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
        vectors = np.empty((len(images), self.dimension), dtype=np.float32)
        for start in range(0, len(images), WINDOW):
            some = images[start : start + WINDOW]
            seen = self.tower.encode_images([view for image in some for view in views_of(image, self._views)])
            seen = unit(seen.reshape(len(some), self._views, -1).mean(axis=1), self.reference)
            parts = [self._own(seen) * (1 - self._share) ** 0.5, self._known(seen) * self._share**0.5]
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
        known = unit(known, self.reference)
        vectors = np.concatenate([own * (1 - self._share) ** 0.5, known * self._share**0.5], axis=1)
        return unit(vectors, self.reference)

    def _own(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        """What the tower sees; against the mean of what it learned from, unless texts must still meet it."""
        return seen if self.tower.joint else unit(rooted(seen) - self._tensors["mean"], self.reference)

    def _known(self, seen: NDArray[np.float32]) -> NDArray[np.float32]:
        likeness = (rooted(seen) - self._tensors["mean"]) @ self._tensors["weight"]
        return unit(likeness.astype(np.float32), self.reference)


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
    fits = shapes["weight"] == (width, count) and shapes["mean"] == (width,)
    fits = fits and shapes["keys"] == (len(tensors["key_products"]), texts.dimension)
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


def views_of(image: Image, count: int) -> list[Image]:
    """The picture; of two views also its mirror image; of six also three quarters of each side in every corner."""
    from PIL import Image as images

    views = [image, *([image.transpose(images.Transpose.FLIP_LEFT_RIGHT)] if count > 1 else [])]
    if count > 2:
        wide, high = max(1, image.width * 3 // 4), max(1, image.height * 3 // 4)
        corners = [(x, y) for x in (0, image.width - wide) for y in (0, image.height - high)]
        views += [image.crop((x, y, x + wide, y + high)) for x, y in corners]
    return views


def rooted(vectors: NDArray[np.float32]) -> NDArray[np.float32]:
    """Signed square roots at unit length (power normalisation, Perronnin et al. 2010): no few features rule."""
    roots = np.sign(vectors) * np.sqrt(np.abs(vectors))
    return roots / np.maximum(np.linalg.norm(roots, axis=1, keepdims=True), 1e-12)


def softmax(scores: NDArray[np.float32]) -> NDArray[np.float32]:
    """Rows to probabilities."""
    powers = np.exp(scores - scores.max(axis=1, keepdims=True))
    return (powers / powers.sum(axis=1, keepdims=True)).astype(np.float32)
