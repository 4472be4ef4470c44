"""From photos and the products that they show to a projection over a frozen tower (``llmrec.embed.projected``).

A ridge regression over the tower's vectors, power-normalised: each product's photos and its catalog pictures, in
several random looks, are examples of it. Eight photos a product are enough to gain much; no layer of the tower changes.
It has a closed form, and held-out photos were told better than by logistic regression or linear discriminants.
"""

from __future__ import annotations

import logging
import time
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.embed import load_encoder, load_image_encoder
from llmrec.embed.projected import FORMAT, KIND, rooted
from llmrec.errors import InputError
from llmrec.records import Product
from llmrec.seams import ImageEncoder
from llmrec.storage import atomic_folder, read_picture, write_manifest
from llmrec.train.augment import looks

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

logger = logging.getLogger(__name__)

#: Products that a projection may know: each is a dimension of every vector.
MOST_PRODUCTS = 4096


@dataclass(frozen=True)
class Photo:
    """A photo and the id of the product that it shows."""

    path: str
    product_id: str


@dataclass(frozen=True)
class ProjectionSettings:
    """How a projection is trained; the defaults were chosen on held-out *looks* of grocery photos, see eval/README.md.

    Attributes:
        looks: Random looks at each photo and catalog picture, itself among them.
        views: Looks at a picture when it is encoded later: 1, 2 (with its mirror image) or 6 (and its corners), each
            at the cost of a picture.
        share: Share of a cosine that the known products decide; the tower's own vector has the rest.
        ridge: Penalty on the weights, in means of the squares of the features.
        seed: Of the looks.
    """

    looks: int = 4
    views: int = 1
    share: float = 0.5
    ridge: float = 0.3
    seed: int = 0


@dataclass(frozen=True)
class ProjectionReport:
    """What was learned from, and how well the examples themselves are told apart (not a measure of new photos)."""

    products: int
    photos: int
    catalog_pictures: int
    without_photo: int
    accuracy: float
    seconds: float


def train_projection(
    photos: Sequence[Photo],
    products: Sequence[Product],
    tower: str | ImageEncoder,
    output: str | Path,
    *,
    texts: str = "starter:minilm",
    root: str | Path | None = None,
    settings: ProjectionSettings | None = None,
    device: str | None = None,
    replace: bool = False,
    progress: Callable[[Iterable[Any], str, int], Iterator[Any]] | None = None,
) -> ProjectionReport:
    """Train a projection over a frozen tower and write it as a folder for ``load_image_encoder``.

    Args:
        photos: Photos of products of ``products``.
        products: The products to be known, with title and catalog pictures where they have them.
        tower: Reference of the image encoder, or one that is loaded.
        output: The folder to write.
        texts: Reference of the text encoder that places titles.
        root: Where relative paths of photos and pictures start; None: the working folder.
        settings: How; None: the defaults.
        device: As in ``load_image_encoder``.
        replace: Write over a folder that is there.
        progress: Wraps the loop over pictures: (items, label, total).

    Raises:
        InputError: Nothing to learn from, a photo of an unknown product, a picture that cannot be read.
        ModelError: A model cannot be loaded.
        StorageError: The disk refused.
    """
    from safetensors.numpy import save_file

    started = time.monotonic()
    settings = settings or ProjectionSettings()
    _check(photos, products, settings)
    if Path(output).exists() and not replace:
        raise InputError(f"{output}: is there already", next_step="Give another folder, or replace=True.")
    encoder = load_image_encoder(tower, device=device) if isinstance(tower, str) else tower
    text_encoder = load_encoder(texts, device=device)
    number = {product.id: n for n, product in enumerate(products)}
    base = Path(root or ".")
    examples = [(base / photo.path, number[photo.product_id]) for photo in photos]
    cards = [
        (base / image, number[product.id]) for product in products for image in product.images if "://" not in image
    ]
    vectors, labels = _examples([*examples, *cards], encoder, settings, progress)
    tensors, accuracy = fit(vectors, labels, len(products), settings)
    told = [(text, n) for n, product in enumerate(products) for text in _texts(product)]
    tensors["keys"] = text_encoder.encode([text for text, _ in told])
    tensors["key_products"] = np.array([n for _, n in told], dtype=np.int32)
    report = ProjectionReport(
        products=len(products),
        photos=len(photos),
        catalog_pictures=len(cards),
        without_photo=len(set(number) - {photo.product_id for photo in photos}),
        accuracy=accuracy,
        seconds=round(time.monotonic() - started, 1),
    )
    with atomic_folder(output, replace=replace) as folder:
        save_file(tensors, folder / "model.safetensors")
        write_manifest(
            folder,
            kind=KIND,
            format_version=FORMAT,
            models={
                "tower": {"reference": encoder.reference, "digest": encoder.digest},
                "texts": {"reference": text_encoder.reference, "digest": text_encoder.digest},
            },
            settings=asdict(settings),
            counts=asdict(report),
            products=[product.id for product in products],
        )
    return report


