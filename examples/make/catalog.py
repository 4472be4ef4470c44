"""Write the sample catalog from the hand-written product families: ``python examples/make/catalog.py``.

A family (``families/*.yaml``) holds what its variants share; each of its rows is one product::

    code: PKT                                       # the id is the code and the place in the family: PKT-05
    title: "Pellorin {model} electric kettle {Capacity} {color}"
    text: "<p>Double-walled kettle ...</p>"         # plus more[cell] for every cell of the row that has an entry
    vary: [model, Capacity, color, price]
    rows: [[Verdo Plus, 1.7 l, matte green, "64.90 EUR"], ...]

Append rows at the end of a family: ids count from its first row, and qrels.tsv names them.
"""

from __future__ import annotations

import argparse
import csv
import random
import re
from collections.abc import Iterator
from pathlib import Path

import yaml

HERE = Path(__file__).parent
COLUMNS = ["sku", "title", "description", "brand", "category", "price", "color", "size", "material", "model"]
COLUMNS += ["specifications", "ean", "availability", "rating", "language", "url"]
OWN_COLUMN = {"color", "size", "material", "model", "price"}
AVAILABILITY = ["in stock"] * 9 + ["out of stock", "preorder"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE.parent / "catalog.csv")
    parser.add_argument("--seed", type=int, default=7, help="of the stock, ratings and gaps that a real shop has")
    arguments = parser.parse_args()
    rows = list(products(random.Random(arguments.seed)))
    with arguments.output.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, COLUMNS, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    print(f"{arguments.output}: {len(rows)} products")


def products(chance: random.Random) -> Iterator[dict[str, str]]:
    """Every variant of every family as one row of the CSV, families in file order."""
    for path in sorted((HERE / "families").glob("*.yaml")):
        for family in yaml.safe_load(path.read_text(encoding="utf-8")):
            for number, cells in enumerate(family["rows"], 1):
                if len(cells) != len(family["vary"]):
                    raise SystemExit(f"{path.name}: {family['code']}-{number:02d} has {len(cells)} cells")
                row = dict(zip(family["vary"], map(str, cells), strict=True))
                yield _product(family, f"{family['code']}-{number:02d}", row, chance)


def _product(family: dict, sku: str, row: dict[str, str], chance: random.Random) -> dict[str, str]:
    more = family.get("more", {})
    texts = [family["text"], *(text for cell, text in more.items() if cell in row.values())]
    # a spec goes without the punctuation that only the title's grammar wants
    specs = {name: cell.strip(" ,:") for name, cell in row.items() if name not in OWN_COLUMN and cell.strip()}
    title = re.sub(r"\s+([,)])", r"\1", " ".join(family["title"].format(**row).split()))
    # one brand cell in 25 is empty and one description in 30 missing, as in every export of a shop
    brand = "" if chance.random() < 1 / 25 else family["brand"]
    description = "" if chance.random() < 1 / 30 else " ".join(text for text in texts if text)
    return {
        "sku": sku,
        "title": title,
        "description": description,
        "brand": brand,
        "category": family["category"],
        "price": row["price"],
        "color": row.get("color", ""),
        "size": row.get("size", ""),
        "material": row.get("material", family.get("material", "")),
        "model": row.get("model", ""),
        "specifications": "; ".join(f"{name}: {value}" for name, value in specs.items()),
        "ean": _ean(chance),
        "availability": chance.choice(AVAILABILITY),
        "rating": f"{chance.triangular(3.2, 5.0, 4.6):.1f}",
        "language": family.get("language", "en"),
        "url": f"https://shop.example/p/{sku.lower()}",
    }


def _ean(chance: random.Random) -> str:
    """A 13-digit code of the range 20 (kept for use inside a shop: no real article has one), with its check digit."""
    digits = [2, 0, *(chance.randrange(10) for _ in range(10))]
    check = -sum(digit * (3 if place % 2 else 1) for place, digit in enumerate(digits)) % 10
    return "".join(map(str, [*digits, check]))


if __name__ == "__main__":
    main()
