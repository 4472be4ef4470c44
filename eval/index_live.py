"""How soon a change is found, and how long a search takes meanwhile; and is all that is found right?

    python eval/index_live.py                                  # both parts
    python eval/index_live.py --seconds 30 --operations 20000

**Live**: a writer puts, replaces and removes products at a rate, in calls of some at a time, while one process compacts
again and again and readers search. The delay of a change is the time from the call that makes it until the first moment
at which a reader, who looks every so often, has it. Search times are those of readers that follow the index in a thread
of their own, by words and vectors with the query's encoding; beside them those without any writer.

**Replay**: as many operations as the rate makes in an hour, one after the other as fast as they go, compacted every so
often. At intervals the catalog as a reader has it is held against an exact model: the same ids and products; for
sampled queries the nearest by vectors are the true nearest of what is there, compared one and all; each sampled product
is found by the word that only it has, and one that is gone is not. Counted are those that are wrong or missing.

Vectors are by ``starter:potion-base-8m`` (256 numbers), which encodes thousands of products a second on a processor.
Writes ``eval/results/index_live.json``.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np
from machines import machine

from llmrec.embed import load_encoder
from llmrec.index import Index
from llmrec.index.live.compacting import compact
from llmrec.index.live.follower import Follower
from llmrec.index.live.writing import IndexWriter
from llmrec.records import Product, Query

TARGET = Path(__file__).parent / "results" / "index_live.json"
ENCODER = "starter:potion-base-8m"
SAID = """kettle lamp shoe jacket camera tripod blender drill sofa rug tent bottle notebook guitar puzzle serum;
red blue black steel oak wool leather compact folding wireless electric ceramic quiet large small light travel
outdoor kitchen office kids pro classic mini deluxe slim heavy soft warm cold fast silent smart vintage"""
KINDS, WORDS = (part.split() for part in SAID.split(";"))
#: Seconds between two looks of a reader, and products of a call.
LOOK, CALL = 0.02, 20


def product(number: int, turn: int) -> Product:
    """A product as it is at a turn; one word of its title is its own."""
    rng = random.Random(number * 1_000_003 + turn)
    words = " ".join(rng.sample(WORDS, 4))
    return Product(f"p{number}", f"{words} {rng.choice(KINDS)} own{number}x{turn}", brand=rng.choice(WORDS))


class Operations:
    """What is done, one after the other: a fifth is new, a tenth goes, the rest is replaced; and the exact model."""

    def __init__(self, count: int, seed: int) -> None:
        self.rng = random.Random(seed)
        self.turns = dict.fromkeys(range(count), 0)
        self.alive = list(range(count))
        self.place = {number: number for number in range(count)}
        self.next = count

    def draw(self, calls: int) -> tuple[list[Product], list[str]]:
        """Products of a call of ``put`` and ids of a call of ``remove``, none in both."""
        put, gone = dict[int, Product](), dict[int, None]()
        for _ in range(calls):
            kind = self.rng.random()
            if kind < 0.2:
                number, self.next = self.next, self.next + 1
                self.place[number] = len(self.alive)
                self.alive.append(number)
                self.turns[number] = 0
            else:
                number = self.rng.choice(self.alive)
                if number in put or number in gone:
                    continue
                if kind < 0.3 and len(self.alive) > 100:
                    gone[number] = None
                    self._drop(number)
                    continue
                self.turns[number] += 1
            put[number] = product(number, self.turns[number])
        return list(put.values()), [f"p{number}" for number in gone]

    def _drop(self, number: int) -> None:
        at, last = self.place.pop(number), self.alive.pop()
        if last != number:
            self.alive[at], self.place[last] = last, at


def write(path: str, count: int, rate: float, seconds: float) -> None:
    """Write at a rate; prints for each call when it began, when it was done, and what can be seen of it."""
    writer, operations = IndexWriter(path, load_encoder(ENCODER), check=False), Operations(count, 1)
    start = time.time()
    for number in range(int(seconds * rate / CALL)):
        time.sleep(max(0.0, start + number * CALL / rate - time.time()))
        put, gone = operations.draw(CALL)
        began = time.time()
        writer.put(put)
        writer.remove(gone)
        print(json.dumps([began, time.time(), put[-1].id, put[-1].title]), flush=True)


def read(path: str, seconds: float, seed: int) -> None:
    """Search for a while; prints search times in milliseconds, and when each product's title was first seen."""
    encoder, rng = load_encoder(ENCODER), random.Random(seed)
    index, took, seen, rows = Index.open(path, encoder, check=False), list[float](), dict[str, float](), 0
    queries = [Query(f"{rng.choice(WORDS)} {rng.choice(WORDS)} {rng.choice(KINDS)}") for _ in range(200)]
    index.search(queries[:5], 10)
    rows = len(index._parts.table)
    version = index.version
    until = time.time() + seconds
    print("ready", flush=True)
    with Follower(index, LOOK) as live:
        while time.time() < until:
            started = time.perf_counter()
            index = live.index
            index.search([rng.choice(queries)], 10)
            took.append(1000 * (time.perf_counter() - started))
            now, total = time.time(), len(index._parts.table)
            if index.version != version:
                # rows have other numbers: all products are looked through
                version, rows = index.version, 0
            for row in range(rows, total):
                one = index._parts.table.record(row)
                seen.setdefault(f"{one.id} {one.title}", now)
            rows = total
            time.sleep(LOOK)
    print(json.dumps({"took": took, "seen": seen}))


