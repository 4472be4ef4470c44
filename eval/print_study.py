"""Titles as they are misread: what the constants of matching by pieces of words are chosen on.

    LLMREC_DATA=… python eval/print_study.py

Part of a title's words and words of other products' descriptions are drawn in many typefaces, bent, blurred, shrunk to
5 to 19 pixels and compressed, one to six times each; the recogniser that ``watch`` uses reads them, and the title is
looked for among 300 of its catalog (Abt-Buy's Buy, Amazon-Google's Amazon, Amazon Scientific), by the whole of
``match``. Nothing of it comes from the packages of ``watch_grozi.py``. Prints R@1 and MRR for the powers of a name's
length and the weights of the view, beside character trigrams by TF-IDF cosine, with 95% intervals (BCa over cases), and
the choice for each catalog by the two others. Leaves with 2 where data or typefaces are missing.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import platform
import random
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import cv2
import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont
from watch_grozi import Plain

from llmrec.embed import load_encoder
from llmrec.evaluate.intervals import bootstrap_means
from llmrec.index import Index, grams
from llmrec.match import Matcher, MatchSettings
from llmrec.match.fusion import WEIGHTS, fuse_views
from llmrec.records import Content, Product, TimedText
from llmrec.video import WatchSettings
from llmrec.video.screen import WEAK, RapidReader, credible, merge_readings
from llmrec.video.voting import Reading

Pixels = NDArray[np.uint8]
SEED, CASES, TITLES = 7, 40, 300
POWERS, LABELS = (1.0, 0.75, 0.5, 0.25), (1.0, 2.0, 4.0, 8.0)
#: Typefaces: all of a folder but symbols and typewriters.
FACES = Path("/usr/share/fonts")
NO_FACE = ("Dingbats", "Symbol", "D050", "MathTeX", "Mono", "Droid")
INKS = (
    ((20, 20, 20), (220, 215, 200)),
    ((240, 240, 240), (120, 20, 20)),
    ((250, 220, 40), (30, 60, 120)),
    ((255, 255, 255), (40, 110, 50)),
    ((60, 30, 20), (200, 170, 60)),
    ((150, 150, 160), (200, 200, 205)),
)


class Case(NamedTuple):
    """A title's row and what was read: ``texts`` over time, and all readings in ``words``."""

    row: int
    texts: tuple[TimedText, ...]
    words: str


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=CASES, help="of each catalog")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "print_study.json")
    chosen = parser.parse_args()
    data = Path(os.environ.get("LLMREC_DATA", "-"))
    faces = sorted(f for f in FACES.rglob("*.?tf") if not any(word in f.name for word in NO_FACE))
    if not (data / "er_products").is_dir() or len(faces) < 10:
        print(f"error: no {data}/er_products, or no typefaces in {FACES}\n  next: see eval/README.md", file=sys.stderr)
        sys.exit(2)
    reader, encoder = RapidReader(WatchSettings(speech="none", threads=1)), load_encoder("starter:minilm")
    ranks: dict[str, dict[str, list[int]]] = {}
    for name, (titles, others) in catalogs(data).items():
        random_, noise = random.Random(f"{SEED}{name}"), np.random.default_rng(SEED)
        cut = [" ".join(title.split()[: random_.choice((2, 3, 4, 5, 6, 8))]) for title in random_.sample(titles, 400)]
        names = list(dict.fromkeys(cut))[:TITLES]
        rows = random_.sample(range(len(names)), chosen.cases)
        cases = [read(reader, row, names[row], others, faces, random_, noise) for row in rows]
        ranks[name] = ranked(names, cases, encoder)
        print(f"{name}: {len(cases)} titles drawn and read", file=sys.stderr)
    results = {}
    print(f"{sum(chosen.cases for _ in ranks)} titles of {len(ranks)} catalogs, {TITLES} names each")
    for setting in next(iter(ranks.values())):
        places = np.array([place for own in ranks.values() for place in own[setting]], dtype=np.float64)
        results[setting] = {"recall@1": _with_interval(places == 1), "mrr": _with_interval(1 / places)}
        shown = "  ".join(f"{m} {v:.3f} [{low:.3f}, {high:.3f}]" for m, (v, low, high) in results[setting].items())
        print(f"  {setting:28s} {shown}")
    held = []
    for name, own in ranks.items():
        beside = [other for key, other in ranks.items() if key != name]
        settings = [setting for setting in own if setting != "plain"]
        best = max(settings, key=lambda s: sum(float(np.mean(1 / np.array(other[s]))) for other in beside))
        print(f"  {name} by the others' choice, {best}: R@1 {np.mean(np.array(own[best]) == 1):.3f}")
        held += own[best]
    results["chosen by the other catalogs"] = {
        "recall@1": _with_interval(np.array(held) == 1),
        "mrr": _with_interval(1 / np.array(held)),
    }
    print(f"  chosen by the other catalogs {results['chosen by the other catalogs']}")
    written = {
        "command": "python eval/print_study.py",
        "seed": SEED,
        "machine": f"{platform.machine()}, {os.cpu_count()} cores",
        "typefaces": len(faces),
        "results": results,
    }
    chosen.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def catalogs(data: Path) -> dict[str, tuple[list[str], list[str]]]:
    """Titles and descriptions of each catalog."""
    found = {}
    for name, file, sign, title, text in (
        ("buy", "er_products/abt_buy/buy.csv", "|", 1, 2),
        ("amazon", "er_products/amazon_google/amazon.csv", "#", 1, 3),
    ):
        with (data / file).open(encoding="utf-8", errors="replace", newline="") as lines:
            rows = [row for row in csv.reader(lines, delimiter=sign) if len(row) > text][1:]
        found[name] = ([row[title] for row in rows], [row[text] for row in rows if row[text]])
    items = json.loads((data / "amazon_scientific_sid" / "Scientific.item.json").read_text(encoding="utf-8")).values()
    found["scientific"] = ([i["title"] for i in items], [i["description"] for i in items if i["description"]])
    return found


