"""What every task's trainer does beside its library's own: a mixin over ``transformers.Trainer``.

Batches of like length; the task's metric measured in every evaluation; the best weights kept; a loss that is no number,
or gradients that vanish after an evaluation, end the training instead of wasting it.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from llmrec.errors import TrainingError
from llmrec.train.batches import EpochSampler
from llmrec.train.checkpoints import Best, last_checkpoint, seal


class StepsMixin:
    """Put before a ``Trainer`` class; ``watch`` is called before ``train``."""

    args: Any
    state: Any
    control: Any
    model: Any
    accelerator: Any

    _measure: Callable[[], dict[str, float]] | None = None
    _lengths: Sequence[int] | None = None
    _best: Best | None = None
    _metric = ""
    _patience: int | None = None
    _flow_to_check = True
    _grouped = True

    def watch(
        self,
        *,
        measure: Callable[[], dict[str, float]] | None,
        metric: str,
        best: Best,
        patience: int | None,
        lengths: Sequence[int] | None,
        grouped: bool,
    ) -> None:
        """Set what is measured, what is best, and the lengths of the training examples."""
        self._measure, self._metric, self._best = measure, metric, best
        self._patience, self._lengths, self._grouped = patience, lengths, grouped

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self._lengths is None:
            return super()._get_train_sampler(train_dataset)  # type: ignore[misc]
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return EpochSampler(self._lengths, size, seed=self.args.seed, grouped=self._grouped)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        output = super().evaluation_loop(*args, **kwargs)  # type: ignore[misc]
        if self._measure is not None:
            output.metrics.update({f"eval_{name}": value for name, value in self._measure().items()})
        value = output.metrics.get(f"eval_{self._metric}")
        if self._best is not None and value is not None and self.model.training is not None:
            self._note(float(value))
        self._flow_to_check = True
        return output

    def _note(self, value: float) -> None:
        assert self._best is not None
        main = self.state.is_world_process_zero
        if not math.isfinite(value):
            raise TrainingError(f"the dev {self._metric} is {value}", next_step="Lower training.learning_rate.")
        if main:
            better = self._best.add(self.state.global_step, value)
            if better:
                self._best.save(self.accelerator.unwrap_model(self.model))
        else:
            self._best.values.append((self.state.global_step, value))
        if self._patience is not None and self._best.since >= self._patience:
            self.control.should_training_stop = True

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        loss = super().training_step(model, inputs, *args, **kwargs)  # type: ignore[misc]
        if not math.isfinite(float(loss)):
            last = last_checkpoint(Path(self.args.output_dir))
            kept = f" The last good checkpoint is {last.name}." if last else ""
            step = "Lower training.learning_rate, or take bf16 or fp32 as the precision; --resume goes on from there."
            raise TrainingError(f"step {self.state.global_step + 1}: the loss is {float(loss)}.{kept}", next_step=step)
        if self._flow_to_check:
            self._check_flow(model)
            self._flow_to_check = False
        return loss

    def _check_flow(self, model: Any) -> None:
        """At the first step and after every evaluation: do gradients still reach what is trained?

        Some layers stop learning in silence once they were used without gradients (see ``loading.keep_learning``).
        """
        trained = [parameter for parameter in model.parameters() if parameter.requires_grad]
        grads = [parameter.grad for parameter in trained if parameter.grad is not None]
        if any(bool(grad.count_nonzero()) for grad in grads):
            return
        if not any(parameter.numel() for parameter in trained):  # sharded: this process may hold none
            return
        what = "no gradient reaches the trained weights" if trained else "nothing is trained"
        step = "Take another precision or method: this library does not learn with this one on this machine."
        raise TrainingError(f"step {self.state.global_step + 1}: {what}", next_step=step)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        super()._save_checkpoint(model, trial)  # type: ignore[misc]
        if self.args.should_save:
            folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
            seal(folder, step=self.state.global_step)
