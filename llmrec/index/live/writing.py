"""A live index is written to: products come, change and go, and whoever searches it finds them within a second.

::

    writer = IndexWriter("shop.index", encoder=load_encoder("starter:minilm"))
    writer.add(products)                    # Written(added=120, replaced=0, unchanged=0)
    writer.update(products)
    writer.remove(["B07"])

Each block of products is written all or none, and is there for good once the call that wrote it returns. Several
processes may write: each waits for the other for as long as a block takes to append.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

import msgspec
import numpy as np

from llmrec.errors import ArtefactError, InputError, LlmrecError
from llmrec.index.build import check_ids, encode_texts, texts_of
from llmrec.index.folder import WAIT, current_version, delta_of
from llmrec.index.index import Index
from llmrec.index.live.delta import Change, Drop, Put, to_entries
from llmrec.index.pictures import encode_pictures
from llmrec.records import Product, ProductSummary
from llmrec.seams import Encoder, ImageEncoder
from llmrec.storage.journal import Journal

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

#: Products that are encoded and written together.
BLOCK = 256

#: Whether a product may be new, and whether it may take the place of one that is there.
Mode = Literal["add", "update", "put"]


class Written(NamedTuple):
    """Products that were new, that took the place of another one, and that were there as they are."""

    added: int = 0
    replaced: int = 0
    unchanged: int = 0

    def plus(self, other: Written) -> Written:
        """Both together."""
        return Written(*(a + b for a, b in zip(self, other, strict=True)))


class IndexWriter:
    """Writes to an index that others search.

    Args:
        path: The index.
        encoder: The encoder that it was built with; where it has vectors, nothing is added without it.
        image_encoder: The encoder of its pictures; where it has pictures, nothing is added without it.
        images_root: Where relative paths of pictures start; None: the working folder.
        check: As for ``Index.open``.

    Raises:
        ArtefactError: Not an index, damaged, or built with another encoder.
    """

    def __init__(
        self,
        path: str | Path,
        encoder: Encoder | None = None,
        *,
        image_encoder: ImageEncoder | None = None,
        images_root: str | Path | None = None,
        check: bool = True,
    ) -> None:
        self.path = Path(path)
        self._index = Index.open(self.path, encoder, image_encoder=image_encoder, check=check)
        self._encoder, self._image_encoder, self._root = encoder, image_encoder, images_root

    @property
    def index(self) -> Index:
        """The index as it was after the last write."""
        return self._index

    def add(self, products: Iterable[Product], summaries: Mapping[str, ProductSummary] | None = None) -> Written:
        """Write new products; those that are there just as they are stay, so that a broken run can be repeated.

        Args:
            products: Each id once.
            summaries: What a language model wrote about them, by id.

        Raises:
            InputError: One is there and differs, an id is missing or comes twice, an encoder is missing, or another
                process writes for long; what lies in the blocks before is written.
            StorageError: The disk refused; the same holds.
        """
        return self._put(products, summaries or {}, "add")

    def update(self, products: Iterable[Product], summaries: Mapping[str, ProductSummary] | None = None) -> Written:
        """Write products in the place of those of the same id; see ``add``.

        Raises:
            InputError: One is not there; see ``add``.
        """
        return self._put(products, summaries or {}, "update")

    def put(self, products: Iterable[Product], summaries: Mapping[str, ProductSummary] | None = None) -> Written:
        """Write products, new or in the place of those of the same id; see ``add``."""
        return self._put(products, summaries or {}, "put")

    def remove(self, ids: Iterable[str], *, missing_ok: bool = False) -> int:
        """Take products away, all or none.

        Args:
            ids: Of the products.
            missing_ok: Whether ids that are not there are passed over.

        Returns:
            How many were there.

        Raises:
            InputError: One is not there.
            StorageError: The disk refused.
        """
        wanted = list(dict.fromkeys(ids))
        with self._writing() as journal:
            rows = [self._index.find(id) for id in wanted]
            if None in rows and not missing_ok:
                step = "Take it out of the list, or let missing ids pass (--missing-ok)."
                raise InputError(f"{self.path}: no product {wanted[rows.index(None)]!r}", next_step=step)
            drops = [Drop(row) for row in rows if row is not None]
            self._append(journal, drops)
        return len(drops)

    def _put(self, products: Iterable[Product], summaries: Mapping[str, ProductSummary], mode: Mode) -> Written:
        self._check_encoders()
        written, stream, seen = Written(), iter(products), dict[str, int]()
        try:
            while block := list(itertools.islice(stream, BLOCK)):
                check_ids(block, seen)
                written = written.plus(self._put_block(block, summaries, mode))
        except LlmrecError:
            if count := written.added + written.replaced:
                logger.warning("%d products before it were written; run it again when it is mended", count)
            raise
        return written

    def _check_encoders(self) -> None:
        for built, given, name in (
            (self._index.encoder_digest, self._encoder, "encoder"),
            (self._index.image_digest, self._image_encoder, "image encoder"),
        ):
            if built and given is None:
                step = f"Give the {name} that it was built with ('llmrec index info' names it)."
                raise InputError(f"{self.path}: what is added to it needs its {name}", next_step=step)

    def _put_block(self, block: Sequence[Product], summaries: Mapping[str, ProductSummary], mode: Mode) -> Written:
        before = self._index = self._index.latest()
        changed = [product for product in block if self._differs(product, summaries.get(product.id), mode)]
        puts = self._encoded(changed, summaries)
        with self._writing() as journal:
            changes, replaced = [], 0
            for put in puts:
                # another process may have written meanwhile
                if self._index is before or self._differs(put.product, put.summary, mode):
                    row = self._index.find(put.product.id)
                    replaced += row is not None
                    changes.append(put if row is None else msgspec.structs.replace(put, replaces=row))
            self._append(journal, changes)
        return Written(len(changes) - replaced, replaced, len(block) - len(changes))

    def _differs(self, product: Product, summary: ProductSummary | None, mode: Mode) -> bool:
        """Whether a product has to be written.

        Raises:
            InputError: It may not be.
        """
        row = self._index.find(product.id)
        if row is None:
            if mode == "update":
                step = "Add it first: llmrec index add; or let new ones in (--new)."
                raise InputError(f"{self.path}: no product {product.id!r} to update", next_step=step)
            return True
        if self._index.product(product.id) == product and self._index.summary(product.id) == summary:
            return False
        if mode == "add":
            step = "Use 'llmrec index update' for products that have changed."
            raise InputError(f"{self.path}: has another product {product.id!r} already", next_step=step)
        return True

    def _encoded(self, products: Sequence[Product], summaries: Mapping[str, ProductSummary]) -> list[Put]:
        if not products:
            return []
        texts = texts_of(products, summaries, self._index.settings.text)
        vectors = {}
        if self._index.encoder_digest and self._encoder is not None:
            vectors = encode_texts(self._encoder, texts, [product.id for product in products], None)
        shown: list[tuple[bytes, ...]] = [() for _ in products]
        named = [b"" for _ in products]
        if self._index.image_digest and self._image_encoder is not None:
            titles = [text["title"] for text in texts]
            made, counts = encode_pictures(products, titles, self._image_encoder, self._root)
            if counts.urls:
                logger.warning("%d pictures are web addresses, which are not fetched", counts.urls)
            for row, image in zip(made.rows.tolist(), made.images, strict=True):
                shown[row] = (*shown[row], _bytes(image))
            if made.titles is not None:
                named = [_bytes(title) for title in made.titles]
        return [
            Put(
                product,
                summary=summaries.get(product.id),
                vectors={field: _bytes(own[number]) for field, own in vectors.items()},
                pictures=shown[number],
                title=named[number],
            )
            for number, product in enumerate(products)
        ]

    @contextmanager
    def _writing(self) -> Iterator[Journal]:
        """Keep others from writing, with ``index`` as they left it."""
        while True:
            version = current_version(self.path)
            try:
                journal = Journal.open(delta_of(version), wait=WAIT)
            except ArtefactError:
                if current_version(self.path) == version:
                    raise
                continue
            with journal:
                # whoever builds or compacts changes versions with the lock in hand
                if current_version(self.path) == version:
                    self._index = self._index.latest()
                    yield journal
                    return

    def _append(self, journal: Journal, changes: Sequence[Change]) -> None:
        if changes:
            journal.append(to_entries(changes))
            self._index = self._index.latest()


def _bytes(vector: NDArray[np.float32]) -> bytes:
    return np.ascontiguousarray(vector, dtype="<f4").tobytes()
