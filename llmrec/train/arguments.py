"""A recipe to the arguments of transformers' trainers."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from llmrec.recipes import Recipe
from llmrec.train.chosen import Chosen

OPTIMIZERS = {"adamw": "adamw_torch", "adamw-8bit": "adamw_bnb_8bit", "adafactor": "adafactor"}


def training_arguments(recipe: Recipe, chosen: Chosen, folder: Path, *, steps: int, has_dev: bool) -> dict[str, Any]:
    """Arguments that ``TrainingArguments`` and the classes derived from it share.

    Args:
        folder: Checkpoints are written into it.
        steps: Updates of the whole training, for the warm-up.
        has_dev: Whether there are dev examples to evaluate.
    """
    training, evaluation = recipe.training, recipe.evaluation
    every, save = evaluation.every, training.save_every
    evaluated = has_dev and every != "end"
    cpu = chosen.device == "cpu"
    arguments: dict[str, Any] = {
        "output_dir": str(folder),
        "num_train_epochs": training.epochs,
        "max_steps": training.max_steps or -1,
        "per_device_train_batch_size": chosen.micro_batch_size,
        "per_device_eval_batch_size": chosen.micro_batch_size,
        "gradient_accumulation_steps": chosen.accumulation,
        "learning_rate": chosen.learning_rate,
        "lr_scheduler_type": {"constant": "constant_with_warmup"}.get(training.schedule, training.schedule),
        "warmup_steps": round(training.warmup * steps),
        "weight_decay": training.weight_decay,
        "max_grad_norm": training.max_grad_norm,
        "optim": OPTIMIZERS[training.optimizer],
        "gradient_checkpointing": training.gradient_checkpointing,
        "torch_compile": training.compile,
        "seed": training.seed,
        "data_seed": training.seed,
        "use_cpu": cpu,
        "bf16": chosen.precision == "bf16",
        "fp16": chosen.precision == "fp16",
        "eval_strategy": ("epoch" if every == "epoch" else "steps") if evaluated else "no",
        "eval_steps": every if evaluated and isinstance(every, int) else None,
        "save_strategy": "epoch" if save == "epoch" else "steps",
        "save_steps": save if isinstance(save, int) else 500,
        # ours goes by whole checkpoints (StepsMixin)
        "save_total_limit": None,
        "logging_steps": training.log_every,
        "logging_first_step": True,
        # it would hide a loss that is no number; we end the training instead
        "logging_nan_inf_filter": False,
        "report_to": list(training.report_to) or "none",
        "disable_tqdm": True,
        "dataloader_pin_memory": not cpu,
        "load_best_model_at_end": False,
        "deepspeed": training.deepspeed,
        "remove_unused_columns": False,
        # whole models may have layers that a task does not use (a pooler)
        "ddp_find_unused_parameters": recipe.method.name == "full",
    }
    if training.gradient_checkpointing:
        arguments["gradient_checkpointing_kwargs"] = {"use_reentrant": False}
    return arguments


def count_steps(recipe: Recipe, examples: int) -> int:
    """Updates of the weights in the whole training."""
    whole = recipe.training.epochs * steps_an_epoch(recipe, examples)
    return recipe.training.max_steps or max(1, math.ceil(whole))


def steps_an_epoch(recipe: Recipe, examples: int) -> int:
    """Updates in one pass over the examples."""
    return max(1, -(-examples // recipe.training.batch_size))


def evaluation_due(recipe: Recipe, examples: int, step: int) -> bool:
    """Whether dev examples are measured after a step."""
    every = recipe.evaluation.every
    if every == "end":
        return False
    if isinstance(every, int):
        return step % every == 0
    return step % steps_an_epoch(recipe, examples) == 0 or step == count_steps(recipe, examples)
