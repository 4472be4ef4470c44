"""Checkpoints that are whole or not there, and the best weights so far.

transformers writes a checkpoint file by file: a process that is killed meanwhile leaves a folder that looks like one.
A manifest written last tells the two apart; what lacks it is removed when the training goes on.
"""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

from llmrec.errors import ArtefactError
from llmrec.storage import atomic_file, atomic_folder, read_manifest, write_manifest

logger = logging.getLogger(__name__)

KIND, FORMAT = "checkpoint", 1


def seal(folder: Path, **entries: Any) -> None:
    """Mark a checkpoint as whole."""
    write_manifest(folder, kind=KIND, format_version=FORMAT, **entries)


def last_checkpoint(folder: Path) -> Path | None:
    """The newest whole checkpoint; what a broken run left half-written is removed."""
    found = [path for path in folder.glob("checkpoint-*") if path.name.removeprefix("checkpoint-").isdecimal()]
    for path in sorted(found, key=lambda p: int(p.name.removeprefix("checkpoint-")), reverse=True):
        try:
            read_manifest(path, kind=KIND, format_version=FORMAT)
        except ArtefactError as error:
            logger.warning("%s; going on from the one before", error.message)
            shutil.rmtree(path, ignore_errors=True)
            continue
        return path
    return None


class Best:
    """Evaluations so far, and the weights of the best of them.

    Args:
        folder: Holds ``evaluations.json`` and ``weights/``.
        greater: Whether a greater value is better.
    """

    def __init__(self, folder: Path, *, greater: bool) -> None:
        self.folder, self.greater = folder, greater
        self.values: list[tuple[int, float]] = []

    def load(self, step: int) -> None:
        """Take up what an earlier run wrote, up to the step at which it goes on."""
        path = self.folder / "evaluations.json"
        if path.is_file():
            self.values = [(int(s), float(v)) for s, v in json.loads(path.read_text()) if int(s) <= step]

    @property
    def best(self) -> tuple[int, float] | None:
        """Step and value of the best evaluation; the first of equals."""
        if not self.values:
            return None
        sign = 1 if self.greater else -1
        return max(self.values, key=lambda pair: (sign * pair[1], -pair[0]))

    @property
    def since(self) -> int:
        """Evaluations after the best one."""
        best = self.best
        return sum(step > best[0] for step, _ in self.values) if best else 0

    def add(self, step: int, value: float) -> bool:
        """Note an evaluation; returns whether it is the best so far, whose weights are to be saved."""
        self.values = [pair for pair in self.values if pair[0] != step] + [(step, value)]
        best = self.best
        with atomic_file(self.folder / "evaluations.json", mode="w") as file:
            json.dump(self.values, file)
        return best is not None and best[0] == step

    def save(self, model: Any) -> None:
        """Keep the trained weights of ``model`` as the best."""
        from safetensors.torch import save_file

        with atomic_folder(self.folder / "weights", replace=True) as folder:
            save_file(trained_weights(model), folder / "model.safetensors")

    def restore(self, model: Any) -> None:
        """Put the best weights back into ``model``; nothing where none were saved."""
        from safetensors.torch import load_file

        path = self.folder / "weights" / "model.safetensors"
        if not path.is_file():
            return
        own = dict(model.named_parameters())
        for name, value in load_file(path).items():
            own[name].data.copy_(value)


def trained_weights(model: Any) -> dict[str, Any]:
    """Copies of all weights that are trained, by name, on the processor."""
    return {
        name: parameter.detach().cpu().clone().contiguous()
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }
