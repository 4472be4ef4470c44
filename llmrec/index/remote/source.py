"""The index folder that is loaded into a store, read from its files.

All that the rest of this package knows of an index folder is here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from llmrec.errors import InputError
from llmrec.index.codes import is_code
from llmrec.index.index import Index
from llmrec.index.lexical import RARE_COUNT, RARE_SHARE, Lexical
from llmrec.index.opening import read_settings, read_version
from llmrec.index.texts import FIELDS
from llmrec.records import Product
from llmrec.storage import read_parquet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from scipy.sparse import csr_array


class Row(NamedTuple):
    """A product with its vectors by part (``dense:title`` …): float32 ``[d]``, or columns and weights of its words."""

    product: Product
    vectors: dict[str, NDArray[np.float32] | tuple[NDArray[np.int32], NDArray[np.float32]]]
    #: Whether its title names a rare model number.
    coded: bool


class Source:
    """An index folder, as it is loaded.

    Args:
        path: The folder.

    Raises:
        ArtefactError: Not an index, or damaged.
        InputError: It has changes that are not in its files yet.
    """

    def __init__(self, path: str | Path) -> None:
        index = Index.open(path, check=True)
        if any(index.info()["since"].values()):
            step = f"Compact it first: llmrec index compact {path}"
            raise InputError(f"{path}: has changes since it was built, which a store would not get", next_step=step)
        self.digest = index.version_digest
        self._folder, manifest = read_version(Path(path), check=False)
        if self._folder.name != index.version:
            raise InputError(f"{path}: was built anew just now", next_step="Run it again.")
        self.count = int(manifest["counts"]["products"])
        self.counts: dict[str, Any] = manifest["counts"]
        self.settings = read_settings(manifest)
        self.encoder: dict[str, Any] | None = manifest["models"]["encoder"]
        #: Whether it has vectors of pictures.
        self.pictures = manifest["models"]["image_encoder"] is not None
        #: Mean words of a text of each field.
        self.averages: dict[str, float] = manifest["words"]
        #: Vectors of each field, float32 ``[n, d]``, on disk until they are read.
        self.dense: dict[str, NDArray[np.float32]] = {}
        if self.encoder:
            self.dense = {f: np.load(self._folder / "dense" / f / "vectors.npy", mmap_mode="r") for f in FIELDS}

    @cached_property
    def words(self) -> dict[str, list[str]]:
        """The words of each field, by column."""
        found = {}
        for field, model in self._models.items():
            columns = len(model.scores["indptr"]) - 1
            places = {place: word for word, place in model.vocab_dict.items() if place < columns}
            found[field] = [places[column] for column in range(columns)]
        return found

    @cached_property
    def postings(self) -> Mapping[str, csr_array]:
        """What each word scores in each product, by field: ``[products, words]``."""
        from scipy.sparse import csc_array

        found = {}
        for field, model in self._models.items():
            arrays = (np.asarray(model.scores[name]) for name in ("data", "indices", "indptr"))
            shape = (self.count, len(model.scores["indptr"]) - 1)
            found[field] = csc_array(tuple(arrays), shape=shape).tocsr()
        return found

    def products(self) -> Iterator[Product]:
        """The products, in the order of the catalog."""
        return read_parquet(self._folder / "products.parquet", Product)

    def batches(self, size: int) -> Iterator[list[Row]]:
        """The rows, in the order of the catalog."""
        products, start = self.products(), 0
        while batch := list(islice(products, size)):
            yield [self._row(start + i, product) for i, product in enumerate(batch)]
            start += len(batch)

    def _row(self, row: int, product: Product) -> Row:
        vectors: dict[str, Any] = {f"dense:{field}": own[row] for field, own in self.dense.items()}
        for field, own in self.postings.items():
            start, end = own.indptr[row : row + 2]
            if end > start:
                vectors[f"bm25:{field}"] = (own.indices[start:end], own.data[start:end])
        return Row(product, vectors, bool(self._carriers[row]))

    @cached_property
    def _carriers(self) -> NDArray[np.bool_]:
        """Products whose title names a rare model number; see ``llmrec.index.codes``."""
        titles = self.postings["title"]
        frequency = np.bincount(titles.indices, minlength=titles.shape[1])
        rare = frequency <= max(RARE_COUNT, RARE_SHARE * self.count)
        codes = np.array([is_code(word) for word in self.words["title"]], dtype=np.bool_)
        return np.asarray(titles @ (codes & rare).astype(np.float32)) > 0

    @cached_property
    def _models(self) -> dict[str, Any]:
        return {field: Lexical.load(self._folder / "lexical" / field, self.count).model for field in FIELDS}


def sample_of(count: int, size: int) -> Sequence[int]:
    """Rows spread evenly over a catalog."""
    return [int(row) for row in np.linspace(0, count - 1, min(count, size)).astype(np.int64)]
