"""Does a tuned encoder find the product of a listing more often than the hybrid with an untrained one?

    python eval/finetune_retrieval.py

The matched listings of ``er_products`` (Abt-Buy, Amazon-Google) are split in two halves by connected components of
their match graph, in which listings of one title are connected too: no listing, product or title is in both. An
encoder is trained on the pairs of the first half alone (``finetune_retrieval.yaml``; a seventh of them chooses the
checkpoint). Then every listing of the second half is searched in the whole right table, by words,
by the vectors of both encoders, and by the hybrid with either. Prints R@1, R@10 and MRR with 95% intervals and the
paired p-value against the hybrid with the untrained encoder, and writes ``eval/results/finetune_retrieval.json``.
``--dev`` measures on the dev listings instead, for choosing settings. Leaves with 2 where the data is not there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import NamedTuple

import msgspec

from llmrec.catalog import Catalog
from llmrec.embed import load_encoder
from llmrec.evaluate import evaluate_matches, read_qrels
from llmrec.index import Index
from llmrec.records import Product, Query

HERE = Path(__file__).parent
TABLES = {"abt_buy": ("abt.csv", "buy.csv"), "amazon_google": ("amazon.csv", "gp.csv")}
METRICS = ["recall@1", "recall@10", "mrr@10"]
#: Of the seed that splits; of a hundred parts, those that are tested and those that are dev.
SPLIT_SEED, TEST_BELOW, DEV_BELOW = 20, 50, 57


class Table(NamedTuple):
    """Two shops, and the component of each matched listing."""

    name: str
    left: dict[str, Product]
    right: dict[str, Product]
    qrels: dict[str, dict[str, int]]
    component: dict[str, str]

    def part(self, listing: str) -> str:
        """``test``, ``dev`` or ``train``; all of a component fall together."""
        digest = hashlib.sha256(f"{SPLIT_SEED}\0{self.name}\0{self.component[listing]}".encode()).digest()
        place = int.from_bytes(digest[:8], "big") % 100
        return "test" if place < TEST_BELOW else "dev" if place < DEV_BELOW else "train"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", action="store_true", help="measure on the dev listings")
    parser.add_argument("--encoder", help="a trained encoder; none is trained then")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a change to the recipe")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--out", type=Path, default=HERE / "results" / "finetune_retrieval.json")
    chosen = parser.parse_args()
    data = Path(os.environ.get("LLMREC_DATA", "")) / "er_products"
    missing = [name for name in TABLES if not (data / name / "gt.csv").is_file()]
    if missing:
        what = f"no {missing[0]} in {data}" if os.environ.get("LLMREC_DATA") else "LLMREC_DATA is not set"
        print(f"error: {what}\n  next: eval/README.md says where the tables come from", file=sys.stderr)
        sys.exit(2)
    tables = [read_table(data / name, name) for name in TABLES]
    with tempfile.TemporaryDirectory() as work:
        written = {"split_seed": SPLIT_SEED, "training_seed": chosen.seed, "machine": platform.machine()}
        folder = chosen.encoder
        if folder is None:
            folder, written["training"] = train(tables, Path(work), chosen)
        part = "dev" if chosen.dev else "test"
        results = {table.name: measure(table, part, str(folder), Path(work)) for table in tables}
    if not chosen.dev:
        command = "python eval/finetune_retrieval.py" + (f" --seed {chosen.seed}" if chosen.seed else "")
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({"command": command, **written, "tables": results}, indent=1)
        chosen.out.write_text(text + "\n", encoding="utf-8")


def read_table(folder: Path, name: str) -> Table:
    """Both shops' products, their matches, and the components of the graph of matches and equal titles."""
    left, right = ({p.id: p for p in Catalog.read(folder / file)} for file in TABLES[name])
    qrels = {k: v for k, v in read_qrels(folder / "gt.csv").items() if k in left}
    parent: dict[str, str] = {}

    def root(node: str) -> str:
        while parent.setdefault(node, node) != node:
            node = parent[node]
        return node

    def join(one: str, other: str) -> None:
        low, high = sorted((root(one), root(other)))
        parent[high] = low

    for listing, products in qrels.items():
        join(f"left {listing}", f"title {title_key(left[listing])}")
        for product in products:
            join(f"left {listing}", f"right {product}")
            join(f"right {product}", f"title {title_key(right[product])}")
    return Table(name, left, right, qrels, {listing: root(f"left {listing}") for listing in qrels})


