"""``llmrec index add | update shop.index new.csv``, ``index remove shop.index ID…``, ``index compact shop.index``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrec.cli.manners import emit, folder_of, mapping_of, progress
from llmrec.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from llmrec.index.live.writing import IndexWriter
    from llmrec.records import ProductSummary

_JSON = typer.Option("--json", help="Print one JSON object.")
_FOLDER = typer.Argument(metavar="DIR", help="The index folder.")
_CATALOG = typer.Argument(metavar="CATALOG…", help="What 'catalog import' reads, or '-'.")
_SUMMARIES = typer.Option(help="What 'llmrec summarize' wrote about the products.")
_MAP = typer.Option("--map", metavar="FIELD=COLUMN", help="As 'catalog import'.")
_DUPLICATES = typer.Option(help="Of one id keep the first, the last; or error; or rename.")
_ENCODING = typer.Option(help="Encoding of text files (default: detected).")
_DELIMITER = typer.Option(help="Delimiter of tables, or the word tab.")
_CURRENCY = typer.Option(help="ISO 4217 code for prices that name none.")
_ENCODER = typer.Option(help="Another reference for the index's own encoder.")
_DEVICE = typer.Option(help="Where the encoder runs: cpu, cuda (default: CUDA if any).")
_ROOT = typer.Option(metavar="DIR", help="Where picture paths start (default: the catalog's folder).")


def register(root: typer.Typer) -> None:
    """Add the commands to the group ``index``, which is there by then."""
    group = next(own.typer_instance for own in root.registered_groups if own.name == "index")
    assert group is not None
    for command in (add, update, remove, compact):
        group.command()(command)


def add(
    index: Annotated[Path, _FOLDER],
    catalog: Annotated[list[str], _CATALOG],
    summaries: Annotated[str | None, _SUMMARIES] = None,
    map: Annotated[list[str] | None, _MAP] = None,
    duplicates: Annotated[str, _DUPLICATES] = "first",
    encoding: Annotated[str | None, _ENCODING] = None,
    delimiter: Annotated[str | None, _DELIMITER] = None,
    currency: Annotated[str, _CURRENCY] = "",
    encoder: Annotated[str | None, _ENCODER] = None,
    device: Annotated[str | None, _DEVICE] = None,
    images_root: Annotated[Path | None, _ROOT] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Add new products to an index that may be in use; those that are in it as they are are passed over."""
    options = {"mapping": mapping_of(map or []), "duplicates": duplicates, "encoding": encoding, "delimiter": delimiter}
    writer = _writer(index, encoder, device, images_root or folder_of(catalog))
    _write(writer, "add", catalog, {**options, "currency": currency}, summaries, as_json)


def update(
    index: Annotated[Path, _FOLDER],
    catalog: Annotated[list[str], _CATALOG],
    new: Annotated[bool, typer.Option("--new", help="Let products in that the index does not have yet.")] = False,
    summaries: Annotated[str | None, _SUMMARIES] = None,
    map: Annotated[list[str] | None, _MAP] = None,
    duplicates: Annotated[str, _DUPLICATES] = "first",
    encoding: Annotated[str | None, _ENCODING] = None,
    delimiter: Annotated[str | None, _DELIMITER] = None,
    currency: Annotated[str, _CURRENCY] = "",
    encoder: Annotated[str | None, _ENCODER] = None,
    device: Annotated[str | None, _DEVICE] = None,
    images_root: Annotated[Path | None, _ROOT] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Replace products of an index that may be in use by what a catalog says of them now."""
    options = {"mapping": mapping_of(map or []), "duplicates": duplicates, "encoding": encoding, "delimiter": delimiter}
    writer = _writer(index, encoder, device, images_root or folder_of(catalog))
    _write(writer, "put" if new else "update", catalog, {**options, "currency": currency}, summaries, as_json)


def remove(
    index: Annotated[Path, _FOLDER],
    ids: Annotated[list[str] | None, typer.Argument(metavar="ID…", help="Products; '-' reads one id a line.")] = None,
    where: Annotated[
        str | None, typer.Option(metavar="FILTER", help='All such products: brand == "Acme" and in_stock == false.')
    ] = None,
    missing_ok: Annotated[bool, typer.Option("--missing-ok", help="Pass over ids that are not there.")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Remove products from an index that may be in use, all or none."""
    from llmrec.index.live.writing import IndexWriter

    if bool(ids) == bool(where):
        raise InputError("say which products: ids, or a filter", next_step="Give ids, '-', or --where FILTER.")
    wanted = [line.strip() for line in sys.stdin if line.strip()] if ids == ["-"] else list(ids or [])
    writer = IndexWriter(index)
    if where:
        wanted, missing_ok = writer.index.ids_where(where), True
    gone = writer.remove(wanted, missing_ok=missing_ok)
    emit({"path": str(index), "removed": gone}, as_json=as_json, text=f"{index}: {gone} removed")


def compact(index: Annotated[Path, _FOLDER], as_json: Annotated[bool, _JSON] = False) -> None:
    """Make what was added, updated and removed part of a new version, while the index is in use."""
    from llmrec.index.live.compacting import compact as make

    told = make(index)
    since = f"{told['added']} added or replaced, {told['gone']} gone, {told['carried']} changes while it was built"
    text = f"{index}: version {told['version']}, {told['products']} products ({since})"
    emit(told, as_json=as_json, text=text)


def _writer(index: Path, encoder: str | None, device: str | None, images_root: Path) -> IndexWriter:
    from llmrec.index import Index
    from llmrec.index.live.writing import IndexWriter
    from llmrec.index.opening import wanted_encoder

    wanted = wanted_encoder(index, encoder)
    model = tower = None
    if wanted:
        from llmrec.embed import load_encoder

        model = load_encoder(wanted.reference, dimension=wanted.dimension, device=device)
    if pictured := Index.encoder_reference(index, "image_encoder"):
        from llmrec.embed import load_image_encoder

        tower = load_image_encoder(pictured, device=device)
    return IndexWriter(index, model, image_encoder=tower, images_root=images_root)


def _write(
    writer: IndexWriter, mode: str, catalog: list[str], options: dict[str, Any], summaries: str | None, as_json: bool
) -> None:
    from llmrec.catalog import Catalog

    source = Catalog.read(*catalog, **options)
    written = getattr(writer, mode)(progress(source, "writing"), _summaries(summaries))
    report, told = source.report, written._asdict()
    result = {
        "path": str(writer.path),
        **told,
        "products": len(writer.index),
        "catalog": {"read": report.read, "kept": report.kept, "rejected": report.rejected},
    }
    text = f"{writer.path}: {', '.join(f'{count} {name}' for name, count in told.items())}; {len(writer.index)} in all"
    if rejected := sum(report.rejected.values()):
        text += f"\nrows rejected: {rejected}  ('llmrec catalog import' writes them to a file with their reasons)"
    emit(result, as_json=as_json, text=text)


def _summaries(path: str | None) -> Mapping[str, ProductSummary]:
    from llmrec.records import ProductSummary
    from llmrec.storage import read_records

    return {own.product_id: own for own in read_records(path, ProductSummary)} if path else {}
