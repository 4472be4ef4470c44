"""Phone photos taken in shops to product cards (one clean picture and a text each): as it comes, and after learning.

    LLMREC_DATA=… python eval/watch_grocery.py

The 296 validation photos of GroceryStore (Klasson et al., WACV 2019) against its 81 products. As it comes: each
starter tower, both, class names beside texts (ConSE), printed text read by rapidocr, and all of it through ``match``.
After ``train_projection`` on the 648 training photos (8 a product): the same, beside the nearest mean and the nearest
photo of the same vectors. Then once more with 20 products that no photo showed. Prints fine and coarse R@1, R@5 and
MRR with 95% intervals (BCa over photos) and writes ``eval/results/watch_grocery.json``. Vectors are kept in ``--work``.
All settings were chosen on training photos, held out by their looks; classifiers of the papers, trained on four times
the photos, reach .86 fine and .92 coarse on the test photos.
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
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from PIL.Image import Image

from llmrec.embed import load_encoder, load_image_encoder
from llmrec.embed.encoder import unit
from llmrec.embed.projected import load_projected
from llmrec.evaluate.intervals import bootstrap_means
from llmrec.index import Index
from llmrec.match import Matcher, MatchSettings
from llmrec.records import Content, Keyframe, Product, TimedText
from llmrec.seams import ImageEncoder
from llmrec.storage import read_picture
from llmrec.train import Photo, train_projection
from llmrec.train.projection import ProjectionSettings

TOWERS = ("starter:mobilenet-v2", "starter:efficientnet-lite2")
UNKNOWN, SEED = 20, 0
METRICS = ("R@1", "R@1 coarse", "R@5", "MRR")


class Remembering:
    """An image encoder that encodes each picture once, for all runs."""

    def __init__(self, reference: str, work: Path) -> None:
        self._encoder = load_image_encoder(reference)
        self.reference, self.digest = self._encoder.reference, self._encoder.digest
        self.dimension, self.joint = self._encoder.dimension, self._encoder.joint
        self._path = work / f"{self.digest[:16]}.npz"
        self._seen: dict[str, np.ndarray] = dict(np.load(self._path)) if self._path.exists() else {}
        self.seconds, self.count = 0.0, 0

    def encode_images(self, images: Sequence[Image]) -> np.ndarray:
        """As the encoder does; new pictures in one call."""
        keys = [hashlib.sha256(f"{image.size}".encode() + image.tobytes()).hexdigest()[:32] for image in images]
        new = {key: image for key, image in zip(keys, images, strict=True) if key not in self._seen}
        if new:
            start = time.process_time()
            vectors = self._encoder.encode_images(list(new.values()))
            self.seconds, self.count = self.seconds + time.process_time() - start, self.count + len(new)
            self._seen.update(zip(new, vectors, strict=True))
        return np.stack([self._seen[key] for key in keys])

    def encode_texts(self, texts: Sequence[str]) -> np.ndarray:
        """As the encoder does."""
        return self._encoder.encode_texts(texts)

    def keep(self) -> None:
        """Write what was encoded."""
        np.savez(self._path, allow_pickle=False, **self._seen)


class Bench:
    """The photos, the cards, and what each way of ranking got right."""

    def __init__(self, data: Path, work: Path) -> None:
        with open(data / "classes.csv", encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        self.data, self.work = data, work
        self.products = [card(data, row) for row in rows]
        self.coarse = np.array([int(row["Coarse Class ID (int)"]) for row in rows])
        self.paths, self.right = listed(data, "val")
        self.rows: dict[str, Any] = {}

    def add(self, name: str, scores: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Score a way: ``scores`` [photos, products], of some photos where ``rows`` are given."""
        right = self.right if rows is None else self.right[rows]
        order = np.argsort(-scores, axis=1, kind="stable")
        place = (order == right[:, None]).argmax(axis=1)
        same = self.coarse[order[:, 0]] == self.coarse[right]
        values = np.stack([place == 0, same, place < 5, 1 / (place + 1)], axis=1).astype(float)
        told = bootstrap_means(values, seed=SEED)
        self.rows[name] = {
            metric: [round(one.value, 4), one.low and round(one.low, 4), one.high and round(one.high, 4)]
            for metric, one in zip(METRICS, told, strict=True)
        }
        shown = "  ".join(f"{m} {v:.3f} [{low:.3f}, {high:.3f}]" for m, (v, low, high) in self.rows[name].items())
        print(f"  {name:44s} {shown}", flush=True)

    def photos(self, encoder: ImageEncoder) -> np.ndarray:
        """Vectors of the validation photos."""
        return encoder.encode_images([read_picture(self.data / path) for path in self.paths])

    def cards(self, encoder: ImageEncoder) -> np.ndarray:
        """Vectors of the cards' pictures."""
        return encoder.encode_images([read_picture(self.data / product.images[0]) for product in self.products])

    def titles(self, encoder: ImageEncoder) -> np.ndarray:
        """Vectors of the cards' titles."""
        return encoder.encode_texts([product.title for product in self.products])

    def matched(self, encoder: ImageEncoder, *, pictures: bool, text: bool) -> np.ndarray:
        """Scores by ``match`` through an index: the photo as a keyframe, its printed text as screen text."""
        words = load_encoder("starter:minilm")
        with tempfile.TemporaryDirectory() as folder:
            index = Index.build(
                Path(folder) / "index", self.products, words, image_encoder=encoder, images_root=self.data
            )
            vectors = self.photos(encoder).astype("<f2")
            words_of = printed(self.data, self.paths, self.work) if text else {}
            contents = [
                Content(
                    id=str(number),
                    kind="video",
                    timed_text=(TimedText(0.0, 1.0, read, "screen"),) if (read := words_of.get(path)) else (),
                    keyframes=(Keyframe(0.0, path, 0, vectors[number].tobytes()),),
                    image_encoder=encoder.digest,
                )
                for number, path in enumerate(self.paths)
            ]
            matcher = Matcher(index, settings=MatchSettings(k=len(self.products), vision=pictures))
            place = {product.id: number for number, product in enumerate(self.products)}
            scores = np.full((len(contents), len(place)), -np.inf)
            for number, match in enumerate(matcher.match(contents)):
                for product in match.products:
                    scores[number, place[product.product_id]] = product.score
        return scores


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "llmrec-watch-grocery")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "watch_grocery.json")
    chosen = parser.parse_args()
    data = Path(os.environ.get("LLMREC_DATA", "")) / "grocerystore" / "dataset"
    if not os.environ.get("LLMREC_DATA") or not (data / "classes.csv").is_file():
        what = f"no {data}" if os.environ.get("LLMREC_DATA") else "LLMREC_DATA is not set"
        print(f"error: {what}\n  next: eval/README.md says where the photos come from", file=sys.stderr)
        sys.exit(2)
    chosen.work.mkdir(parents=True, exist_ok=True)
    bench = Bench(data, chosen.work)
    cost = {reference: milliseconds(bench, reference) for reference in TOWERS}
    print(f"{len(bench.paths)} photos, {len(bench.products)} products; ms of CPU a picture: {cost}\nas it comes")
    both = Remembering("+".join(TOWERS), chosen.work)
    untrained(bench, both)
    print("after learning from 648 photos")
    encoder, report = trained(bench, both)
    print(f"with {UNKNOWN} products that no photo showed")
    some_unknown(bench, both)
    both.keep()
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    written: dict[str, Any] = {"command": "python eval/watch_grocery.py", "seed": SEED, "machine": machine}
    written |= {"photos": len(bench.paths), "products": len(bench.products), "towers": list(TOWERS)}
    written |= {"cpu_ms_a_picture": cost, "settings": asdict(ProjectionSettings()), "training": report}
    # the clock of a training over kept vectors says nothing
    looks = (report["photos"] + report["catalog_pictures"]) * ProjectionSettings().looks
    written["training"] = {**report, "seconds": round(looks * sum(cost.values()) / 1000)}
    for stage in (None, with_text):
        if stage is not None:
            print("with the print on the photos")
            stage(bench, both, encoder)
        chosen.out.parent.mkdir(parents=True, exist_ok=True)
        chosen.out.write_text(json.dumps(written | {"rows": bench.rows}, indent=1) + "\n", encoding="utf-8")


