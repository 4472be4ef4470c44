"""Pairs of offers by the shipped recipe: features, a tuned 22M cross-encoder, and both, on held-out test pairs.

    python eval/finetune_pairs.py                          # all four sets: about an hour on one core
    python eval/finetune_pairs.py --sets wdc_cameras --dev # dev alone, for choosing: the test pairs are not opened

Every set is trained on its own train file by ``rerank-minilm-cpu``; its valid file chooses checkpoint, weights and
threshold, and its test file is measured once. WDC Products has no public test file here: its valid file is the test,
and a tenth of its training pairs (by offer) chooses. The baseline is the cosine of TF-IDF words at the dev threshold.
Published F1 beside them: Ditto (VLDB 2021), and Llama-3.1-8B without and with LoRA (arXiv 2409.08185).
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from machines import machine

from llmrec.evaluate import ScoredPair, evaluate_pairs
from llmrec.prompting.pairs import offer_fields
from llmrec.recipes import load_recipe
from llmrec.train.pair_files import LabelledPair
from llmrec.train.rerank import read_pair_splits

RECIPE = "rerank-minilm-cpu"
TARGET = Path(__file__).parent / "results" / "finetune_pairs.json"
MAGELLAN, WDC = "er_magellan_pairs", "wdc_products/preprocessed_wdcproducts80cc20rnd000un_valid_small.csv"
WDC_TRAIN = "wdc_products/wdcproducts80cc20rnd000un_train_small_simple_no_prompt.csv"
SETS: dict[str, dict[str, str | None]] = {
    "Abt-Buy": {part: f"{MAGELLAN}/Abt-Buy/{part}.txt" for part in ("train", "valid", "test")},
    "Amazon-Google": {part: f"{MAGELLAN}/Amazon-Google/{part}.txt" for part in ("train", "valid", "test")},
    "wdc_cameras": {
        "train": f"{MAGELLAN}/wdc_cameras/train.txt.small",
        "valid": f"{MAGELLAN}/wdc_cameras/valid.txt.small",
        "test": f"{MAGELLAN}/wdc_cameras/test.txt",
    },
    "wdc_products": {"train": WDC_TRAIN, "valid": None, "test": WDC},
}
#: F1 in percent: Ditto, Llama-3.1-8B zero-shot, the same LoRA-tuned on the set.
PUBLISHED = {
    "Abt-Buy": (89.3, 56.6, 87.3),
    "Amazon-Google": (75.6, 49.2, 50.0),
    "wdc_cameras": (80.9, None, None),
    "wdc_products": (None, 53.4, 69.2),
}


def tfidf(train: list[LabelledPair], dev: list[LabelledPair], test: list[LabelledPair]) -> Any:
    """Cosine of TF-IDF words, the threshold chosen on dev."""
    from sklearn.feature_extraction.text import TfidfVectorizer

    def sides(pairs: list[LabelledPair]) -> tuple[list[str], list[str]]:
        return [offer_fields(p.left).text for p in pairs], [offer_fields(p.right).text for p in pairs]

    vectorizer = TfidfVectorizer(token_pattern=r"\w+").fit([text for side in sides(train) for text in side])

    def scored(pairs: list[LabelledPair]) -> list[ScoredPair]:
        left, right = (vectorizer.transform(side) for side in sides(pairs))
        cosines = np.asarray(left.multiply(right).sum(axis=1)).ravel()
        return [ScoredPair(str(i), "", p.label, float(c)) for i, (p, c) in enumerate(zip(pairs, cosines, strict=True))]

    return evaluate_pairs(scored(test), dev=scored(dev))


def one_set(name: str, args: argparse.Namespace) -> list[dict[str, Any]]:
    """The rows of a set: baseline, each judge alone, both."""
    data = Path(os.environ["LLMREC_DATA"])
    files = {part: str(data / path) for part, path in SETS[name].items() if path}
    changes = [f"data.train={files['train']}", f"training.seed={args.seed}"]
    changes += [f"data.dev={files['valid']}"] if "valid" in files else ["data.dev=null", "data.dev_share=0.1"]
    changes += ["data.test=null" if args.dev else f"data.test={files['test']}", *args.set]
    split = "dev" if args.dev else "test"
    with tempfile.TemporaryDirectory() as scratch:
        changes.append(f"output={scratch}/run")
        parts = read_pair_splits(load_recipe(RECIPE, changes))
        measured = list(parts.dev if args.dev else parts.test)
        baseline = tfidf(list(parts.train), list(parts.dev), measured)
        options = [word for change in changes for word in ("--set", change)]
        done = subprocess.run(
            [sys.executable, "-m", "llmrec", "finetune", RECIPE, *options, "--json"], capture_output=True, text=True
        )
        if done.returncode:
            sys.exit(f"{name}: {done.stderr[-2000:]}")
    metrics = json.loads(done.stdout)["metrics"]
    found = metrics[split]
    rows = [{"set": name, "matcher": "TF-IDF cosine", "f1": msgspec.to_builtins(baseline.metrics["f1"])}]
    rows += [{"set": name, "matcher": part, **values} for part, values in found["parts"].items()]
    rows.append(
        {
            "set": name,
            "matcher": "both",
            **{key: found[key]["tuned"] for key in ("precision", "recall", "f1", "average_precision")},
        }
    )
    common = {"split": split, "pairs": found["examples"], "seed": args.seed, "training": metrics["training"]}
    return [{**row, **(common if row["matcher"] == "both" else {})} for row in rows]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--dev", action="store_true", help="measure on dev and leave the test pairs alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="change the recipe")
    parser.add_argument("--out", type=Path, default=TARGET)
    args = parser.parse_args()
    if "LLMREC_DATA" not in os.environ:
        sys.exit("set LLMREC_DATA (eval/README.md says where the data come from)")
    rows: list[dict[str, Any]] = []
    for name in args.sets:
        for row in one_set(name, args):
            f1 = row["f1"]
            print(f"{name:14} {row['matcher']:15} F1 {f1['value']:.3f} [{f1['low']:.3f}, {f1['high']:.3f}]", flush=True)
            rows.append(row)
        ditto, zero, tuned = (f"{v:.1f}" if v else "-" for v in PUBLISHED[name])
        print(f"{name:14} published: Ditto {ditto}, Llama-3.1-8B zero-shot {zero}, LoRA-tuned {tuned}", flush=True)
        if not args.dev:
            written = {"command": " ".join(["python", "eval/finetune_pairs.py", *sys.argv[1:]]), "machine": machine()}
            args.out.write_text(json.dumps({**written, "published": PUBLISHED, "rows": rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
