"""An index through kill -9 at random points, with readers throughout; through a disk that is full; and damaged.

    python eval/index_faults.py                              # 300 kills, 4 readers, 5,000 damaged files
    python eval/index_faults.py --kills 20 --damages 200

A writer puts, replaces and removes products and compacts, is killed, and another one goes on. What it does at a step is
a function of the step's number, and each block holds a product that names the step, so that whoever reads can tell what
he must see: the whole state after that step. Counted are states that are none (wrong), acknowledged writes that are not
there (lost), readers that saw a half or went back (torn), and damaged files that were opened (missed). All must be 0.
Writes ``eval/results/index_faults.json``.
"""

from __future__ import annotations

import argparse
import json
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from machines import machine

from llmrec.embed import load_encoder
from llmrec.errors import ArtefactError, StorageError
from llmrec.index import Index
from llmrec.index.live.compacting import compact
from llmrec.index.live.writing import IndexWriter
from llmrec.index.verifying import verify
from llmrec.records import Product, Query

TARGET = Path(__file__).parent / "results" / "index_faults.json"
ENCODER = "starter:potion-base-8m"
NAMES = [f"p{number:02d}" for number in range(60)]
WORDS = ["red", "blue", "kettle", "lamp", "shoe", "wool", "tin", "oak", "jar", "rug"]
#: Steps between two compactions.
COMPACTED = 13


def put_at(step: int) -> list[Product]:
    """What is put at a step, the product that names it last."""
    rng = random.Random(step)
    names = rng.sample(NAMES, rng.randint(1, 5))
    return [
        *(Product(name, f"{rng.choice(WORDS)} {rng.choice(WORDS)} {name} of {step}") for name in names),
        Product("step", f"step {step}"),
    ]


def gone_at(step: int) -> list[str]:
    """What is removed after that."""
    rng = random.Random(-step)
    return rng.sample(NAMES, 2) if rng.random() < 0.4 else []


class Model:
    """The catalog after a step, and after what is removed then."""

    def __init__(self) -> None:
        self.step, self.put, self.removed = 0, {"step": "step 0"}, {"step": "step 0"}

    def at(self, step: int) -> tuple[dict[str, str], dict[str, str]]:
        """Titles by id after the step's products were put, and after others were removed."""
        while self.step < step:
            self.step += 1
            self.put = self.removed | {product.id: product.title for product in put_at(self.step)}
            gone = set(gone_at(self.step))
            self.removed = {id: title for id, title in self.put.items() if id not in gone}
        return self.put, self.removed


def write(path: str, step: int) -> None:
    """Go on from a step for as long as it lives; each write is printed once it is acknowledged."""
    writer = IndexWriter(path, load_encoder(ENCODER))
    while True:
        step += 1
        writer.put(put_at(step))
        print(f"{step} put", flush=True)
        if gone := gone_at(step):
            writer.remove(gone, missing_ok=True)
            print(f"{step} removed", flush=True)
        if step % COMPACTED == 0:
            compact(path)


def read(path: str, seed: int) -> None:
    """Look again and again until told to stop; prints how often, and what was wrong."""
    stopped = False

    def stop(*_: object) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    rng, model, looked, faults, last = random.Random(seed), Model(), 0, list[str](), 0
    encoder = load_encoder(ENCODER)
    index = Index.open(path, encoder)
    print("ready", flush=True)
    while not stopped:
        try:
            index = Index.open(path, encoder) if rng.random() < 0.05 else index.latest()
            seen = {product.id: product.title for product in index.products}
            step = int(seen["step"].split()[1])
            if step < last or seen not in model.at(step):
                faults.append(f"step {step} after {last}: {len(seen)} products")
            last = step
            hits = index.search([Query(rng.choice(WORDS))], 10)[0]
            faults += [f"step {step}: found {hit.product_id}" for hit in hits if hit.product_id not in seen]
        except Exception as error:
            faults.append(repr(error)[:300])
        looked += 1
        time.sleep(0.02)
    print(json.dumps({"looked": looked, "faults": faults[:20], "count": len(faults)}))