def fit(
    vectors: NDArray[np.float32], labels: NDArray[np.int64], count: int, settings: ProjectionSettings
) -> tuple[dict[str, NDArray[Any]], float]:
    """Ridge regression from power-normalised vectors to 1 for the product shown and 0 for the others.

    Args:
        vectors: Of the tower, ``[n, d]``.
        labels: Product number of each, ``[n]``.
        count: Products.
        settings: See ``ProjectionSettings``.

    Returns:
        ``mean`` ``[d]`` and ``weight`` ``[d, count]``; the share of the examples told right.
    """
    features = rooted(vectors).astype(np.float64)
    mean = features.mean(axis=0)
    features -= mean
    targets = np.eye(count)[labels] - 1 / count
    moments = features.T @ features
    moments[np.diag_indices_from(moments)] += settings.ridge * max(float(np.trace(moments)) / len(moments), 1e-12)
    weight = np.linalg.solve(moments, features.T @ targets)
    right = float(((features @ weight).argmax(axis=1) == labels).mean())
    tensors = {"mean": mean.astype(np.float32), "weight": weight.astype(np.float32)}
    return tensors, round(right, 4)


def _check(photos: Sequence[Photo], products: Sequence[Product], settings: ProjectionSettings) -> None:
    known = {product.id for product in products}
    if not photos or len(known) < 2:
        step = "Give photos of at least two products."
        raise InputError(f"{len(photos)} photos of {len(known)} products: nothing to tell apart", next_step=step)
    if len(known) < len(products):
        raise InputError("two products have one id", next_step="Give each product once.")
    if len(products) > MOST_PRODUCTS:
        step = "Give the products that photos show most often."
        raise InputError(f"{len(products)} products: a projection knows at most {MOST_PRODUCTS}", next_step=step)
    for row, photo in enumerate(photos, 1):
        if photo.product_id not in known:
            step = "Give the product, or leave the photo out."
            raise InputError(f"photo {row} ({photo.path}): no product {photo.product_id!r}", next_step=step)
    if settings.looks < 1 or settings.views not in (1, 2, 6) or not 0 < settings.share < 1:
        what = f"looks={settings.looks}, views={settings.views}, share={settings.share}"
        step = "Give looks of 1 or more, views of 1, 2 or 6, a share between 0 and 1."
        raise InputError(f"{what}: cannot be", next_step=step)


def _examples(
    pictures: Sequence[tuple[Path, int]],
    encoder: ImageEncoder,
    settings: ProjectionSettings,
    progress: Callable[[Iterable[Any], str, int], Iterator[Any]] | None,
) -> tuple[NDArray[np.float32], NDArray[np.int64]]:
    """Vectors of all looks at all pictures, and their product numbers."""
    found = []
    rows: Iterable[int] = range(len(pictures))
    for row in progress(rows, "photos", len(pictures)) if progress else rows:
        image: Image = read_picture(pictures[row][0])
        # by its name: a photo looks the same whatever else is learned from
        chance = zlib.crc32(f"{settings.seed} {pictures[row][0].name}".encode())
        found.append(encoder.encode_images(looks(image, settings.looks, chance)))
    labels = np.repeat([number for _, number in pictures], settings.looks).astype(np.int64)
    return np.concatenate(found), labels


def _texts(product: Product) -> list[str]:
    """What the product may be called: its title, and the title with the description."""
    return [product.title, *([f"{product.title}. {product.description}"] if product.description else [])]
