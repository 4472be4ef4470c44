"""What an index is searched by: the parts of a version as it was built, and what all parts have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec.index.codes import CodeBook
from llmrec.index.dense import Dense
from llmrec.index.grams import Grams
from llmrec.index.lexical import Lexical
from llmrec.index.live.products import LiveTable
from llmrec.index.pictures import Pictures
from llmrec.index.products import ProductTable
from llmrec.index.texts import FIELDS
from llmrec.index.vectors import Vectors
from llmrec.records import ProductSummary
from llmrec.storage import read_parquet

#: What a language model wrote about the products, where it did.
SUMMARIES = "summaries.parquet"

NONE_GONE = np.zeros(0, dtype=np.int64)


class Parts:
    """What is searched at one moment.

    Attributes:
        table: The products.
        lexical: BM25 over each field.
        codes: The model numbers.
        dense: Vectors of each field; empty without an encoder.
        pictures: Vectors of pictures, or None.
        gone: Rows that are gone, ascending.
    """

    def __init__(
        self,
        table: ProductTable | LiveTable,
        lexical: Mapping[str, Lexical],
        codes: CodeBook,
        dense: Mapping[str, Vectors],
        pictures: Pictures | None,
        gone: NDArray[np.int64] = NONE_GONE,
    ) -> None:
        self.table, self.lexical, self.codes, self.dense, self.pictures = table, lexical, codes, dense, pictures
        self.gone = gone
        #: Digest of what was written since the version was built; empty: nothing.
        self.since = ""

    def __len__(self) -> int:
        return len(self.table) - len(self.gone)

    @cached_property
    def is_gone(self) -> NDArray[np.bool_]:
        """Which rows are gone, bool ``[rows]``."""
        found = np.zeros(len(self.table), dtype=np.bool_)
        found[self.gone] = True
        return found

    def kept(self, where: str | None) -> NDArray[np.bool_] | None:
        """Rows that fit a filter and are there; None for all that are there, as each part knows them.

        Raises:
            InputError: The filter cannot be read.
        """
        return None if where is None else self.table.kept(where)

    @property
    def summaries(self) -> Mapping[int, ProductSummary]:
        """What a language model wrote about products, by row."""
        raise NotImplementedError

    def scores_by_pieces(self, lines: Sequence[tuple[str, float]]) -> NDArray[np.float32]:
        """How well the title of each row agrees with lines that were misread, float32 ``[rows]``; 0 for those gone."""
        return self.grams.scores(lines)

    @cached_property
    def grams(self) -> Grams:
        """The titles by pieces of words; made when first asked for."""
        return Grams.build([""] * len(self.table), self.table.titles)


class BaseParts(Parts):
    """The parts of a version as it was built."""

    table: ProductTable
    lexical: dict[str, Lexical]
    dense: dict[str, Dense]

    #: The folder of the version.
    folder: Path

    @cached_property
    def summaries(self) -> dict[int, ProductSummary]:
        """See ``Parts``; read when first asked for."""
        path = self.folder / SUMMARIES
        if not path.exists():
            return {}
        return {self.table.row(summary.product_id): summary for summary in read_parquet(path, ProductSummary)}

    @classmethod
    def load(cls, version: Path, manifest: Mapping[str, Any]) -> BaseParts:
        """Open the files of a version; what is large stays on disk until it is asked for.

        Raises:
            ArtefactError: A file cannot be read, or does not fit the others.
        """
        count = int(manifest["counts"]["products"])
        lexical = {field: Lexical.load(version / "lexical" / field, count) for field in FIELDS}
        dense = {}
        if manifest["models"]["encoder"]:
            shape = (count, int(manifest["models"]["encoder"]["dimension"]))
            dense = {field: Dense.load(version / "dense" / field, shape) for field in FIELDS}
        table = ProductTable(version / "products.parquet", count)
        codes = CodeBook(lexical["title"], lexical["whole"])
        parts = cls(table, lexical, codes, dense, Pictures.load(version, manifest))
        parts.folder = version
        return parts
