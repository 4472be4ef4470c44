"""Files to products: each file by its format, each row by the plan of its columns."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import IO, Any

from llmrec.catalog.arrow_rows import arrow_rows, parquet_rows
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
Found = tuple[int, int, int | None, Product]
Row = tuple[int, int | None, tuple[str, ...], Any]


class Reader:
    """Reads the files of one catalog; see ``Catalog.read`` for the options.

    Args:
        sources: The files.
        ignored: Names of files beside them that are not read, for the report.
        mapping: Checked columns by field.
        encoding: Of text files, None to detect.
        delimiter: Of tables, None to detect.
        id_from_row: Whether an id column may be missing.
        twice: Whether ``products`` is called twice, so that standard input has to be kept.
    """

    def __init__(
        self,
        sources: list[Source],
        ignored: list[str],
        mapping: Mapping[str, tuple[str, ...]],
        encoding: str | None,
        delimiter: str | None,
        id_from_row: bool,
        *,
        twice: bool,
    ) -> None:
        self.sources, self.ignored = sources, ignored
        self._mapping, self._encoding, self._delimiter = mapping, encoding, delimiter
        self._id_from_row, self._twice = id_from_row, twice
        self._spool: IO[bytes] | None = None

    def decoder(self, file: str) -> Decoder:
        """A decoder for a file.

        Raises:
            InputError: The encoding that was given is unknown.
        """
        return Decoder(self._encoding, file)

    def products(self, builder: Builder, log: RejectLog, report: ImportReport) -> Iterator[Found]:
        """All products as (index of the file, row, line, product), before duplicates are looked for."""
        for index, source in enumerate(self.sources):
            path, form = self._place(source)
            file = FileReport(source.shown, form, columns={}, encodings={}, unmapped=[])
            report.files.append(file)
            plan: Plan | None = None
            columns: tuple[str, ...] | None = None
            plans: dict[tuple[str, ...], Plan] = {}
            build, name = builder.build, source.shown
            for row, line, names, values in self._rows(path, form, file, log):
                file.rows += 1
                if isinstance(values, Product):
                    if values.id.strip() and values.title.strip():
                        yield index, row, line, values
                        continue
                    filled = {field: getattr(values, field) for field in values.__struct_fields__}
                    names, values = tuple(filled), list(filled.values())
                if names is not columns:
                    columns = names
                    plan = plans.get(names)
                    if plan is None:
                        plan = self._plan(names, file, plans, form)
                assert plan is not None
                product = build(name, row, line, plan, values)
                if product is not None:
                    yield index, row, line, product
            if file.rows and plans and form == "json":
                missing_columns(name, [*file.columns.values(), *file.unmapped], self._mapping)

    def _place(self, source: Source) -> tuple[str, str]:
        if source.path != STDIN:
            return source.path, source.format
        with open_binary(STDIN) if self._spool is None else open(self._spool.name, "rb") as stream:
            if self._spool is None:
                self._spool = tempfile.NamedTemporaryFile(prefix="llmrec-stdin-")
                shutil.copyfileobj(stream, self._spool, 1 << 20)
                self._spool.flush()
        with open(self._spool.name, "rb") as kept:
            return self._spool.name, format_of(kept.read(8192), source.shown)

    def _rows(self, path: str, form: str, file: FileReport, log: RejectLog) -> Iterator[Row]:
        if form == "parquet":
            yield from parquet_rows(path, log)
            return
        if form == "arrow":
            yield from arrow_rows(path, log)
            return
        decoder = self.decoder(file.file)
        try:
            with open_binary(path) as stream:
                if form == "json":
                    yield from self._json(path, stream, decoder, file, log)
                else:
                    table = Table(file.file, decoder.lines(stream), decoder, log, self._delimiter)
                    file.delimiter = table.dialect.delimiter
                    missing_columns(file.file, table.columns, self._mapping)
                    yield from table
        finally:
            file.encoding, file.encodings = decoder.encoding, dict(decoder.counts)

    def _json(self, path: str, stream: Any, decoder: Decoder, file: FileReport, log: RejectLog) -> Iterator[Row]:
        head = stream.peek(1 << 16)
        wide = head[:64].count(0) > 8
        text = (
            head.decode("utf-16" if head[:1] in b"\xff\xfe" else "utf-8", "replace")
            if wide
            else head.decode("utf-8", "replace")
        )
        if is_lines(text, path):
            file.format = "json lines"
            yield from json_lines(file.file, decoder.lines(stream), decoder, log)
            return
        yield from JsonDocument(file.file, decoder.texts(stream), log)
        while decoder.notes:
            _, reason, detail = decoder.notes.popleft()
            log.add(file.file, 0, None, "", reason, detail, kept=True)

    def _plan(self, names: tuple[str, ...], file: FileReport, plans: dict[tuple[str, ...], Plan], form: str) -> Plan:
        plan = plan_for(names, self._mapping)
        if form != "json":
            if form != "delimited":
                missing_columns(file.file, names, self._mapping)
            _require(plan, file.file, self._id_from_row)
        if len(plans) < _PLANS:
            plans[names] = plan
        for field, column in plan.chosen:
            held = file.columns.get(field)
            file.columns[field] = column if held is None or column in held.split(", ") else f"{held}, {column}"
        file.unmapped += [column for column in plan.unmapped if column not in file.unmapped][: 500 - len(file.unmapped)]
        return plan


def _require(plan: Plan, file: str, id_from_row: bool) -> None:
    """Refuse a table without a column for the id or for the title."""
    for field, place in (("id", plan.id), ("title", plan.title)):
        if place >= 0 or (field == "id" and id_from_row):
            continue
        other = ", or number the rows with --id-from-row" if field == "id" else ""
        step = f"Name it with --map {field}=COLUMN (in Python: mapping={{'{field}': 'COLUMN'}}){other}."
        raise InputError(f"{file}: no column for the product {field} among: {shown(plan.columns)}", next_step=step)
