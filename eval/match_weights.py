"""What each source of a content should count: weights of the views learned on some catalogs, tried on another.

    python eval/match_weights.py                      # LLMREC_DATA=… ; a few minutes, seconds when run again

Seven sets (``eval/match_sets.py``): the contents of ``examples/`` (watched), posts made of the listings of three tables
of real products (speech with recognition errors, screen text with reading errors, chatter, sources that say nothing),
streams of two products, and posts of groceries with phone photos as frames, with all sources and with one. Weights are
learned by a listwise softmax over the candidates, all sets but one at a time, and tried on the one held out, beside
equal weights, each source alone and the weights that ship. Prints recall and MRR with 95% intervals and paired p-values
against the weights that ship, and what a source that says nothing costs; writes ``eval/results/match_weights.json``.
Rankings are kept in ``--work``. ``--contents demo-output/contents.jsonl`` spares watching the sample again.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

sys.path.insert(0, str(Path(__file__).parent))
from match_sets import SEED, Qrels, sets

from llmrec.embed import load_encoder, load_image_encoder
from llmrec.evaluate import evaluate_matches
from llmrec.index import Index
from llmrec.match import Matcher, fuse_views, views_of
from llmrec.match.frames import pool
from llmrec.match.fusion import WEIGHTS
from llmrec.records import Content, Hit, Product
from llmrec.seams import ImageEncoder
from llmrec.storage import fingerprint, read_picture

METRICS = ["recall@1", "recall@2", "recall@10", "mrr@10"]
GROUPS = ("whole", "speech", "screen", "print", "caption", "chat", "title", "window", "pictures")
#: Strength of the pull of weights towards nothing, and the scale of scores at which they are learned.
RIDGE, SCALE = 0.05, 10.0
TOWER = "starter:efficientnet-lite2"

Rankings = dict[str, list[tuple[str, list[Hit]]]]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoder", default="starter:minilm")
    parser.add_argument("--work", type=Path, default=Path(tempfile.gettempdir()) / "llmrec-match-weights")
    parser.add_argument("--contents", type=Path, help="the sample's contents, watched before")
    parser.add_argument("--out", type=Path, default=Path(__file__).parent / "results" / "match_weights.json")
    chosen = parser.parse_args()
    if not os.environ.get("LLMREC_DATA"):
        print("error: LLMREC_DATA is not set\n  next: eval/README.md says where the tables come from", file=sys.stderr)
        sys.exit(2)
    chosen.work.mkdir(parents=True, exist_ok=True)
    started = time.perf_counter()
    found: dict[str, tuple[Rankings, Qrels]] = {}
    for name, contents, qrels, products in sets(chosen.work, chosen.contents, Path(os.environ["LLMREC_DATA"])):
        found[name] = (rankings(chosen, name, contents, products), qrels)
        print(f"{name}: {len(contents)} contents, {len(products)} products", flush=True)
    learned = {name: learn([own for other, own in found.items() if other != name]) for name in found}
    everything = learn(list(found.values()))
    results: dict[str, Any] = {}
    for name, (seen, qrels) in found.items():
        loud = {id: groups for id, groups in seen.items() if not id.startswith("quiet-")}
        results[name] = table(name, loud, qrels, learned[name]) | silence(seen, qrels, learned[name])
    rounded = {group: round(weight, 3) for group, weight in everything.items()}
    print("\nlearned on all sets: " + "  ".join(f"{group} {weight}" for group, weight in rounded.items()))
    machine = {"processor": platform.processor() or platform.machine(), "cores": os.cpu_count()}
    held = {name: {group: round(weight, 3) for group, weight in own.items()} for name, own in learned.items()}
    written: dict[str, Any] = {"command": "python eval/match_weights.py", "seed": SEED, "machine": machine}
    written |= {"encoder": chosen.encoder, "tower": TOWER, "seconds": round(time.perf_counter() - started, 1)}
    written |= {"shipped": dict(WEIGHTS), "learned_on_all": rounded, "learned_on_the_others": held, "sets": results}
    chosen.out.parent.mkdir(parents=True, exist_ok=True)
    chosen.out.write_text(json.dumps(written, indent=1) + "\n", encoding="utf-8")


def rankings(chosen: argparse.Namespace, name: str, contents: list[Content], products: list[Product]) -> Rankings:
    """What each view of each content finds, and what its frames find together; kept."""
    key = fingerprint(
        [views_of(content) for content in contents], [product.id for product in products], chosen.encoder, TOWER
    )[:8]
    kept = chosen.work / f"{name.replace(' ', '-')}-{key}.json"
    if kept.exists():
        return msgspec.json.decode(kept.read_bytes(), type=dict[str, list[tuple[str, list[Hit]]]])
    encoder = load_encoder(chosen.encoder)
    tower = load_image_encoder(TOWER) if any(product.images for product in products) else None
    path = chosen.work / f"{fingerprint(products, encoder.digest, tower and tower.digest)[:8]}.index"
    if not path.exists():
        Index.build(path, products, encoder, image_encoder=tower)
    index = Index.open(path, encoder, image_encoder=tower)
    found: Rankings = {}
    if tower is not None:
        contents = with_vectors(contents, tower)
    for content, (views, frames) in zip(contents, Matcher(index).rankings(contents), strict=True):
        looks = pool([hits for _, hits in frames])
        found[content.id] = [(view.group, hits) for view, hits in views] + ([("pictures", looks)] if looks else [])
    kept.write_bytes(msgspec.json.encode(found))
    return found


def with_vectors(contents: list[Content], tower: ImageEncoder) -> list[Content]:
    """The contents with the vectors of their frames; a photo that several have is encoded once."""
    paths = sorted({frame.path for content in contents for frame in content.keyframes})
    vectors = {path: tower.encode_images([read_picture(path)])[0].astype("<f2").tobytes() for path in paths}
    return [
        msgspec.structs.replace(
            content,
            image_encoder=tower.digest,
            keyframes=tuple(msgspec.structs.replace(f, vector=vectors[f.path]) for f in content.keyframes),
        )
        for content in contents
    ]


def learn(training: Sequence[tuple[Rankings, Qrels]]) -> dict[str, float]:
    """Weights of the groups: those under which the right products have the likeliest scores (listwise softmax).

    Each set counts the same, whatever its size. Weights are 0 or more, and told relative to that of the whole.
    """
    from scipy.optimize import minimize

    cases = []
    for seen, qrels in training:
        usable = [scored for id, groups in seen.items() if (scored := candidates(groups, qrels[id])) is not None]
        cases += [(scores, right, 1 / len(usable)) for scores, right in usable]

    def loss(weights: np.ndarray) -> tuple[float, np.ndarray]:
        total, slope = RIDGE * float(weights @ weights), 2 * RIDGE * weights
        for scores, right, share in cases:
            logits = scores @ weights
            chances = np.exp(logits - logits.max())
            chances /= chances.sum()
            of_right = chances * right
            mass = max(float(of_right.sum()), 1e-12)
            total -= share * float(np.log(mass))
            slope -= share * scores.T @ (of_right / mass - chances)
        return total, slope

    start = np.ones(len(GROUPS))
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=[(0, None)] * len(GROUPS)).x
    return dict(zip(GROUPS, (best / max(best[0], 1e-9)).tolist(), strict=True))


def candidates(groups: list[tuple[str, list[Hit]]], relevant: Mapping[str, int]) -> tuple[Any, Any] | None:
    """Score of every candidate by each group, as ``fuse_views`` sees it, and which are right; None if none is."""
    columns = {name: {h.product_id: h.score for h in fuse_views(groups, {name: 1.0})} for name in GROUPS}
    everyone = sorted({id for scores in columns.values() for id in scores})
    right = np.array([relevant.get(id, 0) > 0 for id in everyone], dtype=float)
    if not right.any():
        return None
    floors = {name: min(scores.values(), default=0.0) for name, scores in columns.items()}
    rows = [[columns[name].get(id, floors[name]) - floors[name] for name in GROUPS] for id in everyone]
    return np.array(rows) / SCALE, right


def table(name: str, seen: Rankings, qrels: Qrels, learned: Mapping[str, float]) -> dict[str, Any]:
    """Every way to weigh, against the weights that ship."""
    present = [group for group in GROUPS if any(group == own for groups in seen.values() for own, _ in groups)]
    ways: dict[str, Mapping[str, float]] = {
        "learned on the others": learned,
        "equal": dict.fromkeys(GROUPS, 1.0),
        "shipped, no pictures": {group: weight for group, weight in WEIGHTS.items() if group != "pictures"},
        **{f"{group} alone": {group: 1.0} for group in present},
    }
    shipped = run(seen, WEIGHTS)
    judged = {id: qrels[id] for id in seen}
    told = {}
    print(f"\n{name}: {len(seen)} contents")
    for way, weights in {"shipped": WEIGHTS, **ways}.items():
        scored = evaluate_matches(run(seen, weights), judged, metrics=METRICS, baseline=shipped)
        values = scored.metrics
        p = {m: scored.comparison[m].p_value for m in METRICS} if way != "shipped" else {}
        told[way] = {m: [round(values[m].value, 4), values[m].low, values[m].high, p.get(m)] for m in METRICS}
        figures = (f"{m} {values[m]}" + (f" p {p[m]:.3f}" if p else "") for m in METRICS)
        print(f"  {way:22s} " + "  ".join(figures))
    return {"contents": len(seen), "rows": told}


def silence(seen: Rankings, qrels: Qrels, learned: Mapping[str, float]) -> dict[str, Any]:
    """What sources that say nothing cost: posts with them against the same posts without."""
    if not any(id.startswith("quiet-") for id in seen):
        return {}
    told = {}
    loud = [id for id in seen if id.startswith("post-")]
    judged = {id: qrels[id] for id in loud}
    for way, weights in (("shipped", WEIGHTS), ("learned on the others", learned)):
        with_ = run({id: seen[id] for id in loud}, weights)
        without = run({id: seen[id.replace("post-", "quiet-")] for id in loud}, weights)
        scored = evaluate_matches(with_, judged, metrics=METRICS, baseline=without)
        told[way] = {
            m: [
                round(scored.baseline_metrics[m].value, 4),
                round(scored.metrics[m].value, 4),
                scored.comparison[m].p_value,
            ]
            for m in METRICS
        }
        figures = (f"{m} {before:.3f} -> {after:.3f} p {p:.3f}" for m, (before, after, p) in told[way].items())
        print(f"  chatter, {way:22s} " + "  ".join(figures))
    return {"without_and_with_chatter": told}


def run(seen: Rankings, weights: Mapping[str, float]) -> dict[str, dict[str, float]]:
    """The ten best products of each content."""
    return {id: {h.product_id: h.score for h in fuse_views(groups, weights)[:10]} for id, groups in seen.items()}


if __name__ == "__main__":
    main()
