"""``task: summarize``: supervised fine-tuning of a language model on conversations and their answers, by trl."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import msgspec

from llmrec.errors import InputError, ModelError
from llmrec.recipes import VIRTUAL_TOKENS
from llmrec.train.answers import Answer, read_answers
from llmrec.train.chosen import fitted
from llmrec.train.files import hold_out, refuse_shared
from llmrec.train.loading import load_for_training
from llmrec.train.methods import PROMPT_TEXT, peft_config
from llmrec.train.task import Lengths, Measured, Splits, TrainingTask
from llmrec.train.tokens import IGNORED, ExampleEncoder, Tokens, collate, common_beginning

#: Room that written answers get beyond the longest reference, when nothing else is said.
SLACK = 1.25


class SummarizeTask(TrainingTask):
    """Learns to answer as the examples do; measured by ROUGE of what it writes."""

    libraries = ("datasets", "trl.trainer.sft_trainer")

    def read(self) -> Splits:
        data = self.recipe.data
        train = [e for name in data.train for e in self._examples(name)][: data.limit]
        dev = self._examples(data.dev) if data.dev else []
        if not data.dev and data.dev_share:
            train, dev = hold_out(train, data.dev_share, _group, seed=self.recipe.training.seed)
        test = self._examples(data.test) if data.test else []
        for name, other in (("dev", dev), ("test", test)):
            refuse_shared(train, other, _group, name)
        if not train:
            raise InputError("data.train: no examples are left to learn from", next_step="Lower data.dev_share.")
        self.splits = Splits(train, dev, test)
        return self.splits

    def _examples(self, name: str) -> list[Any]:
        return read_answers(name, self.recipe.data.prompt)

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        from transformers import AutoTokenizer

        tokenizer: Any = AutoTokenizer.from_pretrained(self.folder.path, local_files_only=True)
        if tokenizer.pad_token is None:
            tokenizer.pad_token = tokenizer.eos_token
        return tokenizer

    @cached_property
    def encoder(self) -> ExampleEncoder:
        """Conversations to tokens."""
        return ExampleEncoder(self.tokenizer)

    @cached_property
    def encoded(self) -> list[Tokens]:
        """The training examples as tokens; those too long are cut, dropped or refused as the recipe says."""
        how, limit = self.recipe.data.too_long, self.chosen.max_tokens
        found = [self._tokens(e) for e in self.splits.train]
        self._dropped = 0
        if how == "refuse" and any(t.cut for t in found):
            first = next(e.id for e, t in zip(self.splits.train, found, strict=True) if t.cut)
            step = "Raise data.max_tokens, or set data.too_long to cut or drop."
            raise InputError(f"data.train: {first} is longer than {limit} tokens", next_step=step)
        if how == "drop":
            kept = [t for t in found if not t.cut]
            self._dropped, found = len(found) - len(kept), kept
        if not found:
            raise InputError("data.train: every example is too long", next_step="Raise data.max_tokens.")
        return found

    def settle(self) -> None:
        method, free = self.recipe.method, self.recipe.training.micro_batch_size == "auto"
        if not free or self.chosen.device != "cpu" or self.recipe.training.compile:
            return
        shared = 0 if method.dropout else common_beginning(self.encoded)
        self.chosen = fitted(self.chosen, longest=max(len(t.input_ids) for t in self.encoded), shared=shared)

    def _tokens(self, example: Answer) -> Tokens:
        """One example as tokens; empty and cut where even the middle of its text cannot make it fit."""
        try:
            return self.encoder.encode(example.conversation, example.answer, self.chosen.max_tokens)
        except InputError as error:
            if self.recipe.data.too_long != "cut":
                return Tokens([], [], cut=1)
            step = "Raise data.max_tokens, or set data.too_long to drop."
            raise InputError(
                f"{example.id} cannot be cut to data.max_tokens: {error.message}", next_step=step
            ) from error

    def lengths(self) -> Lengths:
        found = self.encoded
        trained = [t.trained for t in found]
        tokens, cut = [len(t.input_ids) for t in found], sum(t.cut > 0 for t in found)
        return Lengths(tokens, trained, cut, self._dropped, self._prompts)

    @cached_property
    def _prompts(self) -> list[int]:
        """A number for each training example's prompt; nothing where every prompt has one answer."""
        numbers: dict[tuple[int, ...], int] = {}
        found = [numbers.setdefault(tuple(t.input_ids[: -t.trained]), len(numbers)) for t in self.encoded]
        return found if len(numbers) < len(found) else []

    def shown(self, count: int) -> list[str]:
        texts = []
        for tokens in self.encoded[:count]:
            read = [i for i, label in zip(tokens.input_ids, tokens.labels, strict=True) if label == IGNORED]
            trained = [label for label in tokens.labels if label != IGNORED]
            texts.append(f"{self.tokenizer.decode(read)}⟦{self.tokenizer.decode(trained)}⟧")
        return texts

    def load(self) -> Any:
        full = self.recipe.method.name == "full"
        model = load_for_training(self.folder.path, self.folder.reference, self.chosen, full=full)
        model.config.use_cache = False
        self.model = with_adapter(model, self)
        return self.model

    def trainer(self, arguments: dict[str, Any], callbacks: list[Any]) -> Any:
        from datasets import Dataset
        from trl import SFTConfig, SFTTrainer

        from llmrec.train.fast import FastMixin
        from llmrec.train.steps import StepsMixin

        class Trainer(StepsMixin, FastMixin, SFTTrainer):  # type: ignore[misc]
            """trl's, with our batches, steps and checks."""

        dev = [tokens for tokens in map(self._tokens, self._looked_at()) if tokens.input_ids]
        packing = self._packing()
        return Trainer(
            model=self.model,
            args=SFTConfig(
                **arguments,
                max_length=self.chosen.max_tokens if packing else None,
                packing=packing,
                eval_packing=False,
                completion_only_loss=True,
                dataset_kwargs=None if packing else {"skip_prepare_dataset": True},
            ),
            train_dataset=Dataset.from_list([_row(t, packing) for t in self.encoded]),
            eval_dataset=Dataset.from_list([_row(t, packing) for t in dev]) if dev else None,
            processing_class=self.tokenizer,
            data_collator=None if packing else partial(collate, pad=self.tokenizer.pad_token_id),
            callbacks=callbacks,
        )

    def measure(self, examples: Sequence[Answer], *, base: bool = False) -> Measured:
        from llmrec.evaluate.rouge import COLUMNS, Rouge
        from llmrec.llm.local import TransformersGenerator
        from llmrec.prompting import parse_summary
        from llmrec.prompting.writing import plain_summary

        model = self.model
        if hasattr(model, "peft_config") and self.recipe.method.name not in VIRTUAL_TOKENS:
            # the layers of the adapter lie inside the plain model, which is quicker to generate with
            model = model.get_base_model()
        training, cached = model.training, model.config.use_cache
        without = self.model.disable_adapter() if base and hasattr(self.model, "disable_adapter") else nullcontext()
        if base and self.recipe.method.name in VIRTUAL_TOKENS:
            model = self.model.get_base_model()
        answers = []
        try:
            model.eval()
            model.config.use_cache = True
            with without:
                generator = TransformersGenerator(
                    model, self.tokenizer, reference=self.folder.reference, threads=self.chosen.threads
                )
                answers = generator.generate([e.conversation for e in examples], self._settings(examples))
        finally:
            model.config.use_cache = cached
            model.train(training)
        rouge = Rouge(stem=True)
        rows, texts = [], []
        for example, answer in zip(examples, answers, strict=True):
            text = answer.text.strip()
            if example.prompt is not None:
                prompt, cut = example.prompt, answer.finish == "length"
                parsed = parse_summary(text, prompt.output, prefix=prompt.prefix, cut=cut)
                text = plain_summary(parsed.headline, parsed.attributes, parsed.highlights, parsed.summary)
            texts.append(text)
            rows.append(rouge.score(text, example.references))
        values = {name: [float(row[i]) for row in rows] for i, name in enumerate(COLUMNS) if "_" not in name}
        return Measured(values=values, outputs=texts)

    def save(self, folder: Path) -> None:
        save_adapter(self.model, self.folder.reference, folder)
        self.tokenizer.save_pretrained(folder)

    def _looked_at(self) -> Sequence[Answer]:
        return self.splits.dev[: self.recipe.evaluation.limit]

    def _settings(self, examples: Sequence[Answer]) -> Any:
        from llmrec.records import GenerationSettings

        first = examples[0].prompt
        settings = first.settings if first else GenerationSettings()
        room = self.recipe.evaluation.max_new_tokens
        if room is None:
            lengths = [len(self.tokenizer.encode(e.answer, add_special_tokens=False)) for e in examples]
            room = min(int(SLACK * max(lengths)) + 8, self.chosen.max_tokens)
        return msgspec.structs.replace(settings, max_new_tokens=room)

    def _packing(self) -> bool:
        if not self.recipe.training.packing:
            return False
        from importlib.util import find_spec

        if not self.chosen.device.startswith("cuda") or find_spec("flash_attn") is None:
            step = "Set it to false: batches of like length (group_by_length) serve instead."
            raise InputError(
                "training.packing: wants a GPU with flash-attn, or examples see each other", next_step=step
            )
        self.model.set_attn_implementation("flash_attention_2")
        return True


