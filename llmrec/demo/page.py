"""A page that shows contents beside the products found for them, and why; one file, no outside resource.

Everything on it that came from a file or a model is escaped, and the page forbids scripts.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from llmrec.errors import InputError
from llmrec.records import Content, Intent, Match, Product, ProductSummary
from llmrec.storage import atomic_file, read_picture

#: Frames shown of a content.
FRAMES = 4
#: Larger pictures are shrunk before they are put on the page (pixels of the longer side).
THUMBNAIL = 360


class Tile(msgspec.Struct, frozen=True):
    """A figure at the top of the page."""

    label: str
    value: str


class PageData(msgspec.Struct, frozen=True):
    """What the page shows; mappings are by content id or product id.

    ``truth`` gives for each content the relevance of its products (2: this one, 1: a variant), where it is known;
    a content that is in it with no products is one that the catalog does not hold.
    """

    title: str
    lead: str
    tiles: Sequence[Tile]
    contents: Sequence[Content]
    matches: Sequence[Match]
    products: Mapping[str, Product]
    summaries: Mapping[str, ProductSummary] = {}
    intents: Mapping[str, Sequence[Intent]] = {}
    truth: Mapping[str, Mapping[str, int]] = {}
    footer: str = ""
    shown: int = 3


def write_page(path: str | Path, data: PageData, *, folder: str | Path = ".") -> None:
    """Write the page.

    Args:
        path: The HTML file.
        data: What it shows.
        folder: Where relative keyframe paths start.

    Raises:
        StorageError: The disk refused.
    """
    import jinja2

    source = resources.files("llmrec.demo").joinpath("page.html.j2").read_text(encoding="utf-8")
    template = jinja2.Environment(autoescape=True, undefined=jinja2.StrictUndefined).from_string(source)
    matches = {match.content_id: match for match in data.matches}
    items = [_item(content, matches[content.id], data, Path(folder)) for content in data.contents]
    html = template.render(title=data.title, lead=data.lead, tiles=data.tiles, items=items, footer=data.footer)
    with atomic_file(path, mode="w") as file:
        file.write(html)


def _item(content: Content, match: Match, data: PageData, folder: Path) -> dict[str, Any]:
    truth = data.truth.get(content.id, {})
    rows = [
        {
            "ranked": ranked,
            "product": data.products[ranked.product_id],
            "looks": {e.frame: _data_uri(folder / e.frame) for e in ranked.evidence if e.frame},
            "meta": _meta(data.products[ranked.product_id]),
            "truth": {2: "exact", 1: "variant"}.get(truth.get(ranked.product_id, 0), ""),
            "summary": data.summaries.get(ranked.product_id) if ranked.rank == 1 else None,
        }
        for ranked in match.products[: data.shown]
    ]
    note = ""
    if content.id in data.truth:
        exact = [ranked.rank for ranked in match.products if truth.get(ranked.product_id, 0) >= 2]
        if not truth:
            note = "The catalog does not hold this product."
        elif not exact:
            note = "The right product is not among those found."
        elif exact[0] > data.shown:
            note = f"The right product is at rank {exact[0]}."
    frames = _evenly(content.keyframes, FRAMES)
    pictures = [{"time": f.time, "uri": uri} for f in frames if (uri := _data_uri(folder / f.path))]
    queries = [intent.query for intent in data.intents.get(content.id, ()) if intent.query]
    return {"content": content, "products": rows, "frames": pictures, "queries": queries, "note": note}


def _meta(product: Product) -> list[str]:
    price = f"{product.price.amount:.2f} {product.price.currency}".strip() if product.price else ""
    return [part for part in (product.brand, " › ".join(product.category), price, product.id) if part]


def _evenly(items: Sequence[Any], count: int) -> Iterable[Any]:
    if len(items) <= count:
        return items
    return [items[round(i * (len(items) - 1) / (count - 1))] for i in range(count)]


def _data_uri(path: Path) -> str:
    """A small JPEG of a picture as a data address; empty when the file is no picture."""
    import io

    try:
        image = read_picture(path)
    except InputError:
        return ""
    image.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=80)
    return "data:image/jpeg;base64," + base64.b64encode(buffer.getvalue()).decode()
