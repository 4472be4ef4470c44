"""Does a tuned 135M model summarise better than the untrained one, and than the beginning of the text?

    python eval/finetune_summaries.py                                # both sets, each test part once
    python eval/finetune_summaries.py --sets fewsum --dev            # for choosing: no test part is opened
    python eval/finetune_summaries.py --sets fewsum --test test.csv  # FewSum's own test file, where you have it
    python eval/finetune_summaries.py --sets scientific --run DIR    # keeps what is trained, or takes what is there

``fewsum``: eight reviews of a product to a summary, trained on FewSum's 28 training products (three human summaries
each, ``finetune_summaries_fewsum.yaml``), tested on its 12 validation products; ``--dev`` trains on three quarters of
the training products and writes the others, ``--folds`` says which quarters. The lead is the first sentence of each
review. ``scientific``: the title of an Amazon product from its description (``finetune_summaries_scientific.yaml``), no
brand in two parts; the lead is the description's first words, as many as are best on dev; both models draw eight
answers and the one most like the others counts (``--candidates``). ROUGE F (Google's, stemmed,
mean over the references) with 95% intervals over products, and paired differences of the tuned model to the untrained
one with the same prompt and to the lead. Results: ``eval/results/finetune_summaries.json``, each set in its place.
"""

from __future__ import annotations

import argparse
import csv
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
import numpy as np
from machines import machine

from llmrec.evaluate.intervals import bootstrap_means, paired_test
from llmrec.evaluate.rouge import COLUMNS, Rouge
from llmrec.records import GenerationSettings, Message

HERE = Path(__file__).parent
TARGET = HERE / "results" / "finetune_summaries.json"
MODEL = "starter:smollm2-135m"
KINDS = ("rouge1", "rouge2", "rougeL")
#: Quarters of FewSum's training products, for choosing.
FOLDS = 4
#: Scientific: fewest words and most characters of a description (some "words" are hundreds of tokens), most characters
#: of a title, products of a brand, the split's seed, and the sizes of its parts.
FEWEST_WORDS, DESCRIPTION, TITLE, OF_A_BRAND, SPLIT_SEED = 12, 500, 150, 6, 20
SIZES = {"test": 200, "dev": 60, "train": 960}
#: Room for an answer, the same for both models: without it the untrained one would ramble. A title is one line.
SETTINGS = {
    "fewsum": GenerationSettings(max_new_tokens=100),
    "scientific": GenerationSettings(max_new_tokens=64, stop=("\n",)),
}

#: Answers drawn for each product, of which the one most like the others counts; both models alike. Chosen on dev.
CANDIDATES = {"fewsum": 1, "scientific": 8}

Row = dict[str, Any]


class Part(NamedTuple):
    """What is trained on, what may choose, what is written and scored, and the baseline of each."""

    train: list[Row]
    dev: list[Row]
    held: list[Row]
    lead: list[str]
    told: dict[str, Any]


def fewsum_row(record: dict[str, str], answer: int) -> Row:
    """One of a product's three summaries; every row has all three as references."""
    reviews = "\n".join(f"- {' '.join(record[f'rev{i}'].split())}" for i in range(1, 9))
    references = [" ".join(record[f"summ{i}"].split()) for i in (1, 2, 3)]
    prompt = f"Reviews of a product:\n{reviews}\n\nSummarize these reviews in about 50 words."
    key = record["group_id"]
    return {
        "id": f"{key}-{answer}",
        "group": key,
        "prompt": prompt,
        "completion": references[answer],
        "references": references,
    }


def fewsum(data: Path, args: argparse.Namespace) -> Iterator[Part]:
    """The whole training file and the held-out one; for choosing, a part for each quarter."""

    def read(path: Path) -> list[dict[str, str]]:
        with open(path, encoding="utf-8", newline="") as file:
            return list(csv.DictReader(file, delimiter="\t"))

    def part(train: list[dict[str, str]], held: list[dict[str, str]], told: dict[str, Any]) -> Part:
        # a sentence ends at its first full stop: so the published 27.06/4.88/14.89 on FewSum's test file come out
        lead = [" ".join(record[f"rev{i}"].split(".")[0] for i in range(1, 9)) for record in held]
        rows = [fewsum_row(record, answer) for record in train for answer in range(3)]
        written = [fewsum_row(record, 0) for record in held]
        # for choosing the number of epochs: evaluation.every=epoch shows the loss on those held out
        return Part(rows, written if args.dev else [], written, lead, told)

    records = read(data / "fewsum_amazon" / "train.csv")
    if not args.dev:
        held = args.test or data / "fewsum_amazon" / "val.csv"
        tested = read(held)
        shared = {record["group_id"] for record in records} & {record["group_id"] for record in tested}
        if shared:
            print(f"error: {held}: {len(shared)} of its products are trained on", file=sys.stderr)
            print("  next: give a file of other products, or --dev", file=sys.stderr)
            sys.exit(2)
        yield part(records, tested, {"held_out": held.name})
        return
    # the file is sorted by category: every quarter has products of all four
    for fold in args.folds:
        train = [record for i, record in enumerate(records) if i % FOLDS != fold]
        yield part(train, [record for i, record in enumerate(records) if i % FOLDS == fold], {"fold": fold})


