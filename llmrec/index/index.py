"""An index that is open: searched by words, by vectors, or by both."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
import numpy as np
import pyarrow

from llmrec.errors import ArtefactError, InputError
from llmrec.index.build import IndexSettings, Progress, build_version, check_settings
from llmrec.index.codes import CodeBook
from llmrec.index.dense import Dense, DenseChoice
from llmrec.index.folder import FORMAT, KIND, REMEDY, current_version
from llmrec.index.fusion import FUSIONS, FusionChoice
from llmrec.index.lexical import Lexical
from llmrec.index.scoring import Asked, Near, candidates, nearest
from llmrec.index.texts import FIELDS, TextChoice
from llmrec.records import Hit, Product, ProductSummary, Query
from llmrec.seams import Encoder
from llmrec.storage import read_manifest, read_parquet

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Candidates that each retriever brings in; all of them are then scored by all retrievers.
DEPTH = 200


class Index:
    """A catalog that can be searched; made by ``Index.build`` or ``Index.open``."""

    def __init__(self, path: Path, version: Path, manifest: dict[str, Any], encoder: Encoder | None) -> None:
        self.path = path
        self._version = version
        self._manifest = manifest
        self._encoder = encoder
        self.settings = msgspec.convert(manifest["settings"], IndexSettings)
        # held open, so that it can be read on when newer versions have taken this one's place
        self._records = pyarrow.memory_map(str(version / "products.parquet")).read_buffer()
        count = int(manifest["counts"]["products"])
        self._lexical = {field: Lexical.load(version / "lexical" / field, count) for field in FIELDS}
        self._codes = CodeBook(self._lexical["title"], self._lexical["whole"])
        self._dense: dict[str, Dense] = {}
        if manifest["models"]["encoder"]:
            shape = (count, int(manifest["models"]["encoder"]["dimension"]))
            self._dense = {field: Dense.load(version / "dense" / field, shape) for field in FIELDS}

    @classmethod
    def build(
        cls,
        path: str | Path,
        products: Iterable[Product],
        encoder: Encoder | None = None,
        *,
        summaries: Iterable[ProductSummary] | None = None,
        text: TextChoice | None = None,
        dense: DenseChoice = "auto",
        fusion: FusionChoice = "zscore",
        replace: bool = False,
        progress: Progress | None = None,
    ) -> Index:
        """Build an index folder and open it.

        Args:
            path: The folder; made if it does not exist.
            products: The catalog, each id once.
            encoder: Gives the vectors; None: lexical search only.
            summaries: What a language model wrote about the products.
            text: What is indexed: the product's own text, its summary (after the title), or both. Default ``both``
                where there are summaries, else ``product``.
            dense: ``exact`` compares with all vectors, ``hnsw`` walks a graph, ``auto`` chooses by size.
            fusion: How the retrievers' scores become one; see ``llmrec.index.fusion``.
            replace: Whether an index that lies there is replaced; it stays until the new one is whole.
            progress: Wraps the loop over texts that are encoded: (items, label, total).

        Raises:
            InputError: No products, an id twice, a folder that is taken, an unknown option.
            ArtefactError: The encoder gave vectors that are not numbers.
            StorageError: The disk refused; what was there is as it was.
        """
        path = Path(path)
        written = {summary.product_id: summary for summary in summaries or ()}
        settings = IndexSettings(text=text or ("both" if written else "product"), dense=dense, fusion=fusion)
        build_version(path, products, encoder, written, settings, replace=replace, progress=progress)
        return cls.open(path, encoder if dense != "none" else None)

    @classmethod
    def open(
        cls,
        path: str | Path,
        encoder: Encoder | None = None,
        *,
        fusion: FusionChoice | None = None,
        check: bool = True,
    ) -> Index:
        """Open an index folder.

        Args:
            path: The folder.
            encoder: The encoder that it was built with; without it only words are searched (``search_by``).
            fusion: Another way to fuse scores than the index was built for.
            check: Compare the hashes of all files first; False compares sizes only, for a large index just built.

        Raises:
            ArtefactError: Not an index, damaged, of another format, or built with another encoder.
        """
        path = Path(path)
        version, manifest = _read(path, check=check)
        _same_encoder(path, manifest["models"]["encoder"], encoder)
        index = cls(path, version, manifest, encoder)
        if fusion is not None:
            index.settings = msgspec.structs.replace(index.settings, fusion=fusion)
            check_settings(index.settings)
        return index

    @staticmethod
    def encoder_reference(path: str | Path) -> str | None:
        """Reference of the encoder that the index at ``path`` was built with; None: it has no vectors.

        Raises:
            ArtefactError: Not an index.
        """
        model = _read(Path(path), check=False)[1]["models"]["encoder"]
        return str(model["reference"]) if model else None

    @property
    def retrievers(self) -> tuple[str, ...]:
        """The names that ``search_by`` takes, parts first, ``hybrid`` last."""
        parts = [f"bm25:{field}" for field in self._lexical] + [f"dense:{field}" for field in self._dense]
        return (*parts, "bm25", *(["dense"] if self._dense else []), "hybrid")

    def search(self, queries: Sequence[Query], k: int, where: str | None = None) -> list[list[Hit]]:
        """Find at most ``k`` products for each query by all retrievers together, best first, ties broken by id.

        Raises:
            InputError: ``where`` is given (filters are not there yet), ``k`` under 1, or the encoder is missing.
        """
        return self.search_by("hybrid", queries, k, where)

    def search_by(self, retriever: str, queries: Sequence[Query], k: int, where: str | None = None) -> list[list[Hit]]:
        """Search by one retriever: a part (``bm25:title``, ``dense:whole``), ``bm25``, ``dense`` or ``hybrid``.

        Raises:
            InputError: See ``search``; or a retriever that this index does not have.
        """
        if where is not None:
            raise InputError("this index cannot filter yet", next_step="Leave 'where' out.")
        if k < 1:
            raise InputError(f"k={k}: must be 1 or more", next_step="Ask for at least one product.")
        if retriever not in self.retrievers:
            step = f"Choose one of: {', '.join(self.retrievers)}."
            raise InputError(f"{self.path}: no retriever {retriever!r}", next_step=step)
        lexical = {f: index for f, index in self._lexical.items() if _takes_part(f"bm25:{f}", retriever)}
        dense = {f: index for f, index in self._dense.items() if _takes_part(f"dense:{f}", retriever)}
        asked, depth = [Asked(query) for query in queries], max(DEPTH, k)
        near: list[dict[str, Near]] = [{} for _ in asked]
        if dense:
            near = nearest(asked, dense, self._needed_encoder(), depth)
        # "bm25" and "dense" are what they are called: the fields summed, without what the default fusion knows besides
        fuse = FUSIONS[self.settings.fusion] if retriever == "hybrid" else FUSIONS["sum"]
        found: list[list[Hit]] = []
        for query, close in zip(asked, near, strict=True):
            rows, scored = candidates(query, lexical, dense, close, self._codes, depth)
            if not len(rows):
                found.append([])
                continue
            fused = next(iter(scored.raw.values())) if len(scored.raw) == 1 else fuse(scored)
            best = np.lexsort((self._places[rows], -fused))[:k]
            found.append([Hit(self.ids[rows[i]], float(fused[i]), retriever) for i in best])
        return found

    @cached_property
    def ids(self) -> list[str]:
        """Ids of the products, in the order of the catalog."""
        import pyarrow.parquet as pq

        return [str(id) for id in pq.read_table(self._products_file(), columns=["id"])["id"].to_pylist()]

    @cached_property
    def products(self) -> list[Product]:
        """The products, in the order of the catalog; read when first asked for."""
        return list(read_parquet(self._products_file(), Product))

    def product(self, product_id: str) -> Product:
        """A product by its id.

        Raises:
            InputError: The index has no such product.
        """
        row = self._rows.get(product_id)
        if row is None:
            raise InputError(f"{self.path}: no product {product_id!r}", next_step="Check the id.")
        return self.products[row]

    def info(self) -> dict[str, Any]:
        """What the manifest says: counts, settings, encoder, version, when it was built, bytes on disk."""
        manifest = self._manifest
        return {
            "path": str(self.path),
            "version": self._version.name,
            "created": manifest["created"],
            "counts": manifest["counts"],
            "settings": manifest["settings"],
            "encoder": manifest["models"]["encoder"],
            "graph": manifest["graph"],
            "bytes": sum(int(file["bytes"]) for file in manifest["files"].values()),
            "retrievers": list(self.retrievers),
        }

    @property
    def version_digest(self) -> str:
        """Digest of the files of the open version: the same if and only if the same index is searched."""
        files = sorted((name, entry["sha256"]) for name, entry in self._manifest["files"].items())
        return hashlib.sha256(repr(files).encode()).hexdigest()

    def __len__(self) -> int:
        return int(self._manifest["counts"]["products"])

    @cached_property
    def _rows(self) -> dict[str, int]:
        return {id: row for row, id in enumerate(self.ids)}

    @cached_property
    def _places(self) -> NDArray[np.int64]:
        """Place of each row in the order of ids, by which ties are broken."""
        places = np.empty(len(self.ids), dtype=np.int64)
        places[sorted(range(len(self.ids)), key=self.ids.__getitem__)] = np.arange(len(self.ids))
        return places

    def _products_file(self) -> Any:
        return pyarrow.BufferReader(self._records)

    def _needed_encoder(self) -> Encoder:
        if self._encoder is None:
            reference = self._manifest["models"]["encoder"]["reference"]
            step = f"Open it with Index.open(path, load_encoder({reference!r})), or search by 'bm25'."
            raise InputError(f"{self.path}: was opened without its encoder", next_step=step)
        return self._encoder


def _takes_part(part: str, retriever: str) -> bool:
    return retriever == "hybrid" or part == retriever or part.startswith(f"{retriever}:")


def _read(path: Path, *, check: bool) -> tuple[Path, dict[str, Any]]:
    version = current_version(path)
    manifest = read_manifest(version, kind=KIND, format_version=FORMAT, check=check, remedy=REMEDY)
    try:
        msgspec.convert(manifest["settings"], IndexSettings)
        int(manifest["counts"]["products"]), manifest["models"]["encoder"], manifest["graph"]
    except (KeyError, TypeError, ValueError) as error:
        raise ArtefactError(f"{version}: its manifest is not that of an index ({error})", next_step=REMEDY) from error
    return version, manifest


def _same_encoder(path: Path, built: dict[str, Any] | None, given: Encoder | None) -> None:
    if given is None or built is None or given.digest == built["digest"]:
        return
    if given.reference == built["reference"]:
        why = f"{built['reference']}, but with other weights or settings (prompts, pooling, length)"
    else:
        why = f"{built['reference']}, not {given.reference}"
    step = f"Open it with {built['reference']}, or build it again with {given.reference} (--replace)."
    raise ArtefactError(f"{path}: was built with the encoder {why}", next_step=step)
