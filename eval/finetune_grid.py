"""Every method in every precision: does it load, train, save, and come back? And how well does each learn?

    python eval/finetune_grid.py works               # all cells: two texts learnt by heart
    python eval/finetune_grid.py rates --methods prompt --rates 1e-2 3e-2 1e-1    # on dev: how the defaults were chosen
    python eval/finetune_grid.py quality             # every method on the same budget, tested on held-out brands
    python eval/finetune_grid.py works --methods lora prefix --precisions fp32 nf4 --add    # these cells again

The task is Amazon Scientific: the title of a product from its description, split by brand. ``works`` repeats two texts
and asks in a fresh process for their loss, without the adapter and with it: a cell works when training brought the loss
down and the reloaded adapter gives back three quarters of that or more (five at most). ``quality`` gives ROUGE-L on
test products, the untrained model beside it, and each method's share of LoRA's gain. Results go to
``eval/results/finetune_grid_works.json`` and ``…_quality.json``; a cell that fails names the library and its version.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from importlib.metadata import version
from pathlib import Path
from typing import Any, get_args

import numpy as np
from machines import machine

from llmrec.recipes.schema import MethodName

RESULTS = Path(__file__).parent / "results"
MODEL = "starter:smollm2-135m"
METHODS = get_args(MethodName)
PRECISIONS = ("fp32", "bf16", "fp16", "int8", "nf4")
LIBRARIES = ("torch", "transformers", "peft", "trl", "accelerate", "bitsandbytes")
QUESTION = "Write the title of this product."
#: Most characters of a description and of a title, so that the grid is about methods and not about long texts.
DESCRIPTION, TITLE = 240, 100
#: Room for an answer: the untrained model would ramble on.
ANSWER = 40
SPLIT_SEED = 0
#: ``works``: times that its texts are repeated; where bfloat16 is emulated a step takes two minutes.
REPEATS = {"bf16": 3}
USUAL_REPEATS = 6
#: Least drop of the loss, and the share of it that the reloaded adapter gives back: rounding of 4- and 8-bit products
#: differs between training and evaluation, an adapter that is not applied gives back nothing.
LEAST_DROP, GIVEN_BACK = 0.05, (0.75, 1.25)

#: Run in a fresh process: the adapter on its base again, its loss on the dev examples and a few words of an answer.
RELOAD = """
import json, sys
import torch
from peft import PeftModel
from llmrec.models import resolve
from llmrec.recipes import load_recipe
from llmrec.train.loading import load_for_training
from llmrec.train.run import prepare
recipe, folder = load_recipe(sys.argv[1]), sys.argv[2]
task = prepare(recipe)
full = recipe.method.name == "full"

def load(base, *, full):
    return load_for_training(base.path, base.reference, task.chosen, full=full).eval()

# peft 0.21 does not cast back what IA3 scales in float32 beside 4- and 8-bit layers
mixed = torch.autocast("cpu", torch.bfloat16, enabled=task.chosen.precision in ("int8", "nf4"))

@torch.inference_mode()
def loss(model):
    total = count = 0
    for example in task.splits.dev:
        tokens = task.encoder.encode(example.conversation, example.answer, task.chosen.max_tokens)
        logits = model(input_ids=torch.tensor([tokens.input_ids]), use_cache=False).logits[0, -tokens.trained - 1 : -1]
        wanted = torch.tensor(tokens.labels[-tokens.trained :])
        total -= float(torch.log_softmax(logits.float(), -1).gather(1, wanted[:, None]).sum())
        count += tokens.trained
    return total / count

model = load(task.folder, full=False)
with mixed:
    untrained = loss(model)
model = load(resolve(folder), full=True) if full else PeftModel.from_pretrained(model, folder).eval()
with torch.inference_mode(), mixed:
    reloaded = loss(model)
    ids = task.encoder.chat.encode(task.splits.dev[0].conversation, 400)[0]
    mask = torch.ones(1, len(ids), dtype=torch.long)
    written = model.generate(input_ids=torch.tensor([ids]), attention_mask=mask, max_new_tokens=8, do_sample=False)
