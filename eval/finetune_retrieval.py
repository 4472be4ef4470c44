"""Does a tuned encoder find the product of a listing more often than the hybrid with an untrained one?

    python eval/finetune_retrieval.py

The matched listings of ``er_products`` (Abt-Buy, Amazon-Google) are split in two halves by connected components of
their match graph, in which listings of one title are connected too: no listing, product or title is in both. An
encoder is trained on the pairs of the first half alone (``finetune_retrieval.yaml``); a quarter of them, which it does
not learn from, chooses the checkpoint and what the encoder counts in the hybrid. The catalog of the training, where
hard negatives come from, is both right tables without the products of the second half. Then every listing of the
second half is searched in the whole right table, by words, by the vectors of both encoders, and by the hybrid with
either. Prints R@1, R@10 and MRR with 95% intervals and the paired p-value against the hybrid with the untrained
encoder, and writes ``eval/results/finetune_retrieval.json``. ``--train`` ends with the training, whose dev figures
are for choosing settings; ``--encoder`` tests what it left. Leaves with 2 where the data is not there.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import platform
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import msgspec
import numpy as np

from llmrec.catalog import Catalog
from llmrec.embed import load_encoder
from llmrec.embed.loading import FUSION
from llmrec.evaluate import evaluate_matches, read_qrels
from llmrec.index import Index
from llmrec.records import Product, Query
from llmrec.seams import Encoder

if TYPE_CHECKING:
    from numpy.typing import NDArray

HERE = Path(__file__).parent
TABLES = {"abt_buy": ("abt.csv", "buy.csv"), "amazon_google": ("amazon.csv", "gp.csv")}
#: Listing to its products and their scores.
Run = dict[str, dict[str, float]]
METRICS = ["recall@1", "recall@10", "mrr@10"]
#: Of the seed that splits; of a hundred parts, those that are tested and those that are dev.
SPLIT_SEED, TEST_BELOW, DEV_BELOW = 20, 50, 62


class Remembering:
    """An encoder that is asked for each text once: every retriever asks for the same queries."""

    def __init__(self, encoder: Encoder) -> None:
        self._encoder = encoder
        self._known: dict[tuple[str, str], NDArray[np.float32]] = {}
        self.reference, self.digest, self.dimension = encoder.reference, encoder.digest, encoder.dimension
        self.fusion = getattr(encoder, "fusion", {})

    def encode(self, inputs: Sequence[str], *, kind: str = "document") -> NDArray[np.float32]:
        """Unit vectors, float32 ``[n, dimension]``."""
        new = [text for text in dict.fromkeys(inputs) if (kind, text) not in self._known]
        self._known.update(zip(((kind, text) for text in new), self._encoder.encode(new, kind=kind), strict=True))
        return np.stack([self._known[kind, text] for text in inputs])


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
    parser.add_argument("--train", type=Path, metavar="DIR", help="train into this folder and test nothing")
    parser.add_argument("--encoder", type=Path, help="what --train left in DIR/run/model; none is trained then")
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
    if chosen.train:
        print(json.dumps(told(train(tables, chosen.train, chosen)), indent=1))
        return
    with tempfile.TemporaryDirectory() as work:
        folder = chosen.encoder or train(tables, Path(work), chosen)
        training = told(folder)
        print(json.dumps(training))
        results = {table.name: measure(table, folder, Path(work)) for table in tables}
        written = {"split_seed": SPLIT_SEED, "machine": platform.machine(), "training": training, "tables": results}
    command = "python eval/finetune_retrieval.py" + (f" --seed {chosen.seed}" if chosen.seed else "")
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps({"command": command, **written}, indent=1) + "\n", encoding="utf-8")


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


def train(tables: list[Table], work: Path, chosen: argparse.Namespace) -> Path:
    """Write the pairs of the first half and their catalog, train on them, and return the encoder's folder."""
    from llmrec.recipes import load_recipe
    from llmrec.train import finetune

    work.mkdir(parents=True, exist_ok=True)
    files = {name: work / f"{name}.jsonl" for name in ("train", "dev", "products")}
    rows: dict[str, list[dict[str, object]]] = {name: [] for name in files}
    for table in tables:
        rows["products"] += shelf(table)
        for listing, products in table.qrels.items():
            if (part := table.part(listing)) != "test":
                rows[part] += [pair(table, listing, product) for product in products]
    for name, path in files.items():
        path.write_text("".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows[name]), encoding="utf-8")
    changes = [f"data.{name}={path}" for name, path in files.items()]
    changes += [f"output={work}/run", f"training.seed={chosen.seed}", *chosen.set]
    done = finetune(load_recipe(HERE / "finetune_retrieval.yaml", changes))
    assert done.folder is not None
    return done.folder