def scientific(data: Path, args: argparse.Namespace) -> Iterator[Part]:
    """Description to title; whole brands are drawn, a few products of each."""
    items = json.loads((data / "amazon_scientific_sid" / "Scientific.item.json").read_text(encoding="utf-8"))
    brands: dict[str, list[Row]] = {}
    for key, item in sorted(items.items(), key=lambda pair: int(pair[0])):
        words, title, brand = item["description"].split(), " ".join(item["title"].split()), item["brand"].casefold()
        description = " ".join(words)
        fits = len(words) >= FEWEST_WORDS and len(description) <= DESCRIPTION and len(title) <= TITLE
        if fits and title and brand:
            prompt = f"{description}\n\nWrite the title of this product."
            brands.setdefault(brand, []).append({"id": key, "group": brand, "prompt": prompt, "completion": title})
    names = sorted(brands)
    stream = iter(names[i] for i in np.random.default_rng(SPLIT_SEED).permutation(len(names)))
    parts: dict[str, list[Row]] = {}
    for name, size in SIZES.items():
        parts[name] = []
        while len(parts[name]) < size:
            parts[name] += brands[next(stream)][:OF_A_BRAND]
        parts[name] = [{**row, "references": [row["completion"]]} for row in parts[name][:size]]

    def lead(rows: list[Row], count: int) -> list[str]:
        return [" ".join(row["prompt"].rpartition("\n\n")[0].split()[:count]) for row in rows]

    found = {n: float(scores(lead(parts["dev"], n), parts["dev"]).mean()) for n in range(4, 41)}
    best = max(found, key=lambda n: found[n])
    held = parts["dev" if args.dev else "test"]
    yield Part(parts["train"], parts["dev"], held, lead(held, best), {"lead_words": best})


SETS = {"fewsum": fewsum, "scientific": scientific}


def scores(texts: list[str], rows: list[Row]) -> Any:
    """ROUGE-1, 2 and L, float64 ``[n, 3]``."""
    rouge = Rouge(stem=True)
    found = [rouge.score(text, row["references"]) for text, row in zip(texts, rows, strict=True)]
    return np.array(found)[:, [COLUMNS.index(kind) for kind in KINDS]]


def train(name: str, part: Part, scratch: Path, args: argparse.Namespace) -> tuple[str, dict[str, Any]]:
    """Train by the set's recipe: the adapter's folder, and what the training says of itself."""
    fold = f"-fold-{part.told['fold']}" if "fold" in part.told else ""
    folder = args.run / f"{name}{fold}" if args.run else scratch
    folder.mkdir(parents=True, exist_ok=True)
    changes = [f"training.seed={args.seed}", f"output={folder}/run"]
    for split, rows in (("train", part.train), ("dev", part.dev)):
        path = folder / f"{split}.jsonl"
        path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        changes.append(f"data.{split}={path if rows else 'null'}")
    options = [word for change in [*changes, *args.set] for word in ("--set", change)]
    recipe = HERE / f"finetune_summaries_{name}.yaml"
    command = [sys.executable, "-m", "llmrec", "finetune", str(recipe), *options, "--json"]
    if (folder / "run" / "run.json").is_file():  # goes on from its last checkpoint, and refuses changed rows or values
        command.append("--resume")
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        sys.exit(f"{name}: {done.stderr[-2000:]}")
    result = json.loads(done.stdout)
    return result["folder"], result["metrics"]["training"]


def written(name: str, rows: list[Row], adapter: str | None, candidates: int | None) -> list[str]:
    """What the model answers: the likeliest words, or the consensus of several answers."""
    from llmrec.llm import ConsensusGenerator, load_generator

    generator = ConsensusGenerator(load_generator(MODEL, adapter=adapter), candidates or CANDIDATES[name])
    answers = generator.generate([(Message("user", row["prompt"]),) for row in rows], SETTINGS[name])
    return [answer.text.strip() for answer in answers]


