"""``llmrec catalog import FILE… -o products.jsonl`` and ``llmrec catalog show FILE [ID…]``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import typer

from llmrec.cli.manners import emit, progress, usable_output
from llmrec.errors import InputError

app = typer.Typer(no_args_is_help=True, help="Read product catalogs of any form.")

_FILES = typer.Argument(
    ..., metavar="FILE…", help="CSV, TSV, JSON, JSONL (also .gz), Parquet, Arrow, a folder, or '-'."
)
_MAP = typer.Option([], "--map", metavar="FIELD=COLUMN", help="Take a field from a column; may be given again.")
_ENCODING = typer.Option(None, "--encoding", help="Encoding of text files (default: detected).")
_DELIMITER = typer.Option(None, "--delimiter", help="Delimiter of tables, or the word tab (default: detected).")
_CURRENCY = typer.Option("", "--currency", help="ISO 4217 code for prices that name none.")
_LANGUAGE = typer.Option("", "--language", help="Language of products that name none.")
_IDS = typer.Option(False, "--id-from-row", help="Number the rows that have no id.")
_DUPLICATES = typer.Option("first", "--duplicates", help="Of one id keep the first, the last; or error; or rename.")
_JSON = typer.Option(False, "--json", help="Print one JSON object.")


def register(root: typer.Typer) -> None:
    """Add the group to the app."""
    root.add_typer(app, name="catalog")


@app.command("import")
def import_(
    files: list[str] = _FILES,
    out: str = typer.Option(..., "-o", "--out", help="Where the products go: .jsonl, .parquet, or '-'."),
    rejects: Path | None = typer.Option(
        None, "--rejects", help="Where rejected rows go (default: beside the products)."
    ),
    map: list[str] = _MAP,
    duplicates: str = _DUPLICATES,
    encoding: str | None = _ENCODING,
    delimiter: str | None = _DELIMITER,
    currency: str = _CURRENCY,
    language: str = _LANGUAGE,
    id_from_row: bool = _IDS,
    as_json: bool = _JSON,
) -> None:
    """Read product files into one file of products; what cannot be used goes to a rejects file with its reason."""
    from llmrec.catalog import import_catalog

    if out == "-" and as_json:
        raise InputError("products and report cannot both go to standard output", next_step="Give -o a file.")
    usable_output(out, *files)
    usable_output(rejects, *files)
    options: dict[str, Any] = {
        "mapping": _mapping(map),
        "duplicates": duplicates,
        "encoding": encoding,
        "delimiter": delimiter,
        "currency": currency,
        "language": language,
        "id_from_row": id_from_row,
    }
    report = import_catalog(files, out, rejects, through=lambda products: progress(products, "products"), **options)
    if out == "-":
        print(report.text(), file=sys.stderr)
    else:
        emit(report, as_json=as_json, text=report.text())


@app.command()
def show(
    file: str = typer.Argument(..., help="A catalog in any form that 'import' reads, or '-'."),
    ids: list[str] = typer.Argument(None, metavar="[ID…]", help="The products to show (default: the first ones)."),
    count: int = typer.Option(5, "-n", min=1, help="How many to show when no id is given."),
    map: list[str] = _MAP,
    encoding: str | None = _ENCODING,
    delimiter: str | None = _DELIMITER,
    id_from_row: bool = _IDS,
    as_json: bool = _JSON,
) -> None:
    """Show products of a catalog as they are understood."""
    import itertools

    from llmrec.catalog import Catalog

    catalog = Catalog.read(file, mapping=_mapping(map), encoding=encoding, delimiter=delimiter, id_from_row=id_from_row)
    if ids:
        wanted = set(ids)
        found = {product.id: product for product in catalog if product.id in wanted}
        if missing := [id for id in ids if id not in found]:
            step = "Give ids as 'llmrec catalog show FILE' prints them."
            raise InputError(f"{file}: has no product {', '.join(missing)}", next_step=step)
        products = [found[id] for id in ids]
    else:
        products = list(itertools.islice(catalog, count))
    emit({"products": products}, as_json=as_json, text="\n\n".join(_text(product) for product in products))


def _mapping(pairs: list[str]) -> dict[str, list[str]]:
    mapping: dict[str, list[str]] = {}
    for pair in pairs:
        field, mark, column = pair.partition("=")
        if not mark or not field.strip() or not column:
            raise InputError(f"--map {pair!r} is not FIELD=COLUMN", next_step="Write it as --map title=product_name.")
        mapping.setdefault(field.strip(), []).append(column)
    return mapping


def _text(product: Any) -> str:
    price = f"{product.price.amount:g} {product.price.currency}".strip() if product.price else ""
    fields = {
        "brand": product.brand,
        "category": " > ".join(product.category),
        "price": price,
        "attributes": "; ".join(f"{name}: {value}" for name, value in product.attributes.items()),
        "description": " ".join(product.description[:300].split()) + ("…" if len(product.description) > 300 else ""),
        "images": ", ".join(product.images[:3]) + (" …" if len(product.images) > 3 else ""),
        "url": product.url,
        "language": product.language,
        "extra": ", ".join(product.extra),
    }
    lines = [f"{product.id}  {product.title}"]
    return "\n".join(lines + [f"  {name}: {value}" for name, value in fields.items() if value])
