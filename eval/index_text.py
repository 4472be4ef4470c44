"""What to index of a product: its own text, what a language model wrote about it, or both.

    python eval/index_text.py --products 250 --work /tmp/index_text

Catalog: the first rows of Buy (Abt-Buy); queries: the Abt listings whose true match is among them. The model's
summaries are kept in the work folder, so that an interrupted run goes on. Prints recall and MRR with 95% intervals and
a paired test against the product's own text, and writes ``eval/results/index_text.json``.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import sys
import time
from pathlib import Path

from llmrec.catalog import Catalog
from llmrec.embed import load_encoder
from llmrec.evaluate import evaluate_matches, read_qrels
from llmrec.index import Index
from llmrec.llm import load_generator
from llmrec.records import Query
from llmrec.summarize import Summarizer

METRICS = ["recall@1", "recall@10", "mrr@10"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--products", type=int, default=250)
    parser.add_argument("--model", default="starter:smollm2-135m")
    parser.add_argument("--encoder", default="starter:minilm")
    parser.add_argument("--work", type=Path, default=Path("index_text.work"))
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "index_text.json")
    chosen = parser.parse_args()
    data = os.environ.get("LLMREC_DATA")
    if not data:
        sys.exit("LLMREC_DATA is not set: eval/README.md says where Abt-Buy comes from and how to lay it out")
    tables = Path(data) / "er_products" / "abt_buy"
    products = list(itertools.islice(Catalog.read(tables / "buy.csv"), chosen.products))
    ids = {product.id for product in products}
    qrels = {
        query: {product: grade for product, grade in right.items() if product in ids}
        for query, right in read_qrels(tables / "gt.csv").items()
    }
    qrels = {query: right for query, right in qrels.items() if right}
    listings = [listing for listing in Catalog.read(tables / "abt.csv") if listing.id in qrels]
    queries = [Query(text=f"{listing.title} \n{listing.description}", title=listing.title) for listing in listings]

    start = time.process_time()
    chosen.work.mkdir(parents=True, exist_ok=True)
    summarizer = Summarizer(load_generator(chosen.model))
    with summarizer.ledger(chosen.work / "summaries.jsonl") as ledger:
        summaries = list(summarizer.summarize(products, ledger=ledger))
    seconds = time.process_time() - start
    readable = sum(bool(summary.summary or summary.highlights) for summary in summaries)

    encoder = load_encoder(chosen.encoder)
    runs = {}
    for text in ("product", "summary", "both"):
        index = Index.build(
            chosen.work / f"{text}.index", products, encoder, summaries=summaries, text=text, replace=True
        )
        for retriever in ("hybrid", "bm25", "dense"):
            found = index.search_by(retriever, queries, 10)
            runs[text, retriever] = {
                listing.id: {hit.product_id: hit.score for hit in hits}
                for listing, hits in zip(listings, found, strict=True)
            }
    rows = []
    print(
        f"{len(products)} products, {len(queries)} queries; {readable} summaries with text; {seconds:.0f} CPU seconds"
    )
    for (text, retriever), run in runs.items():
        scored = evaluate_matches(run, qrels, metrics=METRICS, baseline=runs["product", retriever])
        row: dict[str, object] = {"text": text, "retriever": retriever}
        for name in METRICS:
            estimate, compared = scored.metrics[name], scored.comparison[name]
            row[name] = [round(estimate.value, 4), estimate.low, estimate.high]
            row[f"{name} p"] = compared.p_value
        rows.append(row)
        shown = "  ".join(
            f"{name} {scored.metrics[name]} (p {scored.comparison[name].p_value:.3f})" for name in METRICS
        )
        print(f"{text:8s} {retriever:7s} {shown}")
    result = {
        "command": "python eval/index_text.py " + " ".join(sys.argv[1:]),
        "model": chosen.model,
        "encoder": chosen.encoder,
        "products": len(products),
        "queries": len(queries),
        "summaries_with_text": readable,
        "rows": rows,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
