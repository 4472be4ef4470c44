"""``llmrec index build products.csv -o shop.index``; ``index search | info | verify | rollback shop.index``.

What changes an index that is in use is in ``llmrec.cli.index_live``, what loads it into a store in
``llmrec.cli.index_push``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from llmrec.cli.manners import emit, folder_of, mapping_of, progress, table
from llmrec.errors import InputError

if TYPE_CHECKING:
    from llmrec.index import Index
    from llmrec.index.remote import RemoteIndex
    from llmrec.records import Hit, ProductSummary, Query

app = typer.Typer(no_args_is_help=True, help="Build a searchable index of a catalog, and search it.")

_JSON = typer.Option("--json", help="Print one JSON object.")
_FOLDER = typer.Argument(metavar="DIR", help="The index folder.")
_ANY = typer.Argument(metavar="DIR", help="The index folder, or qdrant://HOST:6333/NAME.")


def register(root: typer.Typer) -> None:
    """Add the group to the app."""
    root.add_typer(app, name="index")


@app.command()
def build(
    catalog: Annotated[list[str], typer.Argument(metavar="CATALOG…", help="What 'catalog import' reads, or '-'.")],
    output: Annotated[Path, typer.Option("-o", "--output", metavar="DIR", help="The index folder.")],
    encoder: Annotated[str, typer.Option(help="Model of the vectors, or 'none' for words alone.")] = "starter:minilm",
    dimension: Annotated[
        int | None, typer.Option(min=1, metavar="N", help="Keep the first N numbers of each vector (default: all).")
    ] = None,
    summaries: Annotated[str | None, typer.Option(help="What 'llmrec summarize' wrote about the products.")] = None,
    text: Annotated[str | None, typer.Option(help="product, summary or both (default: both with --summaries).")] = None,
    dense: Annotated[
        str,
        typer.Option(help="auto (by the catalog's size), exact, hnsw, ivf, ivf-disk, none, or a FAISS factory string."),
    ] = "auto",
    recall: Annotated[
        float, typer.Option(min=0.01, max=1.0, help="Share of the nearest that approximate search is tuned to find.")
    ] = 0.95,
    memory: Annotated[
        float | None,
        typer.Option(min=0.001, metavar="GB", help="Memory that auto may take for the texts' vectors."),
    ] = None,
    fusion: Annotated[str | None, typer.Option(help="How scores of words and vectors become one.")] = None,
    map: Annotated[list[str] | None, typer.Option("--map", metavar="FIELD=COLUMN", help="As 'catalog import'.")] = None,
    duplicates: Annotated[str, typer.Option(help="Of one id keep the first, the last; or error; or rename.")] = "first",
    encoding: Annotated[str | None, typer.Option(help="Encoding of text files (default: detected).")] = None,
    delimiter: Annotated[str | None, typer.Option(help="Delimiter of tables, or the word tab.")] = None,
    currency: Annotated[str, typer.Option(help="ISO 4217 code for prices that name none.")] = "",
    id_from_row: Annotated[bool, typer.Option("--id-from-row", help="Number the rows that have no id.")] = False,
    device: Annotated[
        str | None, typer.Option(help="Where the encoder runs: cpu, cuda (default: CUDA if any).")
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Texts encoded together.")] = 32,
    image_encoder: Annotated[str, typer.Option(help="Model of the vectors of product pictures, or 'none'.")] = "none",
    images_root: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where picture paths start (default: the catalog's folder).")
    ] = None,
    replace: Annotated[bool, typer.Option("--replace", help="Replace an index that lies there.")] = False,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Build an index of a product catalog; an index that lies there stays until the new one is whole."""
    from llmrec.catalog import Catalog
    from llmrec.index import Index
    from llmrec.index.build import IndexSettings, check_settings
    from llmrec.index.folder import refuse_unless_free

    refuse_unless_free(output, replace=replace)
    choices: dict[str, Any] = {"text": text, "dense": dense, "recall": recall, **({"fusion": fusion} if fusion else {})}
    choices["memory"] = int(memory * 1e9) if memory else None
    check_settings(IndexSettings(**{name: choice for name, choice in choices.items() if choice}))
    options: dict[str, Any] = {"mapping": mapping_of(map or []), "duplicates": duplicates, "encoding": encoding}
    options |= {"delimiter": delimiter, "currency": currency, "id_from_row": id_from_row}
    source = Catalog.read(*catalog, **options)
    products = list(progress(source, "reading"))
    written = _summaries(summaries) if summaries else None
    model = None
    if encoder != "none" and dense != "none":
        from llmrec.embed import load_encoder

        model = load_encoder(encoder, device=device, batch_size=batch_size, dimension=dimension)
    elif dimension is not None:
        raise InputError("--dimension: there are no vectors to cut", next_step="Leave it out.")
    if image_encoder != "none":
        from llmrec.embed import load_image_encoder

        choices["image_encoder"] = load_image_encoder(image_encoder, device=device)
        choices["images_root"] = images_root or folder_of(catalog)
    index = Index.build(output, products, model, summaries=written, replace=replace, progress=progress, **choices)
    report = source.report
    result = {**index.info(), "catalog": {"read": report.read, "kept": report.kept, "rejected": report.rejected}}
    emit(result, as_json=as_json, text=_built(result))


