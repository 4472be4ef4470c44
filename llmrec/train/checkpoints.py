"""Checkpoints that are whole or not there, and the best weights so far.

transformers writes a checkpoint file by file: a process that is killed meanwhile leaves a folder that looks like one.
A manifest written last tells the two apart; what lacks it is removed when the training goes on. Older checkpoints go
only after the manifest of the new one is there.
"""

from __future__ import annotations

import errno
import json
import logging
import shutil
from pathlib import Path
from typing import Any

from llmrec.errors import ArtefactError, StorageError, disk_error
from llmrec.storage import atomic_file, atomic_folder, read_manifest, write_manifest

logger = logging.getLogger(__name__)

KIND, FORMAT = "checkpoint", 1
#: What a line of the log had gathered when the checkpoint was written.
RUNNING = "running.json"


def seal(folder: Path, **entries: Any) -> None:
    """Mark a checkpoint as whole."""
    write_manifest(folder, kind=KIND, format_version=FORMAT, **entries)


def step_of(folder: Path) -> int:
    """The step after which a checkpoint was written."""
    return int(folder.name.rpartition("-")[2])


def _numbered(folder: Path, prefix: str) -> list[Path]:
    """``PREFIX-STEP`` folders, the newest first."""
    found = [path for path in folder.glob(f"{prefix}-*") if path.name.removeprefix(f"{prefix}-").isdecimal()]
    return sorted(found, key=step_of, reverse=True)


def last_checkpoint(folder: Path, *, clear: bool = True) -> Path | None:
    """The newest whole checkpoint.

    Args:
        folder: Holds ``checkpoint-STEP`` folders.
        clear: Whether what a broken run left half-written is removed.
    """
    for path in _numbered(folder, "checkpoint"):
        try:
            read_manifest(path, kind=KIND, format_version=FORMAT)
        except ArtefactError as error:
            if clear:
                logger.warning("%s; going on from the one before", error.message)
                shutil.rmtree(path, ignore_errors=True)
            continue
        return path
    return None


def keep_newest(folder: Path, count: int) -> int | None:
    """Remove all but the newest checkpoints; returns the step of the oldest that is left."""
    found = _numbered(folder, "checkpoint")
    for path in found[count:]:
        shutil.rmtree(path, ignore_errors=True)
    return step_of(found[:count][-1]) if found else None


def refused_by_disk(error: Exception, folder: Path) -> StorageError | None:
    """The error of a full or broken disk, whatever library met it; None where it was something else."""
    if isinstance(error, StorageError):
        return error
    text = str(error)
    if not isinstance(error, OSError):
        # safetensors and torch tell of it in a text
        if "No space left" in text or "os error 28" in text:
            error = OSError(errno.ENOSPC, "no space")
        elif "PytorchStreamWriter" in text or "inline_container" in text or "unexpected pos" in text:
            full = shutil.disk_usage(folder if folder.exists() else folder.parent).free < 1 << 20
            error = OSError(errno.ENOSPC if full else errno.EIO, "cannot be written")
        else:
            return None
    found = disk_error(error, folder)
    if error.errno in (errno.ENOSPC, errno.EDQUOT):
        step = "Free some space, then run the command again with --resume: the last whole checkpoint is kept."
        return StorageError(found.message, next_step=step)
    return found


class Best:
    """Evaluations so far, and the weights of the best of them.

    Weights are kept by step as long as a checkpoint may go back before the best: what is best is then another.

    Args:
        folder: Holds ``evaluations.json`` and ``weights-STEP/``.
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

    def forget_after(self, step: int) -> None:
        """Remove weights of steps that will be trained again."""
        for path in _numbered(self.folder, "weights"):
            if step_of(path) > step:
                shutil.rmtree(path, ignore_errors=True)

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

    def add(self, step: int, value: float, *, write: bool = True) -> bool:
        """Note an evaluation; returns whether it is the best so far, whose weights are to be saved."""
        self.values = [pair for pair in self.values if pair[0] != step] + [(step, value)]
        best = self.best
        if write:
            with atomic_file(self.folder / "evaluations.json", mode="w") as file:
                json.dump(self.values, file)
        return best is not None and best[0] == step

    def save(self, weights: dict[str, Any], step: int) -> None:
        """Keep the trained weights (see ``trained_weights``) of the best evaluation, at ``step``."""
        from safetensors.torch import save_file

        with atomic_folder(self.folder / f"weights-{step}", replace=True) as folder:
            save_file(weights, folder / "model.safetensors")

    def prune(self, oldest: int | None) -> None:
        """Remove weights that no checkpoint can come back to; ``oldest`` is the first step that one can."""
        reachable = [path for path in _numbered(self.folder, "weights") if step_of(path) <= (oldest or 0)]
        for path in reachable[1:]:
            shutil.rmtree(path, ignore_errors=True)

    def restore(self, model: Any) -> None:
        """Put the best weights back into ``model``; nothing where none were saved."""
        from safetensors.torch import load_file

        if self.best is None:
            return
        path = self.folder / f"weights-{self.best[0]}" / "model.safetensors"
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
