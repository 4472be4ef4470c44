"""A listing of one shop as content, the other shop's table as catalog: words, vectors and both.

    python eval/er_retrieval.py

Builds an index of each right table of ``er_products`` with the default settings and searches it with the left
listings: by each retriever that the index holds, by the hybrid, and by the hybrid with other fusions. Prints R@1, R@10
and MRR with 95% intervals and the paired p-value of the default hybrid against each row, and writes
``eval/results/er_retrieval.json``. Leaves with 2 where the data is not there.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path

from llmrec.catalog import Catalog
from llmrec.embed import load_encoder
from llmrec.evaluate import evaluate_matches, read_qrels
from llmrec.index import Index
from llmrec.records import Product, Query

TABLES = {"abt_buy": ("abt.csv", "buy.csv"), "amazon_google": ("amazon.csv", "gp.csv")}
METRICS = ["recall@1", "recall@10", "mrr@10"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="starter:minilm")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "er_retrieval.json")
    chosen = parser.parse_args()
    data = Path(os.environ.get("LLMREC_DATA", ""))
    missing = [name for name in TABLES if not (data / "er_products" / name / "gt.csv").is_file()]
    if not os.environ.get("LLMREC_DATA") or missing:
        what = f"no er_products/{missing[0]} in {data}" if os.environ.get("LLMREC_DATA") else "LLMREC_DATA is not set"
        print(f"error: {what}\n  next: eval/README.md says where the tables come from", file=sys.stderr)
        sys.exit(2)
    encoder = load_encoder(chosen.encoder)
    results: dict[str, dict[str, object]] = {}
    for name, (left, right) in TABLES.items():
        folder = data / "er_products" / name
        qrels = read_qrels(folder / "gt.csv")
        with tempfile.TemporaryDirectory() as work:
            index = Index.build(Path(work) / "index", Catalog.read(folder / right), encoder)
            listings = [listing for listing in Catalog.read(folder / left) if listing.id in qrels]
            queries = [
                Query(" ".join(filter(None, [p.title, p.description, p.brand])), title=p.title) for p in listings
            ]
            runs = {part: run(index, part, listings, queries) for part in index.retrievers}
            for fusion in ("sum", "rrf"):
                other = Index.open(index.path, encoder, fusion=fusion)
                runs[f"hybrid, {fusion}"] = run(other, "hybrid", listings, queries)
        print(f"\n{name}: {len(queries)} listings, {len(index)} products")
        results[name] = {}
        for retriever, ranking in runs.items():
            scored = evaluate_matches(runs["hybrid"], qrels, metrics=METRICS, baseline=ranking)
            values = scored.baseline_metrics
            row = {m: [round(values[m].value, 4), values[m].low, values[m].high] for m in METRICS}
            p = {m: scored.comparison[m].p_value for m in METRICS}
            results[name][retriever] = {**row, "p": p}
            print(f"  {retriever:12s} " + "  ".join(f"{m} {values[m]} (p {p[m]:.4f})" for m in METRICS))
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    written = {"command": "python eval/er_retrieval.py", "encoder": chosen.encoder, "tables": results}
    chosen.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def run(index: Index, retriever: str, listings: list[Product], queries: list[Query]) -> dict[str, dict[str, float]]:
    """The ten best products of each listing and their scores."""
    found = index.search_by(retriever, queries, 10)
    pairs = zip(listings, found, strict=True)
    return {listing.id: {hit.product_id: hit.score for hit in hits} for listing, hits in pairs}


if __name__ == "__main__":
    main()
