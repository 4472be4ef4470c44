"""What every task's trainer does beside its library's own: a mixin over ``transformers.Trainer``.

Batches of like length; the task's metric measured in every evaluation; the best weights kept; a loss that is no number,
or gradients that vanish after an evaluation, end the training instead of wasting it; a run that goes on from a
checkpoint takes the very steps that an unbroken one would have taken.
"""

from __future__ import annotations

import json
import math
import shutil
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from llmrec.errors import TrainingError
from llmrec.train.batches import EpochSampler
from llmrec.train.checkpoints import RUNNING, Best, keep_newest, last_checkpoint, refused_by_disk, seal, trained_weights
from llmrec.train.randomness import undisturbed


class StepsMixin:
    """Put before a ``Trainer`` class; ``watch`` is called before ``train``."""

    args: Any
    state: Any
    control: Any
    model: Any
    accelerator: Any
    is_in_train: bool

    _measure: Callable[[], dict[str, float]] | None = None
    _lengths: Sequence[int] | None = None
    _prompts: Sequence[int] = ()
    _best: Best | None = None
    _metric = ""
    _patience: int | None = None
    _keep = 2
    _asked: Callable[[], bool] = staticmethod(lambda: False)
    _grouped = True
    _flow_to_check = True
    _pending = False
    #: Whether all processes know that the training is to stop after this step.
    stopping = False

    def watch(
        self,
        *,
        measure: Callable[[], dict[str, float]] | None,
        metric: str,
        best: Best,
        patience: int | None,
        lengths: Sequence[int] | None,
        grouped: bool,
        keep: int = 2,
        asked: Callable[[], bool] | None = None,
        prompts: Sequence[int] = (),
    ) -> None:
        """Set what is measured, what is best, and the lengths of the training examples.

        Args:
            keep: Checkpoints that are kept.
            asked: Whether somebody has asked this process to stop.
            prompts: See ``epoch_order``.
        """
        self._measure, self._metric, self._best = measure, metric, best
        self._patience, self._lengths, self._grouped = patience, lengths, grouped
        self._keep, self._prompts = keep, prompts
        if asked is not None:
            self._asked = asked  # type: ignore[method-assign]
        self._loss: Any = None
        self._tokens: Any = None
        self._sum, self._steps, self.seconds = 0.0, 0, 0.0
        self._clock = self._logged = 0.0

    def take_up(self, checkpoint: Path) -> None:
        """Be as after that checkpoint: what the log has gathered, the weights and the state."""
        from transformers import TrainerState

        path = checkpoint / RUNNING
        if path.is_file():
            kept = json.loads(path.read_text(encoding="utf-8"))
            self._sum, self._steps, self.seconds = float(kept["sum"]), int(kept["steps"]), float(kept["seconds"])
        self._load_from_checkpoint(str(checkpoint))  # type: ignore[attr-defined]
        self.state = TrainerState.load_from_json(str(checkpoint / "trainer_state.json"))

    def evaluate_late(self) -> None:
        """Make up for the evaluation that a broken run owed at the step of its checkpoint."""
        self._pending = True
        try:
            self.evaluate()  # type: ignore[attr-defined]
        finally:
            self._pending = False

    @property
    def enough(self) -> bool:
        """Whether so many evaluations brought nothing better that the training ends."""
        return self._best is not None and self._patience is not None and self._best.since >= self._patience

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        if self._lengths is None:
            return super()._get_train_sampler(train_dataset)  # type: ignore[misc]
        size = self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size
        return EpochSampler(self._lengths, size, seed=self.args.seed, grouped=self._grouped, prompts=self._prompts)

    def begin_epoch(self, epoch: int) -> None:
        """Turn to the order of an epoch: accelerate does not reach the sampler where several processes go on."""
        layer = self.callback_handler.train_dataloader  # type: ignore[attr-defined]
        while layer is not None:
            if hasattr(layer, "set_epoch"):
                layer.set_epoch(epoch)
            layer = getattr(layer, "batch_sampler", None) or getattr(layer, "sampler", None)

    def evaluation_loop(self, *args: Any, **kwargs: Any) -> Any:
        started = time.monotonic()
        # a run that goes on does not evaluate again: what is drawn here must not reach the training
        with undisturbed():
            output = super().evaluation_loop(*args, **kwargs)  # type: ignore[misc]
            if self._measure is not None:
                output.metrics.update({f"eval_{name}": value for name, value in self._measure().items()})
        value = output.metrics.get(f"eval_{self._metric}")
        if value is not None and (self.is_in_train or self._pending):
            self._note(float(value))
        self._flow_to_check = True
        passed = time.monotonic() - started
        self._logged += passed
        self._clock += passed if self._clock else 0.0
        return output

    def _note(self, value: float) -> None:
        """Note an evaluation; all processes go by what the main one measured."""
        if self._best is None:
            return
        main = bool(self.state.is_world_process_zero)
        if self.args.world_size > 1:
            from accelerate.utils import broadcast_object_list

            value = broadcast_object_list([value])[0]
        if not math.isfinite(value):
            raise TrainingError(f"the dev {self._metric} is {value}", next_step="Lower training.learning_rate.")
        if self._best.add(self.state.global_step, value, write=main):
            weights = self._whole_weights()
            if main:
                self._best.save(weights, self.state.global_step)
        if self.enough:
            self.control.should_training_stop = True

    def _whole_weights(self) -> dict[str, Any]:
        """The trained weights; all processes ask for them, since each may hold a part."""
        model = self.accelerator.unwrap_model(self.model)
        if not sharded(self.accelerator):
            return trained_weights(model) if self.state.is_world_process_zero else {}
        trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
        whole = self.accelerator.get_state_dict(self.model_wrapped)  # type: ignore[attr-defined]
        return {name: value.cpu().contiguous() for name, value in whole.items() if name in trained}

    def training_step(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
        self._clock = self._clock or time.monotonic()
        self._logged = self._logged or self._clock
        mask = inputs.get("attention_mask") if hasattr(inputs, "get") else None
        loss = super().training_step(model, inputs, *args, **kwargs)  # type: ignore[misc]
        # added up where they are: a number is only asked of the device once an update
        self._loss = loss if self._loss is None else self._loss + loss
        if mask is not None:
            self._tokens = mask.sum() if self._tokens is None else self._tokens + mask.sum()
        if self.accelerator.sync_gradients:
            self._end_update(model)
        return loss

    def _end_update(self, model: Any) -> None:
        """Before the weights move: is the loss a number, do gradients flow, has anybody asked to stop?"""
        import torch

        flows = self._flows(model) if self._flow_to_check else True
        told = self._loss.detach().float().reshape(1)
        told = torch.cat([told, told.new_tensor([float(flows), float(self._asked())])])
        if self.args.world_size > 1:
            told = self.accelerator.reduce(told, reduction="sum")
            told[0] /= self.args.world_size
        loss, flowing, stop = told.tolist()
        self._loss = None
        at = f"step {self.state.global_step + 1}"
        if not math.isfinite(loss):
            last = last_checkpoint(Path(self.args.output_dir), clear=False)
            kept = f"; the last good checkpoint is {last.name}" if last else "; there is no checkpoint yet"
            step = "Lower training.learning_rate (fp16 overflows: take bf16 or fp32), and start anew in another output."
            raise TrainingError(f"{at}: the loss is {loss}{kept}", next_step=step)
        if not flowing:
            step = "Take another precision or method: this library does not learn with this one on this machine."
            raise TrainingError(f"{at}: no gradient reaches the trained weights", next_step=step)
        self._flow_to_check = False
        self._sum += loss
        self._steps += 1
        self.stopping = bool(stop)

    def _flows(self, model: Any) -> bool:
        """At the first step and after every evaluation: do gradients still reach what is trained?

        Some layers stop learning in silence once they were used without gradients (see ``loading.keep_learning``).
        """
        if "DEEPSPEED" in str(self.accelerator.distributed_type):  # keeps gradients to itself
            return True
        grads = [p.grad for p in model.parameters() if p.requires_grad and p.grad is not None]
        return any(bool(grad.count_nonzero()) for grad in grads)

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        if "loss" in logs and self._steps:
            # ours goes over from one process to the next; the library's begins anew
            logs["loss"] = self._sum / self._steps
            passed = time.monotonic() - self._logged
            if self._tokens is not None and passed > 0:
                logs["tokens_per_second"] = float(self._tokens) * self.args.world_size / passed
            self._sum, self._steps, self._tokens, self._logged = 0.0, 0, None, time.monotonic()
        super().log(logs, *args, **kwargs)  # type: ignore[misc]

    def trained_seconds(self) -> float:
        """Seconds of training so far, over all parts of the run, without those of evaluations."""
        return self.seconds + (time.monotonic() - self._clock if self._clock else 0.0)

    def stop_clock(self) -> None:
        """Training is over: what comes now is not counted."""
        self.seconds, self._clock = self.trained_seconds(), 0.0

    def take_apart(self, best: Best) -> None:
        """Write the weights that lie in parts in several processes as whole ones, where no evaluation has."""
        if best.best is None:
            weights = self._whole_weights()
            if best.add(self.state.global_step, 0.0, write=False) and self.state.is_world_process_zero:
                best.save(weights, self.state.global_step)

    def _save_checkpoint(self, model: Any, trial: Any) -> None:
        folder = Path(self.args.output_dir) / f"checkpoint-{self.state.global_step}"
        try:
            super()._save_checkpoint(model, trial)  # type: ignore[misc]
            self.accelerator.wait_for_everyone()
            if not self.args.should_save:
                return
            # pickled, of no use to us, and it names folders of this machine
            (folder / "training_args.bin").unlink(missing_ok=True)
            running = {"sum": self._sum, "steps": self._steps, "seconds": self.trained_seconds()}
            (folder / RUNNING).write_text(json.dumps(running), encoding="utf-8")
            seal(folder, step=self.state.global_step)
        except Exception as error:
            found = refused_by_disk(error, folder)
            if found is None:
                raise
            shutil.rmtree(folder, ignore_errors=True)
            raise found from error
        oldest = keep_newest(folder.parent, self._keep)
        if self._best is not None:
            self._best.prune(oldest)


def sharded(accelerator: Any) -> bool:
    """Whether no process holds all weights (FSDP, DeepSpeed)."""
    return any(kind in str(accelerator.distributed_type) for kind in ("FSDP", "DEEPSPEED"))
