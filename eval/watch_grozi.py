"""Crops of packages in a shop to product names: one frame, and all frames of a clip pooled.

    LLMREC_DATA=… python eval/watch_grozi.py

GroZi-120 (Merler et al., CVPR-W 2007): packages filmed by hand in a shop, 19 to 333 pixels wide, to the names of all
120 products; no pictures of the products are used. Each clip's frames are a folder that is watched and matched with
the default settings; so is each frame by itself. Beside it, in the same run: rapidocr as it comes, and character
trigrams weighted by TF-IDF, compared by cosine. Prints R@1, R@5, R@10 and MRR with 95% intervals, resampled by clip
(BCa) and by product (the wider ones: there are few products). Leaves with 2 where the data is not there.
"""

from __future__ import annotations

import argparse
import csv
import hashlib
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from PIL import Image

from llmrec.embed import load_encoder
from llmrec.index import Index
from llmrec.match import Matcher, MatchSettings
from llmrec.records import Product
from llmrec.video import Watcher, WatchSettings
from llmrec.video.screen import RapidReader
from llmrec.video.voting import Reading

METRICS = ["recall@1", "recall@5", "recall@10", "mrr@120"]
SEED, RESAMPLES = 0, 2000


class Remembering:
    """A reader that reads each picture once; with a folder, once for all runs of the same code."""

    def __init__(self, read: Callable[[Image.Image], list[Reading]], name: str, folder: Path | None) -> None:
        self._read, self._name, self._folder = read, name, folder
        self._seen: dict[str, list[Reading]] = {}
        self._seconds: list[float] = []

    @property
    def seconds(self) -> float | None:
        """CPU seconds a picture, over those that this run read itself."""
        return round(sum(self._seconds) / len(self._seconds), 3) if self._seconds else None

    def read(self, image: Image.Image) -> list[Reading]:
        """What the reader reads."""
        key = hashlib.sha256(f"{self._name} {image.size}".encode() + image.tobytes()).hexdigest()
        path = self._folder / f"{key}.json" if self._folder else None
        if key not in self._seen and path and path.is_file():
            self._seen[key] = [Reading(*one) for one in json.loads(path.read_text(encoding="utf-8"))]
        if key not in self._seen:
            start = time.process_time()
            self._seen[key] = self._read(image)
            self._seconds.append(time.process_time() - start)
            if path:
                path.write_text(json.dumps(self._seen[key]), encoding="utf-8")
        return self._seen[key]


class Plain:
    """The baseline: rapidocr as it comes, and cosine of character trigrams."""

    def __init__(self, products: list[Product], folder: Path | None) -> None:
        from rapidocr import RapidOCR

        engine = RapidOCR(params={"Global.log_level": "critical"})

        def read(image: Image.Image) -> list[Reading]:
            found: Any = engine(np.asarray(image)[:, :, ::-1].copy())
            return [
                Reading(text, float(score)) for text, score in zip(found.txts or (), found.scores or (), strict=True)
            ]

        self.reader = Remembering(read, "rapidocr", folder)
        texts = [_trigrams(product.title) for product in products]
        self._ids = [product.id for product in products]
        found = {gram for text in texts for gram in text}
        self._idf = {g: np.log((1 + len(texts)) / (1 + sum(g in t for t in texts))) + 1 for g in found}
        self._names = [self._vector(text) for text in texts]

    def rank(self, frames: list[Image.Image]) -> dict[str, float]:
        """Products by likeness to all that is read, those with none left out."""
        return self.rank_words(" ".join(reading.text for frame in frames for reading in self.reader.read(frame)))

    def rank_words(self, words: str) -> dict[str, float]:
        """The same for words that are read already."""
        asked = self._vector(_trigrams(words))
        scores = [sum(weight * name.get(gram, 0.0) for gram, weight in asked.items()) for name in self._names]
        return {id: score for id, score in zip(self._ids, scores, strict=True) if score > 0}

    def _vector(self, grams: list[str]) -> dict[str, float]:
        weights = {gram: grams.count(gram) * self._idf[gram] for gram in set(grams) if gram in self._idf}
        length = sum(weight**2 for weight in weights.values()) ** 0.5 or 1.0
        return {gram: weight / length for gram, weight in weights.items()}


