"""The development tables of ``fusion_study.py``: queries, a catalog and the true products of each query.

``LLMREC_DATA`` names the folder that holds ``er_products``, ``er_magellan_pairs``, ``wdc_products``,
``amazon_scientific_sid``, ``grocerystore`` and ``fewsum_amazon``. Every random choice is seeded. A table's ``source``
is the data it comes from: leave-one-source-out holds out all tables of one source together.
"""

from __future__ import annotations

import csv
import json
import random
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import msgspec

from llmrec.records import Product, Query

Rows = list[dict[str, str]]

CHATTER = (
    "hello everybody welcome back to the stream",
    "let me know in the comments where you are watching from",
    "so many of you asked for this one so here we go",
    "the link is down below as always",
    "do not forget to like and follow",
    "i have used it every day for about two weeks now",
    "honestly i did not expect to love it this much",
    "look at that can you see it on the camera",
    "wait let me turn the light on",
    "it comes in a really nice box",
    "shipping is free today only",
    "we only have a few left so be quick",
    "my sister has the same one and she loves it",
    "okay let me check the chat for a second",
    "yes it is in stock",
    "i will put the price on the screen",
    "so what do you get in the box",
    "next up i have something special",
    "if you missed the start do not worry",
    "let us do a quick unboxing",
    "it feels really solid in the hand",
    "i was a bit skeptical at first",
    "thank you for the gift you are so kind",
    "remember the coupon works until midnight",
)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


@dataclass(frozen=True)
class Table:
    """One retrieval task: ``relevant[i]`` holds the ids of the products that answer ``queries[i]``.

    ``meant`` is what an encoder that knows the query's language reads in a text that holds foreign words.
    """

    name: str
    source: str
    queries: list[Query]
    products: list[Product]
    relevant: list[set[str]]
    meant: dict[str, str] = field(default_factory=dict)


#: Tables that are also asked in a language that the catalog is not in.
FOREIGN = ("abt_buy_no_title", "amazon_google", "amazon_google_title_only", "scientific_description",
           "scientific_keywords", "wdc_products", "wdc_cameras", "reviews")  # fmt: skip
#: Tables whose catalog is also tried among the products of all other sources.
CROWDED = ("abt_buy", "abt_buy_transcript", "amazon_google_title_only", "scientific_description", "scientific_keywords",
           "wdc_products", "wdc_cameras", "reviews")  # fmt: skip


def tables(data: Path) -> Iterator[Table]:
    """All development tables, in a fixed order."""
    sources = (_abt_buy, _amazon_google, _pairs_wdc, _pairs_cameras, _scientific, _grocery, _reviews)
    plain = [table for source in sources for table in source(data)]
    yield from plain
    yield from (_foreign(table) for table in plain if table.name in FOREIGN)
    yield from (_crowded(table, plain) for table in plain if table.name in CROWDED)


def er_table(data: Path, name: str, *, reverse: bool = False) -> Table:
    """One of the two product tables of ``er_products``, left listing as query and right table as catalog."""
    left, right, separator = {"abt_buy": ("abt", "buy", "|"), "amazon_google": ("amazon", "gp", "#")}[name]
    folder = data / "er_products" / name
    sides = [_rows(folder / f"{file}.csv", separator) for file in (left, right)]
    truth = [(row["D1"], row["D2"]) for row in _rows(folder / "gt.csv", separator)]
    if reverse:
        sides.reverse()
        truth = [(b, a) for a, b in truth]
    listings = {product.id: product for product in map(_product, sides[0])}
    queries = [Query(text=_whole(listings[a]), title=listings[a].title) for a, _ in truth]
    shown = f"{name}_reversed" if reverse else name
    return Table(shown, name, queries, [_product(row) for row in sides[1]], [{b} for _, b in truth])


def _abt_buy(data: Path) -> Iterator[Table]:
    table = er_table(data, "abt_buy")
    yield table
    yield er_table(data, "abt_buy", reverse=True)
    bare = [Product(id=product.id, title=product.title) for product in table.products]
    yield Table("abt_buy_bare_catalog", "abt_buy", table.queries, bare, table.relevant)
    yield _asked(table, "title_only", lambda query, _: Query(text=query.title))
    yield _asked(table, "no_title", lambda query, _: Query(text=query.text))
    yield _asked(table, "last_words", lambda query, _: Query(text=" ".join(query.title.split()[-3:])))
    yield _asked(table, "no_numbers", lambda query, _: Query(text=_without_numbers(query.title)))
    yield _asked(table, "speech", lambda query, rng: Query(text=_spoken(query.title, rng)))
    yield _asked(table, "screen", lambda query, rng: Query(text=_misread(query.title, rng)))
    yield _asked(table, "transcript", lambda query, rng: Query(text=_transcript(query.title, rng)))