def untrained(bench: Bench, both: Remembering) -> None:
    """Every way that needs no photos to learn from."""
    start = 0
    photos, cards = bench.photos(both), bench.cards(both)
    for reference in TOWERS:
        end = start + load_image_encoder(reference).dimension
        bench.add(f"picture, {reference}", photos[:, start:end] @ cards[:, start:end].T)
        start = end
    bench.add("picture, both towers", photos @ cards.T)
    named = load_image_encoder("starter:efficientnet-lite2+starter:minilm")
    bench.add("title by class names (ConSE)", bench.photos(named) @ bench.titles(named).T)


def with_text(bench: Bench, both: Remembering, encoder: ImageEncoder) -> None:
    """What the print on the photos adds, read at their own scale: enlarged, each takes seconds."""
    bench.add("printed text, match", bench.matched(both, pictures=False, text=True))
    bench.add("both towers and printed text, match", bench.matched(both, pictures=True, text=True))
    bench.add("learned: and printed text, match", bench.matched(encoder, pictures=True, text=True))


def trained(bench: Bench, both: Remembering) -> tuple[ImageEncoder, dict[str, Any]]:
    """Every way that learns, from all training photos; the encoder that ships and the report of its training."""
    paths, labels = listed(bench.data, "train")
    photos = bench.photos(both)
    examples = both.encode_images([read_picture(bench.data / path) for path in paths])
    means = unit(np.stack([examples[labels == n].mean(axis=0) for n in range(len(bench.products))]), "means")
    bench.add("nearest mean of the photos' vectors", photos @ means.T)
    likeness = photos @ examples.T
    nearest = [likeness[:, labels == n].max(axis=1) for n in range(len(bench.products))]
    bench.add("nearest photo", np.stack(nearest, axis=1))
    for views in (2, ProjectionSettings().views):
        encoder, report = learned(bench, both, list(range(len(bench.products))), views)
        seen = bench.photos(encoder)
        cards, titles = seen @ bench.cards(encoder).T, seen @ bench.titles(encoder).T
        bench.add(
            "learned: picture" if views == ProjectionSettings().views else f"learned, {views} views: picture", cards
        )
        if views == ProjectionSettings().views:
            kept = encoder, report
            bench.add("learned: title", titles)
            bench.add("learned: picture and title, match", bench.matched(encoder, pictures=True, text=False))
    return kept


