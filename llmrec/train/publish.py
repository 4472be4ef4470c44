"""What a training leaves behind: weights in their library's layout, recipe, metrics, a card; whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmrec.recipes import dump_recipe
from llmrec.storage import atomic_folder, write_manifest
from llmrec.train.compare import told
from llmrec.train.task import TrainingTask

FORMAT = 1


def publish(task: TrainingTask, run: Path, metrics: dict[str, Any]) -> Path:
    """Write the artefact into the run's folder; an older one is replaced.

    Returns:
        ``run/adapter``, or for models that are trained whole ``run/model``.
    """
    kind = "adapter" if task.recipe.method.name != "full" and task.kind == "adapter" else task.kind
    name = "adapter" if kind == "adapter" and task.recipe.method.name != "full" else "model"
    recipe = task.recipe
    with atomic_folder(run / name, replace=True) as folder:
        task.save(folder)
        (folder / "recipe.yaml").write_text(dump_recipe(recipe), encoding="utf-8")
        text = json.dumps(metrics, ensure_ascii=False, indent=1) + "\n"
        (folder / "metrics.json").write_text(text, encoding="utf-8")
        (folder / "README.md").write_text(card(task, metrics), encoding="utf-8")
        write_manifest(
            folder,
            kind=kind,
            format_version=FORMAT,
            task=recipe.task,
            method=recipe.method.name,
            precision=task.chosen.precision,
            models={"base": {"reference": task.folder.reference, "digest": task.folder.digest}},
        )
    return run / name


def card(task: TrainingTask, metrics: dict[str, Any]) -> str:
    """The card: what it is, how it was made, what it reaches beside the untrained model."""
    recipe, trained = task.recipe, metrics["training"]
    licence = task.folder.licence or "unknown"
    lines = [
        "---",
        f"base_model: {json.dumps(task.folder.reference)}",
        f"license: {json.dumps(licence.lower())}",
        "tags: [llmrec]",
        "---",
        "",
        f"# {recipe.about or f'{recipe.method.name} for {recipe.task}'}",
        "",
        f"`{recipe.task}` by `{recipe.method.name}` in {task.chosen.precision} on `{task.folder.reference}`"
        f" ({licence}): {trained['examples']} examples, {trained['steps']} steps,"
        f" {trained['trained_weights']:,} of {trained['all_weights']:,} weights trained.",
        "",
    ]
    for split in ("dev", "test"):
        rows = told(metrics.get(split, {}))
        if not rows:
            continue
        what = "chose the checkpoint" if split == "dev" else "measured once"
        lines += [f"On {metrics[split]['examples']} {split} examples ({what}), with 95% intervals:", ""]
        lines += ["| metric | untrained | trained | difference |", "|---|---|---|---|"]
        lines += [f"| {' | '.join(row)} |" for row in rows]
        lines.append("")
    lines.append("`recipe.yaml` has every setting, `metrics.json` every number.")
    return "\n".join(lines) + "\n"