text = task.tokenizer.decode(written[0][-8:])
print(json.dumps({"untrained": untrained, "reloaded": reloaded, "text": text}))
"""


def examples(data: Path) -> list[dict[str, Any]]:
    """Description to title, products whose description is short; the group is the brand."""
    items = json.loads((data / "amazon_scientific_sid" / "Scientific.item.json").read_text(encoding="utf-8"))
    rows = []
    for key, item in sorted(items.items(), key=lambda pair: int(pair[0])):
        words, title = item["description"].split(), " ".join(item["title"].split())
        description = " ".join(words)
        if len(words) >= 12 and len(description) <= DESCRIPTION and 0 < len(title) <= TITLE and item["brand"]:
            prompt = f"<data>\n{description}\n</data>\n{QUESTION}"
            rows.append({"id": key, "group": item["brand"].casefold(), "prompt": prompt, "completion": title})
    return rows


def split(rows: list[dict[str, Any]], sizes: dict[str, int], folder: Path) -> dict[str, str]:
    """Write a file for each part; no brand is in two of them.

    The order of the brands is always the same and training comes first, so that what ``rates`` looks at is part of what
    ``quality`` trains on, and none of it is tested.
    """
    groups = sorted({row["group"] for row in rows})
    order = [groups[i] for i in np.random.default_rng(SPLIT_SEED).permutation(len(groups))]
    by_group: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        by_group.setdefault(row["group"], []).append(row)
    paths, stream = {}, iter(order)
    for name, size in sizes.items():
        part: list[dict[str, Any]] = []
        while len(part) < size:
            # a brand with hundreds of products would be the whole part
            part += by_group[next(stream)][:6]
        paths[name] = str(folder / f"{name}.jsonl")
        Path(paths[name]).write_text("".join(json.dumps(row) + "\n" for row in part[:size]), encoding="utf-8")
    return paths


def by_heart(train: str, folder: Path) -> str:
    """The trained texts once more as dev, under other names: a recipe whose parts share products is refused."""
    rows = [json.loads(line) for line in Path(train).read_text(encoding="utf-8").splitlines()]
    again = [{**row, "id": f"{row['id']} again", "group": f"{row['group']} again"} for row in rows]
    path = folder / "dev.jsonl"
    path.write_text("".join(json.dumps(row) + "\n" for row in again), encoding="utf-8")
    return str(path)


def recipe_text(
    paths: dict[str, str],
    method: str,
    precision: str,
    seed: int,
    epochs: float,
    output: Path,
    rate: float | None,
    batch: int,
    every: int | str,
) -> str:
    """One cell's recipe: only method and precision (and the rate, where one is asked for) differ."""
    tested = "test" in paths
    recipe = {
        "task": "summarize",
        "about": f"{method} in {precision}",
        "model": MODEL,
        "precision": precision,
        "method": {"name": method, **({"text": QUESTION} if method == "prompt" else {})},
        "data": {"train": paths["train"], "dev": paths["dev"], **({"test": paths["test"]} if tested else {})},
        "training": {
            "epochs": epochs,
            "batch_size": batch,
            "seed": seed,
            "log_every": 1,
            **({"learning_rate": rate} if rate else {}),
        },
        # where nothing is tested, nothing needs to be written at length; a title has its end in ANSWER tokens
        "evaluation": {
            "metric": "loss",
            "every": every,
            "patience": None,
            "base": tested,
            "max_new_tokens": ANSWER if tested else 4,
        },
        "output": str(output),
    }
    return json.dumps(recipe)  # JSON is YAML


def run(arguments: list[str], limit: float) -> tuple[int, str, str]:
    """A process of its own: exit code, stdout, the end of stderr."""
    try:
        done = subprocess.run(arguments, capture_output=True, text=True, timeout=limit, env=os.environ)
    except subprocess.TimeoutExpired:
        return 124, "", f"longer than {limit:.0f} s"
    return done.returncode, done.stdout, done.stderr