def told(folder: Path) -> dict[str, object]:
    """What a trained encoder's folder says of its training."""
    metrics = json.loads((folder / "metrics.json").read_text(encoding="utf-8"))
    found = {key: metrics["training"][key] for key in ("examples", "steps", "best_step", "seconds")}
    found["dev"] = {name: round(v["tuned"]["value"], 4) for name, v in metrics["dev"].items() if name != "examples"}
    found["hybrid_on_dev"] = json.loads((folder / FUSION).read_text(encoding="utf-8"))
    return found


def pair(table: Table, listing: str, product: str) -> dict[str, object]:
    """A listing as content, and its product in the catalog; ids tell the tables apart."""
    own = table.left[listing]
    rest = " ".join(filter(None, [own.description, own.brand]))
    query = {"id": f"{table.name}-{listing}", "kind": "post", "title": own.title, "caption": rest}
    return {"query": query, "product_id": f"{table.name}-{product}"}


def shelf(table: Table) -> list[dict[str, object]]:
    """The right table without the products of the tested half; products of one component are one group."""
    component = {p: table.component[listing] for listing, products in table.qrels.items() for p in products}
    tested = {p for listing, products in table.qrels.items() if table.part(listing) == "test" for p in products}
    kept = [product for product in table.right.values() if product.id not in tested]
    return [
        {"id": f"{table.name}-{p.id}", "title": p.title, "description": p.description, "brand": p.brand,
         "item_group_id": f"{table.name} {component.get(p.id, p.id)}"} for p in kept
    ]  # fmt: skip


def measure(table: Table, folder: Path, work: Path) -> dict[str, object]:
    """All retrievers on the tested listings, against the whole right table."""
    runs = search(table, "untrained", "starter:minilm", work) | search(table, "tuned", str(folder), work)
    return compare(table, runs)


def search(table: Table, label: str, reference: str, work: Path) -> dict[str, Run]:
    """What the retrievers of an index with one encoder find; words only where the encoder is untrained."""
    listings = [table.left[key] for key in table.qrels if table.part(key) == "test"]
    index = Index.build(work / f"{table.name}-{label}", table.right.values(), Remembering(load_encoder(reference)))
    runs = {}
    for retriever in index.retrievers:
        words = retriever.startswith("bm25")
        if not words or label == "untrained":
            runs[retriever if words else f"{retriever}, {label}"] = run(index, retriever, listings)
    if index.settings.weights:
        index.settings = msgspec.structs.replace(index.settings, weights={})
        runs[f"hybrid, {label}, default weights"] = run(index, "hybrid", listings)
    return runs


def compare(table: Table, runs: dict[str, Run]) -> dict[str, object]:
    """Every ranking beside that of the hybrid with the untrained encoder."""
    qrels = {listing: table.qrels[listing] for listing in runs["bm25"]}
    print(f"\n{table.name}: {len(qrels)} test listings, {len(table.right)} products")
    found: dict[str, object] = {"listings": len(qrels), "products": len(table.right)}
    for name, ranking in runs.items():
        scored = evaluate_matches(runs["hybrid, untrained"], qrels, metrics=METRICS, baseline=ranking)
        values = scored.baseline_metrics
        p = {m: scored.comparison[m].p_value for m in METRICS}
        row = {m: [round(values[m].value, 4), values[m].low, values[m].high] for m in METRICS}
        found[name] = {**row, "p": p}
        print(f"  {name:32s} " + "  ".join(f"{m} {values[m]} (p {p[m]:.4f})" for m in METRICS))
    return found


def run(index: Index, retriever: str, listings: list[Product]) -> Run:
    """The ten best products of each listing and their scores."""
    queries = [Query(" ".join(filter(None, [p.title, p.description, p.brand])), title=p.title) for p in listings]
    found = index.search_by(retriever, queries, 10)
    pairs = zip(listings, found, strict=True)
    return {listing.id: {hit.product_id: hit.score for hit in hits} for listing, hits in pairs}


if __name__ == "__main__":
    main()