def read(
    reader: RapidReader,
    row: int,
    title: str,
    others: list[str],
    faces: list[Path],
    random_: random.Random,
    noise: np.random.Generator,
) -> Case:
    """Draw a package that shows part of a title among other words, and read one to six frames of it."""
    words = [word for word in title.split() if any(map(str.isalnum, word))] or [title]
    kept = [word for place, word in enumerate(words) if random_.random() < (0.45 if place else 0.8)] or words[:1]
    lines = []
    while kept:
        size = random_.choice((1, 1, 1, 2))
        lines.append((" ".join(kept[:size]), random_.uniform(1.0, 1.7)))
        kept = kept[size:]
    for _ in range(random_.choice((0, 1, 2, 3, 5, 8))):
        text = random_.choice(others).split()
        start = random_.randrange(len(text))
        lines.append((" ".join(text[start : start + random_.randint(1, 4)])[:32], random_.uniform(0.6, 1.2)))
    spelt, height = random_.choice((str.upper, str.title, str)), random_.uniform(5, 11)
    drawn = [(draw(spelt(text), faces, random_), height * share) for text, share in lines]
    frames: list[list[Reading]] = []
    for _ in range(random_.choice((1, 3, 5, 6))):
        found: list[Reading] = []
        for picture, high in drawn:
            if random_.random() >= 0.35:  # a line is not found in every frame
                line = degraded(picture, high, random_, noise)
                (first,) = reader._recognise([line])
                found += [first] if first.confidence >= 0.8 else reader._again(line, first)
        frames.append([one for one in found if credible(one, WEAK, weak=True)])
    texts = merge_readings([(float(place), place + 1.0, frame) for place, frame in enumerate(frames)])
    return Case(row, tuple(texts), " ".join(one.text for frame in frames for one in frame))


def draw(text: str, faces: list[Path], random_: random.Random) -> Pixels:
    """A line of print, about 60 pixels high."""
    face = ImageFont.truetype(str(random_.choice(faces)), 40)
    left, top, right, bottom = map(int, face.getbbox(text))
    ink, ground = random_.choice(INKS)
    picture = Image.new("RGB", (right - left + 24, bottom - top + 20), ground)
    outline: dict[str, Any] = {"stroke_width": 2, "stroke_fill": (0, 0, 0)} if random_.random() < 0.25 else {}
    ImageDraw.Draw(picture).text((12 - left, 10 - top), text, font=face, fill=ink, **outline)
    return np.asarray(picture)[:, :, ::-1].copy()


