"""A recipe to a finished adapter: the order in which everything happens.

::

    from llmrec.train import finetune
    done = finetune(load_recipe("summarize-lora-cpu"))
    done.folder          # runs/…/adapter: for llmrec summarize --adapter
    done.metrics["dev"]["rougeL"]["tuned"]

A run's folder holds ``recipe.yaml``, ``run.json``, ``log.csv``, ``curves.png``, ``checkpoints/``, ``best/`` and, at the
end, the artefact.
"""

from __future__ import annotations

import gc
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from llmrec.errors import TrainingError, disk_error
from llmrec.models import ModelFolder, resolve
from llmrec.models.quiet import quiet
from llmrec.recipes import Recipe
from llmrec.train.arguments import count_steps, evaluation_due, training_arguments
from llmrec.train.checkpoints import Best, last_checkpoint, step_of
from llmrec.train.chosen import choose, model_facts
from llmrec.train.compare import compared
from llmrec.train.launch import check_launch, hushed, lost_the_others, process_count, process_rank, shards, told_by
from llmrec.train.publish import publish
from llmrec.train.state import RunState
from llmrec.train.task import Measured, Splits, TrainingTask

logger = logging.getLogger(__name__)

#: Where each task is; its libraries are loaded with it.
TASKS = {
    "summarize": ("llmrec.train.summarize", "SummarizeTask"),
    "embed": ("llmrec.train.embed", "EmbedTask"),
    "rerank": ("llmrec.train.rerank", "rerank_task"),
    "prefer": ("llmrec.train.prefer", "PreferTask"),
}
Progress = Callable[[int, int, dict[str, Any]], None]


@dataclass(frozen=True)
class Finetuned:
    """What a training has led to; ``folder`` is None when it was interrupted before its end."""

    run: Path
    folder: Path | None
    metrics: dict[str, Any]
    interrupted: bool = False


def prepare(recipe: Recipe) -> TrainingTask:
    """Settle a recipe: model found, every ``auto`` chosen, examples read; no weights are loaded.

    Raises:
        InputError: Data or settings that cannot be used.
        ModelError: A model that cannot be found or trained.
    """
    folder: ModelFolder = resolve(recipe.model)
    parameters, context, decoder = model_facts(folder.path, folder.reference)
    chosen = choose(recipe, parameters=parameters, context=context, decoder=decoder, processes=process_count())
    module, name = TASKS[recipe.task]
    task: TrainingTask = getattr(import_module(module), name)(recipe, folder, chosen)
    task.read()
    check_launch(recipe, chosen.metric)
    task.settle()
    task.lengths()  # examples that do not fit are told before the model is loaded
    return task


def finetune(recipe: Recipe, *, resume: bool = False, progress: Progress | None = None) -> Finetuned:
    """Train as the recipe says and publish what comes out, with its measure beside that of the untrained model.

    Args:
        recipe: See ``load_recipe``.
        resume: Go on from the last whole checkpoint of an earlier run of the same recipe.
        progress: Called with ``(step, steps, values)`` at each line of the log.

    Raises:
        InputError: Data, settings, or an output folder that holds another run.
        ModelError: A model that cannot be found or trained.
        TrainingError: The training cannot go on; checkpoints are kept.
        StorageError: The disk is full; the last good checkpoint is kept.
    """
    from llmrec.train.cost import PeakMemory, foretold
    from llmrec.train.log import draw_curves

    main = process_rank() == 0
    task = prepare(recipe)
    import torch  # bad data is told before the seconds that these take
    from transformers import set_seed

    run = Path(recipe.output)
    state = RunState.open(run, recipe, task, resume=resume, main=main)
    last = last_checkpoint(run / "checkpoints", clear=main) if resume else None
    if resume and last is None and main:
        logger.warning("%s: there is no checkpoint to go on from; starting anew", run)
    torch.set_num_threads(task.chosen.threads)
    set_seed(recipe.training.seed)
    with hushed():
        with quiet():
            memory = PeakMemory(task.chosen.device, task.libraries)
            task.load()
        estimate = foretold(task, memory.before, run)
        base = state.kept_or("base", lambda: _measured(task, task.splits, base=True)) if recipe.evaluation.base else {}
        best = Best(run / "best", greater=task.chosen.metric != "loss")
        trainer, interrupted = _train(task, run, last, best, progress)
        if interrupted:
            return Finetuned(run, None, {}, interrupted=True)
        peak = memory.peak()
        if shards(recipe):
            # the parts are brought together in a model of its own
            trainer.take_apart(best)
            if not main:
                return Finetuned(run, None, {})
            with quiet():
                task.load()
        best.restore(task.model)
        tuned = _measured(task, task.splits, base=False)
        if not main:
            return Finetuned(run, None, {})
        trained = _training(task, trainer, best)
        metrics = {
            **compared(base, tuned, task.splits),
            "training": trained,
            "chosen": task.chosen.as_dict(),
            "estimate": estimate.beside(peak, trained["seconds"], trained["epochs"]),
        }
        draw_curves(run / "log.csv", run / "curves.png", task.chosen.metric)
        folder = publish(task, run, metrics)
    shutil.rmtree(run / "best", ignore_errors=True)
    return Finetuned(run, folder, metrics)