def kills(path: Path, count: int, readers: int, seed: int) -> dict[str, Any]:
    """Kill writers, and see what is there after each."""
    Index.build(path, [Product("step", "step 0")], load_encoder(ENCODER))
    watching = [
        subprocess.Popen([sys.executable, __file__, "--read", str(path), str(n)], stdout=subprocess.PIPE, text=True)
        for n in range(readers)
    ]
    for process in watching:
        assert process.stdout is not None
        process.stdout.readline()
    rng, model, step, removed = random.Random(seed), Model(), 0, True
    told = {"kills": count, "writes_acknowledged": 0, "wrong": 0, "lost": 0, "in_the_middle_of_compacting": 0}
    for number in range(count):
        command = [sys.executable, __file__, "--write", str(path), str(step)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        lines = [process.stdout.readline() for _ in range(rng.randint(1, COMPACTED))]
        time.sleep(rng.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        lines += process.stdout.read().splitlines()
        process.wait()
        lines = [line for line in lines if line.strip()]
        told["writes_acknowledged"] += len(lines)
        told["in_the_middle_of_compacting"] += any(path.glob("versions/.*.partial"))
        if lines:
            step, removed = int(lines[-1].split()[0]), lines[-1].split()[1] == "removed"
        seen = {product.id: product.title for product in Index.open(path).products}
        now = int(seen["step"].split()[1])
        # what was acknowledged, or the one write after it, which was not
        put, after = model.at(step)
        nothing_to_remove = not gone_at(step)
        allowed = [after] if removed or nothing_to_remove else [put, after]
        following = Model()
        following.step, following.put, following.removed = model.step, dict(model.put), dict(model.removed)
        if removed or nothing_to_remove:
            allowed.append(following.at(step + 1)[0])
        if seen not in allowed:
            told["lost" if now < step else "wrong"] += 1
        # the next writer goes on where this one was: it repeats what is there, which changes nothing
        step = now - 1 if not (gone_at(now) == [] or seen == model.at(now)[1]) else now
        if step < now:
            model = Model()
        removed = True
        if number % 25 == 24:
            print(json.dumps({"killed": number + 1, **told}), file=sys.stderr, flush=True)
    for process in watching:
        process.terminate()
    seen_by = [json.loads(process.communicate()[0].splitlines()[-1]) for process in watching]
    verified = verify(path)["found"]
    return {**told, "readers": readers, "looked": sum(own["looked"] for own in seen_by),
            "torn": sum(own["count"] for own in seen_by), "faults": [f for own in seen_by for f in own["faults"]],
            "verified": verified}  # fmt: skip


def damages(path: Path, count: int, seed: int) -> dict[str, Any]:
    """Damage files of an index and open it; one fault at a time, each undone again."""
    encoder = load_encoder(ENCODER)
    catalog = [Product(f"q{i}", f"{WORDS[i % 10]} {WORDS[i // 10 % 10]} number {i}") for i in range(3000)]
    Index.build(path, catalog, encoder, dense="ivf")
    writer = IndexWriter(path, encoder)
    writer.put([Product("q1", "another red lamp"), Product("new", "a new one")])
    files = [file for file in path.rglob("*") if file.is_file() and not file.name.endswith((".lock", ".building"))]
    rng, missed = random.Random(seed), list[str]()
    kinds: dict[str, int] = {}
    for _ in range(count):
        file, kind = rng.choice(files), rng.choice(("bit", "byte", "block", "cut", "gone"))
        whole = file.read_bytes()
        data, at = bytearray(whole), rng.randrange(max(1, len(whole)))
        if kind == "bit":
            data[at] ^= 1 << rng.randrange(8)
        elif kind == "byte":
            data[at] = (data[at] + rng.randrange(1, 256)) % 256
        elif kind == "block":
            data[at : at + 512] = rng.randbytes(len(data[at : at + 512]))
        elif kind == "cut":
            del data[at:]
        file.unlink()
        if kind != "gone":
            file.write_bytes(data)
        kinds[kind] = kinds.get(kind, 0) + 1
        if kind == "gone" or bytes(data) != whole:
            try:
                Index.open(path)
                missed.append(f"{kind} at {at} of {file.relative_to(path)}")
            except ArtefactError:
                pass
        file.write_bytes(whole)
    assert len(Index.open(path)) == 3001
    return {"files": count, "kinds": kinds, "missed": len(missed), "which": missed[:20]}


def full(folder: Path) -> dict[str, Any]:
    """Write to a small disk until it is full, and see that all that was told is there."""
    made = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", str(folder)], capture_output=True)
    if made.returncode:
        return {"skipped": "needs the right to mount a tmpfs"}
    try:
        path, encoder, told = folder / "index", load_encoder(ENCODER), ["first"]
        Index.build(path, [Product("first", "the first")], encoder)
        writer, refused = IndexWriter(path, encoder), 0
        try:
            while True:
                writer.add([Product(f"p{len(told)}", " ".join(WORDS * 8) + f" {len(told)}")])
                told.append(f"p{len(told)}")
        except StorageError:
            refused += 1
        for _ in range(5):
            try:
                compact(path)
            except StorageError:
                refused += 1
        return {"written": len(told), "refused": refused, "lost": len(set(told) ^ set(Index.open(path).ids))}
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--kills", type=int, default=300)
    parser.add_argument("--readers", type=int, default=4)
    parser.add_argument("--damages", type=int, default=5000)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=TARGET)
    parser.add_argument("--write", nargs=2, help=argparse.SUPPRESS)
    parser.add_argument("--read", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args()
    if chosen.write:
        write(chosen.write[0], int(chosen.write[1]))
    elif chosen.read:
        read(chosen.read[0], int(chosen.read[1]))
    else:
        command = " ".join(["python", "eval/index_faults.py", *sys.argv[1:]])
        result: dict[str, Any] = {"command": command, "machine": machine()}
        work = Path(tempfile.mkdtemp())
        try:
            (work / "disk").mkdir()
            result["full_disk"] = full(work / "disk")
            print(json.dumps(result["full_disk"]), file=sys.stderr, flush=True)
            result["damage"] = damages(work / "damaged", chosen.damages, chosen.seed)
            print(json.dumps(result["damage"]), file=sys.stderr, flush=True)
            result["kills"] = kills(work / "killed", chosen.kills, chosen.readers, chosen.seed)
        finally:
            shutil.rmtree(work, ignore_errors=True)
        chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(json.dumps(result["kills"]))


if __name__ == "__main__":
    main()