def degraded(line: Pixels, high: float, random_: random.Random, noise: np.random.Generator) -> Pixels:
    """The line as a camera has it, ``high`` pixels high, and enlarged four times as ``watch`` does."""
    height, width = line.shape[:2]
    if random_.random() < 0.3:  # round a tin
        ys, xs = np.mgrid[0:height, 0:width].astype(np.float32)
        bent = (ys + random_.uniform(-0.35, 0.35) * height * (xs / width - 0.5) ** 2 * 4).astype(np.float32)
        line = cv2.remap(line, xs, bent, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    matrix = cv2.getRotationMatrix2D((width / 2, height / 2), random_.gauss(0, 4), 1)
    matrix[0, 1] += random_.gauss(0, 0.08)
    line = cv2.warpAffine(line, matrix, (width, height), borderMode=cv2.BORDER_REPLICATE)
    scale = high / height
    line = cv2.GaussianBlur(line, (0, 0), max(0.1, 0.35 / scale))
    size = (max(6, round(width * scale * random_.uniform(0.55, 1.1))), max(5, round(high)))
    line = cv2.resize(line, size, interpolation=cv2.INTER_AREA)
    if shaken := random_.choice((0, 0, 3, 5)):
        line = cv2.blur(line, (shaken, 1) if random_.random() < 0.6 else (1, shaken))
    grain = noise.normal(0, random_.uniform(2, 10), line.shape)
    lit = np.clip(line * random_.uniform(0.5, 1.05) + grain, 0, 255).astype(np.uint8)
    packed = cv2.imencode(".jpg", lit, [cv2.IMWRITE_JPEG_QUALITY, random_.randint(35, 85)])[1]
    line = np.asarray(cv2.imdecode(packed, cv2.IMREAD_COLOR), np.uint8)
    if random_.random() < 0.2:  # its end is out of the picture
        line = line[:, random_.randint(0, line.shape[1] // 4) :]
    return np.asarray(cv2.resize(line, None, fx=4, fy=4, interpolation=cv2.INTER_CUBIC), np.uint8)


def ranked(names: list[str], cases: list[Case], encoder: Any) -> dict[str, list[int]]:
    """Rank of the right title of each case, by setting; one that is not found is behind all."""
    products = [Product(id=f"{row:03}", title=title) for row, title in enumerate(names)]
    plain, found = Plain(products, None), {}
    found["plain"] = [_rank(plain.rank_words(case.words), f"{case.row:03}") for case in cases]
    contents = [Content(id=str(n), kind="video", timed_text=case.texts) for n, case in enumerate(cases)]
    with tempfile.TemporaryDirectory() as work:
        matcher = Matcher(Index.build(Path(work) / "index", products, encoder), settings=MatchSettings(k=TITLES))
        shipped = grams.LENGTH
        for power in POWERS:
            grams.LENGTH = power
            vars(matcher.index).pop("grams", None)
            rankings = [[(view.group, hits) for view, hits in views] for views, _ in matcher.rankings(contents)]
            for label in LABELS:
                fused = [fuse_views(views, {**WEIGHTS, "label": label}) for views in rankings]
                scores = [{hit.product_id: hit.score for hit in hits} for hits in fused]
                places = [_rank(own, f"{case.row:03}") for own, case in zip(scores, cases, strict=True)]
                found[f"length {power}, label {label}"] = places
        grams.LENGTH = shipped
    return found


def _rank(scores: dict[str, float], right: str) -> int:
    order = sorted(scores, key=lambda id: (-scores[id], id))
    return order.index(right) + 1 if right in scores else 10 * TITLES


def _with_interval(values: NDArray[Any]) -> tuple[float, float, float]:
    (estimate,) = bootstrap_means(np.asarray(values, dtype=np.float64)[:, None], seed=SEED)
    return round(estimate.value, 4), round(estimate.low or 0.0, 4), round(estimate.high or 0.0, 4)


if __name__ == "__main__":
    main()
