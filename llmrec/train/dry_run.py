"""``llmrec finetune RECIPE --dry-run``: what a training will do, before it does it; about a minute on a real model.

::

    look_ahead(load_recipe("summarize-lora-cpu")).text()

The model is loaded and three real steps are taken on it (the longest micro-batch, one of middle length, the longest
again), whose times and memory the estimates are made of; nothing of that is kept.
"""

from __future__ import annotations

import tempfile
import time
from pathlib import Path
from typing import Any

import msgspec

from llmrec.models.quiet import quiet
from llmrec.recipes import Recipe
from llmrec.train.arguments import count_steps, steps_an_epoch, training_arguments
from llmrec.train.batches import padded
from llmrec.train.checkpoints import Best
from llmrec.train.cost import Estimate, PeakMemory, by_formula, present_bytes, remember
from llmrec.train.launch import hushed
from llmrec.train.task import Lengths, TrainingTask

#: Samples that are shown, and bars of the histogram.
SAMPLES, BARS = 3, 10
WIDTH = 40
PERCENTILES = (5, 25, 50, 75, 95, 99)


class Bar(msgspec.Struct, frozen=True):
    """Examples of ``first`` to ``last`` tokens, both included."""

    first: int
    last: int
    examples: int


class DryRun(msgspec.Struct, frozen=True, kw_only=True):
    """What was found out about a recipe; shares are between 0 and 1.

    Attributes:
        chosen: All that the recipe left open, as it was settled.
        examples: Of each split.
        trained_share: Tokens that are trained, of all in the training examples.
        padding_share: Tokens of an epoch's batches that only fill them up.
        memory: Bytes by what takes them, by formula (``llmrec.train.cost``).
        peak_bytes: Highest memory of the process (of the GPU where one is used) while the steps were taken.
        step_seconds: Of an update on middle-sized examples.
        epoch_seconds: Of the training alone; evaluations come on top.
        shown: The first examples as the model sees them, what is trained between ⟦ and ⟧.
    """

    task: str
    method: str
    model: str
    chosen: dict[str, Any]
    examples: dict[str, int]
    steps_an_epoch: int
    steps: int
    epochs: float
    tokens: int
    longest: int
    percentiles: dict[str, int]
    histogram: list[Bar]
    cut: int
    dropped: int
    trained_share: float
    padding_share: float
    trained_weights: int
    all_weights: int
    memory: dict[str, int]
    peak_bytes: int
    step_seconds: float
    epoch_seconds: float
    shown: list[str]

    def text(self) -> str:
        """For a person."""
        settled = ", ".join(f"{key} {value}" for key, value in self.chosen.items())
        count = self.examples["train"]
        whole = count + self.dropped
        most = max(bar.examples for bar in self.histogram)
        lines = [
            f"{self.task} by {self.method} on {self.model}",
            f"settled: {settled}",
            f"weights: {self.trained_weights:,} of {self.all_weights:,} are trained",
            f"examples: {count} to learn from, {self.examples['dev']} dev, {self.examples['test']} test",
            f"steps: {self.steps} in {self.epochs:g} epochs of {self.steps_an_epoch}",
            f"tokens: {self.tokens:,} an epoch, {self.trained_share:.1%} of them trained; "
            f"padding adds {self.padding_share:.1%} to the batches",
            f"too long: {self.cut} cut ({self.cut / whole:.1%}), {self.dropped} dropped ({self.dropped / whole:.1%})",
            "",
            "tokens of an example: " + ", ".join(f"{k}% {v}" for k, v in self.percentiles.items())
            + f", longest {self.longest}",
            *(
                f"{bar.first:>6} - {bar.last:<6} {'#' * -(-WIDTH * bar.examples // most):<{WIDTH}} {bar.examples}"
                for bar in self.histogram
            ),
            "",
            f"memory: {_bytes(self.peak_bytes)} at most in three real steps; by formula "
            + " + ".join(f"{name} {_bytes(value)}" for name, value in self.memory.items()),
            f"time: {_time(self.step_seconds)} a step, {_time(self.epoch_seconds)} an epoch, "
            f"{_time(self.epoch_seconds * self.steps / self.steps_an_epoch)} in all; evaluations come on top",
            "",
            f"the first {len(self.shown)} examples, what is trained between ⟦ and ⟧:",
        ]  # fmt: skip
        for shown in self.shown:
            lines += ["", *(f"  | {line}" for line in shown.split("\n"))]
        return "\n".join(lines)


