"""An index in Qdrant beside the index folder that was pushed into it: the same products, and at what time a query.

    python eval/remote_equal.py

The catalog is the right tables of ``er_products`` and the products of ``amazon_scientific_sid`` together (their
descriptions cut at 400 characters), the queries are listings of the left tables, the folder's search is exact. The
store is Qdrant's engine (``qdrant-edge-py``, the Rust of the server, at the server's defaults: a graph of 16 links) in
a process of its own behind the HTTP interface, asked through Qdrant's own client, both on this machine. Told are for
each retriever, with the graph and without: the share of the folder's first ten that the store finds, and of the store's
first ten that score what the folder's tenth does or more (titles repeat, so that tens that differ can be as good); both
with 95% intervals (bootstrap over queries). Then R@1 and R@10 on the true matches; the error of the deviation of BM25
where it is estimated, from as many scores as are asked for and from those of the candidates alone; and milliseconds a
query, one at a time and 32 together: through HTTP, where the server is some Python of ours and no measure of Qdrant's,
and with the engine in this process.
Writes ``eval/results/remote_equal.json``. Leaves with 2 where the data or a package is not there.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from machines import machine

from llmrec.catalog import Catalog
from llmrec.embed import load_encoder
from llmrec.evaluate import evaluate_matches, read_qrels
from llmrec.index import Index
from llmrec.index.remote import RemoteIndex, push, scoring
from llmrec.index.remote.beside import gathered, packed
from llmrec.index.remote.payload import payload_of
from llmrec.index.remote.source import Source
from llmrec.index.searching import DEPTH
from llmrec.records import Hit, Product, Query
from llmrec.seams import Encoder

ROOT = Path(__file__).parents[1]
TARGET = Path(__file__).parent / "results" / "remote_equal.json"
TABLES = {"abt_buy": ("abt.csv", "buy.csv"), "amazon_google": ("amazon.csv", "gp.csv")}
QUERIES, TIMED, SEED, NEAREST, CLOSE = 200, 100, 11, 10, 1e-4
WHERE = "price >= 20 and price < 200"
RETRIEVERS = ("dense:title", "dense:whole", "dense", "bm25", "hybrid")

Search = Callable[[str, Sequence[Query]], list[list[Hit]]]
Rows = list[list[Hit]]


def tables(data: Path) -> tuple[list[Product], list[tuple[str, Query]], dict[str, dict[str, int]]]:
    """The catalog, the queries with the ids of their listings, and which products are right for them."""
    products: list[Product] = []
    listings: list[tuple[str, Query]] = []
    right: dict[str, dict[str, int]] = {}
    for name, (left, table) in TABLES.items():
        folder = data / "er_products" / name
        for product in Catalog.read(folder / table):
            # the tables write prices with and without a currency, the filter names none
            price = msgspec.structs.replace(product.price, currency="") if product.price else None
            products.append(msgspec.structs.replace(product, id=f"{name}:{product.id}", price=price))
        qrels = read_qrels(folder / "gt.csv")
        for listing in Catalog.read(folder / left):
            if listing.id in qrels:
                text = " ".join(filter(None, [listing.title, listing.description, listing.brand]))
                listings.append((f"{name}:{listing.id}", Query(text, title=listing.title)))
                right[f"{name}:{listing.id}"] = {f"{name}:{id}": own for id, own in qrels[listing.id].items()}
    items = json.loads((data / "amazon_scientific_sid" / "Scientific.item.json").read_text(encoding="utf-8"))
    for id, item in items.items():
        path = tuple(item["categories"].split(","))
        products.append(Product(f"scientific:{id}", item["title"], item["description"][:400], item["brand"], path))
    return products, random.Random(SEED).sample(listings, min(QUERIES, len(listings))), right


def alike(ours: Rows, theirs: Rows) -> dict[str, Any]:
    """Share of our first ten among theirs, and of theirs that are as good as our tenth."""
    same, good = [], []
    for own, other in zip(ours, theirs, strict=True):
        if not own:
            continue
        first = own[:NEAREST]
        found = {hit.product_id for hit in other[:NEAREST]}
        same.append(sum(hit.product_id in found for hit in first) / len(first))
        enough = {hit.product_id for hit in own if hit.score >= first[-1].score - CLOSE * max(1, abs(first[-1].score))}
        good.append(sum(id in enough for id in found) / max(1, len(found)))
    return {"overlap@10": interval(same), "as_good@10": interval(good), "queries": len(same)}


def interval(values: Sequence[float]) -> list[float]:
    """Mean, and the 95% interval of the bootstrap over queries."""
    own = np.array(values)
    rows = np.random.default_rng(SEED).integers(0, len(own), size=(2000, len(own)))
    low, high = np.percentile(own[rows].mean(axis=1), [2.5, 97.5])
    return [round(float(number), 4) for number in (own.mean(), low, high)]


def milliseconds(search: Search, retriever: str, queries: Sequence[Query], together: int) -> float:
    """Of a query, when so many are asked at a time."""
    started = time.perf_counter()
    for start in range(0, len(queries), together):
        search(retriever, queries[start : start + together])
    return round(1000 * (time.perf_counter() - started) / len(queries), 2)


def deviations(index: Index, stored: RemoteIndex, queries: Sequence[Query], moments: int) -> dict[str, Any]:
    """Relative error of the deviation of BM25 over the catalog, where more products score than are asked for."""
    errors = []
    before, scoring.MOMENTS = scoring.MOMENTS, moments
    try:
        for query, found in zip(queries, stored._scored(queries, "bm25", DEPTH, None), strict=True):
            ((rows, ours),) = index.scored([query], "bm25")
            place = {index.ids[row]: i for i, row in enumerate(rows)}
            named = {point: own.id for point, own in stored._products.read(found.ids).items()}
            pairs = [(place[named[p]], i) for i, p in enumerate(found.ids) if named[p] in place]
            for part in ours.z:
                own, other = ours.z[part][[a for a, _ in pairs]], found.scores.z[part][[b for _, b in pairs]]
                if len(pairs) > 1 and np.ptp(own) > 0:
                    # a score is (value - mean) / deviation: the ratio of two spreads is that of the deviations
                    errors.append(abs(float(np.ptp(own) / np.ptp(other)) - 1))
    finally:
        scoring.MOMENTS = before
    values = np.array(errors)
    wrong = values[values > 1e-5]
    told = {"median": float(np.median(wrong)), "p95": float(np.percentile(wrong, 95))} if len(wrong) else {}
    return {
        "scores": moments,
        "estimated": round(len(wrong) / len(values), 3),
        **{k: round(v, 4) for k, v in told.items()},
    }


@contextmanager
def server(folder: Path) -> Iterator[str]:
    """The engine behind HTTP, in a process of its own; gives ``host:port``."""
    code = "import sys\nfrom pathlib import Path\nfrom tests.index.edge_server import serving\n"
    code += "with serving(Path(sys.argv[1])) as place:\n    print(place, flush=True)\n    sys.stdin.read()\n"
    paths = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
    environment = {**os.environ, "PYTHONPATH": paths}
    command = [sys.executable, "-c", code, str(folder)]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment
    ) as process:
        assert process.stdin and process.stdout
        try:
            yield process.stdout.readline().strip()
        finally:
            process.stdin.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="starter:minilm")
    parser.add_argument("--out", type=Path, default=TARGET)
    parser.add_argument("--index", type=Path, help="Build the index folder here, or take the one that lies here.")
    chosen = parser.parse_args()
    data = Path(os.environ.get("LLMREC_DATA", "."))
    needed = [data / "er_products" / name / "gt.csv" for name in TABLES]
    if missing := [path for path in (*needed, data / "amazon_scientific_sid") if not path.exists()]:
        print(f"error: no {missing[0]}\n  next: eval/README.md says where the tables come from", file=sys.stderr)
        sys.exit(2)
    try:
        versions = {name: version(name) for name in ("qdrant-client", "qdrant-edge-py")}
    except PackageNotFoundError as error:
        print(f"error: {error}\n  next: pip install qdrant-client qdrant-edge-py", file=sys.stderr)
        sys.exit(2)
    products, listings, right = tables(data)
    queries = [query for _, query in listings]
    encoder = load_encoder(chosen.encoder)
    with tempfile.TemporaryDirectory() as work, server(Path(work) / "store") as place:
        folder = chosen.index or Path(work) / "index"
        if not folder.exists():
            Index.build(folder, products, encoder, dense="exact")
        index = Index.open(folder, encoder)
        told = push(index.path, f"qdrant://{place}/catalog")
        result: dict[str, Any] = {
            "command": "python eval/remote_equal.py",
            "machine": machine(),
            "versions": versions,
            "encoder": chosen.encoder,
            "products": len(index),
            "queries": len(queries),
            "push_seconds": round(told["seconds"], 1),
            "kept": kept(folder),
        }
        ways = {
            way: RemoteIndex.open(f"qdrant://{place}/catalog", encoder, exact=way == "exact")
            for way in ("graph", "exact")
        }
        moments = (scoring.MOMENTS, DEPTH)
        stages: dict[str, Callable[[], Any]] = {
            "equal": lambda: equal(index, ways, queries),
            "right": lambda: judged(index, ways["graph"], listings, right),
            "deviation": lambda: [deviations(index, ways["graph"], queries, count) for count in moments],
            "milliseconds": lambda: timed(index, {**ways, "engine": inside(folder, encoder, Path(work))}, queries),
        }
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        for name, stage in stages.items():
            result[name] = stage()
            print(json.dumps({name: result[name]}, indent=1), flush=True)
            chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def inside(folder: Path, encoder: Encoder, work: Path) -> RemoteIndex:
    """The same index in an engine of this process, with the graph."""
    sys.path.append(str(ROOT))
    from tests.index.edge import EdgeClient

    client: Any = EdgeClient(work / "inside")
    push(folder, "qdrant://inside/catalog", client=client)
    return RemoteIndex.open("qdrant://inside/catalog", encoder, client=client)


def kept(folder: Path) -> dict[str, Any]:
    """What the store keeps beside the vectors, to reckon what more products would take."""
    source = Source(folder)
    beside = gathered(source)
    payload = [len(json.dumps(payload_of(product, coded=True))) for product in source.products()]
    return {
        "words": {field: len(own) for field, own in source.words.items()},
        "postings a product": round(sum(own.nnz for own in source.postings.values()) / source.count, 1),
        "payload bytes a product": round(sum(payload) / source.count),
        "beside bytes": len(packed(beside)),
    }


def equal(index: Index, ways: dict[str, RemoteIndex], queries: Sequence[Query]) -> dict[str, Any]:
    """How much alike the two find, by retriever and way; the hybrid behind a filter as well."""
    found: dict[str, Any] = {}
    for name, where in [*((name, None) for name in RETRIEVERS), ("hybrid", WHERE)]:
        # as many as are brought in, so that products that tie with the tenth are known
        ours = index.search_by(name, queries, 200, where)
        label = f"{name}, {where}" if where else name
        found[label] = {way: alike(ours, own.search_by(name, queries, NEAREST, where)) for way, own in ways.items()}
    return found


def judged(
    index: Index, stored: RemoteIndex, listings: Sequence[tuple[str, Query]], right: dict[str, dict[str, int]]
) -> dict[str, Any]:
    """R@1 and R@10 of the hybrid on the true matches, and the paired p-value of the difference."""
    queries = [query for _, query in listings]
    runs = []
    for own in (index.search(queries, NEAREST), stored.search(queries, NEAREST)):
        pairs = zip(listings, own, strict=True)
        runs.append({id: {hit.product_id: hit.score for hit in hits} for (id, _), hits in pairs})
    asked = {id: right[id] for id, _ in listings}
    metrics = ["recall@1", "recall@10"]
    scored = evaluate_matches(runs[1], asked, metrics=metrics, baseline=runs[0])
    rows = {"store": scored.metrics, "folder": scored.baseline_metrics}
    told: dict[str, Any] = {
        where: {m: [round(values[m].value, 4), values[m].low, values[m].high] for m in metrics}
        for where, values in rows.items()
    }
    return {**told, "p": {m: scored.comparison[m].p_value for m in metrics}}


def timed(index: Index, ways: dict[str, RemoteIndex], queries: Sequence[Query]) -> dict[str, Any]:
    """Milliseconds a query, once the queries' vectors are known: encoding them is the same for both."""
    searches: dict[str, Search] = {"folder": lambda name, own: index.search_by(name, own, NEAREST)}
    for way, stored in ways.items():
        searches[way] = lambda name, own, stored=stored: stored.search_by(name, own, NEAREST)  # type: ignore[misc]
    found: dict[str, Any] = {}
    for name in ("dense:whole", "hybrid"):
        for label, search in searches.items():
            ask = queries[:TIMED]
            search(name, ask)  # the queries are encoded, and what is read once is read
            found.setdefault(name, {})[label] = {
                "single": milliseconds(search, name, ask, 1),
                "32 together": milliseconds(search, name, ask, 32),
            }
    return found


if __name__ == "__main__":
    main()