def live(path: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """The first part."""
    own = [sys.executable, __file__]

    def readers(seconds: float) -> list[subprocess.Popen[str]]:
        found = [
            subprocess.Popen([*own, "--read", str(path), str(seconds), str(n)], stdout=subprocess.PIPE, text=True)
            for n in range(chosen.readers)
        ]
        for process in found:
            assert process.stdout is not None
            process.stdout.readline()
        return found

    def results(processes: list[subprocess.Popen[str]]) -> list[dict[str, Any]]:
        return [json.loads(process.communicate()[0].splitlines()[-1]) for process in processes]

    alone = results(readers(min(15.0, chosen.seconds)))
    watching = readers(chosen.seconds + 10)
    arguments = [*own, "--write", str(path), str(chosen.count), str(chosen.rate), str(chosen.seconds)]
    writing = subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True)
    compacted, until = list[float](), time.time() + chosen.seconds
    while time.time() < until:
        time.sleep(chosen.seconds / 6)
        started = time.time()
        compact(path, check=False)
        compacted.append(round(time.time() - started, 2))
    calls = [json.loads(line) for line in writing.communicate()[0].splitlines()]
    seen = results(watching)
    delays = [own["seen"].get(f"{id} {title}") for own in seen for _, _, id, title in calls]
    began = [begin for _ in seen for begin, *_ in calls]
    waits = [1000 * (there - begin) for there, begin in zip(delays, began, strict=True) if there is not None]
    lasted = calls[-1][1] - calls[0][0]
    return {
        "products": chosen.count,
        "operations": CALL * len(calls),
        "operations_a_second": round(CALL * len(calls) / lasted, 1),
        "readers": chosen.readers,
        "compactions_seconds": compacted,
        "call_ms": quantiles([1000 * (end - begin) for begin, end, *_ in calls]),
        "visible_ms": quantiles(waits),
        "never_seen": delays.count(None),
        "search_ms": quantiles([took for own in seen for took in own["took"]]),
        "search_ms_without_writer": quantiles([took for own in alone for took in own["took"]]),
    }


def quantiles(values: list[float]) -> dict[str, float]:
    """Count, median, 95th and 99th percentile, maximum."""
    told = {f"p{q}": round(float(np.percentile(values, q)), 1) for q in (50, 95, 99)}
    return {"count": len(values), **told, "max": round(max(values), 1)}