@app.command()
def search(
    index: Annotated[Path, _ANY],
    query: Annotated[str, typer.Argument(help="What is looked for; '-' reads one query a line from standard input.")],
    k: Annotated[int, typer.Option("-k", min=1, help="Products per query.")] = 10,
    where: Annotated[
        str | None, typer.Option(metavar="FILTER", help='Only such products: price < 50 and brand in ["Acme"].')
    ] = None,
    title: Annotated[str, typer.Option(help="A short title of what is looked for, beside the long text.")] = "",
    retriever: Annotated[
        str, typer.Option(help="hybrid, bm25, dense, or a part of them such as bm25:title.")
    ] = "hybrid",
    encoder: Annotated[str | None, typer.Option(help="Another reference for the index's own encoder.")] = None,
    device: Annotated[str | None, typer.Option(help="Where the encoder runs: cpu, cuda.")] = None,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Search an index."""
    from llmrec.index.where import parse
    from llmrec.records import Query

    if where:
        parse(where)  # a fault is told before a model is loaded
    texts = [line.strip() for line in sys.stdin] if query == "-" else [query]
    queries = [Query(text=text, title=title) for text in texts if text.strip() or title.strip()]
    if not queries:
        raise InputError("there is nothing to look for: the query is empty", next_step="Give some words.")
    opened = _opened(index, encoder, retriever, device)
    hits = opened.search_by(retriever, queries, k, where)
    emit(_found(opened, queries, hits), as_json=as_json, text=_shown(opened, queries, hits))


@app.command()
def info(index: Annotated[Path, _ANY], as_json: Annotated[bool, _JSON] = False) -> None:
    """Show what an index holds and how it was built; checks all its files."""
    from llmrec.index import Index
    from llmrec.index.remote import RemoteIndex, is_address

    if is_address(index):
        stored = RemoteIndex.open(str(index)).info()
        text = f"{stored['path']}: {stored['stored']} products, collection {stored['collection']}"
        return emit(stored, as_json=as_json, text=f"{text}, built {stored['created']}")
    found = Index.open(index).info()
    emit(found, as_json=as_json, text=_described(found))


@app.command()
def verify(
    index: Annotated[Path, _FOLDER],
    sample: Annotated[int, typer.Option(min=1, help="Products that are searched for by their own words.")] = 200,
    as_json: Annotated[bool, _JSON] = False,
) -> None:
    """Check the files of an index, its counts, and whether it finds what it holds."""
    from llmrec.index.verifying import verify as check

    told = check(index, sample=sample)
    shares = ", ".join(f"{name} {share:.3f}" for name, share in told["found"].items()) or "nothing to search for"
    text = f"{index}: whole; {told['products']} products, version {told['version']}, {told['bytes'] / 1e6:.1f} MB\n"
    emit(told, as_json=as_json, text=f"{text}found of {told['sampled']} products by what they hold: {shares}")


@app.command()
def rollback(index: Annotated[Path, _FOLDER], as_json: Annotated[bool, _JSON] = False) -> None:
    """Go back to the version before the present one."""
    from llmrec.index.verifying import rollback as back

    left, current = back(index)
    emit({"left": left, "current": current}, as_json=as_json, text=f"{index}: version {current}, no longer {left}")


def _opened(index: Path, encoder: str | None, retriever: str, device: str | None) -> Index | RemoteIndex:
    """The index, with its encoder if the retriever needs one."""
    from llmrec.index import Index
    from llmrec.index.opening import wanted_encoder
    from llmrec.index.remote import RemoteIndex, is_address

    stored = RemoteIndex.open(str(index)) if is_address(index) else None
    wanted = stored.wanted_encoder(encoder) if stored else wanted_encoder(index, encoder)
    model = None
    if wanted and not retriever.startswith("bm25"):
        from llmrec.embed import load_encoder

        model = load_encoder(wanted.reference, dimension=wanted.dimension, device=device)
    if stored is not None:
        return stored if model is None else stored.with_encoder(model)
    return Index.open(index, model)


def _summaries(path: str) -> list[ProductSummary]:
    from llmrec.records import ProductSummary
    from llmrec.storage import read_records

    return list(read_records(path, ProductSummary))


def _found(index: Index | RemoteIndex, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> dict[str, Any]:
    def shown(hit: Hit) -> dict[str, Any]:
        return {"product_id": hit.product_id, "score": hit.score, "title": index.product(hit.product_id).title}

    pairs = zip(queries, hits, strict=True)
    return {"results": [{"query": query.text, "hits": [shown(hit) for hit in found]} for query, found in pairs]}


def _shown(index: Index | RemoteIndex, queries: Sequence[Query], hits: Sequence[Sequence[Hit]]) -> str:
    blocks = []
    for query, found in zip(queries, hits, strict=True):
        rows = [
            [str(rank), f"{hit.score:.3f}", hit.product_id, index.product(hit.product_id).title[:80]]
            for rank, hit in enumerate(found, start=1)
        ]
        body = table(["rank", "score", "id", "title"], rows) if rows else "nothing found"
        blocks.append(f"{query.text}\n{body}" if len(queries) > 1 else body)
    return "\n\n".join(blocks)


def _built(result: dict[str, Any]) -> str:
    rejected = sum(result["catalog"]["rejected"].values())
    step = "  ('llmrec catalog import' writes them to a file with their reasons)" if rejected else ""
    return f"{_described(result)}\nrows rejected: {rejected}{step}"


def _described(found: dict[str, Any]) -> str:
    counts, settings, encoder = found["counts"], found["settings"], found["encoder"]
    ways = {own["factory"]: own["recall"] for own in found["search"].values()}
    search = ", ".join("exact" if f == "Flat" else f"{f} (finds {r:.3f} of the nearest)" for f, r in ways.items())
    vectors = f"{encoder['reference']}, {encoder['dimension']} dimensions, {search}" if encoder else "none"
    # an index that was built before an encoder could bring any has none
    own = settings.get("weights", {})
    weights = ", " + ", ".join(f"{k} {v:g}" for k, v in own.items()) + " (measured for this encoder)" if own else ""
    lines = [
        f"{found['path']}: {counts['products']} products, version {found['version']}, {found['bytes'] / 1e6:.1f} MB",
        f"text: {settings['text']} ({counts['summarized']} products summarized)",
        f"vectors: {vectors}",
        f"fusion: {settings['fusion']}{weights}",
        f"built: {found['created']}",
    ]
    if any(found["since"].values()):
        lines.append(f"since then: {found['since']['added']} added or replaced, {found['since']['gone']} gone")
    if tower := found["image_encoder"]:
        told = found["pictures"]
        many = f"{told['embedded']} pictures of {told['products']} products"
        lines.insert(3, f"pictures: {tower['reference']}, {tower['dimension']} dimensions, {many}")
        if told["urls"]:
            lines.append(f"pictures that are web addresses: {told['urls']} (they are not fetched)")
        if told["unreadable"]:
            lines.append(f"pictures that cannot be read: {told['unreadable']}, such as {told['first_unreadable']}")
    if counts["without_text"]:
        lines.append(f"products without any text: {counts['without_text']} (they are never found by words)")
    if counts["texts_cut"]:
        lines.append(
            f"texts longer than the encoder reads: {counts['texts_cut']} (their ends are searched by words only)"
        )
    return "\n".join(lines)
