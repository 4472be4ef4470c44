"""The contents that weights of views are learned on: the sample, and posts made of real listings.

    for name, contents, qrels, products in sets(work, None, data): ...

``abt_buy`` and ``amazon_google`` are posts of one shop's listings against another's, ``scientific`` of descriptions
against titles, ``streams`` of two products one after the other (``eval/noisy_talk.py``), ``groceries`` of product cards
with phone photos as frames, ``one source`` these with one source each.
"""

from __future__ import annotations

import csv
import json
import random
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path

import msgspec
from intent_study import sample, shop
from noisy_posts import CHATTER, PART, post, states

from llmrec.catalog import Catalog
from llmrec.evaluate import read_qrels
from llmrec.records import Content, Keyframe, Product
from llmrec.storage import read_records

POSTS, CATALOG, SEED = 120, 1500, 11

Qrels = Mapping[str, Mapping[str, int]]
Set = tuple[str, list[Content], Qrels, list[Product]]


def sets(work: Path, watched: Path | None, data: Path) -> Iterator[Set]:
    """The sample, and posts of each table; each post twice, the second time without what says nothing.

    Args:
        work: Where what is watched now is kept.
        watched: The sample's contents, watched before; None: they are watched now.
        data: The folder of all tables.
    """
    contents, qrels, products = known_sample(watched) if watched else sample(work)
    yield "sample", [c for c in contents if any(qrels.get(c.id, {}).values())], qrels, products
    for name, left, right in (("abt_buy", "abt.csv", "buy.csv"), ("amazon_google", "amazon.csv", "gp.csv")):
        folder = data / "er_products" / name
        listings, truth = list(Catalog.read(folder / left)), read_qrels(folder / "gt.csv")
        yield (name, *posts(listings, truth, Catalog.read(folder / right)))
    items = json.loads((data / "amazon_scientific_sid" / "Scientific.item.json").read_text(encoding="utf-8"))
    rows = [
        Product(id, item["title"], item["description"][:600], item["brand"], tuple(item["categories"].split(",")))
        for id, item in list(items.items())[:CATALOG]
    ]
    # there is one listing of each: the catalog keeps the title, the posts are made of the description too
    bare = [msgspec.structs.replace(row, description="") for row in rows]
    yield ("scientific", *posts(rows, {row.id: {row.id: 1} for row in rows}, bare))
    if "streams" in (made := shop()):
        yield ("streams", *made["streams"])
    name, contents, qrels, products = groceries(data / "grocerystore" / "dataset")
    yield name, contents, qrels, products
    yield ("one source", *one_source(contents, qrels), products)


def known_sample(watched: Path) -> tuple[list[Content], Qrels, list[Product]]:
    """The sample, watched before."""
    folder = Path(__file__).parents[1] / "examples"
    products = list(Catalog.read(folder / "catalog.csv"))
    return list(read_records(watched, Content)), read_qrels(folder / "qrels-exact.tsv"), products


def groceries(folder: Path) -> Set:
    """Posts about 81 groceries with four frames: two phone photos of the product, two of other products.

    No source gives the whole name: the posts are made of the very words of the catalog, which would be too easy.
    """
    rng = random.Random(SEED)
    with (folder / "classes.csv").open(encoding="utf-8") as file:
        classes = [row[:6] for row in list(csv.reader(file))[1:]]
    photos: dict[str, list[str]] = {}
    for line in (folder / "val.txt").read_text(encoding="utf-8").splitlines():
        path, number, _ = line.split(",")
        photos.setdefault(number.strip(), []).append(str(folder / path))
    rows = []
    for name, number, coarse, _, picture, text in classes:
        described = (folder / text.lstrip("/")).read_text(encoding="utf-8").strip()
        image = str(folder / picture.lstrip("/"))
        rows.append(Product(number, name.replace("-", " "), described, category=(coarse,), images=(image,)))
    contents, qrels, products = posts(
        rows, {row.id: {row.id: 1} for row in rows if row.id in photos}, rows, names=False
    )
    pictured = []
    for content in contents:
        (right,) = qrels[content.id]
        own = rng.sample(photos[right], min(2, len(photos[right])))
        others = [rng.choice(photos[id]) for id in rng.sample(sorted(photos.keys() - {right}), 2)]
        frames = tuple(Keyframe(float(at), path) for at, path in enumerate([*own, *others]))
        pictured.append(msgspec.structs.replace(content, keyframes=frames))
    return "groceries", pictured, qrels, products


def one_source(contents: Sequence[Content], qrels: Qrels) -> tuple[list[Content], Qrels]:
    """The same posts with one of their sources each, which may say nothing, and the frames."""
    rng = random.Random(SEED)
    kept = []
    for content in contents:
        written = [name for name in ("title", "caption", "hashtags") if getattr(content, name)]
        sources = sorted({piece.source for piece in content.timed_text})
        if content.id.startswith("quiet-") or not [*written, *sources]:
            continue
        left = rng.choice([*written, *sources])
        kept.append(
            msgspec.structs.replace(
                content,
                timed_text=tuple(piece for piece in content.timed_text if piece.source == left),
                title=content.title if left == "title" else "",
                caption=content.caption if left == "caption" else "",
                hashtags=content.hashtags if left == "hashtags" else (),
            )
        )
    return kept, {content.id: qrels[content.id] for content in kept}


def posts(
    listings: Sequence[Product], truth: Qrels, catalog: Iterable[Product], *, names: bool = True
) -> tuple[list[Content], Qrels, list[Product]]:
    """Posts of listings that the catalog holds; the catalog is cut to a size that is quickly encoded."""
    rng = random.Random(SEED)
    known = [listing for listing in listings if listing.id in truth]
    rng.shuffle(known)
    contents: list[Content] = []
    qrels: dict[str, Mapping[str, int]] = {}
    for number, listing in enumerate(known[:POSTS]):
        drawn = states(rng)
        if not names:
            drawn = {source: min(state, PART) for source, state in drawn.items()}
        made = post(f"post-{number}", listing, rng.choice(known), drawn, rng)
        for content in (made, quiet(made, f"quiet-{number}", drawn)):
            contents.append(content)
            qrels[content.id] = truth[listing.id]
    right = {id for relevant in qrels.values() for id in relevant}
    products = sorted(catalog, key=lambda product: product.id not in right)
    return contents, qrels, products[:CATALOG]


def quiet(content: Content, id: str, drawn: Mapping[str, int]) -> Content:
    """The same post without the sources that say nothing."""
    empty = {source for source, state in drawn.items() if state == CHATTER}
    return msgspec.structs.replace(
        content,
        id=id,
        timed_text=tuple(piece for piece in content.timed_text if piece.source not in empty),
        title="" if "title" in empty else content.title,
        caption="" if "caption" in empty else content.caption,
        hashtags=() if "hashtags" in empty else content.hashtags,
    )