def _amazon_google(data: Path) -> Iterator[Table]:
    table = er_table(data, "amazon_google")
    yield table
    yield er_table(data, "amazon_google", reverse=True)
    yield _asked(table, "title_only", lambda query, _: Query(text=query.title))
    yield _asked(table, "speech", lambda query, rng: Query(text=_spoken(query.title, rng)))
    yield _asked(table, "screen", lambda query, rng: Query(text=_misread(query.title, rng)))
    yield _asked(table, "transcript", lambda query, rng: Query(text=_transcript(query.title, rng)))


def _pairs_wdc(data: Path) -> Iterator[Table]:
    pattern = re.compile(r"Entity 1: '(.*)'\. Entity 2: '(.*)'\.$", re.S)
    pairs = []
    for path in sorted((data / "wdc_products").glob("*.csv")):
        for row in _rows(path, ","):
            found = pattern.search(row["prompt"])
            if found:
                pairs.append((found[1], found[2], row["completion"] == "Yes"))
    yield _from_pairs("wdc_products", pairs)


def _pairs_cameras(data: Path) -> Iterator[Table]:
    def clean(side: str) -> str:
        title = re.sub(r'"(@[\w-]+)?', " ", side.replace("COL title VAL", " "))
        return " ".join(title.split())

    pairs = []
    for name in ("train.txt.medium", "valid.txt.small", "test.txt"):
        for line in (data / "er_magellan_pairs" / "wdc_cameras" / name).read_text(encoding="utf-8").splitlines():
            left, right, label = line.split("\t")
            pairs.append((clean(left), clean(right), label == "1"))
    yield _from_pairs("wdc_cameras", pairs)