def measured(values: Any) -> dict[str, Any]:
    """Mean of each kind with its interval."""
    return {kind: msgspec.to_builtins(e) for kind, e in zip(KINDS, bootstrap_means(values), strict=True)}


def one_set(name: str, data: Path, args: argparse.Namespace) -> dict[str, Any]:
    """All parts of a set: texts and scores of the lead and of both models, pooled."""
    texts: dict[str, list[str]] = {"lead": [], "base": [], "tuned": []}
    rows, told = [], []
    for part in SETS[name](data, args):
        with tempfile.TemporaryDirectory() as scratch:
            folder, training = train(name, part, Path(scratch), args)
            texts["tuned"] += written(name, part.held, folder, args.candidates)
        texts["base"] += written(name, part.held, None, args.candidates) if args.base else [""] * len(part.held)
        texts["lead"] += part.lead
        rows += part.held
        told.append({**part.told, "train_rows": len(part.train), "dev_rows": len(part.dev), "training": training})
    values = {system: scores(found, rows) for system, found in texts.items()}
    found: dict[str, Any] = {"products": len(rows), "split": "dev" if args.dev else "test", "parts": told}
    found |= {system: measured(of) for system, of in values.items()}
    found["words"] = {s: round(float(np.mean([len(t.split()) for t in of])), 1) for s, of in texts.items()}
    for other in ("base", "lead"):
        apart = values["tuned"] - values[other]
        found[f"tuned - {other}"] = {
            kind: {**estimate, "p_value": paired_test(apart[:, i])}
            for i, (kind, estimate) in enumerate(measured(apart).items())
        }
    if args.texts:
        lines = [json.dumps({"id": r["id"], **{s: texts[s][i] for s in texts}}) for i, r in enumerate(rows)]
        args.texts.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return found


def tell(name: str, found: dict[str, Any]) -> None:
    """A set's table."""
    print(f"\n{name}: {found['products']} products ({found['split']})")
    for system in ("lead", "base", "tuned", "tuned - base", "tuned - lead"):
        cells = []
        for kind, e in found[system].items():
            p = f" p {e['p_value']:.4f}" if "p_value" in e else ""
            cells.append(f"{kind} {100 * e['value']:.2f} [{100 * e['low']:.2f}, {100 * e['high']:.2f}]{p}")
        words = f"  {found['words'][system]:.0f} words" if system in found["words"] else ""
        print(f"  {system:13}" + "  ".join(cells) + words, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sets", nargs="+", default=list(SETS), choices=list(SETS))
    parser.add_argument("--dev", action="store_true", help="measure on dev (fewsum: on quarters of train)")
    parser.add_argument("--folds", nargs="+", type=int, default=list(range(FOLDS)), choices=range(FOLDS))
    parser.add_argument("--test", type=Path, help="another file to test fewsum on")
    parser.add_argument("--seed", type=int, default=0, help="of the training")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help="a change to the recipe")
    parser.add_argument("--no-base", dest="base", action="store_false", help="leave out the untrained model")
    parser.add_argument("--candidates", type=int, help="answers drawn for each product (default: the set's own)")
    parser.add_argument("--run", type=Path, help="keep the training here, or go on with the one that is there")
    parser.add_argument("--texts", type=Path, help="write what was written, as JSON Lines")
    parser.add_argument("--out", type=Path, default=TARGET)
    args = parser.parse_args()
    data = Path(os.environ.get("LLMREC_DATA", ""))
    if "LLMREC_DATA" not in os.environ or not data.is_dir():
        print("error: LLMREC_DATA is no folder\n  next: eval/README.md says where the data come from", file=sys.stderr)
        sys.exit(2)
    results = {}
    for name in args.sets:
        results[name] = one_set(name, data, args)
        tell(name, results[name])
        if args.dev:
            print(json.dumps([part["training"]["evaluations"] for part in results[name]["parts"]]))
            continue
        command = " ".join(["python", "eval/finetune_summaries.py", *sys.argv[1:]])
        kept = json.loads(args.out.read_text(encoding="utf-8")) if args.out.is_file() else {}
        kept[name] = {"command": command, "machine": machine(), "model": MODEL, "seed": args.seed}
        kept[name] |= {"candidates": args.candidates or CANDIDATES[name], **results[name]}
        args.out.write_text(json.dumps(kept, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