def _train(task: TrainingTask, run: Path, last: Path | None, best: Best, progress: Progress | None) -> tuple[Any, bool]:
    """Train from the beginning or from ``last``; returns the trainer and whether it was interrupted."""
    import torch

    from llmrec.train.interrupt import Interrupt, Steering
    from llmrec.train.log import Bar, Log, watched

    recipe, main, examples = task.recipe, process_rank() == 0, len(task.lengths().tokens)
    checkpoints, steps = run / "checkpoints", count_steps(recipe, examples)
    arguments = training_arguments(recipe, task.chosen, checkpoints, steps=steps, has_dev=bool(task.splits.dev))
    step = step_of(last) if last else 0
    best.load(step)
    if main:
        best.forget_after(step)
    heard: list[Any] = [Log(run, main=main, step=step, progress=progress)]
    bar = Bar(task.chosen.metric) if main and progress is None and watched() else None
    with quiet():
        trainer = _trainer(task, arguments, [*heard, *([bar] if bar else [])])
    steering = Steering(trainer)
    trainer.add_callback(steering)
    with Interrupt(main=main) as signals:
        _watch(trainer, task, best, signals.asked)
        try:
            if last is not None:
                trainer.take_up(last)
                owed = bool(task.splits.dev) and evaluation_due(recipe, examples, step)
                if owed and step not in dict(best.values):
                    trainer.evaluate_late()
            if last is None or not (trainer.enough or step >= steps):
                trainer.train(resume_from_checkpoint=str(last) if last else None)
        except OSError as error:
            raise disk_error(error, checkpoints) from error
        except (torch.OutOfMemoryError, MemoryError) as error:
            remedy = "Lower training.micro_batch_size or data.max_tokens, or set training.gradient_checkpointing."
            raise TrainingError(f"{told_by()}out of memory", next_step=f"{remedy} Then start anew.") from error
        except RuntimeError as error:
            if not lost_the_others(error):
                raise
            step_ = "See what the other process says; then go on with --resume."
            raise TrainingError(f"{told_by()}another process has ended", next_step=step_) from error
        finally:
            trainer.stop_clock()
            if bar:
                bar.close()
    return trainer, steering.interrupted


def _trainer(task: TrainingTask, arguments: dict[str, Any], heard: list[Any]) -> Any:
    from transformers import PrinterCallback, ProgressCallback

    trainer = task.trainer(arguments, heard)
    for other in (PrinterCallback, ProgressCallback):
        trainer.remove_callback(other)
    for parameter in trainer.model.parameters():
        # trl holds the adapters of quantised models in bfloat16, which small updates do not move
        if parameter.requires_grad and task.chosen.precision in ("int8", "nf4"):
            parameter.data = parameter.data.float()
    return trainer


def _watch(trainer: Any, task: TrainingTask, best: Best, asked: Callable[[], bool]) -> None:
    recipe, chosen = task.recipe, task.chosen
    looked_at, lengths = task.splits.dev[: recipe.evaluation.limit], task.lengths()
    measured = chosen.metric != "loss" and bool(looked_at) and not shards(recipe)
    trainer.watch(
        measure=(lambda: task.measure(looked_at).means()) if measured else None,
        metric=chosen.metric,
        best=best,
        patience=recipe.evaluation.patience if recipe.evaluation.every != "end" else None,
        lengths=lengths.tokens,
        prompts=lengths.prompts,
        grouped=recipe.training.group_by_length,
        keep=recipe.training.keep,
        asked=asked,
    )


def _measured(task: TrainingTask, splits: Splits, *, base: bool) -> dict[str, Measured]:
    """The model on dev and test examples; ``dev`` first, since a threshold is chosen there."""
    found = {}
    for name, examples in (("dev", splits.dev), ("test", splits.test)):
        if examples:
            found[name] = task.measure(examples, base=base)
    gc.collect()
    return found


def _training(task: TrainingTask, trainer: Any, best: Best) -> dict[str, Any]:
    from llmrec.train.loading import count_trained

    trained, total = count_trained(task.model)
    lengths = task.lengths()
    losses = [row["loss"] for row in trainer.state.log_history if "loss" in row]
    epochs, seconds = float(trainer.state.epoch or 0), trainer.trained_seconds()
    return {
        "examples": len(lengths.tokens),
        "cut": lengths.cut,
        "dropped": lengths.dropped,
        "steps": int(trainer.state.global_step),
        "epochs": round(epochs, 3),
        "best_step": best.best[0] if best.best else None,
        "evaluations": best.values,
        "first_loss": losses[0] if losses else None,
        "last_loss": losses[-1] if losses else None,
        "seconds": round(seconds, 1),
        "tokens_per_second": round(sum(lengths.tokens) * epochs / max(seconds, 1e-9), 1),
        "trained_weights": trained,
        "all_weights": total,
    }
