"""Every shipped recipe trains: two steps of each on a processor, with tiny models in the place of its own."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import pytest
from made_models import bert, language_model

from llmrec.recipes import Recipe, load_recipe, shipped_recipes
from llmrec.train import finetune
from llmrec.train.files import sample_path

#: Rows of each file that are read: enough for both labels among pairs.
ROWS = 8


@pytest.fixture(scope="module")
def models(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """A language model that takes as many bytes as a product has, and an encoder."""
    root = tmp_path_factory.mktemp("models")
    return {
        "decoder": language_model(root / "decoder", max_position_embeddings=4096),
        "encoder": bert(root / "encoder", kind="plain"),
    }


def few_rows(name: str, folder: Path) -> Path:
    """The first rows of a file of the recipe; of a catalog the products that the files before it name."""
    head, *lines = sample_path(name).read_text(encoding="utf-8").splitlines(keepends=True)
    if name.endswith(".csv"):
        named = "".join(path.read_text(encoding="utf-8") for path in folder.glob("*.jsonl"))
        lines = [line for line in lines if f'"{line.split(",")[0]}"' in named]
    path = folder / name.removeprefix("sample:")
    path.write_text("".join([head, *(lines if name.endswith(".csv") else lines[:ROWS])]), encoding="utf-8")
    return path


def made_small(name: str, models: dict[str, Path], folder: Path) -> Recipe:
    """A shipped recipe with all its keys but the model, the device, precisions of a GPU, and how much of everything."""
    plain = load_recipe(name)
    encoder = plain.model in ("starter:minilm", "FacebookAI/roberta-large")
    changes = [f"model={models['encoder' if encoder else 'decoder']}", "device=cpu", f"output={folder}/run"]
    changes += ["training.max_steps=2", "training.batch_size=2", "training.micro_batch_size=auto"]
    changes += ["training.threads=1", "training.log_every=1", "evaluation.limit=2"]
    changes += [f"data.max_tokens={64 if encoder or plain.task == 'embed' else 1600}"]
    changes += [f"data.train={few_rows(plain.data.train[0], folder)}"]
    for key in ("dev", "test", "products"):
        file = getattr(plain.data, key)
        changes += [f"data.{key}={few_rows(file, folder)}"] if file else []
    if plain.precision != "nf4":
        changes += ["precision=fp32"]
    if plain.training.deepspeed:  # one process has no parts
        changes += ["training.deepspeed=null"]
    if plain.task == "embed":
        changes += ["embed.matryoshka=[8]"]
    if plain.task == "summarize":
        changes += ["evaluation.max_new_tokens=2"]
    return load_recipe(name, changes)


@pytest.mark.parametrize("name", shipped_recipes())
def test_a_shipped_recipe_runs_for_two_steps(name: str, models: dict[str, Path], tmp_path: Path) -> None:
    recipe = made_small(name, models, tmp_path)
    done = finetune(recipe)
    assert done.metrics["training"]["steps"] == 2
    assert done.metrics["chosen"]["precision"] == recipe.precision
    with open(tmp_path / "run" / "log.csv", newline="", encoding="utf-8") as file:
        losses = [float(row["loss"]) for row in csv.DictReader(file) if row["loss"]]
    assert len(losses) == 2 and all(map(math.isfinite, losses))
    assert done.folder is not None and list(done.folder.rglob("*.safetensors"))
    assert json.loads((done.folder / "metrics.json").read_text(encoding="utf-8"))["dev"]


def test_each_task_has_a_recipe_for_a_processor_and_one_for_a_gpu() -> None:
    found = {(r.task, r.rerank.kind if r.task == "rerank" else "", name.rsplit("-", 1)[-1])
             for name in shipped_recipes() for r in [load_recipe(name)]}  # fmt: skip
    tasks = (("summarize", ""), ("embed", ""), ("rerank", "cross-encoder"), ("rerank", "yes-no"), ("prefer", ""))
    assert {(*task, machine) for task in tasks for machine in ("cpu", "gpu")} <= found
