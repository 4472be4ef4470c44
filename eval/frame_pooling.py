"""How the likeness of several frames to a product becomes one number: best frame, mean of the best few, mean, softmax.

    python eval/frame_pooling.py                      # LLMREC_DATA=… ; a few minutes, seconds when run again

Phone photos of ``grocerystore`` (val) stand for frames, its 81 product cards for the catalog. A clip is made of some
photos of one product and some of others, as a clip shows other things too. Prints R@1 and R@5 with 95% intervals and
the paired p-value against what ships (``llmrec.match.frames.pool``), and writes ``eval/results/frame_pooling.json``.
Vectors are kept in ``--work``.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import random
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from match_sets import groceries

from llmrec.embed import load_image_encoder
from llmrec.evaluate import evaluate_matches
from llmrec.match.frames import POOLED, pool
from llmrec.records import Hit
from llmrec.storage import fingerprint, read_picture

METRICS = ["recall@1", "recall@5"]
#: Photos of the product and of others in a clip.
CLIPS = ((1, 0), (3, 0), (3, 3), (4, 4), (2, 6))
REPEATS, SEED = 4, 0

WAYS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "best frame": lambda z: z.max(0),
    "mean of best two": lambda z: np.sort(z, 0)[-2:].mean(0),
    "mean of best five": lambda z: np.sort(z, 0)[-5:].mean(0),
    "mean": lambda z: z.mean(0),
    "softmax": lambda z: np.log(np.exp(z).mean(0)),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tower", default="starter:efficientnet-lite2")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "llmrec-frame-pooling")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "frame_pooling.json")
    chosen = parser.parse_args()
    folder = Path(os.environ.get("LLMREC_DATA", "")) / "grocerystore" / "dataset"
    if not os.environ.get("LLMREC_DATA") or not folder.is_dir():
        print("error: no grocerystore in LLMREC_DATA\n  next: eval/README.md says where it comes from", file=sys.stderr)
        sys.exit(2)
    cards = [Path(product.images[0]) for product in groceries(folder)[3]]
    ids = [product.id for product in groceries(folder)[3]]
    photos = [line.split(", ") for line in (folder / "val.txt").read_text(encoding="utf-8").splitlines()]
    shelf = vectors(chosen, cards)
    seen = vectors(chosen, [folder / path for path, _, _ in photos])
    truth = [number for _, number, _ in photos]
    likeness = seen @ shelf.T
    z = (likeness - likeness.mean(1, keepdims=True)) / likeness.std(1, keepdims=True)
    results: dict[str, Any] = {}
    rng = random.Random(SEED)
    for own, others in CLIPS:
        clips = {}
        for product in sorted(set(truth)):
            right = [i for i, number in enumerate(truth) if number == product]
            wrong = [i for i, number in enumerate(truth) if number != product]
            for repeat in range(REPEATS if len(right) >= own else 0):
                clips[f"{product}-{repeat}"] = rng.sample(right, own) + rng.sample(wrong, others)
        qrels = {id: {id.split("-")[0]: 1} for id in clips}
        shipped = {id: pooled(z[frames], ids) for id, frames in clips.items()}
        rows = {f"mean of best {POOLED} (ships)": shipped}
        for way, make in WAYS.items():
            rows[way] = {id: dict(zip(ids, make(z[frames]).tolist(), strict=True)) for id, frames in clips.items()}
        results[f"{own}+{others}"] = told = {}
        print(f"\n{own} frames of the product, {others} of others: {len(clips)} clips")
        for way, run in rows.items():
            scored = evaluate_matches(run, qrels, metrics=METRICS, baseline=shipped)
            p = {m: scored.comparison[m].p_value for m in METRICS}
            values = scored.metrics
            told[way] = {m: [round(values[m].value, 4), values[m].low, values[m].high, p[m]] for m in METRICS}
            print(f"  {way:24s} " + "  ".join(f"{m} {values[m]} p {p[m]:.3f}" for m in METRICS), flush=True)
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    written = {"command": "python eval/frame_pooling.py", "seed": SEED, "machine": machine, "tower": chosen.tower}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps({**written, "clips": results}, indent=1) + "\n", encoding="utf-8")


def pooled(z: np.ndarray, ids: list[str]) -> dict[str, float]:
    """What ships, by hits as an index gives them."""
    frames = [[Hit(ids[i], float(row[i]), "vision:images") for i in np.argsort(-row)] for row in z]
    return {hit.product_id: hit.score for hit in pool(frames)}


def vectors(chosen: argparse.Namespace, paths: list[Path]) -> np.ndarray:
    """Vectors of pictures; kept."""
    chosen.work.mkdir(parents=True, exist_ok=True)
    kept = chosen.work / f"{fingerprint(chosen.tower, [str(path) for path in paths])[:8]}.npy"
    if not kept.exists():
        tower = load_image_encoder(chosen.tower)
        np.save(kept, np.concatenate([tower.encode_images([read_picture(path)]) for path in paths]))
    return np.load(kept)


if __name__ == "__main__":
    main()