def some_unknown(bench: Bench, both: Remembering) -> None:
    """Photos of products that the training knew, and of those it did not; all 81 stay in the catalog."""
    unknown = np.random.default_rng(SEED).permutation(len(bench.products))[:UNKNOWN]
    encoder, _ = learned(
        bench, both, sorted(set(range(len(bench.products))) - set(unknown.tolist())), ProjectionSettings().views
    )
    before = bench.photos(both) @ bench.cards(both).T
    after = bench.photos(encoder) @ bench.cards(encoder).T
    strange = np.isin(bench.right, unknown)
    for name, rows in (("unknown", np.flatnonzero(strange)), ("known", np.flatnonzero(~strange))):
        bench.add(f"{len(rows)} photos of {name} products, before", before[rows], rows)
        bench.add(f"{len(rows)} photos of {name} products, after", after[rows], rows)


def learned(bench: Bench, both: Remembering, known: Sequence[int], views: int) -> tuple[ImageEncoder, dict[str, Any]]:
    """Train on the photos of some products; the encoder and the report."""
    paths, labels = listed(bench.data, "train")
    products = [bench.products[number] for number in known]
    ids = {product.id for product in products}
    photos = [Photo(path, bench.products[n].id) for path, n in zip(paths, labels, strict=True)]
    photos = [photo for photo in photos if photo.product_id in ids]
    with tempfile.TemporaryDirectory() as work:
        folder = Path(work) / "projection"
        settings = ProjectionSettings(views=views)
        report = train_projection(photos, products, both, folder, root=bench.data, settings=settings)
        both.keep()
        return load_projected(folder, lambda _: both, None), asdict(report)


def card(data: Path, row: dict[str, str]) -> Product:
    """One product: its class name as title, its description, its clean picture."""
    name = row["Class Name (str)"]
    text = data / row["Product Description Path (str)"].lstrip("/")
    description = text.read_text(encoding="utf-8", errors="replace").strip()
    picture = row["Iconic Image Path (str)"].lstrip("/")
    return Product(id=name, title=name.replace("-", " "), description=description, images=(picture,))


def listed(data: Path, part: str) -> tuple[list[str], np.ndarray]:
    """The photos of a part that are here, and the product number of each."""
    lines = [line.split(",") for line in (data / f"{part}.txt").read_text(encoding="utf-8").splitlines() if line]
    rows = [(path.strip(), int(number)) for path, number, _ in lines if (data / path.strip()).is_file()]
    return [path for path, _ in rows], np.array([number for _, number in rows])


def printed(data: Path, paths: Sequence[str], work: Path) -> dict[str, str]:
    """What rapidocr reads on each photo, kept."""
    kept = work / "printed.json"
    read: dict[str, str] = json.loads(kept.read_text(encoding="utf-8")) if kept.exists() else {}
    if missing := [path for path in paths if path not in read]:
        from llmrec.video import WatchSettings
        from llmrec.video.screen import RapidReader

        reader = RapidReader(WatchSettings(ocr_side=352))
        for path in missing:
            found = reader.read(read_picture(data / path))
            read[path] = " ".join(reading.text for reading in found)
        kept.write_text(json.dumps(read), encoding="utf-8")
    return read


def milliseconds(bench: Bench, reference: str) -> float:
    """CPU time of a photo from file to vector, over 24 photos after one to warm up."""
    encoder = load_image_encoder(reference)
    encoder.encode_images([read_picture(bench.data / bench.paths[0])])
    start = time.process_time()
    encoder.encode_images([read_picture(bench.data / path) for path in bench.paths[:24]])
    return round((time.process_time() - start) / 24 * 1000, 1)


if __name__ == "__main__":
    main()