def title_key(product: Product) -> str:
    """A title with case and spacing set aside."""
    return " ".join(product.title.casefold().split())


def train(tables: list[Table], work: Path, chosen: argparse.Namespace) -> tuple[Path, dict[str, object]]:
    """Write the pairs of the first half, train on them, and return the encoder's folder and what the training says."""
    from llmrec.recipes import load_recipe
    from llmrec.train import finetune

    for part in ("train", "dev"):
        with open(work / f"{part}.jsonl", "w", encoding="utf-8") as file:
            for table in tables:
                for listing in (key for key in table.qrels if table.part(key) == part):
                    for product in table.qrels[listing]:
                        file.write(json.dumps(pair(table, listing, product), ensure_ascii=False) + "\n")
    changes = [f"data.train={work}/train.jsonl", f"data.dev={work}/dev.jsonl", f"output={work}/run"]
    recipe = load_recipe(HERE / "finetune_retrieval.yaml", [*changes, f"training.seed={chosen.seed}", *chosen.set])
    done = finetune(recipe)
    assert done.folder is not None
    told = {key: done.metrics["training"][key] for key in ("examples", "steps", "best_step", "seconds")}
    told["dev"] = {name: round(v["tuned"]["value"], 4) for name, v in done.metrics["dev"].items() if name != "examples"}
    told["dev_untrained"] = {n: round(v["base"]["value"], 4) for n, v in done.metrics["dev"].items() if n != "examples"}
    told["changes"] = [change for change in chosen.set if not change.startswith("output=")]
    print(json.dumps(told))
    return done.folder, told


def pair(table: Table, listing: str, product: str) -> dict[str, object]:
    """A listing as content and its product, with the component as group; ids tell the tables apart."""
    own, right = table.left[listing], table.right[product]
    content = {"id": f"{table.name}-{listing}", "kind": "post", "title": own.title}
    rest = " ".join(filter(None, [own.description, own.brand]))
    positive = msgspec.to_builtins(msgspec.structs.replace(right, id=f"{table.name}-{product}", extra={}))
    group = f"{table.name} {table.component[listing]}"
    return {"query": {**content, "caption": rest}, "positive": positive, "group": group}


def measure(table: Table, part: str, folder: str, work: Path) -> dict[str, object]:
    """All retrievers on the listings of one part, against the whole right table."""
    listings = [table.left[key] for key in table.qrels if table.part(key) == part]
    qrels = {listing.id: table.qrels[listing.id] for listing in listings}
    queries = [Query(" ".join(filter(None, [p.title, p.description, p.brand])), title=p.title) for p in listings]
    runs = {}
    for label, reference in (("untrained", "starter:minilm"), ("tuned", folder)):
        index = Index.build(work / f"{table.name}-{label}", table.right.values(), load_encoder(reference))
        if label == "untrained":
            runs |= {r: run(index, r, listings, queries) for r in index.retrievers if r.startswith("bm25")}
        for retriever in index.retrievers:
            if not retriever.startswith("bm25"):
                runs[f"{retriever}, {label}"] = run(index, retriever, listings, queries)
    trained = {p for key, ps in table.qrels.items() if table.part(key) != "test" for p in ps}
    print(f"\n{table.name}: {len(queries)} {part} listings, {len(table.right)} products ({len(trained)} trained on)")
    found: dict[str, object] = {"listings": len(queries), "products": len(table.right)}
    for name, ranking in runs.items():
        scored = evaluate_matches(runs["hybrid, untrained"], qrels, metrics=METRICS, baseline=ranking)
        values = scored.baseline_metrics
        p = {m: scored.comparison[m].p_value for m in METRICS}
        row = {m: [round(values[m].value, 4), values[m].low, values[m].high] for m in METRICS}
        found[name] = {**row, "p": p}
        print(f"  {name:24s} " + "  ".join(f"{m} {values[m]} (p {p[m]:.4f})" for m in METRICS))
    return found


def run(index: Index, retriever: str, listings: list[Product], queries: list[Query]) -> dict[str, dict[str, float]]:
    """The ten best products of each listing and their scores."""
    found = index.search_by(retriever, queries, 10)
    pairs = zip(listings, found, strict=True)
    return {listing.id: {hit.product_id: hit.score for hit in hits} for listing, hits in pairs}


if __name__ == "__main__":
    main()
