"""Our approximate search beside plain FAISS, hnswlib and usearch: build, size, loading and queries a second.

    python eval/index_scale.py                        # 1,000,000 vectors of 384 numbers
    python eval/index_scale.py --count 100000 --systems auto faiss-hnsw

Vectors are those of real product texts, spread to as many as are asked for by real differences, and queries are texts
that none was drawn from (``eval/mixed_vectors.py``; needs ``LLMREC_DATA``); or, with ``--vectors clusters``, made up:
unit vectors in clusters of clusters with a decaying spectrum. Each system works in a process of its own, on one thread;
their order changes with the round. ``auto`` and ``hnsw`` are ours, at the effort that was tuned
when the index was built, on none of these queries. Every other system is given the least effort of its sweep that
reaches the recall on these very queries, which favours it. Told are: CPU seconds to build; bytes of the file a vector;
seconds to load; queries a second one at a time and in a batch, and the recall of the ten nearest. hnswlib and usearch
are left out where they are not installed (``pip install hnswlib usearch``). Writes ``eval/results/index_scale.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from machines import machine

TARGET = Path(__file__).parent / "results" / "index_scale.json"
NEAREST = 10
SINGLE, BATCH = 1000, 10_000
#: Clusters, clusters within each, their spread and that of vectors, and how fast the spectrum falls.
OUTER, INNER, SPREAD, WITHIN, DECAY = 300, 40, 0.7, 0.6, 0.5
HAND_PICKED = {
    "faiss-hnsw": "HNSW32",
    "faiss-ivf": "IVF{cells},PQ{codes}x4fs,Refine(SQ8)",
    "faiss-ivf-sq8": "IVF{cells},SQ8",
}
SYSTEMS = ("auto", "hnsw", "ivf-disk", *HAND_PICKED, "hnswlib", "usearch")
MODULES = {"hnswlib": "hnswlib", "usearch": "usearch"}


class Sweep(NamedTuple):
    """A search at some effort: rows for a batch of queries."""

    effort: dict[str, float]
    search: Callable[[Any], Any]


class Loaded(NamedTuple):
    """What a system gives: efforts from the least to the most, and how long it took to load."""

    sweep: Iterator[Sweep]
    seconds: float


def clusters(count: int, dimension: int, seed: int, part: int) -> Any:
    """Unit vectors, float32 ``[count, dimension]``; parts of one seed share their clusters."""
    shape = np.random.default_rng(seed)
    scale = (1.0 + np.arange(dimension)) ** -DECAY
    scale *= np.sqrt(dimension) / np.linalg.norm(scale)
    outer = shape.normal(size=(OUTER, dimension))
    inner = outer[np.repeat(np.arange(OUTER), INNER)] + SPREAD * shape.normal(size=(OUTER * INNER, dimension))
    weight = shape.dirichlet(np.full(OUTER * INNER, 0.5))
    rng = np.random.default_rng([seed, part])
    found = np.empty((count, dimension), dtype=np.float32)
    for start in range(0, count, 65_536):
        size = min(65_536, count - start)
        rows = rng.choice(len(inner), size, p=weight)
        drawn = (inner[rows] + WITHIN * rng.normal(size=(size, dimension))) * scale
        found[start : start + size] = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
    return found


def build(name: str, vectors: Any, folder: Path) -> None:
    """Build a system's index and write it."""
    from llmrec.index.dense import Dense
    from llmrec.index.families import cells

    if name in ("auto", "hnsw", "ivf-disk"):
        dense = Dense.build(vectors, name)
        if dense.ann is not None:
            dense.ann.save(folder)
    elif name in HAND_PICKED:
        import faiss

        count, dimension = vectors.shape
        factory = HAND_PICKED[name].format(cells=cells(count), codes=dimension // 4)
        index = faiss.index_factory(dimension, factory, faiss.METRIC_INNER_PRODUCT)
        if not index.is_trained:
            index.train(vectors[np.random.default_rng(0).choice(count, min(count, 64 * cells(count)), replace=False)])
        index.add(vectors)
        faiss.write_index(index, str(folder / "index"))
    elif name == "hnswlib":
        import hnswlib

        index = hnswlib.Index(space="ip", dim=vectors.shape[1])
        index.init_index(max_elements=len(vectors), M=16, ef_construction=100)
        index.set_num_threads(1)
        index.add_items(vectors)
        index.save_index(str(folder / "index"))
    else:
        from usearch.index import Index

        index = Index(ndim=vectors.shape[1], metric="ip", dtype="i8")
        index.add(np.arange(len(vectors)), vectors, threads=1)
        index.save(str(folder / "index"))


def load(name: str, path: Path, folder: Path) -> Loaded:
    """Open what ``build`` wrote."""
    started = time.perf_counter()
    if name in ("auto", "hnsw", "ivf-disk"):
        from llmrec.index.ann import Ann
        from llmrec.index.dense import Dense

        vectors = np.load(path, mmap_mode="r")
        dense = Dense(vectors, Ann.load(folder) if (folder / "ann.faiss").exists() else None)
        seconds = time.perf_counter() - started
        effort = dense.ann.effort if dense.ann else None
        told = {"probes": effort.probes, "breadth": effort.breadth, "refine": effort.refine} if effort else {}
        return Loaded(iter([Sweep(told, lambda queries: dense.top(queries, NEAREST))]), seconds)
    if name in HAND_PICKED:
        import faiss

        index = faiss.read_index(str(folder / "index"))
        return Loaded(_faiss_sweep(index), time.perf_counter() - started)
    if name == "hnswlib":
        import hnswlib

        index = hnswlib.Index(space="ip", dim=np.load(path, mmap_mode="r").shape[1])
        index.load_index(str(folder / "index"))
        index.set_num_threads(1)
        return Loaded(
            _breadths(index.set_ef, lambda q: index.knn_query(q, k=NEAREST)[0]), time.perf_counter() - started
        )
    from usearch.index import Index

    index = Index.restore(str(folder / "index"))

    def set_breadth(breadth: int) -> None:
        index.expansion_search = breadth

    def search(queries: Any) -> Any:
        return np.atleast_2d(index.search(queries, NEAREST, threads=1).keys)

    return Loaded(_breadths(set_breadth, search), time.perf_counter() - started)


def _breadths(set_breadth: Callable[[int], None], search: Callable[[Any], Any]) -> Iterator[Sweep]:
    for breadth in (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512):
        set_breadth(breadth)
        yield Sweep({"breadth": breadth}, search)


def _faiss_sweep(index: Any) -> Iterator[Sweep]:
    import faiss

    space = faiss.ParameterSpace()
    if isinstance(faiss.downcast_index(index), faiss.IndexHNSW):
        settings = [{"efSearch": b} for b in (16, 24, 32, 48, 64, 96, 128, 192, 256, 384, 512)]
    else:
        refined = isinstance(faiss.downcast_index(index), faiss.IndexRefine)
        probes = (4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128, 256)
        settings = [
            {"nprobe": p, **({"k_factor_rf": r} if refined else {})}
            for p in probes
            for r in ((4, 8) if refined else (1,))
        ]
    for setting in settings:
        space.set_index_parameters(index, ",".join(f"{name}={value}" for name, value in setting.items()))
        yield Sweep(setting, lambda queries: index.search(queries, NEAREST)[1])


def measure(name: str, path: Path, asked: Path, wanted: float, folder: Path) -> dict[str, Any]:
    """Build, load and search one system, in this process."""
    import faiss

    faiss.omp_set_num_threads(1)
    vectors = np.load(path, mmap_mode="r")
    with np.load(asked) as file:
        queries, true = file["queries"], file["true"]
    started = time.process_time()
    build(name, vectors if name in ("auto", "hnsw", "ivf-disk") else np.ascontiguousarray(vectors), folder)
    row: dict[str, Any] = {"system": name, "build_cpu_seconds": round(time.process_time() - started, 1)}
    row["bytes_a_vector"] = round(sum(f.stat().st_size for f in folder.iterdir()) / len(vectors), 1)
    loaded = load(name, path, folder)
    row["load_seconds"] = round(loaded.seconds, 3)
    curve = []
    for sweep in loaded.sweep:
        batch = np.concatenate([queries] * -(-BATCH // len(queries)))[:BATCH]
        found = sweep.search(queries)
        recall = float(
            np.mean([len(np.intersect1d(a[:NEAREST], b)) / NEAREST for a, b in zip(found, true, strict=True)])
        )
        started = time.process_time()
        sweep.search(batch)
        batched = len(batch) / (time.process_time() - started)
        curve.append({"effort": sweep.effort, "recall": round(recall, 4), "batched": round(batched, 1)})
        if recall >= wanted:
            started = time.process_time()
            for query in queries[:SINGLE]:
                sweep.search(query[None])
            curve[-1]["single"] = round(min(SINGLE, len(queries)) / (time.process_time() - started), 1)
            break
    return {**row, **curve[-1], "reached": curve[-1]["recall"] >= wanted, "curve": curve}


def prepared(arguments: argparse.Namespace, folder: Path) -> tuple[Path, Path]:
    """Files of the vectors, and of the queries with their true nearest; those that are there already are used again."""
    import faiss

    name = f"{arguments.vectors}-{arguments.count}-{arguments.dimension}-{arguments.seed}"
    path, asked = folder / f"{name}.npy", folder / f"{name}-{arguments.queries}.npz"
    if path.exists() and asked.exists():
        return path, asked
    folder.mkdir(parents=True, exist_ok=True)
    if arguments.vectors == "texts":
        from mixed_vectors import draw, encoded

        data = os.environ.get("LLMREC_DATA")
        if not data:
            print(
                "error: LLMREC_DATA is not set\n  next: set it (eval/README.md), or --vectors clusters", file=sys.stderr
            )
            sys.exit(2)
        known = encoded(Path(data), folder / "texts.npy")
        vectors, queries = draw(known, arguments.count, arguments.queries, arguments.seed)
    else:
        vectors = clusters(arguments.count, arguments.dimension, arguments.seed, 0)
        queries = clusters(arguments.queries, arguments.dimension, arguments.seed, 1)
    np.save(path, vectors)
    true = faiss.knn(queries, vectors, NEAREST, metric=faiss.METRIC_INNER_PRODUCT)[1]
    np.savez(asked, queries=queries, true=true)
    return path, asked


def one(arguments: argparse.Namespace, name: str, path: Path, asked: Path) -> dict[str, Any]:
    """A system in a process of its own."""
    with tempfile.TemporaryDirectory(dir=arguments.scratch) as folder:
        command = [
            sys.executable,
            __file__,
            "--one",
            name,
            str(path),
            str(asked),
            folder,
            "--recall",
            str(arguments.recall),
        ]
        env = {**os.environ, "OMP_NUM_THREADS": "1"}
        done = subprocess.run(command, capture_output=True, text=True, env=env)
    if done.returncode:
        return {"system": name, "error": done.stderr.strip().splitlines()[-1][:300] if done.stderr else "no message"}
    return dict(json.loads(done.stdout.splitlines()[-1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--dimension", type=int, default=384)
    parser.add_argument("--queries", type=int, default=1000)
    parser.add_argument("--recall", type=float, default=0.95)
    parser.add_argument("--systems", nargs="+", default=list(SYSTEMS), choices=SYSTEMS)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--vectors", choices=("texts", "clusters"), default="texts")
    parser.add_argument(
        "--scratch", type=Path, help="folder for vectors and indexes: some gigabytes; vectors stay there"
    )
    parser.add_argument("--out", type=Path, default=TARGET)
    parser.add_argument("--one", nargs=4, help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.one:
        name, path, asked, folder = arguments.one
        print(json.dumps(measure(name, Path(path), Path(asked), arguments.recall, Path(folder))))
        return
    systems = [name for name in arguments.systems if name not in MODULES or find_spec(MODULES[name])]
    for name in set(arguments.systems) - set(systems):
        print(f"{name} is not installed and left out", file=sys.stderr)
    command = " ".join(["python", "eval/index_scale.py", *sys.argv[1:]])
    result: dict[str, Any] = {"command": command, "machine": machine(), "threads": 1, "rows": []}
    result |= {
        "vectors": arguments.vectors,
        "count": arguments.count,
        "dimension": arguments.dimension,
        "recall": arguments.recall,
    }
    result["versions"] = {name: _version(name) for name in ("faiss-cpu", "hnswlib", "usearch", "numpy")}
    with tempfile.TemporaryDirectory() as folder:
        path, asked = prepared(arguments, arguments.scratch or Path(folder))
        for round_ in range(arguments.rounds):
            for name in systems[round_ % len(systems) :] + systems[: round_ % len(systems)]:
                row = {"round": round_, **one(arguments, name, path, asked)}
                result["rows"].append(row)
                print(json.dumps({k: v for k, v in row.items() if k != "curve"}), file=sys.stderr, flush=True)
                arguments.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


def _version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


if __name__ == "__main__":
    main()