def cell(
    paths: dict[str, str],
    method: str,
    precision: str,
    seed: int,
    epochs: float,
    limit: float,
    *,
    rate: float | None = None,
    batch: int = 8,
    every: int | str = "epoch",
    reload: bool = True,
) -> dict[str, Any]:
    """Train one cell and load it again in a fresh process."""
    row: dict[str, Any] = {"method": method, "precision": precision, "seed": seed}
    with tempfile.TemporaryDirectory() as scratch:
        recipe, output = Path(scratch, "recipe.yaml"), Path(scratch, "run")
        recipe.write_text(
            recipe_text(paths, method, precision, seed, epochs, output, rate, batch, every), encoding="utf-8"
        )
        started = time.monotonic()
        code, out, err = run([sys.executable, "-m", "llmrec", "finetune", str(recipe), "--json"], limit)
        row["seconds"] = round(time.monotonic() - started, 1)
        if code:
            return row | {"ok": False, "stage": "train", "error": _reason(err)}
        result = json.loads(out)
        trained = result["metrics"]["training"]
        folder = Path(result["folder"])
        row |= {
            "trained_weights": trained["trained_weights"],
            "bytes": sum(path.stat().st_size for path in folder.glob("*.safetensors")),
            "first_loss": trained["first_loss"],
            "last_loss": trained["last_loss"],
            "dev_loss": trained["evaluations"][-1][1],
            "tokens_per_second": trained["tokens_per_second"],
            "metrics": {k: v for k, v in result["metrics"].items() if k in ("dev", "test")},
        }
        best = min(value for _, value in trained["evaluations"])
        row |= {"best_dev_loss": best, "learning_rate": result["metrics"]["chosen"]["learning_rate"]}
        if not reload:
            return row | {"ok": True, "stage": "done"}
        code, out, err = run([sys.executable, "-c", RELOAD, str(recipe), str(folder)], limit)
        if code:
            return row | {"ok": False, "stage": "reload", "error": _reason(err)}
        again = json.loads(out.strip().splitlines()[-1])
        drop = again["untrained"] - row["dev_loss"]
        back = (again["untrained"] - again["reloaded"]) / drop
        learnt, same = drop >= LEAST_DROP, GIVEN_BACK[0] <= back <= GIVEN_BACK[1]
        row |= {"untrained_loss": again["untrained"], "reloaded_loss": again["reloaded"], "given_back": back}
        row |= {"ok": learnt and same, "stage": "done" if learnt and same else "reload" if learnt else "train"}
        return row | {"wrote": again["text"]}


