"""Product pictures as vectors: which products look like a frame.

::

    versions/0001/pictures/   vectors.npy  float32 [pictures, d], those of one product together, in catalog order
                              rows.npy     int64 [pictures], the catalog row of each
                              title/vectors.npy  float32 [products, d], of an encoder of pictures and texts

A product is as near as the nearest of its pictures. Scores are in deviations from the mean over the catalog, so that
pictures and titles, whose cosines lie apart (Liang et al. 2022, arXiv 2203.02053), can be summed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import msgspec
import numpy as np

from llmrec.errors import ArtefactError, InputError
from llmrec.index.dense import Dense, unit_or_zero
from llmrec.index.products import ranked
from llmrec.index.tuning import RECALL
from llmrec.index.vectors import Vectors
from llmrec.records import Hit, Product
from llmrec.seams import ImageEncoder
from llmrec.storage.pictures import SIDE, read_picture

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

logger = logging.getLogger(__name__)

#: Pictures read and encoded at a time.
BATCH = 32
#: Pictures that each query brings in, where not all are compared.
DEPTH = 800
#: What the likeness to a title counts, where that to a picture counts 1.
TITLE_WEIGHT = 0.5

IMAGES, TITLE, BOTH = "vision:images", "vision:title", "vision"


class PictureCounts(msgspec.Struct, frozen=True):
    """What became of the pictures that a catalog names; ``first_unreadable`` is the message about one of them."""

    embedded: int = 0
    products: int = 0
    urls: int = 0
    unreadable: int = 0
    first_unreadable: str = ""


class PictureVectors(NamedTuple):
    """Vectors of the pictures of some products.

    Attributes:
        rows: int64 ``[pictures]``, the product of each, ascending.
        images: float32 ``[pictures, d]``.
        titles: float32 ``[products, d]``; None for an encoder of pictures alone.
    """

    rows: NDArray[np.int64]
    images: NDArray[np.float32]
    titles: NDArray[np.float32] | None


def encode_pictures(
    products: Sequence[Product],
    titles: Sequence[str],
    encoder: ImageEncoder,
    root: str | Path | None,
    progress: Callable[[Iterable[Any], str, int], Iterator[Any]] | None = None,
) -> tuple[PictureVectors, PictureCounts]:
    """Encode the pictures that products name: local files; addresses are never fetched.

    Args:
        products: Whose pictures.
        titles: A short text for each product; used when the encoder is ``joint``.
        encoder: Gives the vectors.
        root: Where relative paths start; None: the working folder.
        progress: Wraps the loop over batches: (items, label, total).

    Raises:
        ArtefactError: The encoder gave vectors that are not numbers.
    """
    named = [(row, name) for row, product in enumerate(products) for name in dict.fromkeys(product.images) if name]
    local = [(row, Path(root or ".") / name) for row, name in named if not _is_address(name)]
    paths = list(dict.fromkeys(path for _, path in local))
    starts: Iterable[int] = range(0, len(paths), BATCH)
    found: dict[Path, NDArray[np.float32]] = {}
    faults: dict[Path, str] = {}
    for start in progress(starts, "pictures", len(range(0, len(paths), BATCH))) if progress else starts:
        batch = dict(_read(paths[start : start + BATCH], faults))
        if batch:
            found.update(zip(batch, encoder.encode_images(list(batch.values())), strict=True))
    kept = [(row, found[path]) for row, path in local if path in found]
    rows = np.array([row for row, _ in kept], dtype=np.int64)
    vectors = np.array([vector for _, vector in kept], dtype=np.float32).reshape(-1, encoder.dimension)
    images = unit_or_zero(vectors, [products[row].id for row in rows], encoder.reference)
    texts = None
    if encoder.joint:
        unique = list(dict.fromkeys(titles))
        place = {title: number for number, title in enumerate(unique)}
        encoded = encoder.encode_texts(unique)[[place[title] for title in titles]]
        texts = unit_or_zero(encoded, [product.id for product in products], encoder.reference)
    counts = PictureCounts(
        embedded=len(rows),
        products=len(set(rows.tolist())),
        urls=len(named) - len(local),
        unreadable=sum(path in faults for _, path in local),
        first_unreadable=next(iter(faults.values()), ""),
    )
    if counts.unreadable:
        what = f"{counts.unreadable} of {len(local)} pictures cannot be read, the first: {counts.first_unreadable}"
        logger.warning("%s", what)
    return PictureVectors(rows, images, texts), counts


class Pictures:
    """The pictures of a catalog's products, ``rows`` the product of each; ``titles`` may be None."""

    def __init__(self, images: Vectors, rows: NDArray[np.int64], titles: Vectors | None) -> None:
        self.images, self.rows, self.titles = images, rows, titles

    @property
    def retrievers(self) -> tuple[str, ...]:
        """Names of what ``search`` can be asked for, the parts first."""
        parts = [*([IMAGES] if len(self.rows) else []), *([TITLE] if self.titles is not None else [])]
        return (*parts, BOTH)

    @classmethod
    def build(cls, vectors: PictureVectors, *, dense: str = "auto", recall: float = RECALL) -> Pictures:
        """Index vectors of pictures; ``dense`` and ``recall`` as for ``Dense.build``."""
        images = Dense.build(vectors.images, dense, recall=recall)
        titles = None if vectors.titles is None else Dense.build(vectors.titles, dense, recall=recall)
        return cls(images, vectors.rows, titles)

    @classmethod
    def load(cls, version: Path, manifest: Mapping[str, Any]) -> Pictures | None:
        """Open the pictures of a version of an index, if it has any; vectors stay on disk until they are asked for.

        Raises:
            ArtefactError: The files cannot be read or do not fit one another.
        """
        model, products = manifest["models"]["image_encoder"], int(manifest["counts"]["products"])
        if model is None:
            return None
        folder, dimension = version / "pictures", int(model["dimension"])
        counts = msgspec.convert(manifest["pictures"], PictureCounts)
        step = "Build the index again."
        try:
            rows = np.load(folder / "rows.npy", allow_pickle=False)
        except (OSError, ValueError) as error:
            raise ArtefactError(f"{folder}: cannot be read ({error})", next_step=step) from error
        ordered = rows.shape == (counts.embedded,) and rows.dtype == np.int64 and bool((np.diff(rows) >= 0).all())
        if not ordered or (len(rows) and not 0 <= rows[0] <= rows[-1] < products):
            raise ArtefactError(f"{folder}: does not fit the products beside it", next_step=step)
        # an empty file cannot be mapped into memory
        empty = np.zeros((0, dimension), dtype=np.float32)
        images = Dense.load(folder, (counts.embedded, dimension)) if counts.embedded else Dense(empty)
        title = folder / "title"
        return cls(images, rows, Dense.load(title, (products, dimension)) if title.is_dir() else None)

    def save(self, folder: Path) -> None:
        """Write vectors, rows and titles."""
        folder.mkdir(parents=True, exist_ok=True)
        if isinstance(self.images, Dense) and len(self.rows):
            self.images.save(folder)
        np.save(folder / "rows.npy", self.rows, allow_pickle=False)
        if isinstance(self.titles, Dense):
            self.titles.save(folder / "title")

    def search(
        self,
        vectors: NDArray[np.float32],
        k: int,
        ids_of: Callable[[Iterable[int]], Sequence[str]],
        retriever: str = BOTH,
        kept: NDArray[np.bool_] | None = None,
    ) -> list[list[Hit]]:
        """Products that look like each vector, best first, ties broken by id.

        Args:
            vectors: Of pictures, float32 ``[n, d]``, by the encoder of the index; a vector of zeros finds nothing.
            k: Products per vector at most.
            ids_of: Ids of rows of the catalog.
            retriever: ``vision`` sums pictures and titles; or one of them.
            kept: Rows that may be found, bool ``[n]``; None: all.

        Returns:
            Hits whose score counts deviations from the mean over the catalog, and whose retriever is the part that
            speaks the louder for the product. A product without a picture has the mean likeness to one.
        """
        if retriever not in self.retrievers:
            step = f"Choose one of: {', '.join(self.retrievers)}."
            raise InputError(f"no retriever {retriever!r} of pictures", next_step=step)
        queries = np.ascontiguousarray(vectors, dtype=np.float32)
        if queries.ndim != 2 or queries.shape[1] != self.images.dimension:
            what = f"vectors of shape {queries.shape} for pictures of {self.images.dimension} dimensions"
            raise InputError(what, next_step="Encode the frames with the index's own image encoder.")
        if not np.isfinite(queries).all():
            raise InputError("vectors hold something that is not a number", next_step="Encode the frames again.")
        by_image = len(self.rows) > 0 and retriever in (IMAGES, BOTH)
        titles = self.titles if retriever in (TITLE, BOTH) else None
        brought: list[list[NDArray[np.int64]]] = [[] for _ in queries]
        depth, pictured = max(DEPTH, k), None if kept is None else kept[self.rows]
        for place, near in enumerate(self.images.top(queries, depth, pictured) if by_image and len(queries) else []):
            brought[place].append(self.rows[near])
        for place, near in enumerate(titles.top(queries, depth, kept) if titles and len(queries) else []):
            brought[place].append(near)
        found: list[list[Hit]] = []
        for query, pieces in zip(queries, brought, strict=True):
            if not pieces or not query.any():
                found.append([])
                continue
            rows = np.unique(np.concatenate(pieces))
            seen = self._likeness(query, rows) if by_image else np.zeros(len(rows), np.float32)
            told = np.zeros(len(rows), np.float32)
            if titles is not None:
                weight = TITLE_WEIGHT if by_image else 1.0
                told = weight * _standard(titles.similarity(query, rows), *titles.moments(query))
            total = seen + told
            ids = ids_of(rows.tolist())
            best = ranked(ids, total)[:k]
            louder = [TITLE if titles is not None and told[i] > seen[i] else IMAGES for i in best]
            hits = [Hit(ids[i], float(total[i]), part) for i, part in zip(best, louder, strict=True)]
            found.append(hits)
        return found

    def _likeness(self, query: NDArray[np.float32], rows: NDArray[np.int64]) -> NDArray[np.float32]:
        """Of each product the likeness of its nearest picture, in deviations; 0 where it has none."""
        starts = np.searchsorted(self.rows, rows, side="left")
        ends = np.searchsorted(self.rows, rows, side="right")
        lengths = ends - starts
        found = np.zeros(len(rows), dtype=np.float32)
        having = np.flatnonzero(lengths)
        if len(having):
            pictures = np.concatenate([np.arange(starts[i], ends[i]) for i in having])
            heads = np.concatenate([[0], np.cumsum(lengths[having])[:-1]])
            nearest = np.maximum.reduceat(self.images.similarity(query, pictures), heads)
            found[having] = _standard(nearest, *self.images.moments(query))
        return found


def _is_address(name: str) -> bool:
    return "://" in name or name.startswith(("//", "data:"))


def _read(paths: Sequence[Path], faults: dict[Path, str]) -> Iterator[tuple[Path, Image]]:
    for path in paths:
        try:
            image = read_picture(path)
        except InputError as error:
            faults[path] = error.message
            continue
        image.thumbnail((SIDE, SIDE))
        yield path, image


def _standard(values: NDArray[np.float32], mean: float, deviation: float) -> NDArray[np.float32]:
    if deviation < 1e-9:
        return np.zeros(len(values), dtype=np.float32)
    return ((values - mean) / deviation).astype(np.float32)
