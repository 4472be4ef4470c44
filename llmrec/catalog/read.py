"""Files to products: each file by its format, each row by the plan of its columns."""

from __future__ import annotations

import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any

from llmrec.catalog.arrow_rows import arrow_rows, parquet_rows
from llmrec.catalog.batches import OBJECTS, OWN, Batch, Row, batches, tabular
from llmrec.catalog.build import Builder
from llmrec.catalog.columns import Plan, missing_columns, plan_for, shown
from llmrec.catalog.decoding import Decoder
from llmrec.catalog.delimited import Table
from llmrec.catalog.files import STDIN, Source, format_of, open_binary
from llmrec.catalog.json_rows import JsonDocument, is_lines, json_lines
from llmrec.catalog.rejects import RejectLog
from llmrec.catalog.report import FileReport, ImportReport
from llmrec.errors import InputError
from llmrec.records import Product

#: Layouts of JSON rows that are remembered.
_PLANS = 4096
#: Index of the file, rows, and their products (None for those that were rejected).
Found = tuple[int, Batch, list[Product | None]]


class Reader:
    """Reads the files of one catalog; see ``Catalog.read`` for the options.

    Args:
        sources: The files.
        ignored: Names of files beside them that are not read, for the report.
        mapping: Checked columns by field.
        encoding: Of text files, None to detect.
        delimiter: Of tables, None to detect.
        id_from_row: Whether an id column may be missing.
        own: Whether files that llmrec wrote are taken as they are (no option changes what is in them).
    """

    def __init__(
        self,
        sources: list[Source],
        ignored: list[str],
        mapping: Mapping[str, tuple[str, ...]],
        encoding: str | None,
        delimiter: str | None,
        id_from_row: bool,
        own: bool,
    ) -> None:
        self.sources, self.ignored = sources, ignored
        self._mapping, self._encoding, self._delimiter = mapping, encoding, delimiter
        self._id_from_row, self._own = id_from_row, own
        self._spool: Any = None

    def decoder(self) -> Decoder:
        """A decoder for one file.

        Raises:
            InputError: The encoding that was given is unknown.
        """
        return Decoder(self._encoding)

    def products(self, builder: Builder, log: RejectLog, report: ImportReport) -> Iterator[Found]:
        """All products in batches, before duplicates are looked for."""
        for index, source in enumerate(self.sources):
            path, form = self._place(source)
            file = FileReport(source.shown, form, columns={}, encodings={}, unmapped=[])
            report.files.append(file)
            plans: dict[tuple[str, ...], Plan] = {}
            before = _refused(log)
            built = 0
            for batch in batches(self._rows(path, form, file, log)):
                for part in self._parts(batch, file, plans):
                    if part.columns is OWN:
                        products = part.rows
                    else:
                        products = builder.build(source.shown, self._plan(part.columns, file, plans), part)
                    log.flush()
                    built += sum(product is not None for product in products)
                    file.rows = built + _refused(log) - before
                    yield index, part, products
            log.flush()
            file.rows = built + _refused(log) - before
            if file.rows and plans and file.format.startswith("json"):
                missing_columns(source.shown, [*file.columns.values(), *file.unmapped], self._mapping)

    def _parts(self, batch: Batch, file: FileReport, plans: dict[tuple[str, ...], Plan]) -> Iterator[Batch]:
        """Batches of columns from one of any kind; our own products without id or title are built anew."""
        if batch.columns is OWN:
            if all(product.id.strip() and product.title.strip() for product in batch.rows):
                yield batch
                return
            fields = Product.__struct_fields__
            rows = [{name: getattr(product, name) for name in fields} for product in batch.rows]
            batch = batch._replace(columns=OBJECTS, rows=rows)
        if batch.columns is OBJECTS:
            yield from tabular(batch, lambda columns: plan_for(columns, self._mapping).contested)
        else:
            yield batch

    def _place(self, source: Source) -> tuple[str, str]:
        """Path and format of a file; standard input is put aside, since Parquet and second passes need a file."""
        if source.path != STDIN:
            return source.path, source.format
        if self._spool is None:
            self._spool = tempfile.NamedTemporaryFile(prefix="llmrec-stdin-")  # noqa: SIM115 (lives as long as the reader)
            shutil.copyfileobj(sys.stdin.buffer, self._spool, 1 << 20)
            self._spool.flush()
        with open_binary(self._spool.name, source.shown) as kept:
            return self._spool.name, format_of(kept.read(8192), source.shown)

    def _rows(self, path: str, form: str, file: FileReport, log: RejectLog) -> Iterator[Row]:
        if form == "parquet":
            yield from parquet_rows(path, log, own=self._own)
            return
        if form == "arrow":
            yield from arrow_rows(path, log)
            return
        decoder = self.decoder()
        try:
            with open_binary(path, file.file) as stream:
                if form == "json":
                    yield from self._json(path, stream, decoder, file, log)
                else:
                    table = Table(file.file, decoder.lines(stream), decoder, log, self._delimiter)
                    file.delimiter = table.dialect.delimiter
                    self._plan(table.columns, file, {})
                    yield from table
        finally:
            file.encoding, file.encodings = decoder.encoding, dict(decoder.counts)

    def _json(self, path: str, stream: Any, decoder: Decoder, file: FileReport, log: RejectLog) -> Iterator[Row]:
        if is_lines(self.decoder().glance(stream.peek(1 << 16)), path):
            file.format = "json lines"
            yield from json_lines(file.file, decoder.lines(stream), decoder, log, own=self._own)
            return
        yield from JsonDocument(file.file, decoder.texts(stream), log)
        while decoder.notes:
            _, reason, detail = decoder.notes.popleft()
            log.add(file.file, 0, None, "", reason, detail, kept=True)

    def _plan(self, names: tuple[str, ...], file: FileReport, plans: dict[tuple[str, ...], Plan]) -> Plan:
        if (plan := plans.get(names)) is not None:
            return plan
        plan = plan_for(names, self._mapping)
        if not file.format.startswith("json"):
            missing_columns(file.file, names, self._mapping)
            _require(plan, file.file, self._id_from_row)
        if len(plans) < _PLANS:
            plans[names] = plan
        for field, column in plan.chosen:
            held = file.columns.get(field, "")
            if column not in held.split(", "):
                file.columns[field] = f"{held}, {column}" if held else column
        file.unmapped += [column for column in plan.unmapped if column not in file.unmapped][: 500 - len(file.unmapped)]
        return plan


def _refused(log: RejectLog) -> int:
    return log.rejected.total() - log.rejected["duplicate_id"]  # duplicates were built first


def _require(plan: Plan, file: str, id_from_row: bool) -> None:
    """Refuse a table without a column for the id or for the title."""
    for field, place in (("id", plan.id), ("title", plan.title)):
        if place >= 0 or (field == "id" and id_from_row):
            continue
        other = ", or number the rows with --id-from-row" if field == "id" else ""
        step = f"Name it with --map {field}=COLUMN (in Python: mapping={{'{field}': 'COLUMN'}}){other}."
        raise InputError(f"{file}: no column for the product {field} among: {shown(plan.columns)}", next_step=step)
