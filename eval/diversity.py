"""What diversity and caps cost in right products, and what they bring in others.

    python eval/diversity.py

Broad searches: the names of categories of ``amazon_scientific_sid`` against its products, whose categories are left out
of the index. A product of the category has grade 2, one of a sister category 1: what Amazon's own tree says, no person
judged. Listings: one shop's listing against the other's table (``er_products``), of which one product is right.

Each list is found once and then shown by ``llmrec match``'s own steps with each λ, and with a cap of two products of a
brand. Beside the measures of right products: brands among the first ten, their mean likeness by vectors (which is what
the method lowers) and by words of titles (which it does not see). All with 95% intervals over contents, differences to
λ 0 paired. And how far boosts reach: the rank that a product has after one, by the rank that it had. Nothing is chosen
here. Writes ``eval/results/diversity.json``; leaves with 2 where the data is not there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections import defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from llmrec.catalog import Catalog
from llmrec.embed import load_encoder
from llmrec.evaluate import evaluate_matches, read_qrels
from llmrec.evaluate.intervals import bootstrap_means, paired_test
from llmrec.index import Index
from llmrec.match import Matcher, Rules
from llmrec.match.diversity import title_likeness
from llmrec.match.effects import deviation
from llmrec.match.steering import Steering
from llmrec.records import Content, Hit, Product

TABLES = {"abt_buy": ("abt.csv", "buy.csv"), "amazon_google": ("amazon.csv", "gp.csv")}
LAMBDAS = (0.0, 0.1, 0.2, 0.3, 0.5)
METRICS = ["hit@1", "recall@10", "precision@10", "ndcg@10"]
SPREAD = ["brands", "likeness", "titles"]
#: Products that a category needs to be asked for.
FEWEST = 10
SHOWN, BATCH = 10, 64
BOOSTS, RANKS = (0.5, 1.0, 2.0), (2, 5, 10, 20, 50)

Qrels = Mapping[str, Mapping[str, int]]
Set = tuple[str, list[Product], list[Content], Qrels]
CAP = Rules.model_validate(
    {"version": 1, "rules": [{"name": "two of a brand", "action": "cap", "field": "brand", "most": 2}]}
)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="starter:minilm")
    parser.add_argument("--sets", nargs="*", help="only these")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "diversity.json")
    chosen = parser.parse_args()
    data = Path(os.environ.get("LLMREC_DATA", ""))
    wanted = ["amazon_scientific_sid/Scientific.item.json", *(f"er_products/{name}/gt.csv" for name in TABLES)]
    missing = [name for name in wanted if not (data / name).is_file()]
    if not os.environ.get("LLMREC_DATA") or missing:
        what = f"no {missing[0]} in {data}" if os.environ.get("LLMREC_DATA") else "LLMREC_DATA is not set"
        print(f"error: {what}\n  next: eval/README.md says where the data comes from", file=sys.stderr)
        sys.exit(2)
    encoder = load_encoder(chosen.encoder)
    results: dict[str, Any] = {}
    for name, products, contents, qrels in sets(data):
        if chosen.sets and name not in chosen.sets:
            continue
        with tempfile.TemporaryDirectory() as work:
            index = Index.build(Path(work) / "index", products, encoder)
            results[name] = measured(index, products, contents, qrels)
        print(f"\n{name}: {len(contents)} contents, {len(products)} products")
        for by, reached in results[name]["boosts"].items():
            print(f"  boost by {by:4s} " + "  ".join(f"{rank} to {at}" for rank, at in reached.items()))
        for arm, row in results[name]["arms"].items():
            print(f"  {arm:14s} " + "  ".join(f"{m} {_shown(row[m])}" for m in [*METRICS, *SPREAD] if m in row))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    written = {"command": "python eval/diversity.py", "encoder": chosen.encoder, "sets": results}
    chosen.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def sets(data: Path) -> Iterator[Set]:
    """Name, catalog, contents and grades of each set."""
    items = json.loads((data / "amazon_scientific_sid" / "Scientific.item.json").read_text(encoding="utf-8"))
    products = [Product(id, item["title"], item["description"][:600], item["brand"]) for id, item in items.items()]
    of: defaultdict[str, list[str]] = defaultdict(list)
    for id, item in items.items():
        of[item["categories"]].append(id)
    parents = {path: path.rpartition(",")[0] for path in of}
    contents, qrels = [], {}
    for path, own in sorted(of.items()):
        if not path or len(own) < FEWEST:
            continue
        sisters = [id for other in of if parents[other] == parents[path] for id in of[other]] if parents[path] else []
        contents.append(Content(path, "search", title=path.rpartition(",")[2].strip()))
        qrels[path] = dict.fromkeys(sisters, 1) | dict.fromkeys(own, 2)
    yield "scientific", products, contents, qrels
    for name, (left, right) in TABLES.items():
        folder = data / "er_products" / name
        true = read_qrels(folder / "gt.csv")
        listings = [listing for listing in Catalog.read(folder / left) if listing.id in true]
        asked = [Content(p.id, "search", title=p.title, caption=f"{p.description} {p.brand}".strip()) for p in listings]
        yield name, list(Catalog.read(folder / right)), asked, {content.id: true[content.id] for content in asked}


def measured(index: Index, products: list[Product], contents: list[Content], qrels: Qrels) -> dict[str, Any]:
    """Every arm's values and differences to λ 0."""
    matcher = Matcher(index)
    lists = [
        (content, hits)
        for start in range(0, len(contents), BATCH)
        for content, (hits, _) in zip(
            contents[start : start + BATCH], matcher.lists(contents[start : start + BATCH]), strict=True
        )
    ]
    known = {product.id: product for product in products}
    branded = any(product.brand for product in products)
    arms = {f"λ {value:g}": Steering(index, None, value, None, SHOWN) for value in LAMBDAS}
    arms["λ 0.3, words"] = Steering(_Words(index), None, 0.3, None, SHOWN)
    if branded:
        arms["cap"] = Steering(index, CAP, 0.0, None, SHOWN)
    shown = {arm: {content.id: _shown_by(own, hits, content) for content, hits in lists} for arm, own in arms.items()}
    runs = {
        arm: {id: {hit.product_id: hit.score for hit in hits} for id, hits in run.items()} for arm, run in shown.items()
    }
    base, rows = "λ 0", {}
    spread = {arm: np.array([_spread(index, known, hits) for hits in run.values()]) for arm, run in shown.items()}
    for arm in arms:
        scored = evaluate_matches(runs[arm], qrels, metrics=METRICS, baseline=runs[base])
        row: dict[str, Any] = {}
        for metric in METRICS:
            compared = scored.comparison[metric]
            row[metric] = _row(scored.metrics[metric], compared.difference, compared.p_value)
        gain = spread[arm] - spread[base]
        own, more = bootstrap_means(spread[arm]), bootstrap_means(gain)
        for column, name in enumerate(SPREAD):
            if branded or name != "brands":
                row[name] = _row(own[column], more[column], paired_test(gain[:, column]))
        rows[arm] = row
    reached = boosted([[hit.score for hit in hits] for _, hits in lists])
    return {"contents": len(contents), "products": len(products), "arms": rows, "boosts": reached}


