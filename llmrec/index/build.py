"""Products to a new version of an index folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from llmrec.errors import InputError
from llmrec.index.ann import check_factory
from llmrec.index.dense import Dense, unit_or_zero
from llmrec.index.families import FAMILIES, check_choice
from llmrec.index.folder import FORMAT, KIND, new_version, refuse_unless_free
from llmrec.index.fusion import FUSIONS, FusionChoice, weights_of
from llmrec.index.lexical import Lexical
from llmrec.index.parts import SUMMARIES
from llmrec.index.pictures import PictureCounts, Pictures, PictureVectors, encode_pictures
from llmrec.index.texts import FIELDS, TextChoice, field_texts
from llmrec.index.tuning import RECALL
from llmrec.records import Product, ProductSummary
from llmrec.seams import Encoder, ImageEncoder
from llmrec.storage import write_manifest, write_parquet
from llmrec.storage.journal import Journal

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Texts that go to the encoder at a time: enough to sort by length, few enough that progress shows.
CHUNK = 512
#: Products that are read together when one is shown.
SHOWN = 1000

#: Passes items through and shows how far they are: (items, label, total).
Progress = Callable[[Iterable[Any], str, int], Iterator[Any]]


class IndexSettings(msgspec.Struct, frozen=True):
    """How an index is built: what of a product is indexed, how vectors are found, how scores are fused.

    ``dense`` is a family of ``llmrec.index.families`` or a FAISS factory string; ``recall`` is the share of the true
    nearest that it shall find, ``memory`` the bytes that its search may take (None: any). ``weights`` are constants of
    ``zscore`` that its encoder brought with it; empty: the default.
    """

    text: TextChoice = "product"
    dense: str = "auto"
    fusion: FusionChoice = "zscore"
    weights: dict[str, float] = {}
    recall: float = RECALL
    memory: int | None = None


def build_version(
    path: Path,
    products: Iterable[Product],
    encoder: Encoder | None,
    summaries: Mapping[str, ProductSummary],
    settings: IndexSettings,
    *,
    replace: bool,
    progress: Progress | None,
    image_encoder: ImageEncoder | None = None,
    images_root: str | Path | None = None,
) -> None:
    """Write a new version of the index at ``path`` and make it the current one; see ``Index.build``."""
    check_settings(settings)
    refuse_unless_free(path, replace=replace)
    if encoder is not None and settings.dense not in (*FAMILIES, "none"):
        check_factory(settings.dense, encoder.dimension)  # before hours of encoding
    rows = list(products)
    if not rows:
        raise InputError("the catalog holds no products", next_step="Check the file that was read, and its rejects.")
    check_ids(rows, {})
    texts = texts_of(rows, summaries, settings.text)
    ids = [product.id for product in rows]
    vectors: dict[str, NDArray[np.float32]] = {}
    if encoder is not None and settings.dense != "none":
        vectors = encode_texts(encoder, texts, ids, progress)
    pictures, pictured = None, None
    if image_encoder is not None:
        titles = [text["title"] for text in texts]
        pictures, pictured = encode_pictures(rows, titles, image_encoder, images_root, progress)
    models = {"encoder": _model(encoder) if vectors else None, "image_encoder": _model(image_encoder)}
    cut = getattr(encoder, "truncated", 0) if vectors else 0
    write_version(path, Made(rows, texts, summaries, vectors, pictures, pictured, models, cut), settings)


class Made(NamedTuple):
    """What a version is written from.

    Attributes:
        products: In the order of their rows.
        texts: Of each, by field.
        summaries: By the product's id.
        vectors: For each field float32 ``[n, d]``; empty without an encoder.
        pictures: Vectors of pictures, or None.
        pictured: What became of the pictures.
        models: The encoders, as the manifest names them.
        texts_cut: Texts that were longer than the encoder reads.
    """

    products: Sequence[Product]
    texts: Sequence[Mapping[str, str]]
    summaries: Mapping[str, ProductSummary]
    vectors: Mapping[str, NDArray[np.float32]]
    pictures: PictureVectors | None
    pictured: PictureCounts | None
    models: dict[str, Any]
    texts_cut: int


def write_version(
    path: Path,
    made: Made,
    settings: IndexSettings,
    carry: Callable[[Journal], None] | None = None,
    expected: Path | None = None,
) -> None:
    """Index what was made, write it as a new version and make that the current one; see ``new_version``.

    Raises:
        StorageError: The disk refused; what was there is as it was.
        InputError: Another process builds or compacts the index.
    """
    with new_version(path, carry, expected) as folder:
        search = {}
        for field, vectors in made.vectors.items():
            # the other field's texts are as unlike these as queries are
            others = next((own for name, own in made.vectors.items() if name != field), None)
            budget = settings.memory // len(made.vectors) if settings.memory else None
            dense = Dense.build(vectors, settings.dense, memory=budget, recall=settings.recall, others=others)
            dense.save(folder / "dense" / field)
            search[field] = _told(dense)
        if made.pictures is not None:
            # a factory string was written for the length of the texts' vectors
            family = settings.dense if settings.dense in FAMILIES else "auto"
            Pictures.build(made.pictures, dense=family, recall=settings.recall).save(folder / "pictures")
        write_parquet(folder / "products.parquet", made.products, Product, row_group=SHOWN)
        summaries = [made.summaries[product.id] for product in made.products if product.id in made.summaries]
        if summaries:
            write_parquet(folder / SUMMARIES, summaries, ProductSummary)
        words = {}
        for field in FIELDS:
            (folder / "lexical" / field).mkdir(parents=True)
            lexical = Lexical.build([text[field] for text in made.texts])
            lexical.save(folder / "lexical" / field)
            words[field] = lexical.average
        write_manifest(
            folder,
            kind=KIND,
            format_version=FORMAT,
            counts={
                "products": len(made.products),
                "without_text": sum(not text["whole"] for text in made.texts),
                "summarized": len(summaries),
                "texts_cut": made.texts_cut,
            },
            settings=msgspec.to_builtins(settings),
            models=made.models,
            search=search,
            words=words,
            pictures=msgspec.to_builtins(made.pictured),
        )


def texts_of(
    products: Iterable[Product], summaries: Mapping[str, ProductSummary], choice: TextChoice
) -> list[dict[str, str]]:
    """The text of each field of each product."""
    return [field_texts(product, summaries.get(product.id), choice) for product in products]


def _told(dense: Dense) -> dict[str, Any]:
    """How a field's vectors are found, for the manifest: the factory string, and the curve that ends in the effort."""
    curve = msgspec.to_builtins(dense.ann.curve) if dense.ann else []
    return {"factory": dense.factory, "recall": curve[-1]["recall"] if curve else 1.0, "curve": curve}


