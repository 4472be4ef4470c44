"""``llmrec catalog import``: product files to one file of products, and one of what was rejected."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import msgspec

from llmrec.catalog.catalog import Catalog, NothingKeptError
from llmrec.catalog.rejects import Reject
from llmrec.catalog.report import ImportReport
from llmrec.errors import InputError
from llmrec.records import Product
from llmrec.storage import atomic_file, write_records


def import_catalog(
    paths: Sequence[str | Path],
    out: str | Path,
    rejects: str | Path | None = None,
    *,
    through: Callable[[Iterator[Product]], Iterable[Product]] = lambda products: products,
    **options: Any,
) -> ImportReport:
    """Read product files and write their products, whole or not at all.

    Args:
        paths: As for ``Catalog.read``.
        out: Where the products go: ``.parquet``, else JSON Lines; ``-`` is standard output.
        rejects: Where rejected rows and warnings go, JSON Lines; by default beside ``out``.
        through: Passes the products on, for a progress bar.
        options: As for ``Catalog.read``.

    Raises:
        InputError: As ``Catalog.read``; nothing is written then, except the rejects when every row was rejected.
        StorageError: The disk refused; nothing is left half-written.
    """
    if rejects is None and str(out) != "-":
        rejects = rejects_beside(out)
    if rejects is None:
        catalog = Catalog.read(*paths, **options)
        write_records(out, through(iter(catalog)), Product)
        return _with_files(catalog.report, out, "")
    if Path(rejects) == Path(out):
        raise InputError(f"{out}: products and rejects in one file", next_step="Give --rejects another name.")
    encode = msgspec.json.Encoder().encode
    nothing: NothingKeptError | None = None
    with atomic_file(rejects) as sink:
        catalog = Catalog.read(*paths, **{**options, "on_reject": _writer(sink, encode, options.get("on_reject"))})
        try:
            write_records(out, through(iter(catalog)), Product)
        except NothingKeptError as error:
            nothing = error
    if nothing is not None:
        step = f"{nothing.next_step} Rejects: {rejects}"
        raise NothingKeptError(nothing.message, next_step=step) from nothing
    return _with_files(catalog.report, out, rejects)


def rejects_beside(out: str | Path) -> Path:
    """Where rejects go by default: ``products.rejects.jsonl`` for ``products.jsonl``."""
    path = Path(out)
    return path.with_name(path.name.removesuffix(".gz").rsplit(".", 1)[0] + ".rejects.jsonl")


def _writer(
    sink: Any, encode: Callable[[Any], bytes], also: Callable[[Reject], object] | None
) -> Callable[[Reject], None]:
    def write(reject: Reject) -> None:
        sink.write(encode(reject) + b"\n")
        if also is not None:
            also(reject)

    return write


def _with_files(report: ImportReport, out: str | Path, rejects: str | Path) -> ImportReport:
    report.output, report.rejects_file = str(out), str(rejects)
    return report
