"""``run.json``: which recipe, data and model a run folder belongs to, so that only its own run goes on in it."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

from llmrec.errors import InputError, StorageError
from llmrec.recipes import Recipe, dump_recipe
from llmrec.storage import atomic_file, sha256_file
from llmrec.train.files import sample_path
from llmrec.train.task import Measured, TrainingTask

#: Keys that may differ when a run goes on: they change what is printed, not what is learned.
FREE = {"about", "output", "training.keep", "training.report_to", "training.threads"}


class RunState:
    """The folder of a run, open for one process."""

    def __init__(self, folder: Path, known: dict[str, Any], main: bool) -> None:
        self.folder, self._known, self._main = folder, known, main

    @classmethod
    def open(cls, folder: Path, recipe: Recipe, task: TrainingTask, *, resume: bool, main: bool) -> RunState:
        """Take a folder for a run.

        Raises:
            InputError: It holds another run, or one that was not said to go on.
            StorageError: Nothing can be written there.
        """
        identity = {
            "recipe": _flat(json.loads(recipe.model_dump_json())),
            "model": {"reference": task.folder.reference, "digest": task.folder.digest},
            "data": {name: sha256_file(sample_path(name)) for name in _files(recipe)},
        }
        path = folder / "run.json"
        known: dict[str, Any] = {}
        if path.is_file():
            known = json.loads(path.read_text(encoding="utf-8"))
            started = any((folder / "checkpoints").glob("checkpoint-*"))
            if resume:
                changed = _changed(known, identity)
                if changed:
                    step = f"Give the recipe as it was ({folder / 'recipe.yaml'}), or another output and start anew."
                    raise InputError(f"{folder}: was begun with another {', '.join(changed)}", next_step=step)
            elif started:
                step = "Add --resume to go on, or give another output (--set output=…)."
                raise InputError(f"{folder}: holds a training that was begun", next_step=step)
            else:
                known = {}
        state = cls(folder, {**known, **identity}, main)
        if main:
            try:
                (folder / "checkpoints").mkdir(parents=True, exist_ok=True)
                with atomic_file(folder / "recipe.yaml", mode="w") as file:
                    file.write(dump_recipe(recipe))
            except OSError as error:
                reason = error.strerror or str(error)
                raise StorageError(f"{folder}: {reason}", next_step="Give another output.") from error
            state._write()
        return state

    def kept_or(self, key: str, make: Callable[[], dict[str, Measured]]) -> dict[str, Measured]:
        """What an earlier part of the run has measured, else measured now and kept."""
        if key in self._known:
            return {name: Measured(**values) for name, values in self._known[key].items()}
        made = make()
        self._known[key] = {name: asdict(value) for name, value in made.items()}
        self._write()
        return made

    def _write(self) -> None:
        if self._main:
            with atomic_file(self.folder / "run.json", mode="w") as file:
                json.dump(self._known, file, ensure_ascii=False)


def _files(recipe: Recipe) -> list[str]:
    data = recipe.data
    return [*data.train, *(name for name in (data.dev, data.test, data.products, data.qrels) if name)]


def _flat(value: Any, prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, item in value.items():
        if isinstance(item, dict):
            flat.update(_flat(item, f"{prefix}{key}."))
        else:
            flat[prefix + key] = item
    return flat


def _changed(known: dict[str, Any], identity: dict[str, Any]) -> list[str]:
    before, now = known.get("recipe", {}), identity["recipe"]
    differ = sorted(key for key in now if before.get(key) != now[key] and key not in FREE)
    changed = [f"{key} ({before.get(key)} then, {now[key]} now)" for key in differ]
    if known.get("model") != identity["model"]:
        changed.append("model")
    return changed + sorted(
        name for name, digest in identity["data"].items() if known.get("data", {}).get(name) != digest
    )