def _model(encoder: Encoder | ImageEncoder | None) -> dict[str, Any] | None:
    if encoder is None:
        return None
    model = {"reference": encoder.reference, "digest": encoder.digest, "dimension": encoder.dimension}
    # that they are the first numbers of longer vectors has to be known when the encoder is loaded again
    return {**model, "cut": True} if getattr(encoder, "cut_to", None) else model


def encode_texts(
    encoder: Encoder, texts: Sequence[Mapping[str, str]], ids: Sequence[str], progress: Progress | None
) -> dict[str, NDArray[np.float32]]:
    """Vectors of each field of products, float32 ``[n, d]``; zeros for one without text.

    Raises:
        ArtefactError: The encoder gave vectors that are not numbers.
    """
    # a text that occurs twice (a title that is all there is) is encoded once
    unique = sorted({text[field] for text in texts for field in FIELDS if text[field]}, key=len, reverse=True)
    place = {text: i for i, text in enumerate(unique)}
    found = np.zeros((len(unique) + 1, encoder.dimension), dtype=np.float32)  # the last row: products without text
    starts: Iterable[int] = range(0, len(unique), CHUNK)
    for start in progress(starts, "encoding", len(range(0, len(unique), CHUNK))) if progress else starts:
        found[start : start + CHUNK][: len(unique) - start] = encoder.encode(
            unique[start : start + CHUNK], kind="document"
        )
    rows = {field: [place.get(text[field], len(unique)) for text in texts] for field in FIELDS}
    return {field: unit_or_zero(found[rows[field]], ids, encoder.reference) for field in FIELDS}


def check_settings(settings: IndexSettings) -> None:
    """Check that every choice is one of those there are.

    Raises:
        InputError: One is not.
    """
    known = {
        "text": ("product", "summary", "both"),
        "fusion": tuple(FUSIONS),
    }
    for name, choices in known.items():
        if getattr(settings, name) not in choices:
            raise InputError(
                f"{name}={getattr(settings, name)!r} is not known", next_step=f"Give {', '.join(choices)}."
            )
    check_choice(settings.dense)
    if not 0 < settings.recall <= 1:
        raise InputError(f"recall={settings.recall}: a share", next_step="Give a number above 0, 1 at most.")
    if settings.memory is not None and settings.memory < 1:
        raise InputError(f"memory={settings.memory}: bytes", next_step="Give a number above 0.")
    try:
        weights_of(settings.weights)
    except ValueError as error:
        step = "Take the fusion weights out of the encoder's folder, or train it again."
        raise InputError(f"the encoder's fusion weights: {error}", next_step=step) from error


def check_ids(products: Sequence[Product], seen: dict[str, int]) -> None:
    """Check that each product has an id of its own.

    Args:
        products: In order.
        seen: Ids of the products before them, each with its number, from 1; those of ``products`` are added.

    Raises:
        InputError: One has none, or one that was seen.
    """
    for number, product in enumerate(products, start=len(seen) + 1):
        if not product.id:
            what = f"product {number} ({product.title[:40]!r}) has no id"
            raise InputError(what, next_step="Give each product an id.")
        if product.id in seen:
            what = f"products {seen[product.id]} and {number} have one id: {product.id!r}"
            raise InputError(what, next_step="Choose one of them ('llmrec catalog import --duplicates').")
        seen[product.id] = number
