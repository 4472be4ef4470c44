"""Train an adapter by its committed recipe and put it among those that are shipped.

    python eval/ship_adapter.py smollm2-135m-summaries [--run runs/smollm2-135m-summaries]

Trains ``adapters/NAME/recipe.yaml`` (or takes a finished run), rounds the weights to float16, asks both the trained and
the rounded adapter the same dev examples, and replaces weights, configuration, recipe, metrics and manifest in
``adapters/NAME``. The card, README.md, is written by hand and stays; ``eval/adapters.py`` measures what is shipped.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import Any

import msgspec
import numpy as np

from llmrec.embed import load_encoder
from llmrec.llm import load_generator
from llmrec.match.pair_reranker import PairReranker
from llmrec.models import resolve
from llmrec.models.adapters import CONFIG, WEIGHTS
from llmrec.prompting.pair_blend import FEATURES
from llmrec.recipes import Recipe, dump_recipe, load_recipe
from llmrec.records import Product
from llmrec.storage import atomic_folder, read_manifest, write_manifest
from llmrec.summarize import Summarizer
from llmrec.train import finetune
from llmrec.train.files import sample_path
from llmrec.train.publish import FORMAT

ROOT = Path(__file__).parents[1]
#: Examples of dev that the rounded adapter is asked beside the one that was trained.
ASKED = 24


def ship(name: str, run: Path) -> None:
    """Copy what belongs to an adapter from a finished run into ``adapters/NAME``."""
    from safetensors.torch import load_file, save_file

    made, target = run / "adapter", ROOT / "adapters" / name
    recipe = load_recipe(str(made / "recipe.yaml"), [f"output=runs/{name}"])
    manifest = read_manifest(made, kind="adapter", format_version=FORMAT, remedy="Train it again.")
    card = target / "README.md"
    with atomic_folder(target, replace=True) as folder:
        weights = {key: value.half().contiguous() for key, value in load_file(made / WEIGHTS).items()}
        save_file(weights, folder / WEIGHTS, metadata={"format": "pt"})
        for file in (CONFIG, *(path.name for path in made.glob("llmrec_*.json"))):
            (folder / file).write_bytes((made / file).read_bytes())
        if (made / FEATURES).is_dir():
            shutil.copytree(made / FEATURES, folder / FEATURES)
        (folder / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
        metrics = json.loads((made / "metrics.json").read_text("utf-8"))
        metrics.pop("estimate", None)  # of the machine that it was trained on, as are the seconds
        metrics["training"] = {k: v for k, v in metrics["training"].items() if "second" not in k}
        text = json.dumps(metrics, ensure_ascii=False, indent=1) + "\n"
        (folder / "metrics.json").write_text(text, encoding="utf-8")
        (folder / "README.md").write_text(card.read_text("utf-8") if card.is_file() else "", encoding="utf-8")
        facts = {key: manifest[key] for key in ("task", "method", "precision", "models")}
        write_manifest(folder, kind="adapter", format_version=FORMAT, rounded="float16", **facts)
    print(f"{target.relative_to(ROOT)}: {sum(f.stat().st_size for f in target.rglob('*')) / 1e6:.2f} MB")
    print(rounding(recipe, made, target))


def rounding(recipe: Recipe, made: Path, shipped: Path) -> str:
    """What the trained and the rounded adapter say of the same examples."""
    assert recipe.data.dev is not None
    rows = [json.loads(line) for line in sample_path(recipe.data.dev).read_text("utf-8").splitlines()][:ASKED]
    if recipe.task == "embed":
        texts = [str(row["query"].get("title") or row["query"].get("caption")) for row in rows]
        before, after = (load_encoder(str(folder)).encode(texts) for folder in (made, shipped))
        return (
            f"lowest cosine of {len(texts)} vectors before and after rounding: {(before * after).sum(axis=1).min():.8f}"
        )
    if recipe.task == "rerank":
        pairs = [(row["left"], row["right"]) for row in rows]
        before, after = (PairReranker.load(folder).score(pairs) for folder in (made, shipped))
        return f"most that a probability of {len(pairs)} pairs moves by rounding: {np.abs(before - after).max():.6f}"
    products = [msgspec.convert(row["product"], Product) for row in rows]
    written: list[list[Any]] = []
    for folder in (made, shipped):
        base = resolve(str(folder)).base
        generator = load_generator(base, adapter=str(folder), dtype="float32", threads=1)
        found = Summarizer(generator, recipe.data.prompt or "summarize-product").summarize(products)
        written.append([msgspec.structs.replace(one, adapter=None) for one in found])
    same = sum(a == b for a, b in zip(*written, strict=True))
    return f"summaries that are the same before and after rounding: {same} of {len(products)}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("name")
    parser.add_argument("--run", type=Path, help="a run that is finished already")
    options = parser.parse_args()
    run = options.run
    if run is None:
        run = Path("runs") / options.name
        finetune(load_recipe(str(ROOT / "adapters" / options.name / "recipe.yaml"), [f"output={run}"]))
    ship(options.name, run)


if __name__ == "__main__":
    main()
