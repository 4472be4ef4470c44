"""Is what a language model makes of a content a better query than the content's own words? Raw, intent, both.

    python eval/intent_study.py                       # the starter model; --model REF for another

Three sets: the contents of ``examples/`` (watched), and of the Abt listings of ``er_products`` clips in which a seller
talks about one product and streams with two (``eval/noisy_talk.py``); the catalogs are the sample's and the whole Buy
table. Each is searched by its words as ``match`` searches them, by the intents alone, and by both at several weights of
the intents; beside them the same with keywords in place of intents: no model, only the words of each part that few
products of the catalog have. Prints recall and MRR with 95% intervals and the paired p-value against the raw words, and
writes ``eval/results/intent_study.json``. Answers and what was watched are kept in ``--work``, so that a second run
takes seconds.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmrec.catalog import Catalog
from llmrec.embed import load_encoder
from llmrec.evaluate import evaluate_matches, read_qrels
from llmrec.index import Index
from llmrec.llm import load_generator
from llmrec.match import fuse_views, views_of, watch_contents
from llmrec.match.fusion import WEIGHTS
from llmrec.match.words import words
from llmrec.records import Content, Intent, Product
from llmrec.storage import fingerprint, read_records
from llmrec.summarize import IntentWriter, parts_of

sys.path.insert(0, str(Path(__file__).parent))
from noisy_talk import content as spoken

ROOT = Path(__file__).parents[1]
METRICS = ["recall@1", "recall@2", "recall@10", "mrr@10"]
TALKS, STREAMS, SEED = 48, 24, 7
SHARES = (0.1, 0.3, 0.5, 1.0)
DEPTH = 100
#: Words of a keyword query, and the share of the catalog from which on a word tells nothing.
KEYWORDS, COMMON = 16, 0.05

Qrels = Mapping[str, Mapping[str, int]]
Set = tuple[list[Content], Qrels, list[Product]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--model", default="starter:smollm2-135m")
    parser.add_argument("--prompt", default="shopping-intent")
    parser.add_argument("--encoder", default="starter:minilm")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "llmrec-intent-study")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "intent_study.json")
    parser.add_argument("--limit", type=int, help="only the first so many contents of each set")
    chosen = parser.parse_args()
    chosen.work.mkdir(parents=True, exist_ok=True)
    encoder = load_encoder(chosen.encoder)
    sets = {"sample": sample(chosen.work), **shop()}
    started, cpu = time.perf_counter(), time.process_time()
    results: dict[str, Any] = {}
    for name, (contents, qrels, products) in sets.items():
        contents = [c for c in contents if any(qrels.get(c.id, {}).values())][: chosen.limit]
        with tempfile.TemporaryDirectory() as folder:
            index = Index.build(Path(folder) / "index", products, encoder)
            written, told = intents_of(chosen, name, contents)
            rows = runs(
                index,
                contents,
                {
                    "intent": written,
                    "keywords": keywords(products, contents),
                    "parts": (parts := raw_parts(contents)),
                    "parts and intent": joined(parts, written),
                },
            )
        results[name] = {"contents": len(contents), "products": len(products), **told, "rows": {}}
        say(f"\n{name}: {len(contents)} contents, {len(products)} products, {told}")
        judged = {content.id: qrels[content.id] for content in contents}
        for row, run in rows.items():
            scored = evaluate_matches(run, judged, metrics=METRICS, baseline=rows["raw words"])
            values = scored.metrics
            p = {m: scored.comparison[m].p_value for m in METRICS} if row != "raw words" else {}
            results[name]["rows"][row] = {
                m: {"value": round(values[m].value, 4), "low": values[m].low, "high": values[m].high, "p": p.get(m)}
                for m in METRICS
            }
            say(f"  {row:28s} " + "  ".join(f"{m} {values[m]}" + (f" p {p[m]:.3f}" if p else "") for m in METRICS))
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    seconds = {"wall": round(time.perf_counter() - started, 1), "cpu": round(time.process_time() - cpu, 1)}
    model = Path(chosen.model).name if Path(chosen.model).exists() else chosen.model
    limit = f" --limit {chosen.limit}" if chosen.limit else ""
    command = f"python eval/intent_study.py --model {model} --prompt {chosen.prompt}{limit}"
    told = {"command": command, "seed": SEED}
    kept = {**told, "encoder": chosen.encoder, "machine": machine, "seconds": seconds, "sets": results}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


def sample(work: Path) -> Set:
    """The sample, its clips watched once."""
    from llmrec.video import Watcher, WatchSettings
    from llmrec.video.settings import VERSION

    folder = ROOT / "examples"
    contents, settings = list(read_records(folder / "contents.jsonl", Content)), WatchSettings()
    watch, seen_with = Watcher(settings).watch, fingerprint(VERSION, settings)
    seen = watch_contents(contents, watch, folder=folder, target=work / "sample", settings=seen_with, keep=True)
    return list(seen), read_qrels(folder / "qrels-exact.tsv"), list(Catalog.read(folder / "catalog.csv"))


def shop() -> dict[str, Set]:
    """Clips and streams made of real listings; none where the tables are not there."""
    folder = Path(os.environ.get("LLMREC_DATA", "")) / "er_products" / "abt_buy"
    if not os.environ.get("LLMREC_DATA") or not folder.is_dir():
        say("talks and streams: left out, LLMREC_DATA names no folder with er_products/abt_buy")
        return {}
    qrels, products = read_qrels(folder / "gt.csv"), list(Catalog.read(folder / "buy.csv"))
    everything = [p for p in Catalog.read(folder / "abt.csv") if len(p.description) >= 60]
    listings = [p for p in everything if p.id in qrels]
    rng = random.Random(SEED)
    rng.shuffle(listings)
    talks, streams = {}, {}
    for number, listing in enumerate(listings[:TALKS]):
        made = spoken(f"talk-{number}", [listing], rng.sample(everything, 1), rng)
        talks[made] = qrels[listing.id]
    rest = listings[TALKS:]
    for number in range(STREAMS):
        pair = rest[2 * number : 2 * number + 2]
        made = spoken(f"stream-{number}", pair, rng.sample(everything, 2), rng)
        streams[made] = {id: grade for listing in pair for id, grade in qrels[listing.id].items()}
    return {
        name: (list(held), {content.id: right for content, right in held.items()}, products)
        for name, held in (("talks", talks), ("streams", streams))
    }


def intents_of(chosen: argparse.Namespace, name: str, contents: list[Content]) -> tuple[list[Sequence[Intent]], dict]:
    """The model's intents; an answer that was given before is taken from the ledger."""
    writer = IntentWriter(
        load_generator(chosen.model, threads=int(os.environ.get("OMP_NUM_THREADS", "2"))), chosen.prompt
    )
    with writer.ledger(chosen.work / f"{name}-{fingerprint(chosen.model, chosen.prompt)[:8]}") as ledger:
        written: list[Sequence[Intent]] = list(writer.intents(contents, 8, ledger))
    every = [intent for intents in written for intent in intents]
    told = {
        "intents": len(every),
        "with a brand": sum(bool(intent.brand) for intent in every),
        "lost a claim": writer.report.ungrounded,
        "unreadable": writer.report.unreadable,
    }
    return written, told


