"""Does a second look put the right product first more often than the hybrid alone, and what does it cost?

    python eval/match_quality.py --dev                       # the calibrating halves alone, for choosing
    python eval/match_quality.py                             # tested once

The matched listings of ``er_products`` are split in halves by connected components of their match graph, as for
``finetune_retrieval.py``. One half calibrates (``llmrec calibrate --rerank``): how the reranker's scores and those of
the hybrid become one order, from which probability on the hybrid is left alone, and, for ``trees``, the boosted trees
over pair features themselves, each list of it scored by trees grown without its component. Its own figures (``--dev``)
are of lists left out. The other half is matched with the whole right table, by the hybrid and by the hybrid with a
second look. The catalog is known throughout; of the tested listings and their matches nothing is. Told are R@1, R@10
and MRR with 95% intervals, the paired p-value against the hybrid, milliseconds of processor time for a content, and the
share of contents that was not looked at again. ``default`` is a reranker without a calibration: its default mix, and
the lead of the first product in place of a probability. Writes ``eval/results/match_quality.json``; ``--tables`` and
``--rerankers`` measure a part and keep the rest.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from finetune_retrieval import TABLES, Remembering, Table, read_table
from machines import machine
from match_decision import content

from llmrec.embed import load_encoder
from llmrec.evaluate import evaluate_matches
from llmrec.index import Index
from llmrec.match import Matcher, MatchSettings, Reranking, calibrate, load_scorer
from llmrec.match.reranking import looked_at
from llmrec.records import Match
from llmrec.train.pair_trees import grow_trees

TARGET = Path(__file__).parent / "results" / "match_quality.json"
METRICS = ["recall@1", "recall@10", "mrr@10"]
TREES, SHIPPED = "trees", "adapter:minilm-pairs"
HOW = MatchSettings(k=10, evidence=0)


def learn(table: Table, index: Index, rerankers: list[str]) -> dict[str, Any]:
    """A calibration for each reranker, made on the half that is not tested."""
    listings = [listing for listing in table.qrels if table.part(listing) != "test"]
    contents = [content(table, listing) for listing in listings]
    qrels = {listing: table.qrels[listing] for listing in listings}
    found = {}
    for name in rerankers:
        began = time.process_time()
        rerank: Any = grow_trees if name == TREES else load_scorer(name)
        made = calibrate(Matcher(index, settings=HOW), contents, qrels, absent=0.2, rerank=rerank)
        assert made.second is not None
        about = {"helps": made.second.helps, "first": made.second.mix.first, "second": made.second.mix.second}
        about |= {"sure": made.second.sure, **made.second.measured, "seconds": time.process_time() - began}
        about |= {"calibration_error": made.final.measured["calibration_error"]}
        print(f"{table.name}, dev, {name}: {json.dumps(_rounded(about))}", flush=True)
        found[name] = (made, _rounded(about))
    return found


def timed(matcher: Matcher, contents: list[Any]) -> tuple[list[Match], float]:
    """The matches, and milliseconds of processor time for each."""
    began = time.process_time()
    matches = list(matcher.match(contents))
    return matches, 1000 * (time.process_time() - began) / len(contents)


def test(table: Table, index: Index, learned: dict[str, Any]) -> dict[str, Any]:
    """The tested half by the hybrid, and with each reranker."""
    listings = [listing for listing in table.qrels if table.part(listing) == "test"]
    contents = [content(table, listing) for listing in listings]
    qrels = {listing: table.qrels[listing] for listing in listings}
    arms: dict[str, Matcher] = {"hybrid": Matcher(index, settings=HOW)}
    for name, (made, _) in learned.items():
        scorer = made.own_scorer or load_scorer(name)
        rerank = Reranking(scorer)
        arms[f"hybrid + {name}"] = Matcher(index, settings=HOW, calibration=made, rerank=rerank)
        if name != TREES:
            arms[f"hybrid + {name}, default"] = Matcher(index, settings=HOW, rerank=Reranking(scorer))
    found: dict[str, Any] = {"listings": len(listings), "products": len(table.right)}
    base: list[Match] = []
    for name, matcher in arms.items():
        matches, took = timed(matcher, contents)
        base = base or matches
        scored = evaluate_matches(matches, qrels, metrics=METRICS, baseline=base)
        right = [m.products[0].product_id in qrels[m.content_id] for m in matches]
        before = [m.products[0].product_id in qrels[m.content_id] for m in base]
        row: dict[str, Any] = {
            metric: [round(v, 4) for v in (own.value, own.low or 0.0, own.high or 0.0)]
            for metric, own in scored.metrics.items()
        }
        row["p"] = {metric: scored.comparison[metric].p_value for metric in METRICS}
        row["gained"] = sum(a and not b for a, b in zip(right, before, strict=True))
        row["lost"] = sum(b and not a for a, b in zip(right, before, strict=True))
        row["ms"] = round(took, 1)
        if matcher.rerank is not None:
            counts = looked_at(matches)
            row |= {"looked": counts["looked"], "skipped": round(counts["sure"] / len(matches), 3)}
            row["reranker_ms"] = round(1000 * matcher.rerank.told.seconds / len(matches), 1)
        if name != "hybrid" and matches[0].no_match.probability is not None:
            said = np.array([m.products[0].probability for m in matches])
            row["brier"] = round(float(((said - np.array(right)) ** 2).mean()), 4)
        found[name] = row
        print(f"  {name:40s} {json.dumps(row)}", flush=True)
    return found


def _rounded(values: dict[str, Any]) -> dict[str, Any]:
    return {key: round(value, 4) if isinstance(value, float) else value for key, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--dev", action="store_true", help="the calibrating halves alone; nothing is written")
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--rerankers", nargs="+", default=[TREES, SHIPPED])
    parser.add_argument("--encoder", default="starter:minilm")
    parser.add_argument("--out", type=Path, default=TARGET)
    chosen = parser.parse_args()
    data = Path(os.environ.get("LLMREC_DATA", "")) / "er_products"
    if "LLMREC_DATA" not in os.environ or not data.is_dir():
        print(
            "error: LLMREC_DATA has no er_products\n  next: eval/README.md says where they come from", file=sys.stderr
        )
        sys.exit(2)
    encoder = load_encoder(chosen.encoder)
    result: dict[str, Any] = json.loads(chosen.out.read_text(encoding="utf-8")) if chosen.out.is_file() else {}
    result |= {"command": "python eval/match_quality.py", "machine": machine(), "encoder": chosen.encoder}
    for name in chosen.tables:
        table = read_table(data / name, name)
        with tempfile.TemporaryDirectory() as work:
            # what is learned asks for the same queries again and again; what is timed does not remember them
            index = Index.build(Path(work) / "index", table.right.values(), Remembering(encoder))
            learned = learn(table, index, chosen.rerankers)
            if chosen.dev:
                continue
            print(f"\n{name}: test", flush=True)
            found = test(table, Index.open(index.path, encoder), learned)
        dev = {reranker: about for reranker, (_, about) in learned.items()}
        kept = result.setdefault("tables", {}).setdefault(name, {})
        # rerankers may be measured one by one: each run measures the hybrid anew, and finds the same
        kept.update({**found, "dev": {**kept.get("dev", {}), **dev}})
        chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