def replay(path: Path, chosen: argparse.Namespace) -> dict[str, Any]:
    """The second part."""
    encoder, operations = load_encoder(ENCODER), Operations(chosen.count, 2)
    writer, index = IndexWriter(path, encoder, check=False), Index.open(path, encoder, check=False)
    done, checks, wrong, missing, compactions = 0, 0, 0, 0, 0
    rng, dropped, started = random.Random(3), list[tuple[str, int]](), time.time()
    while done < chosen.operations:
        put, gone = operations.draw(chosen.call)
        dropped = [(id, operations.turns[int(id[1:])]) for id in gone] or dropped
        writer.put(put)
        writer.remove(gone)
        before, done = done, done + chosen.call
        if done // chosen.compacted != before // chosen.compacted:
            compact(path, check=False)
            compactions += 1
        if done // chosen.checked != before // chosen.checked:
            index = index.latest()
            checks += 1
            fault, lost = compare(index, operations, dropped, rng)
            wrong, missing = wrong + fault, missing + lost
            print(json.dumps({"done": done, "wrong": wrong, "missing": missing}), file=sys.stderr, flush=True)
    return {"operations": done, "seconds": round(time.time() - started), "compactions": compactions, "checks": checks,
            "products_at_the_end": len(index.latest()), "wrong": wrong, "missing": missing}  # fmt: skip


def compare(
    index: Index, operations: Operations, dropped: list[tuple[str, int]], rng: random.Random
) -> tuple[int, int]:
    """Results that are wrong, and results that are missing, of an index beside the exact model."""
    truth = {f"p{number}": operations.turns[number] for number in operations.alive}
    held = {product.id: product for product in index.products}
    wrong = len(set(held) - set(truth)) + sum(
        held[id] != product(int(id[1:]), turn) for id, turn in truth.items() if id in held
    )
    missing = len(set(truth) - set(held))
    asked = rng.sample(operations.alive, 50)
    own = [Query(f"own{number}x{operations.turns[number]}") for number in asked]
    for number, hits in zip(asked, index.search_by("bm25:title", own, 1), strict=True):
        missing += not hits or hits[0].product_id != f"p{number}"
    stale = index.search_by("bm25:title", [Query(f"own{id[1:]}x{turn}") for id, turn in dropped], 10)
    wrong += sum(hit.product_id == id for (id, _), hits in zip(dropped, stale, strict=True) for hit in hits)
    queries = [Query(f"{rng.choice(WORDS)} {rng.choice(KINDS)}") for _ in range(20)]
    ids = list(held)
    encoder = load_encoder(ENCODER)
    vectors = encoder.encode([held[id].title for id in ids])
    exact = encoder.encode([query.text for query in queries], kind="query") @ vectors.T
    place = {id: row for row, id in enumerate(ids)}
    for scores, hits in zip(exact, index.search_by("dense:title", queries, 10), strict=True):
        # equal cosines may come in any order
        best = np.sort(scores)[::-1][:10]
        missing += int((np.array([scores[place[hit.product_id]] for hit in hits]) < best[-1] - 1e-5).sum())
    return wrong, missing


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=20_000, help="products at the start")
    parser.add_argument("--rate", type=float, default=200.0, help="operations a second")
    parser.add_argument("--seconds", type=float, default=120.0)
    parser.add_argument("--readers", type=int, default=1)
    parser.add_argument("--operations", type=int, default=720_000, help="of the replay")
    parser.add_argument("--call", type=int, default=250, help="operations of a call of the replay")
    parser.add_argument("--compacted", type=int, default=30_000, help="operations between compactions of the replay")
    parser.add_argument("--checked", type=int, default=20_000, help="operations between checks of the replay")
    parser.add_argument("--out", type=Path, default=TARGET)
    parser.add_argument("--write", nargs=4, help=argparse.SUPPRESS)
    parser.add_argument("--read", nargs=3, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.write:
        write(chosen.write[0], int(chosen.write[1]), float(chosen.write[2]), float(chosen.write[3]))
        return
    if chosen.read:
        read(chosen.read[0], float(chosen.read[1]), int(chosen.read[2]))
        return
    command = " ".join(["python", "eval/index_live.py", *sys.argv[1:]])
    result: dict[str, Any] = {"command": command, "machine": machine()}
    work = Path(tempfile.mkdtemp())
    try:
        catalog = [product(number, 0) for number in range(chosen.count)]
        for part, run in (("live", live), ("replay", replay)):
            Index.build(work / part, catalog, load_encoder(ENCODER), dense="exact")
            result[part] = run(work / part, chosen)
            print(json.dumps(result[part]), flush=True)
            chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    finally:
        shutil.rmtree(work, ignore_errors=True)


if __name__ == "__main__":
    main()
