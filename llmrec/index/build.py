"""Products to a new version of an index folder."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np

from llmrec.errors import InputError
from llmrec.index.ann import check_factory
from llmrec.index.dense import Dense, unit_or_zero
from llmrec.index.families import FAMILIES, check_choice
from llmrec.index.folder import FORMAT, KIND, new_version, refuse_unless_free
from llmrec.index.fusion import FUSIONS, FusionChoice, weights_of
from llmrec.index.lexical import Lexical
from llmrec.index.pictures import PictureCounts, Pictures
from llmrec.index.texts import FIELDS, TextChoice, field_texts
from llmrec.index.tuning import RECALL
from llmrec.records import Product, ProductSummary
from llmrec.seams import Encoder, ImageEncoder
from llmrec.storage import write_manifest, write_parquet

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Texts that go to the encoder at a time: enough to sort by length, few enough that progress shows.
CHUNK = 512

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
    _check_ids(rows)
    texts = [field_texts(product, summaries.get(product.id), settings.text) for product in rows]
    ids = [product.id for product in rows]
    fields: dict[str, Dense] = {}
    if encoder is not None and settings.dense != "none":
        encoded = _encode(encoder, texts, ids, progress)
        budget = settings.memory // len(encoded) if settings.memory else None
        for field, vectors in encoded.items():
            # the other field's texts are as unlike these as queries are
            others = next((own for name, own in encoded.items() if name != field), None)
            options: dict[str, Any] = {"memory": budget, "recall": settings.recall, "others": others}
            fields[field] = Dense.build(vectors, settings.dense, **options)
    pictures, pictured = None, PictureCounts()
    if image_encoder is not None:
        titles = [text["title"] for text in texts]
        # a factory string was written for the length of the texts' vectors
        family = settings.dense if settings.dense in FAMILIES else "auto"
        looks = {"dense": family, "recall": settings.recall}
        pictures, pictured = Pictures.build(rows, titles, image_encoder, images_root, progress, **looks)  # type: ignore[arg-type]
    with new_version(path) as folder:
        write_parquet(folder / "products.parquet", rows, Product)
        for field in FIELDS:
            (folder / "lexical" / field).mkdir(parents=True)
            Lexical.build([text[field] for text in texts]).save(folder / "lexical" / field)
        for field, dense in fields.items():
            dense.save(folder / "dense" / field)
        if pictures is not None:
            pictures.save(folder / "pictures")
        write_manifest(
            folder,
            kind=KIND,
            format_version=FORMAT,
            counts={
                "products": len(rows),
                "without_text": sum(not text["whole"] for text in texts),
                "summarized": sum(product.id in summaries for product in rows),
                "texts_cut": getattr(encoder, "truncated", 0) if fields else 0,
            },
            settings=msgspec.to_builtins(settings),
            models={"encoder": _model(encoder) if fields else None, "image_encoder": _model(image_encoder)},
            search={field: _told(dense) for field, dense in fields.items()},
            pictures=msgspec.to_builtins(pictured) if pictures is not None else None,
        )


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


def _encode(
    encoder: Encoder, texts: Sequence[Mapping[str, str]], ids: Sequence[str], progress: Progress | None
) -> dict[str, NDArray[np.float32]]:
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


def _check_ids(products: Sequence[Product]) -> None:
    if not products:
        raise InputError("the catalog holds no products", next_step="Check the file that was read, and its rejects.")
    seen: dict[str, int] = {}
    for number, product in enumerate(products, start=1):
        if not product.id:
            raise InputError(
                f"product {number} ({product.title[:40]!r}) has no id", next_step="Give each product an id."
            )
        if product.id in seen:
            what = f"products {seen[product.id]} and {number} have one id: {product.id!r}"
            raise InputError(what, next_step="Choose one of them ('llmrec catalog import --duplicates').")
        seen[product.id] = number
