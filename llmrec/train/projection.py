"""From photos and the products that they show to a projection over a frozen tower (``llmrec.embed.projected``).

A logistic regression over the tower's vectors, power-normalised: each product's photos and its catalog pictures, in
several random looks, are examples of it. Eight photos a product are enough to gain much; no layer of the tower changes.
"""

from __future__ import annotations

import logging
import time
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
        views: Looks at a picture when it is encoded later: 1, or 5 (the whole and its corners) at five times the cost.
        share: Share of a cosine that the known products decide; the tower's own vector has the rest.
        epochs, rate, decay, smoothing, batch: Of the logistic regression (AdamW, label smoothing).
        seed: Of the looks and of the order.
    """

    looks: int = 6
    views: int = 1
    share: float = 0.8
    epochs: int = 20
    rate: float = 2e-3
    decay: float = 0.1
    smoothing: float = 0.1
    batch: int = 128
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
    tower: str,
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
        tower: Reference of the image encoder.
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
    encoder, text_encoder = load_image_encoder(tower, device=device), load_encoder(texts, device=device)
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
    """Multinomial logistic regression over power-normalised vectors.

    Args:
        vectors: Of the tower, ``[n, d]``.
        labels: Product number of each, ``[n]``.
        count: Products.
        settings: See ``ProjectionSettings``.

    Returns:
        ``mean`` and ``scale`` ``[d]``, ``weight`` ``[d, count]``, ``bias`` ``[count]``; the share told right.
    """
    import torch
    from torch.nn.functional import cross_entropy

    features = rooted(vectors)
    mean, scale = features.mean(axis=0), features.std(axis=0)
    scale = scale + np.float32(1e-3 * max(float(features.std()), 1e-6))
    inputs, targets = torch.from_numpy((features - mean) / scale), torch.from_numpy(labels)
    generator = torch.Generator().manual_seed(settings.seed)
    weight = torch.zeros(inputs.shape[1], count, requires_grad=True)
    bias = torch.zeros(count, requires_grad=True)
    optimiser = torch.optim.AdamW([weight, bias], lr=settings.rate, weight_decay=settings.decay)
    for _ in range(settings.epochs):
        for rows in torch.randperm(len(inputs), generator=generator).split(settings.batch):
            optimiser.zero_grad()
            scores = inputs[rows] @ weight + bias
            cross_entropy(scores, targets[rows], label_smoothing=settings.smoothing).backward()  # type: ignore[no-untyped-call]
            optimiser.step()
    with torch.no_grad():
        right = float(((inputs @ weight + bias).argmax(dim=1) == targets).float().mean())
    learned = {"weight": weight.detach().numpy(), "bias": bias.detach().numpy()}
    return {"mean": mean, "scale": scale, **learned}, round(right, 4)


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
    if settings.looks < 1 or settings.views not in (1, 5) or not 0 < settings.share < 1:
        what = f"looks={settings.looks}, views={settings.views}, share={settings.share}"
        step = "Give looks of 1 or more, views of 1 or 5, a share between 0 and 1."
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
        found.append(encoder.encode_images(looks(image, settings.looks, settings.seed * 1_000_003 + row)))
    labels = np.repeat([number for _, number in pictures], settings.looks).astype(np.int64)
    return np.concatenate(found), labels


def _texts(product: Product) -> list[str]:
    """What the product may be called: its title, and the title with the description."""
    return [product.title, *([f"{product.title}. {product.description}"] if product.description else [])]