def keywords(products: Iterable[Product], contents: list[Content]) -> list[Sequence[Intent]]:
    """Of each part of a content the words that few titles of the catalog have, in their order."""
    counts: Counter[str] = Counter()
    total = 0
    for product in products:
        total += 1
        counts.update({word.form for word in words(f"{product.title} {product.brand}")})
    found: list[Sequence[Intent]] = []
    for content in contents:
        queries = []
        for part in parts_of(content):
            texts = [part.title, part.caption, *part.hashtags, *(piece.text for piece in part.timed_text)]
            known = {
                w.form: t[w.start : w.end] for t in texts for w in words(t) if 0 < counts[w.form] <= COMMON * total
            }
            rarest = set(sorted(known, key=lambda form: (counts[form], form))[:KEYWORDS])
            queries.append(Intent(content.id, query=" ".join(text for form, text in known.items() if form in rarest)))
        found.append(queries)
    return found


def raw_parts(contents: list[Content]) -> list[Sequence[Intent]]:
    """The whole words of each part: what cutting a content up is worth without a model."""
    found = []
    for content in contents:
        texts = [" ".join([part.title, part.caption, *(p.text for p in part.timed_text)]) for part in parts_of(content)]
        found.append([Intent(content.id, query=text) for text in texts])
    return found


def joined(parts: list[Sequence[Intent]], written: list[Sequence[Intent]]) -> list[Sequence[Intent]]:
    """The words of each part, and behind them the sentences of all intents: the model weighs words, and adds none."""
    pairs = zip(parts, written, strict=True)
    return [
        [Intent(part.content_id, query=" ".join([part.query, *(own.query for own in intents)])) for part in own_parts]
        for own_parts, intents in pairs
    ]


def runs(
    index: Index, contents: list[Content], added: Mapping[str, list[Sequence[Intent]]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Rankings by row of the table; each view is searched once."""
    base = {group: weight for group, weight in WEIGHTS.items() if group != "intent"}
    none: list[Sequence[Intent]] = [() for _ in contents]
    rows: dict[str, tuple[list[Sequence[Intent]], Mapping[str, float]]] = {"raw words": (none, base)}
    for name, intents in added.items():
        rows[f"{name} alone"] = (intents, {"intent": 1.0})
        shares = SHARES if name in ("intent", "keywords") else (0.5,)
        rows |= {f"raw words + {share:g} {name}": (intents, {**base, "intent": share}) for share in shares}
    hits: dict[str, list[Any]] = {}
    out = {}
    for row, (intents, weights) in rows.items():
        views = [views_of(content, own) for content, own in zip(contents, intents, strict=True)]
        new = {view.query.text: view.query for group in views for view in group if view.query.text not in hits}
        hits |= dict(zip(new, index.search(list(new.values()), DEPTH), strict=True))
        out[row] = {
            content.id: {
                hit.product_id: hit.score
                for hit in fuse_views([(view.group, hits[view.query.text]) for view in group], weights)[:10]
            }
            for content, group in zip(contents, views, strict=True)
        }
    return out


def say(line: str) -> None:
    print(line, flush=True)


if __name__ == "__main__":
    np.seterr(all="raise", under="ignore")
    main()