def _scientific(data: Path) -> Iterator[Table]:
    items = json.loads((data / "amazon_scientific_sid" / "Scientific.item.json").read_text(encoding="utf-8"))
    full = [
        Product(
            id=id, title=row["title"], description=row["description"], brand=row["brand"],
            category=tuple(row["categories"].split(",")),
        )
        for id, row in items.items()
    ]  # fmt: skip
    rng = random.Random(7)
    asked = rng.sample([product for product in full if len(product.description.split()) >= 8], 1000)
    relevant = [{product.id} for product in asked]
    bare = [Product(id=p.id, title=p.title, brand=p.brand, category=p.category) for p in full]
    described = [Query(text=product.description) for product in asked]
    yield Table("scientific_description", "scientific", described, bare, relevant)
    halves = [Query(text=" ".join(p.description.split()[: len(p.description.split()) // 2])) for p in asked]
    second = [
        Product(id=p.id, title=p.title, description=" ".join(p.description.split()[len(p.description.split()) // 2 :]))
        for p in full
    ]
    yield Table("scientific_half_description", "scientific", halves[:500], second, relevant[:500])
    words = [Query(text=_keywords(product, rng)) for product in asked]
    yield Table("scientific_keywords", "scientific", words, full, relevant)
    spoken = [Query(text=_spoken(product.title, rng)) for product in asked]
    yield Table("scientific_speech", "scientific", spoken, full, relevant)
    typed = [Query(text=_misread(product.title, rng)) for product in asked]
    yield Table("scientific_screen", "scientific", typed, full, relevant)


def _grocery(data: Path) -> Iterator[Table]:
    folder = data / "grocerystore" / "dataset" / "iconic-images-and-descriptions"
    queries, products = [], []
    for path in sorted(folder.rglob("*_Information.txt")):
        name = path.name.removesuffix("_Information.txt")
        description = path.with_name(f"{name}_Description.txt").read_text(encoding="utf-8").strip()
        queries.append(Query(text=path.read_text(encoding="utf-8")))
        products.append(Product(id=name, title=name.replace("-", " "), description=description))
    relevant = [{product.id} for product in products]
    yield Table("grocery_information", "grocery", queries, products, relevant)
    bare = [Product(id=product.id, title=product.title) for product in products]
    described = [Query(text=product.description) for product in products]
    yield Table("grocery_description", "grocery", described, bare, relevant)


def _reviews(data: Path) -> Iterator[Table]:
    rows = [row for name in ("train", "val") for row in _rows(data / "fewsum_amazon" / f"{name}.csv", "\t")]
    queries, products, relevant = [], [], []
    for row in rows:
        products.append(
            Product(id=row["group_id"], title="", description=" ".join(row[f"rev{i}"] for i in (1, 2, 3, 4)))
        )
        for i in (5, 6, 7, 8):
            queries.append(Query(text=row[f"rev{i}"]))
            relevant.append({row["group_id"]})
    yield Table("reviews", "reviews", queries, products, relevant)


def _from_pairs(name: str, pairs: list[tuple[str, str, bool]]) -> Table:
    """Texts joined by positive pairs are one product: one of them asks, all others are the catalog."""
    parent: dict[str, str] = {}

    def root(text: str) -> str:
        while parent.setdefault(text, text) != text:
            text = parent[text]
        return text

    for left, right, same in pairs:
        if same:
            parent[root(left)] = root(right)
    groups: dict[str, list[str]] = {}
    for text in dict.fromkeys(text for left, right, _ in pairs for text in (left, right)):
        groups.setdefault(root(text), []).append(text)
    rng = random.Random(name)
    asked = {key: rng.choice(group) for key, group in groups.items() if len(group) > 1}
    texts = [text for key, group in groups.items() for text in group if text != asked.get(key)]
    at = {text: str(i) for i, text in enumerate(texts)}
    queries = [Query(text=text, title=text) for text in asked.values()]
    relevant = [{at[text] for text in groups[key] if text in at} for key in asked]
    return Table(name, name, queries, [Product(id=id, title=text) for text, id in at.items()], relevant)


def _asked(table: Table, name: str, change: Callable[[Query, random.Random], Query]) -> Table:
    rng = random.Random(f"{table.name} {name}")
    queries = [change(query, rng) for query in table.queries]
    return Table(f"{table.name}_{name}", table.source, queries, table.products, table.relevant)


def _foreign(table: Table) -> Table:
    """Most words are unknown to the catalog, numbers stay; an encoder of both languages reads the original."""
    rng = random.Random(f"{table.name} foreign")
    meant: dict[str, str] = {}

    def foreign(text: str) -> str:
        said = " ".join(
            word if re.search(r"\d", word) or rng.random() < 0.15 else f"{word[::-1]}qx" for word in text.split()
        )
        meant[said] = text
        return said

    queries = [Query(text=foreign(query.text), title=foreign(query.title)) for query in table.queries]
    return Table(f"{table.name}_foreign", table.source, queries, table.products, table.relevant, meant)


def _crowded(table: Table, others: list[Table]) -> Table:
    strangers = {
        (product.title, product.description): product
        for other in others
        if other.source != table.source
        for product in other.products
    }
    chosen = random.Random(f"{table.name} crowded").sample(list(strangers.values()), 8000)
    extra = [msgspec.structs.replace(product, id=f"stranger-{i}") for i, product in enumerate(chosen)]
    return Table(
        f"{table.name}_crowded", table.source, table.queries[:200], [*table.products, *extra], table.relevant[:200]
    )


def _without_numbers(text: str) -> str:
    words = [word for word in text.split() if not re.search(r"\d", word)]
    return " ".join(words) or text


def _spoken(text: str, rng: random.Random) -> str:
    """What a speech recogniser writes: no punctuation, model numbers spelled out, words lost or misheard."""
    words: list[str] = []
    for word in re.findall(r"\w+", text.lower()):
        if re.search(r"\d", word):
            for part in re.findall(r"\d+|[^\W\d]+", word):
                if part.isdigit():
                    words.extend([DIGITS[int(digit)] for digit in part] if rng.random() < 0.3 else [part])
                else:
                    words.extend(part if len(part) <= 3 and rng.random() < 0.7 else [part])
        elif rng.random() < 0.1:
            continue
        else:
            words.append(_edited(word, rng) if rng.random() < 0.12 else word)
    return " ".join(words) or text.lower()


def _misread(text: str, rng: random.Random) -> str:
    """What a text recogniser reads off the screen: confused characters, lost spaces, capitals."""
    confused = {"0": "O", "O": "0", "1": "l", "l": "1", "5": "S", "S": "5", "8": "B", "B": "8", "m": "rn", "I": "l"}
    letters = (confused.get(char, char) if rng.random() < 0.12 else char for char in text)
    read = "".join("" if char == " " and rng.random() < 0.06 else char for char in letters)
    return read.upper() if rng.random() < 0.4 else read


def _transcript(text: str, rng: random.Random) -> str:
    lines = rng.sample(CHATTER, 12)
    lines.insert(rng.randrange(2, 10), f"so this is the {_spoken(text, rng)}")
    return " ".join(lines)


def _keywords(product: Product, rng: random.Random) -> str:
    words = [word for word in re.findall(r"[^\W\d]{3,}", product.title) if word.lower() != product.brand.lower()]
    kept = sorted(rng.sample(range(len(words)), min(3, len(words))))
    return " ".join(words[i] for i in kept) or product.title


def _edited(word: str, rng: random.Random) -> str:
    at = rng.randrange(len(word))
    choice = rng.randrange(3)
    if choice == 0 and len(word) > 2:
        return word[:at] + word[at + 1 :]
    if choice == 1 and at + 1 < len(word):
        return word[:at] + word[at + 1] + word[at] + word[at + 2 :]
    return word[:at] + rng.choice("aeioustnr") + word[at + 1 :]


def _product(row: dict[str, str]) -> Product:
    title = row.get("name") or row.get("title") or ""
    return Product(id=row["id"], title=title, description=row["description"], brand=row.get("manufacturer") or "")


def _whole(product: Product) -> str:
    return " ".join(filter(None, (product.title, product.brand, product.description)))


def _rows(path: Path, separator: str) -> Rows:
    with open(path, encoding="utf-8", errors="replace", newline="") as file:
        quoting = csv.QUOTE_MINIMAL
        return list(csv.DictReader(file, delimiter=separator, quoting=quoting))