def with_adapter(model: Any, task: TrainingTask, task_type: str = "CAUSAL_LM") -> Any:
    """The model with the recipe's adapter on top, ready to be trained.

    Raises:
        ModelError: The library beneath cannot put this method on this model in this precision.
    """
    from peft import get_peft_model, prepare_model_for_kbit_training

    config = peft_config(task.recipe, model, task_type)
    if config is None:
        return model
    checkpointing = task.recipe.training.gradient_checkpointing
    if task.chosen.precision in ("int8", "nf4"):
        model = prepare_model_for_kbit_training(
            model, use_gradient_checkpointing=checkpointing, gradient_checkpointing_kwargs={"use_reentrant": False}
        )
    try:
        adapted = get_peft_model(model, config)
    except (ValueError, TypeError, RuntimeError, NotImplementedError) as error:
        method, precision = task.recipe.method.name, task.chosen.precision
        step = "Take another method or precision."
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise ModelError(f"{task.folder.reference}: no {method} in {precision}: {reason}", next_step=step) from error
    if task.recipe.method.name == "prefix" and not task.recipe.method.hidden and isinstance(task, SummarizeTask):
        start_prefix(adapted, task)
    return adapted


def start_prefix(model: Any, task: SummarizeTask) -> None:
    """Start a prefix as the keys and values of real words.

    Random ones take the place of the first token, which every layer looks to: on 24 titles of products the loss of
    SmolLM2-135M goes from 3.78 to 6.78 before anything is learned, with words to 3.76.
    """
    from peft import initialize_kv_prefix_from_text

    tokenizer = task.tokenizer
    tokens = model.peft_config["default"].num_virtual_tokens
    text = task.recipe.method.text or PROMPT_TEXT[task.recipe.task]
    while len(tokenizer.encode(text)) < tokens:
        text += " " + text
    chat = tokenizer.chat_template is not None
    initialize_kv_prefix_from_text(model, tokenizer, text=text, num_virtual_tokens=tokens, use_chat_template=chat)


def save_adapter(model: Any, reference: str, folder: Path) -> None:
    """Write an adapter in PEFT's layout; it names its model by reference, never by a path of this machine."""
    for config in getattr(model, "peft_config", {}).values():
        config.base_model_name_or_path = reference
        if getattr(config, "tokenizer_name_or_path", None):
            config.tokenizer_name_or_path = reference
    if hasattr(model, "peft_config"):
        # embeddings are never resized here; "auto" would look for the reference on a hub
        model.save_pretrained(folder, safe_serialization=True, save_embedding_layers=False)
    else:
        model.save_pretrained(folder, safe_serialization=True)


def _row(tokens: Tokens, packing: bool) -> dict[str, list[int]]:
    if packing:
        mask = [int(label != IGNORED) for label in tokens.labels]
        return {"input_ids": tokens.input_ids, "completion_mask": mask}
    return {"input_ids": tokens.input_ids, "labels": tokens.labels}


def _group(example: Any) -> str:
    return str(example.group)