def _trigrams(text: str) -> list[str]:
    plain = f" {' '.join(''.join(c if c.isalnum() else ' ' for c in text.casefold()).split())} "
    return [plain[i : i + 3] for i in range(len(plain) - 2)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="starter:minilm", help="of the index; 'none' for words alone")
    parser.add_argument("--readings", type=Path, help="folder that keeps what was read, for further runs")
    parser.add_argument("--read-only", action="store_true", help="fill --readings and stop")
    parser.add_argument("--frames", action="store_true", help="skip the frames one by one")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "watch_grozi.json")
    chosen = parser.parse_args()
    data = Path(os.environ.get("LLMREC_DATA", "")) / "grozi120_dev"
    if not os.environ.get("LLMREC_DATA") or not (data / "clips.jsonl").is_file():
        print(f"error: no {data}/clips.jsonl\n  next: set LLMREC_DATA; see eval/README.md", file=sys.stderr)
        sys.exit(2)
    clips = [json.loads(line) for line in (data / "clips.jsonl").read_text(encoding="utf-8").splitlines()]
    with (data / "products.csv").open(encoding="utf-8") as file:
        products = [Product(id=row["index"], title=row["name"]) for row in csv.DictReader(file)]
    if chosen.readings:
        chosen.readings.mkdir(parents=True, exist_ok=True)
    settings = WatchSettings(speech="none", threads=1)
    source = Path(sys.modules[RapidReader.__module__].__file__ or "").read_bytes()
    reader = Remembering(RapidReader(settings).read, hashlib.sha256(source).hexdigest(), chosen.readings)
    watcher = Watcher(settings, screen_reader=reader)
    plain = Plain(products, chosen.readings)
    pictures = {name: Image.open(data / name).convert("RGB") for clip in clips for name in clip["frames"]}
    for number, picture in enumerate(pictures.values(), start=1):
        plain.reader.read(picture)
        reader.read(picture)
        if sys.stderr.isatty():
            print(f"\r{number} of {len(pictures)} frames read", end="", file=sys.stderr, flush=True)
    if chosen.read_only:
        return
    parts = {"all frames": {clip["clip_id"]: clip["frames"] for clip in clips}}
    if not chosen.frames:
        parts["one frame"] = {name: [name] for clip in clips for name in clip["frames"]}
    product_of = {clip["clip_id"]: str(clip["product_index"]) for clip in clips}
    clip_of = {name: clip["clip_id"] for clip in clips for name in (*clip["frames"], clip["clip_id"])}
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as work:
        encoder = None if chosen.encoder == "none" else load_encoder(chosen.encoder)
        matcher = Matcher(Index.build(Path(work) / "index", products, encoder), settings=MatchSettings(k=120))
        for part, contents in parts.items():
            runs: dict[str, dict[str, dict[str, float]]] = {"watch + match": {}, "plain": {}}
            for number, (id, names) in enumerate(contents.items()):
                folder = Path(work) / f"{part}-{number}"
                folder.mkdir()
                for name in names:
                    (folder / Path(name).name).symlink_to((data / name).resolve())
                # without its path: the matcher would have it watched again where nothing at all was read
                content = msgspec.structs.replace(watcher.watch(folder, id=id), media="")
                match = next(iter(matcher.match([content])))
                runs["watch + match"][id] = {found.product_id: found.score for found in match.products}
                runs["plain"][id] = plain.rank([pictures[name] for name in names])
            truth = {id: {product_of[clip_of[id]]} for id in contents}
            results[part] = {name: _score(run, truth, clip_of, product_of) for name, run in runs.items()}
            print(f"\n{part}: {len(contents)} contents of {len(set(product_of.values()))} products, 120 names")
            for name, row in results[part].items():
                for metric, (value, *bounds) in row.items():
                    by_clip, by_product = (f"[{low:.3f}, {high:.3f}]" for low, high in bounds)
                    print(f"  {name:14s} {metric:10s} {value:.3f}  by clip {by_clip}  by product {by_product}")
    written = {
        "command": "python eval/watch_grozi.py" + (" --readings DIR" if chosen.readings else ""),
        "encoder": chosen.encoder,
        "seed": SEED,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "seconds_a_frame": {"watch": reader.seconds, "plain": plain.reader.seconds},
        "results": results,
    }
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def _score(
    run: dict[str, dict[str, float]], truth: dict[str, set[str]], clip_of: dict[str, str], product_of: dict[str, str]
) -> dict[str, tuple[float, tuple[float, float], tuple[float, float]]]:
    """Each metric with its 95% interval by clip and by product (percentiles over resampled groups)."""
    per: dict[str, list[float]] = {metric: [] for metric in METRICS}
    ids = list(truth)
    for id in ids:
        (right,) = truth[id]
        ranked = sorted(run[id], key=lambda product: (-run[id][product], product))
        rank = ranked.index(right) + 1 if right in ranked else 0
        for metric in METRICS:
            name, _, depth = metric.partition("@")
            per[metric].append((1 / rank if name == "mrr" else 1.0) if 0 < rank <= int(depth) else 0.0)
    groups = ([clip_of[id] for id in ids], [product_of[clip_of[id]] for id in ids])
    scored = {}
    for metric, values in per.items():
        mean = float(np.mean(values))
        scored[metric] = (round(mean, 4), _interval(values, groups[0]), _interval(values, groups[1]))
    return scored


def _interval(values: list[float], groups: list[str]) -> tuple[float, float]:
    """95% interval of the mean, whole groups resampled."""
    names = sorted(set(groups))
    sums = np.array([sum(v for v, g in zip(values, groups, strict=True) if g == name) for name in names])
    counts = np.array([groups.count(name) for name in names])
    drawn = np.random.default_rng(SEED).integers(len(names), size=(RESAMPLES, len(names)))
    means = sums[drawn].sum(axis=1) / counts[drawn].sum(axis=1)
    low, high = np.percentile(means, [2.5, 97.5])
    return round(float(low), 4), round(float(high), 4)


if __name__ == "__main__":
    main()
