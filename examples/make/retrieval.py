"""Write the sample's queries and the products that are right for them: ``python examples/make/retrieval.py``.

One row::

    {"query": {"id": "PKT-05-1", "kind": "post", "title": "water kettle Verdo-Plus 1700ml"}, "product_id": "PKT-05"}

Two queries a product: how somebody else lists it (``listings.py``), as a post and as a search. Contents of the sample
that show one product stand beside them. Families are split as those of the summaries are; products are those of
``catalog.csv``.
"""

from __future__ import annotations

import argparse
import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from listings import listing
from pairs import _goods as goods
from summaries import split_of, write

HERE = Path(__file__).parent
SPLITS = ("train", "dev", "test")
KINDS = ("post", "search")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("-o", "--output", type=Path, default=HERE.parent, help="folder of the files")
    parser.add_argument("--seed", type=int, default=12, help="of the noise")
    arguments = parser.parse_args()
    found = list(listed(random.Random(arguments.seed))) + list(shown())
    for split in SPLITS:
        rows = [row for row in found if split_of(row["product_id"].split("-")[0]) == split]
        write(arguments.output / f"retrieval-{split}.jsonl", rows)


def listed(chance: random.Random) -> Iterator[dict[str, Any]]:
    """Each product as somebody else lists it, twice; a listing that is the product's own title is none."""
    for good in goods():
        for number, kind in enumerate(KINDS, 1):
            offer = listing(good["product"], good["summary"]["headline"], good["cells"], chance)
            if offer["title"] == good["product"]["title"]:
                continue
            content = {"id": f"{good['id']}-{number}", "kind": kind, "title": offer["title"]}
            if kind == "post" and offer.get("description"):
                content["caption"] = offer["description"]
            yield {"query": content, "product_id": good["id"]}


def shown() -> Iterator[dict[str, Any]]:
    """The sample's contents that show one product, as they are before they are watched."""
    exact: dict[str, list[str]] = {}
    for line in (HERE.parent / "qrels-exact.tsv").read_text("utf-8").splitlines():
        content, _, product, grade = line.split()
        if int(grade) > 0:
            exact.setdefault(content, []).append(product)
    for line in (HERE.parent / "contents.jsonl").read_text("utf-8").splitlines():
        content = json.loads(line)
        products = exact.get(content["id"], [])
        if len(products) == 1 and (content.get("title") or content.get("caption")):
            # the clips themselves are not watched for this
            yield {"query": {key: value for key, value in content.items() if key != "media"}, "product_id": products[0]}


if __name__ == "__main__":
    main()
