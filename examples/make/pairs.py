"""Write the sample's labelled pairs of offers: ``python examples/make/pairs.py``.

One row::

    {"ids": ["PKT-05", "PKT-05"],
     "left": {"title": "water kettle Verdo-Plus 1700ml grün", "price": 61.99},
     "right": {"title": "Pellorin Verdo Plus electric kettle 1.7 l matte green", "brand": "Pellorin", "price": 64.9},
     "label": 1}

``ids`` are whose the two sides are (a matcher does not see them). ``right`` is a product of the catalog, ``left`` is
how somebody else lists it (``listings.py``), or, for a pair that does not match, how somebody lists a sibling, another
product of the department, or any other. Families are split as those of the summaries are, and both sides of a pair are
of one split.
"""

from __future__ import annotations

import argparse
import json
import random
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml
from listings import listing
from summaries import cells, sorted_products, split_of, summaries, write

from llmrec.prompting.spans import forms

HERE = Path(__file__).parent
# per product: matching, siblings, of the department, any
COUNTS = {"train": (2, 2, 1, 0.5), "dev": (2, 3, 1, 1.8), "test": (2, 2, 1, 2)}
# a right side now and then brings its description, as a shop's export does
DESCRIBED = 0.1


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE.parent, help="folder of the files")
    parser.add_argument("--seed", type=int, default=11, help="of the noise and of the choice of negatives")
    arguments = parser.parse_args()
    goods = list(_goods())
    for split in COUNTS:
        chosen = [good for good in goods if split_of(good["group"]) == split]
        rows = list(pairs(chosen, COUNTS[split], random.Random(f"{split} {arguments.seed}")))
        write(arguments.output / f"pairs-{split}.jsonl", rows)


def pairs(goods: Sequence[dict[str, Any]], counts: Sequence[float], chance: random.Random) -> Iterator[dict[str, Any]]:
    """The pairs of one split, those of a product together, each pair once."""
    matching, siblings, department, other = counts
    families = defaultdict(list)
    for good in goods:
        families[good["group"]].append(good)
    seen: set[str] = set()
    for good in goods:
        near = sorted((g for g in families[good["group"]] if g is not good), key=lambda g: (_apart(good, g), g["id"]))
        away = [g for g in goods if g["group"] != good["group"]]
        same = [g for g in away if g["product"]["category"][0] == good["product"]["category"][0]]
        wrong = near[:1] + chance.sample(near[1:], min(len(near[1:]), max(0, int(siblings) - 1)))
        wrong += chance.sample(same, _count(department, chance) if same else 0)
        wrong += chance.sample(away, _count(other, chance))
        for listed, label in [*((good, 1) for _ in range(int(matching))), *((g, 0) for g in wrong)]:
            sides = {"left": _listed(listed, chance), "right": _offer(good["product"], chance)}
            row = {"ids": [listed["id"], good["id"]], **sides, "label": label}
            if (key := json.dumps(row, sort_keys=True)) not in seen:
                seen.add(key)
                yield row


def _goods() -> Iterator[dict[str, Any]]:
    families = {}
    for path in sorted((HERE / "families").glob("*.yaml")):
        families |= {family["code"]: family for family in yaml.safe_load(path.read_text(encoding="utf-8"))}
    for row, product in zip(summaries(), sorted_products(), strict=True):
        yield {**row, "cells": cells(families[row["group"]], product)}


def _listed(good: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    return listing(good["product"], good["summary"]["headline"], good["cells"], chance)


def _offer(product: dict[str, Any], chance: random.Random) -> dict[str, Any]:
    """The catalog's side: what its title does not say of its attributes stands beside it."""
    offer = {"title": product["title"], "brand": product.get("brand", ""), "price": product["price"]["amount"]}
    said = forms([product["title"]])
    offer |= {name: value for name, value in product["attributes"].items() if forms([value]) - said}
    if chance.random() < DESCRIBED:
        offer["description"] = product.get("description", "").split("\n")[0][:160]
    return {name: value for name, value in offer.items() if value}


def _apart(one: dict[str, Any], other: dict[str, Any]) -> int:
    """In how many of their values two variants differ."""
    return sum(value != other["cells"].get(name) for name, value in one["cells"].items() if name != "price")


def _count(mean: float, chance: random.Random) -> int:
    return int(mean) + (chance.random() < mean % 1)


if __name__ == "__main__":
    main()
