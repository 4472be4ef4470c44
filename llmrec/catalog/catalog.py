"""The catalog: any product files as one stream of products.

>>> catalog = Catalog.read("products.csv", mapping={"title": "product_name"})
>>> for product in catalog: ...
>>> catalog.report.kept, catalog.report.rejected
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from llmrec.catalog.build import Builder
from llmrec.catalog.columns import read_mapping, shown
from llmrec.catalog.dialect import read_delimiter
from llmrec.catalog.files import find_sources
from llmrec.catalog.prices import read_currency
from llmrec.catalog.read import Reader
from llmrec.catalog.rejects import Reject, RejectLog
from llmrec.catalog.report import ImportReport
from llmrec.errors import InputError
from llmrec.records import Product

#: What happens to a second product with an id that was met before.
Duplicates = Literal["first", "last", "error", "rename"]
#: A row's place is one number: the file's index, then the row's number in this many bits.
_ROWS = 40


class NothingKeptError(InputError):
    """Every row was rejected, or there was none."""


class Catalog:
    """Product files as products, read as they are iterated over; see ``Catalog.read``.

    Attributes:
        report: Counts and findings of the latest iteration, complete when it ended.
    """

    def __init__(
        self,
        reader: Reader,
        log: Callable[[], RejectLog],
        builder: Callable[[RejectLog], Builder],
        duplicates: Duplicates,
    ) -> None:
        self._reader, self._new_log, self._new_builder, self._duplicates = reader, log, builder, duplicates
        self._log = RejectLog()
        self.report = ImportReport()

    @classmethod
    def read(
        cls,
        *paths: str | Path,
        mapping: Mapping[str, str | Sequence[str]] | None = None,
        duplicates: Duplicates = "first",
        encoding: str | None = None,
        delimiter: str | None = None,
        currency: str = "",
        language: str = "",
        id_from_row: bool = False,
        on_reject: Callable[[Reject], object] | None = None,
    ) -> Catalog:
        """Open product files: CSV, TSV, JSON, JSON Lines (also ``.gz``), Parquet, Arrow, folders of them, ``-``.

        Memory is constant but for the ids, which are held to find duplicates (about 150 bytes each).

        Args:
            paths: Files, folders (read with all below), folders that ``datasets`` saved, or ``-`` for standard input.
            mapping: Column by field (``{"title": "product_name", "attributes.colour": "col"}``); wins over usual names.
            duplicates: Of products with one id keep the ``"first"`` or the ``"last"`` (reads all files twice), raise an
                ``"error"``, or ``"rename"`` the later ones to ``id#2``, ``id#3``.
            encoding: Of text files; detected when None.
            delimiter: Of tables; detected when None.
            currency: ISO 4217 code for prices that name none.
            language: For products that name none.
            id_from_row: Give rows without an id one made of the file's name and the row's number.
            on_reject: Called with each reject; the first 1,000 are also in ``rejects``.

        Raises:
            InputError: A path is missing or of another kind, or an option has no meaning. Iteration raises it for a
                file that cannot be read on, that lacks an id or title column, or of which every row was rejected.
        """
        if duplicates not in get_args(Duplicates):
            step = f"Choose one of {', '.join(get_args(Duplicates))}."
            raise InputError(f"{duplicates!r} is no way to treat duplicates", next_step=step)
        columns = read_mapping(mapping)
        code = read_currency(currency)
        mark = read_delimiter(delimiter) if delimiter else None
        sources, ignored = find_sources(paths)
        reader = Reader(sources, ignored, columns, encoding, mark, id_from_row, own=not (columns or code or language))
        reader.decoder()  # an unknown encoding is told before anything is read

        def builder(log: RejectLog) -> Builder:
            return Builder(log, currency=code, language=language, id_from_row=id_from_row)

        return cls(reader, lambda: RejectLog(on_reject), builder, duplicates)

    @property
    def rejects(self) -> list[Reject]:
        """The first 1,000 rejects and warnings of the latest iteration."""
        return self._log.held

    def __iter__(self) -> Iterator[Product]:
        last = self._last() if self._duplicates == "last" else None
        log = self._log = self._new_log()
        report = self.report = ImportReport(files=[], ignored=self._reader.ignored)
        seen: dict[str, int] = {}
        try:
            for file, batch, products in self._reader.products(self._new_builder(log), log, report):
                base = file << _ROWS
                for row, line, product in zip(batch.numbers, batch.lines, products, strict=True):
                    if product is None:
                        continue
                    at = base | row
                    other = seen.setdefault(product.id, at) if last is None else last[product.id]
                    if other != at:
                        kept = self._duplicate(log, report, seen, product, (at, line, other))
                        if kept is None:
                            continue
                        product = kept
                    report.kept += 1
                    yield product
        finally:
            log.flush()
            report.rejected, report.warnings = dict(log.rejected), dict(log.warned)
            report.duplicates = log.rejected["duplicate_id"]
            report.read = report.kept + report.rejected_total
        if not report.kept:
            raise self._nothing(report)

    def _last(self) -> dict[str, int]:
        """The place of the last product of each id."""
        log = RejectLog()
        found = self._reader.products(self._new_builder(log), log, ImportReport(files=[]))
        rows = ((file << _ROWS | row, p) for file, batch, ps in found for row, p in zip(batch.numbers, ps, strict=True))
        return {product.id: at for at, product in rows if product is not None}

    def _duplicate(
        self,
        log: RejectLog,
        report: ImportReport,
        seen: dict[str, int],
        product: Product,
        at: tuple[int, int | None, int],
    ) -> Product | None:
        """What becomes of a product at ``at`` (place, line) whose id is kept at another place."""
        place, line, other = at
        file, row = self._name(place), place & ((1 << _ROWS) - 1)
        if self._duplicates == "error":
            step = "Correct the ids, or choose --duplicates first, last or rename."
            message = f"{self._where(place)}: id {product.id!r} was given before, in {self._where(other)}"
            raise InputError(message, next_step=step)
        if self._duplicates == "rename":
            renamed = _renamed(product, seen, place)
            report.renamed += 1
            detail = f"the same id as {self._where(other)}: kept as {renamed.id!r}"
            log.add(file, row, line, "id", "duplicate_renamed", detail, product.id, kept=True)
            return renamed
        detail = f"the same id as {self._where(other)}, which is kept"
        log.add(file, row, line, "id", "duplicate_id", detail, {"id": product.id, "title": product.title})
        return None

    def _name(self, place: int) -> str:
        return self._reader.sources[place >> _ROWS].shown

    def _where(self, place: int) -> str:
        return f"{self._name(place)}, row {place & ((1 << _ROWS) - 1)}"

    def _nothing(self, report: ImportReport) -> NothingKeptError:
        names = ", ".join(source.shown for source in self._reader.sources[:5])
        if not report.read:
            return NothingKeptError(f"{names}: holds no products", next_step="Give a catalog with at least one row.")
        reasons = ", ".join(f"{reason} {count}" for reason, count in sorted(report.rejected.items()))
        columns = list(dict.fromkeys(c for f in report.files for c in [*f.columns.values(), *f.unmapped]))
        step = "Look at the rejects for the rows and their faults."
        if {"missing_id", "missing_title"} & set(report.rejected):
            step = f"Name the columns, as in '--map id=COLUMN --map title=COLUMN' (columns: {shown(columns)})."
        return NothingKeptError(f"{names}: none of its {report.read} rows can be used ({reasons})", next_step=step)


def _renamed(product: Product, seen: dict[str, int], at: int) -> Product:
    import msgspec

    number = 2
    while f"{product.id}#{number}" in seen:
        number += 1
    id = f"{product.id}#{number}"
    seen[id] = at
    return msgspec.structs.replace(product, id=id)