def _cell_of(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["method"], row["precision"], row["seed"], row.get("rate")


def _reason(err: str) -> str:
    lines = [line for line in err.strip().splitlines() if line.strip() and "Warning" not in line]
    named = [line for line in lines if line.startswith("error:")]
    return (named or lines or ["no message"])[-1][:300]


def works(args: argparse.Namespace, paths: dict[str, str]) -> Iterator[dict[str, Any]]:
    for method in args.methods:
        for precision in args.precisions:
            if method == "full" and precision in ("int8", "nf4"):
                continue
            repeats = REPEATS.get(precision, USUAL_REPEATS)
            row = cell(paths, method, precision, args.seed, repeats, args.limit, batch=2, every=repeats)
            told = row.get("error", "")
            if "untrained_loss" in row:
                losses = " -> ".join(f"{row[key]:.3f}" for key in ("untrained_loss", "dev_loss", "reloaded_loss"))
                told = f"loss {losses} ({row['given_back']:.0%} given back)"
            print(
                f"{method:9} {precision:5} {'ok' if row['ok'] else 'FAILED at ' + row['stage']:16} {told}", flush=True
            )
            yield row


def rates(args: argparse.Namespace, paths: dict[str, str]) -> Iterator[dict[str, Any]]:
    for method in args.methods:
        for rate in args.rates:
            row = {"rate": float(rate)} | cell(
                paths, method, args.precisions[0], args.seed, args.epochs, args.limit, rate=float(rate), reload=False
            )
            told = f"dev loss {row['best_dev_loss']:.4f}" if row["ok"] else f"FAILED: {row.get('error')}"
            print(f"{method:9} rate {rate:7} {told}  ({row['seconds']:.0f} s)", flush=True)
            yield row


def quality(args: argparse.Namespace, paths: dict[str, str]) -> Iterator[dict[str, Any]]:
    for method in sorted(args.methods, key=lambda name: name != "lora"):
        row = cell(paths, method, args.precisions[0], args.seed, args.epochs, args.limit)
        if row["ok"]:
            test = row["metrics"]["test"]["rougeL"]
            base, tuned = (
                f"{test[k]['value']:.3f} [{test[k]['low']:.3f}, {test[k]['high']:.3f}]" for k in ("base", "tuned")
            )
            print(
                f"{method:9} rougeL {base} -> {tuned}  dev loss {row['dev_loss']:.3f}",
                flush=True,
            )
        else:
            print(f"{method:9} FAILED at {row['stage']}: {row.get('error')}", flush=True)
        yield row


def share_of_lora(rows: list[dict[str, Any]]) -> None:
    """Note each method's gain in ROUGE-L over the base as a share of LoRA's, of the same seed."""
    gains = {(r["method"], r["seed"]): r["metrics"]["test"]["rougeL"]["difference"]["value"] for r in rows if r["ok"]}
    for row in rows:
        own, lora = gains.get((row["method"], row["seed"])), gains.get(("lora", row["seed"]))
        row["share_of_lora"] = own / lora if own is not None and lora else None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("part", choices=("works", "rates", "quality"))
    parser.add_argument("--methods", nargs="+", default=list(METHODS), choices=METHODS)
    parser.add_argument("--precisions", nargs="+", default=None, choices=PRECISIONS)
    parser.add_argument("--rates", nargs="+", default=(), help="learning rates to compare, on dev alone")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--epochs", type=float, default=3)
    parser.add_argument("--train", type=int, default=None, help="training examples")
    parser.add_argument("--limit", type=float, default=3600, help="seconds that a cell may take")
    parser.add_argument("--out", type=Path)
    parser.add_argument("--add", action="store_true", help="keep the other rows of an earlier result")
    args = parser.parse_args()
    if "LLMREC_DATA" not in os.environ:
        sys.exit("set LLMREC_DATA (eval/README.md says where the data come from)")
    args.precisions = args.precisions or (list(PRECISIONS) if args.part == "works" else ["fp32"])
    sizes = {
        "works": {"train": args.train or 2},
        "rates": {"train": args.train or 96, "dev": 32},
        "quality": {"train": args.train or 128, "dev": 16, "test": 80},
    }[args.part]
    target = args.out or RESULTS / f"finetune_grid_{args.part}.json"
    command = " ".join(["python", "eval/finetune_grid.py", *sys.argv[1:]])
    result: dict[str, Any] = {"commands": [command], "machine": machine(), "model": MODEL, "sizes": sizes}
    if args.part == "works":
        result |= {"repeats": {"usual": USUAL_REPEATS, **REPEATS}}
    result |= {"versions": {name: version(name) for name in LIBRARIES}, "rows": []}
    if args.add and target.is_file():
        before = json.loads(target.read_text(encoding="utf-8"))
        if any(before[key] != result[key] for key in ("model", "sizes", "versions")):
            sys.exit(f"{target}: is of another model, size or version; leave out --add")
        result |= {"commands": [*before["commands"], command], "rows": before["rows"]}
    with tempfile.TemporaryDirectory() as folder:
        paths = split(examples(Path(os.environ["LLMREC_DATA"])), sizes, Path(folder))
        if args.part == "works":
            paths["dev"] = by_heart(paths["train"], Path(folder))
        for row in {"works": works, "rates": rates, "quality": quality}[args.part](args, paths):
            result["rows"] = [other for other in result["rows"] if _cell_of(other) != _cell_of(row)] + [row]
            if args.part == "quality":
                share_of_lora(result["rows"])
            # hours of work: what is done is there when it is interrupted
            target.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
    for row in result["rows"] if args.part == "quality" else ():
        print(f"{row['method']:9} seed {row['seed']}: {row['share_of_lora'] or 0:.0%} of LoRA's gain")
    print(f"{sum(row['ok'] for row in result['rows'])} of {len(result['rows'])} cells work; {target}")


if __name__ == "__main__":
    main()
