"""What a training will take: memory by a stated formula, or as a dry run measured it; and how far off that was.

Memory of one process, in bytes, is the sum of

* what the process takes before the model is loaded (processor only: data, and the libraries of the training);
* the weights, each as wide as its precision;
* for each trained weight its gradient and what the optimizer keeps (AdamW: two float32 numbers; in 8 bits: two bytes);
* activations of the longest micro-batch of T tokens, padding included: per layer ``T x (12 hidden + 3 inner)`` numbers
  as wide as the computation (an adapter reads what its layer reads, which is kept once; with dropout it has a copy of
  its own: ``T x (6 hidden + inner)`` more); with gradient checkpointing ``T x hidden`` per layer and one whole layer;
* of an encoder, what a batch of ``encode`` takes while negatives are looked for: ``T x (6 hidden + 2 inner)`` numbers;
* logits with their gradient, ``2 T x vocabulary`` float32 numbers; none where the step of ours is taken (``fast``).

What the allocator keeps of what was freed is not in it, and can be much: embed-minilm-cpu with a batch of 16 peaks at
2,635 MiB, with ``MALLOC_MMAP_THRESHOLD_=65536`` (glibc then gives everything back) at 1,690, by the formula at 1,662.
A dry run sees it.

The count per layer follows Korthikanti et al. 2022 (arXiv 2205.05198), without dropout, with attention that keeps no
square matrix.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from importlib import import_module
from pathlib import Path
from typing import Any

from llmrec.recipes import VIRTUAL_TOKENS, Recipe
from llmrec.train.task import TrainingTask

#: Bytes that an optimizer keeps for each trained weight.
OPTIMIZER_BYTES = {"adamw": 8.0, "adamw-8bit": 2.0, "adafactor": 0.1}
#: Texts that an encoder takes at once without gradients.
ENCODED = 64
#: Where a dry run leaves what it has found, for the run to hold against.
FILE = "dry_run.json"


@dataclass(frozen=True)
class Estimate:
    """Bytes by what takes them, and seconds of an epoch (None: only a dry run knows)."""

    memory: dict[str, int] = field(default_factory=dict)
    epoch_seconds: float | None = None
    #: Highest memory while a dry run took real steps.
    tried_bytes: int | None = None

    @property
    def peak_bytes(self) -> int:
        """The highest memory that is expected: what a dry run saw, else the sum of the parts."""
        return self.tried_bytes or sum(self.memory.values())

    def beside(self, peak: int | None, seconds: float, epochs: float) -> dict[str, Any]:
        """The estimate and what became of it; ``off`` is the share by which the truth was higher."""
        found: dict[str, Any] = {"peak_bytes": _held(self.peak_bytes, peak)}
        found["peak_bytes"]["by"] = "dry run" if self.tried_bytes else "formula"
        if self.epoch_seconds is not None and epochs > 0:
            found["epoch_seconds"] = _held(self.epoch_seconds, seconds / epochs)
        return found


def _held(estimated: float, measured: float | None) -> dict[str, Any]:
    off = round(measured / estimated - 1, 3) if measured is not None and estimated else None
    return {"estimated": estimated, "measured": measured, "off": off}


class PeakMemory:
    """Memory of this process from now on: of the GPU where one is used, else of the process.

    Args:
        libraries: What the training will import, so that it counts as there before.
    """

    def __init__(self, device: str, libraries: Sequence[str] = ()) -> None:
        for name in libraries:
            import_module(name)
        self.cuda = device.startswith("cuda")
        if self.cuda:
            import torch

            torch.cuda.reset_peak_memory_stats()
        self.before = 0 if self.cuda else present_bytes()

    def peak(self) -> int:
        """The highest so far, in bytes."""
        if self.cuda:
            import torch

            return int(torch.cuda.max_memory_allocated())
        import resource

        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss) * (1 if sys.platform == "darwin" else 1024)


def present_bytes() -> int:
    """Memory that this process holds now (Linux; elsewhere its highest so far)."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except (OSError, ValueError, IndexError):
        import resource

        return int(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    import os

    return pages * os.sysconf("SC_PAGE_SIZE")


def by_formula(task: TrainingTask, before: int) -> Estimate:
    """The parts of the memory, see the module; the model is loaded, nothing has gone through it.

    Args:
        before: Bytes that the process took before the model was loaded.
    """
    recipe, chosen, model = task.recipe, task.chosen, task.model
    config = model.config.get_text_config() if hasattr(getattr(model, "config", None), "get_text_config") else None
    parameters = list(model.parameters())
    trained = [p for p in parameters if p.requires_grad]
    weights = sum(p.numel() * p.element_size() for p in parameters)
    state = sum(p.numel() * (p.element_size() + OPTIMIZER_BYTES[recipe.training.optimizer]) for p in trained)
    tokens = task.at_once()
    memory = {"before": before, "weights": weights, "gradients and optimizer": int(state)}
    if config is not None:
        hidden, layers = int(config.hidden_size), int(config.num_hidden_layers)
        inner = int(getattr(config, "intermediate_size", None) or 4 * hidden)
        wide = 4 if chosen.precision == "fp32" else 2
        layer = tokens * (12 * hidden + 3 * inner) * wide
        if recipe.method.dropout:
            layer += tokens * (6 * hidden + inner) * wide
        kept = layer * layers
        if recipe.training.gradient_checkpointing:
            kept = tokens * hidden * wide * layers + layer
        memory["activations"] = kept
        if recipe.task == "embed":
            memory["encoding"] = ENCODED * chosen.max_tokens * (6 * hidden + 2 * inner) * wide
        if task.kind == "adapter" and recipe.task != "embed" and not _own_step(task):
            memory["logits"] = 2 * tokens * int(config.vocab_size) * 4
    return Estimate(memory)


def _own_step(task: TrainingTask) -> bool:
    """Whether the step of ours is likely to be taken, whose head holds a few positions at a time (``fused``)."""
    recipe = task.recipe
    frozen = recipe.method.name != "full"
    alone = task.chosen.processes == 1 or recipe.method.name not in VIRTUAL_TOKENS
    return task.chosen.device == "cpu" and recipe.task != "prefer" and frozen and alone and not recipe.training.compile


def foretold(task: TrainingTask, before: int, run: Path) -> Estimate:
    """What a dry run of the same recipe found, else what the formula says."""
    path = run / FILE
    if path.is_file():
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            if kept["recipe"] == fingerprint(task.recipe):
                return Estimate(**kept["estimate"])
        except (ValueError, KeyError, TypeError):
            pass  # of another version, or somebody else's file: the formula serves
    return by_formula(task, before)


def remember(task: TrainingTask, estimate: Estimate, run: Path) -> None:
    """Leave an estimate for the run that follows."""
    from llmrec.storage import atomic_file

    with atomic_file(run / FILE, mode="w") as file:
        json.dump({"recipe": fingerprint(task.recipe), "estimate": asdict(estimate)}, file)


def fingerprint(recipe: Recipe) -> str:
    """The same for recipes that are the same."""
    import hashlib

    return hashlib.sha256(recipe.model_dump_json().encode()).hexdigest()
