"""An index: built, opened, and told of; how it is searched is in ``llmrec.index.searching``."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from copy import copy
from pathlib import Path
from typing import Any, Literal, Self

import msgspec

from llmrec.errors import ArtefactError
from llmrec.index.build import IndexSettings, Progress, build_version, check_settings
from llmrec.index.folder import Pointer, pointer_of
from llmrec.index.fusion import FusionChoice
from llmrec.index.live.following import Following
from llmrec.index.opening import read_version, same_encoder, told
from llmrec.index.parts import BaseParts
from llmrec.index.searching import SearchedIndex
from llmrec.index.texts import TextChoice
from llmrec.index.tuning import RECALL
from llmrec.records import Product, ProductSummary
from llmrec.seams import Encoder, ImageEncoder


class Index(SearchedIndex):
    """A catalog that can be searched, as it is at one moment; made by ``Index.build`` or ``Index.open``."""

    _following: Following | None = None
    _checked = True
    _pointer: Pointer

    @classmethod
    def build(
        cls,
        path: str | Path,
        products: Iterable[Product],
        encoder: Encoder | None = None,
        *,
        summaries: Iterable[ProductSummary] | None = None,
        text: TextChoice | None = None,
        dense: str = "auto",
        fusion: FusionChoice = "zscore",
        recall: float = RECALL,
        memory: int | None = None,
        replace: bool = False,
        progress: Progress | None = None,
        image_encoder: ImageEncoder | None = None,
        images_root: str | Path | None = None,
    ) -> Index:
        """Build an index folder and open it.

        Args:
            path: The folder; made if it does not exist.
            products: The catalog, each id once.
            encoder: Gives the vectors; None: lexical search only. Fusion weights that belong to it
                (``llmrec.index.weighing``) are kept with the index.
            summaries: What a language model wrote about the products.
            text: What is indexed: the product's own text, its summary (after the title), or both. Default ``both``
                where there are summaries, else ``product``.
            dense: How vectors are found: ``exact`` compares with all of them, ``hnsw`` walks a graph, ``ivf`` looks
                into cells, ``ivf-disk`` with the vectors left on disk, ``auto`` chooses by size; or a FAISS factory
                string (``llmrec.index.families``).
            recall: Share of the true ten nearest that an approximate search is tuned to find.
            memory: Bytes that the search of the texts' vectors may take; ``auto`` keeps to it. None: any.
            fusion: How the retrievers' scores become one; see ``llmrec.index.fusion``.
            replace: Whether an index that lies there is replaced; it stays until the new one is whole.
            progress: Wraps the loops over texts and pictures that are encoded: (items, label, total).
            image_encoder: Gives vectors of the products' pictures (local files; addresses are counted, not fetched)
                and, where it knows texts, of their titles; None: ``search_pictures`` finds nothing.
            images_root: Where relative paths of pictures start: the folder of the catalog file.

        Raises:
            InputError: No products, an id twice, a folder that is taken, an unknown option.
            ArtefactError: The encoder gave vectors that are not numbers.
            StorageError: The disk refused; what was there is as it was.
        """
        path = Path(path)
        written = {summary.product_id: summary for summary in summaries or ()}
        weights = dict(getattr(encoder, "fusion", {})) if dense != "none" else {}
        choice = text or ("both" if written else "product")
        settings = IndexSettings(choice, dense, fusion, weights, recall, memory)
        options: dict[str, Any] = {"image_encoder": image_encoder, "images_root": images_root}
        build_version(path, products, encoder, written, settings, replace=replace, progress=progress, **options)
        return cls.open(path, encoder if dense != "none" else None, image_encoder=image_encoder)

    @classmethod
    def open(
        cls,
        path: str | Path,
        encoder: Encoder | None = None,
        *,
        fusion: FusionChoice | None = None,
        check: bool = True,
        image_encoder: ImageEncoder | None = None,
    ) -> Index:
        """Open an index folder.

        Args:
            path: The folder.
            encoder: The encoder that it was built with; without it only words are searched (``search_by``).
            fusion: Another way to fuse scores than the index was built for.
            check: Compare the hashes of all files first; False compares sizes only, for a large index just built.
            image_encoder: The encoder of its pictures; kept as ``image_encoder`` for whoever encodes frames.

        Raises:
            ArtefactError: Not an index, damaged, of another format, or built with another encoder.
        """
        path = Path(path)
        while True:
            pointer = pointer_of(path)
            try:
                version, manifest = read_version(path, check=check)
                same_encoder(path, manifest["models"]["encoder"], encoder, "encoder")
                same_encoder(path, manifest["models"]["image_encoder"], image_encoder, "image encoder")
                following = Following(version, BaseParts.load(version, manifest), manifest)
            except ArtefactError:
                if pointer_of(path) == pointer:
                    raise
                continue  # a newer version took its place while it was being opened
            index = cls(path, version, manifest, encoder, following.parts)
            index._following, index._checked, index._pointer = following, check, pointer
            index.image_encoder = image_encoder if index.has_pictures else None
            if fusion is not None:
                index.settings = msgspec.structs.replace(index.settings, fusion=fusion)
                check_settings(index.settings)
            return index

    def latest(self) -> Index:
        """The index as it is on disk now: with what was written to it since this one was opened or taken.

        An ``Index`` is what the catalog was at one moment and never changes, so that what a search found can be looked
        up; whoever serves for long asks for the latest before each search, which costs microseconds where nothing was
        written, and opens the new version where it was built anew or compacted. Any thread may ask.

        Returns:
            This one where nothing was written.

        Raises:
            ArtefactError: It is damaged, or was built anew with another encoder.
        """
        if self._following is None:
            return self
        try:
            parts = self._following.read() if pointer_of(self.path) == self._pointer else None
        except ArtefactError:
            if pointer_of(self.path) == self._pointer:
                raise
            parts = None
        if parts is None:
            options: dict[str, Any] = {"fusion": self.settings.fusion, "check": self._checked}
            return Index.open(self.path, self._encoder, image_encoder=self.image_encoder, **options)
        if parts is self._parts:
            return self
        newer = copy(self)
        newer._parts = parts
        return newer

    def without(self, ids: Iterable[str]) -> Self:
        """See ``SearchedIndex.without``; what is written to the index later does not change it."""
        thinned = super().without(ids)
        thinned._following = None
        return thinned

    @staticmethod
    def encoder_reference(path: str | Path, kind: Literal["encoder", "image_encoder"] = "encoder") -> str | None:
        """Reference of the encoder of texts, or of pictures, that the index at ``path`` was built with, if any.

        Raises:
            ArtefactError: Not an index.
        """
        model = read_version(Path(path), check=False)[1]["models"][kind]
        return str(model["reference"]) if model else None

    def info(self) -> dict[str, Any]:
        """Counts, settings, encoder, version, when it was built, bytes on disk, and what was changed since."""
        pictures = self._parts.pictures
        names = [*self.retrievers, *(pictures.retrievers if pictures else ())]
        found = {"path": str(self.path), **told(self._version.name, self._manifest), "retrievers": names}
        base = int(self._manifest["counts"]["products"])
        found["counts"] = {**found["counts"], "products": len(self)}
        live = {"added": len(self._parts.table) - base, "gone": len(self._parts.gone)}
        if self._following is not None:
            found["bytes"] += self._following.position
        return {**found, "since": live}

    @property
    def version_digest(self) -> str:
        """Digest of the files of the version and of what was written since: the same index is searched."""
        files = sorted((name, entry["sha256"]) for name, entry in self._manifest["files"].items())
        # two catalogs of one version that changed differently can have as many products, and the same ones gone
        since = [self._parts.since, self._parts.gone.tolist()] if self._parts.since or len(self._parts.gone) else []
        return hashlib.sha256(repr((files, *since)).encode()).hexdigest()
