"""The trainings that ``train_speed`` compares: a plain PEFT script, our recipe, and the steps from one to the other."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from transformers import TrainerCallback

from llmrec.recipes import parse_recipe
from llmrec.train.arguments import training_arguments
from llmrec.train.checkpoints import Best
from llmrec.train.fast import Way
from llmrec.train.ragged import in_one_line
from llmrec.train.run import _trainer, prepare
from llmrec.train.tokens import IGNORED, collate

RECIPE = """
task: rerank
model: {model}
precision: {precision}
device: cpu
method: {{name: lora, rank: 8, alpha: 16}}
data: {{train: {train}, dev_share: 0, max_tokens: 256}}
rerank: {{kind: yes-no, hints: false, swap: false}}
training: {{max_steps: {steps}, batch_size: {batch}, micro_batch_size: {batch}, threads: 1, log_every: 1, warmup: 0}}
evaluation: {{every: end}}
output: {folder}/run
"""


@dataclass
class Clock(TrainerCallback):
    """CPU seconds of each update, and its loss; of all threads of this process, and it has one."""

    seconds: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    _begun: float = 0.0

    def on_step_begin(self, *args: Any, **kwargs: Any) -> None:
        self._begun = time.process_time()

    def on_step_end(self, *args: Any, **kwargs: Any) -> None:
        self.seconds.append(time.process_time() - self._begun)

    def heard(self, trainer: Any) -> None:
        """Note the loss that each step of the trainer returns."""
        own = trainer.training_step

        def step(*args: Any, **kwargs: Any) -> Any:
            loss = own(*args, **kwargs)
            self.losses.append(float(loss))
            return loss

        trainer.training_step = step


@dataclass
class Examples:
    """Batches in the order of training, and the recipe's task over them."""

    task: Any
    arguments: dict[str, Any]
    rows: list[dict[str, list[int]]]
    batch: int

    @property
    def tokens(self) -> list[int]:
        """Tokens of each batch that are no padding."""
        return [sum(len(row["input_ids"]) for row in part) for part in self.batches]

    @property
    def batches(self) -> list[list[dict[str, list[int]]]]:
        """The batches."""
        return [self.rows[i : i + self.batch] for i in range(0, len(self.rows), self.batch)]

    @property
    def pad(self) -> int:
        """The padding token."""
        return int(self.task.tokenizer.pad_token_id)


def examples(train: Path, folder: Path, model: str, *, batch: int, steps: int, precision: str = "fp32") -> Examples:
    """The recipe over a file of pairs, and what its first updates read."""
    from llmrec.train.batches import epoch_order

    recipe = parse_recipe(
        RECIPE.format(model=model, train=train, folder=folder, batch=batch, steps=steps, precision=precision), ()
    )
    task = prepare(recipe)
    arguments = training_arguments(recipe, task.chosen, folder / "checkpoints", steps=steps, has_dev=False)
    arguments |= {
        "save_strategy": "no",
        "lr_scheduler_type": "constant",
        "logging_strategy": "no",
        "logging_first_step": False,
    }
    order = epoch_order(task.lengths().tokens, batch, seed=recipe.training.seed, epoch=0, grouped=True)
    encoded = [task.encoded[i] for i in order[: batch * steps]]
    return Examples(task, arguments, [{"input_ids": t.input_ids, "labels": t.labels} for t in encoded], batch)


def fresh(given: Examples) -> Any:
    """The model under a new adapter, the same each time."""
    torch.manual_seed(0)
    return given.task.load()


def ours(given: Examples, *, own: bool = True) -> Clock:
    """Our recipe, as ``llmrec finetune`` trains; not ``own``: by trl's step instead of ours."""
    fresh(given)
    clock = Clock()
    trainer = _trainer(given.task, dict(given.arguments), [clock])
    lengths = given.task.lengths().tokens
    best = Best(Path(given.arguments["output_dir"]) / "best", greater=False)
    trainer.watch(measure=None, metric="loss", best=best, patience=None, lengths=lengths, grouped=True)
    clock.heard(trainer)
    if not own:
        trainer._decided = True
    trainer.train()
    if own and trainer._way is None:
        raise SystemExit("error: our own step was not taken: there is nothing to measure")
    return clock