def look_ahead(recipe: Recipe) -> DryRun:
    """Find out what a recipe will do; trains nothing and leaves only its estimate in the run's folder.

    Raises:
        InputError: Data or settings that cannot be used.
        ModelError: A model that cannot be found or trained.
        TrainingError: Not even three steps can be taken.
        StorageError: Nothing can be written in the run's folder.
    """
    from llmrec.train.loading import count_trained
    from llmrec.train.run import prepare

    task = prepare(recipe)
    lengths = task.lengths()
    import torch  # bad data is told before the seconds that these take
    from transformers import set_seed

    torch.set_num_threads(task.chosen.threads)
    set_seed(recipe.training.seed)
    with hushed(), quiet(), tempfile.TemporaryDirectory() as scratch:
        memory = PeakMemory(task.chosen.device, task.libraries)
        task.load()
        estimate = by_formula(task, memory.before)
        step_seconds, epoch_seconds, peak = _tried(task, Path(scratch), memory)
    remember(task, Estimate(estimate.memory, epoch_seconds, peak), Path(recipe.output))
    trained, total = count_trained(task.model)
    batches = task.micro_batches()
    filled = sum(padded(lengths.tokens, batch) for batch in batches)
    return DryRun(
        task=recipe.task,
        method=recipe.method.name,
        model=task.folder.reference,
        chosen=task.chosen.as_dict(),
        examples={
            "train": len(lengths.tokens),
            "dev": len(task.splits.dev),
            "test": len(task.splits.test),
        },
        steps_an_epoch=steps_an_epoch(recipe, len(lengths.tokens)),
        steps=count_steps(recipe, len(lengths.tokens)),
        epochs=recipe.training.epochs,
        tokens=sum(lengths.tokens),
        longest=max(lengths.tokens),
        percentiles=percentiles(lengths.tokens),
        histogram=histogram(lengths.tokens),
        cut=lengths.cut,
        dropped=lengths.dropped,
        trained_share=_share(lengths),
        padding_share=filled / sum(lengths.tokens) - 1,
        trained_weights=trained,
        all_weights=total,
        memory=estimate.memory,
        peak_bytes=peak,
        step_seconds=step_seconds,
        epoch_seconds=epoch_seconds,
        shown=[visible(text) for text in task.shown(SAMPLES)],
    )


def percentiles(lengths: list[int]) -> dict[str, int]:
    """The length that so many percent of the examples do not pass."""
    ordered = sorted(lengths)
    return {str(p): ordered[max(0, -(-p * len(ordered) // 100) - 1)] for p in PERCENTILES}


def histogram(lengths: list[int], bars: int = BARS) -> list[Bar]:
    """How many examples are how long, in bars of one width."""
    low, high = min(lengths), max(lengths)
    width = max(1, -(-(high - low + 1) // bars))
    found = []
    for first in range(low, high + 1, width):
        last = first + width - 1
        found.append(Bar(first, last, sum(first <= length <= last for length in lengths)))
    return found


def visible(text: str) -> str:
    """Terminal escapes and other controls as what they are written as (``\\x1b``); line ends stay."""
    return "".join(
        char if char == "\n" or char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


def _share(lengths: Lengths) -> float:
    return sum(lengths.trained) / sum(lengths.tokens)


def _tried(task: TrainingTask, scratch: Path, memory: PeakMemory) -> tuple[float, float, int]:
    """Seconds of a middle-sized update and of an epoch, and the highest memory, from three real steps."""
    recipe, chosen = task.recipe, task.chosen
    lengths = task.lengths().tokens
    steps = count_steps(recipe, len(lengths))
    arguments = training_arguments(recipe, chosen, scratch, steps=steps, has_dev=False)
    trainer = task.trainer({**arguments, "report_to": "none"}, [])
    trainer.watch(
        measure=None, metric="loss", best=Best(scratch, greater=False), patience=None, lengths=lengths, grouped=False
    )
    model = trainer.accelerator.prepare_model(trainer.model)
    optimizer = trainer.create_optimizer()
    batches = sorted(task.micro_batches(), key=lambda batch: padded(lengths, batch))
    longest, middle = batches[-1], batches[len(batches) // 2]
    trainer.current_gradient_accumulation_steps = chosen.accumulation
    seconds = {}
    highest = 0
    for batch in (longest, middle, longest):
        started = time.perf_counter()
        inputs = trainer.data_collator([trainer.train_dataset[i] for i in batch])
        float(trainer.training_step(model, inputs, None))
        passed = time.perf_counter() - started
        highest = max(highest, present_bytes())
        optimizer.step()
        optimizer.zero_grad()
        # the first time a batch goes through is slower than all that follow
        seconds[padded(lengths, batch)] = passed
        updated = time.perf_counter() - started - passed
    large, small = max(seconds), min(seconds)
    slope = (seconds[large] - seconds[small]) / (large - small) if large > small else 0.0
    if slope <= 0:
        slope, rest = seconds[large] / large, 0.0
    else:
        rest = max(0.0, seconds[small] - slope * small)
    epoch = sum(rest + slope * padded(lengths, batch) for batch in batches)
    epoch += updated * steps_an_epoch(recipe, len(lengths))
    step = (rest + slope * padded(lengths, middle)) * chosen.accumulation + updated
    return step, epoch, memory.peak() if memory.cuda else max(highest, memory.peak())


def _bytes(count: int) -> str:
    return f"{count / 2**30:.2f} GiB" if count >= 2**30 else f"{count / 2**20:.0f} MiB"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.2g} s" if seconds < 10 else f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
