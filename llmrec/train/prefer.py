"""``task: prefer``: direct preference optimisation over preferred and rejected answers, by trl.

Rows of the data, the conversation in any form of ``answers``::

    {"product": {…}, "chosen": {"headline":…,"summary":…}, "rejected": {"headline":…,"summary":…}}
    {"prompt": "Title: …", "chosen": "A blue enamel mug.", "rejected": "The best mug in the world!"}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from llmrec.errors import InputError
from llmrec.train.answers import Answer, read_rows
from llmrec.train.summarize import SummarizeTask
from llmrec.train.task import Lengths, Measured
from llmrec.train.tokens import IGNORED, Tokens


@dataclass(frozen=True)
class Preference:
    """One conversation with the answer that is wanted and the one that is not."""

    chosen: Answer
    rejected: Answer

    @property
    def group(self) -> str:
        """What is never split between train and dev."""
        return self.chosen.group


def read_preferences(name: str, prompt: str | None) -> list[Preference]:
    """Read a file of preferences.

    Raises:
        InputError: Names the file, the line and the fault.
    """
    found = []
    for (line, chosen), (_, rejected) in zip(
        read_rows(name, prompt, answer="chosen"), read_rows(name, prompt, answer="rejected"), strict=True
    ):
        if chosen.answer == rejected.answer:
            step = "Leave out pairs that are equal: nothing can be learned from them."
            raise InputError(f"{name}, line {line}: chosen and rejected are the same", next_step=step)
        found.append(Preference(chosen, rejected))
    return found


class PreferTask(SummarizeTask):
    """Learns to prefer; measured by how often the wanted answer is the likelier one, by its tokens' mean."""

    libraries = ("datasets", "trl.trainer.dpo_trainer")

    def _examples(self, name: str) -> list[Any]:
        return read_preferences(name, self.recipe.data.prompt)

    def settle(self) -> None:
        """Nothing: both answers go through the model, padded."""

    @cached_property
    def pairs(self) -> list[tuple[Tokens, Tokens]]:
        """The training preferences as tokens."""
        return [self._encode(e) for e in self.splits.train]

    def lengths(self) -> Lengths:
        tokens = [len(c.input_ids) + len(r.input_ids) for c, r in self.pairs]
        return Lengths(
            tokens, [c.trained + r.trained for c, r in self.pairs], sum(c.cut + r.cut > 0 for c, r in self.pairs)
        )

    def shown(self, count: int) -> list[str]:
        texts = []
        for chosen, rejected in self.pairs[:count]:
            prompt = [i for i, label in zip(chosen.input_ids, chosen.labels, strict=True) if label == IGNORED]
            parts = [self.tokenizer.decode([t for t in side.labels if t != IGNORED]) for side in (chosen, rejected)]
            texts.append(f"{self.tokenizer.decode(prompt)}\n  + ⟦{parts[0]}⟧\n  - ⟦{parts[1]}⟧")
        return texts

    def trainer(self, arguments: dict[str, Any], callbacks: list[Any]) -> Any:
        from datasets import Dataset
        from trl import DPOConfig, DPOTrainer

        from llmrec.train.steps import StepsMixin

        class Trainer(StepsMixin, DPOTrainer):  # type: ignore[misc]
            """trl's, with our batches, tokens and checks."""

            def _prepare_dataset(self, dataset: Any, *args: Any, **kwargs: Any) -> Any:
                return dataset

        settings = self.recipe.prefer
        losses = [settings.loss] + (["sft"] if settings.sft_weight else [])
        dev = [self._encode(e) for e in self.splits.dev[: self.recipe.evaluation.limit]]
        return Trainer(
            model=self.model,
            args=DPOConfig(
                **arguments,
                beta=settings.beta,
                loss_type=losses,
                loss_weights=[1.0, settings.sft_weight] if settings.sft_weight else None,
                max_length=None,
            ),
            train_dataset=Dataset.from_list([_row(*pair) for pair in self.pairs]),
            eval_dataset=Dataset.from_list([_row(*pair) for pair in dev]) if dev else None,
            processing_class=self.tokenizer,
            callbacks=callbacks,
        )

    def measure(self, examples: Sequence[Preference], *, base: bool = False) -> Measured:  # type: ignore[override]
        chosen = self._likelihoods([self._encode(e)[0] for e in examples], base)
        rejected = self._likelihoods([self._encode(e)[1] for e in examples], base)
        wins = [float(c > r) for c, r in zip(chosen, rejected, strict=True)]
        margins = [c - r for c, r in zip(chosen, rejected, strict=True)]
        return Measured(values={"accuracy": wins, "margin": margins})

    def _likelihoods(self, rows: Sequence[Tokens], base: bool) -> list[float]:
        """Mean log-likelihood of the trained tokens of each row."""
        from contextlib import nullcontext

        import torch

        from llmrec.llm.hardware import torch_threads

        model, training = self.model, self.model.training
        without = model.disable_adapter() if base and hasattr(model, "disable_adapter") else nullcontext()
        found = []
        model.eval()
        with without, torch_threads(self.chosen.threads), torch.inference_mode():
            for row in rows:
                ids = torch.tensor([row.input_ids], device=self.chosen.device)
                count = row.trained
                logits = model(input_ids=ids, use_cache=False).logits[0, -count - 1 : -1].float()
                wanted = torch.tensor(row.labels[-count:], device=logits.device)
                found.append(float(torch.log_softmax(logits, -1).gather(1, wanted[:, None]).mean()))
        model.train(training)
        return found

    def _encode(self, example: Preference) -> tuple[Tokens, Tokens]:
        limit = self.chosen.max_tokens
        chosen, rejected = (
            self.encoder.encode(a.conversation, a.answer, limit) for a in (example.chosen, example.rejected)
        )
        return chosen, rejected


def _row(chosen: Tokens, rejected: Tokens) -> dict[str, list[int]]:
    prompt = [i for i, label in zip(chosen.input_ids, chosen.labels, strict=True) if label == IGNORED]
    answers = [[t for t in side.labels if t != IGNORED] for side in (chosen, rejected)]
    return {"prompt_ids": prompt, "chosen_ids": answers[0], "rejected_ids": answers[1]}