def plain(
    given: Examples, *, length: int | None, bf16: bool = False, limit: int | None = None, eager: bool = False
) -> Clock:
    """PEFT and transformers' ``Trainer`` on the same batches in the same order.

    Args:
        length: What every batch is padded to; None: its longest row.
        bf16: ``TrainingArguments(bf16=True)`` over weights in float32.
        limit: Only so many rows, one at a time.
        eager: The library's other attention: how far two of its own ways are apart.
    """
    from torch.utils.data import SequentialSampler
    from transformers import Trainer, TrainingArguments

    class InOrder(Trainer):
        def _get_train_sampler(self, train_dataset: Any = None) -> Any:
            return SequentialSampler(self.train_dataset)

    def padded(rows: Sequence[dict[str, list[int]]]) -> dict[str, Any]:
        return pad_to(collate(rows, given.pad), length, given.pad)

    model = fresh(given)
    if eager:
        model.get_base_model().set_attn_implementation("eager")
    clock = Clock()
    arguments = dict(given.arguments) | {"bf16": bf16}
    if limit:
        arguments |= {"per_device_train_batch_size": 1, "max_steps": limit}
    rows = given.rows[: limit or None]
    trainer = InOrder(
        model=model, args=TrainingArguments(**arguments), train_dataset=rows, data_collator=padded, callbacks=[clock]
    )
    clock.heard(trainer)
    trainer.train()
    return clock


def pad_to(batch: dict[str, Any], length: int | None, pad: int) -> dict[str, Any]:
    """A batch with more padding on the right."""
    if length is None:
        return batch
    fill = {"input_ids": pad, "attention_mask": 0, "labels": IGNORED}
    more = length - batch["input_ids"].shape[1]
    return {key: torch.nn.functional.pad(value, (0, more), value=fill[key]) for key, value in batch.items()}


class Part(Way):
    """Our way with some of its ideas left out."""

    def __init__(self, bare: Any, *, share: bool, fuse: bool) -> None:
        super().__init__(bare)
        self.share, self.fuse = share, fuse

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Without the fused layers when they are left out."""
        from llmrec.train.ragged import ATTENTION

        if self.fuse:
            with super().taken():
                yield
            return
        self.base.config._attn_implementation = ATTENTION
        try:
            yield
        finally:
            self.base.config._attn_implementation = "sdpa"


def ladder(given: Examples) -> dict[str, Callable[[list[dict[str, list[int]]]], Any]]:
    """Forward and backward of one batch, one idea more from arm to arm; the loss is returned."""
    model = fresh(given).train()

    def library(rows: Any) -> Any:
        return model(**collate(rows, given.pad)).loss

    def head_where_trained(rows: Any) -> Any:
        from llmrec.train.fused import HeadLoss

        batch = collate(rows, given.pad)
        way = Part(model, share=False, fuse=False)
        with way._without_head():
            mask = batch["attention_mask"]
            hidden = model(input_ids=batch["input_ids"], attention_mask=mask, use_cache=False).logits[:, :-1]
        told = batch["labels"][:, 1:]
        total = HeadLoss.apply(hidden[told != IGNORED], way.head.weight, None, told[told != IGNORED])
        return total / int((told != IGNORED).sum())

    def line(share: bool, fuse: bool) -> Callable[[Any], Any]:
        way = Part(model, share=share, fuse=fuse)

        def run(rows: Any) -> Any:
            total, count = way.loss(model, collate(rows, given.pad))
            return total / count

        return run

    arms: dict[str, Callable[[Any], Any]] = {
        "batches of like length, padded to their longest": library,
        "+ head where an answer is trained": head_where_trained,
        "+ one line without padding": line(share=False, fuse=False),
        "+ common beginning once": line(share=True, fuse=False),
        "+ fused layers (our step)": line(share=True, fuse=True),
    }
    fusing = {name: Part(model, share=True, fuse=True) for name in list(arms)[-1:]}

    def timed(name: str) -> Callable[[Any], Any]:
        def run(rows: Any) -> Any:
            with fusing[name].taken() if name in fusing else nullcontext():
                loss = arms[name](rows)
                loss.backward()
            model.zero_grad()
            return loss.detach()

        return run

    return {name: timed(name) for name in arms}


def computed(rows: Sequence[dict[str, list[int]]], pad: int) -> int:
    """Tokens that our step computes of a batch."""
    return int(in_one_line(collate(rows, pad)).input_ids.shape[1])