def boosted(lists: list[list[float]]) -> dict[str, dict[str, list[int]]]:
    """Where a boost takes a product, by its rank before: the 10th, 50th and 90th percentile over lists."""
    reached: dict[str, dict[str, list[int]]] = {}
    for by in BOOSTS:
        reached[f"{by:g}"] = {}
        for rank in RANKS:
            ranks = [
                1 + sum(score > scores[rank - 1] + by * deviation(scores) for score in scores)
                for scores in lists
                if len(scores) >= rank
            ]
            reached[f"{by:g}"][str(rank)] = [int(p) for p in np.percentile(ranks, [10, 50, 90])]
    return reached


class _Words:
    """An index as one without vectors is: likeness comes from words."""

    def __init__(self, index: Index) -> None:
        self.product = index.product


def _shown_by(steering: Steering, hits: list[Hit], content: Content) -> list[Hit]:
    return steering(hits, content.kind, lambda where: []).hits


def _spread(index: Index, known: Mapping[str, Product], hits: list[Hit]) -> list[float]:
    """Brands that differ, mean likeness by vectors, mean likeness by words of titles, among what is shown."""
    ids = [hit.product_id for hit in hits]
    pairs = np.triu_indices(len(ids), 1)
    by_vectors = index.likeness(ids)
    assert by_vectors is not None
    # a product without a brand is one of its own
    brands = len({known[id].brand.casefold() or id for id in ids})
    by_words = title_likeness([known[id].title for id in ids])
    return [float(brands), float(by_vectors[pairs].mean()), float(by_words[pairs].mean())]


def _row(value: Any, difference: Any, p: float) -> dict[str, Any]:
    told = {"value": value, "difference": difference}
    return {name: [_round(e.value), _round(e.low), _round(e.high)] for name, e in told.items()} | {"p": round(p, 5)}


def _round(value: float | None) -> float | None:
    return None if value is None else round(float(value), 4)


def _shown(row: dict[str, Any]) -> str:
    value, low, high = row["value"]
    bounds = "" if low is None else f" [{low:.3f}, {high:.3f}]"
    return f"{value:.3f}{bounds} ({row['difference'][0]:+.3f})"


if __name__ == "__main__":
    main()
