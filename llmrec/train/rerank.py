"""``task: rerank``: a cross-encoder that tells whether two offers are one product, saved as sentence-transformers' own.

What it reads is ``llmrec.prompting.pair_texts``: both texts, and the words in which they agree and differ.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec.errors import InputError, TrainingError
from llmrec.models import ModelFolder, resolve
from llmrec.models.pair_encoder import load_pair_encoder, plain_pair_encoder
from llmrec.prompting.pair_blend import FEATURES, SETTINGS, Blend
from llmrec.prompting.pair_matcher import PairMatcher, probabilities
from llmrec.prompting.pairs import VERSION, offer_fields, pair_texts
from llmrec.recipes import Recipe
from llmrec.train.chosen import Chosen
from llmrec.train.files import hold_out
from llmrec.train.loading import load_for_training
from llmrec.train.methods import peft_config
from llmrec.train.pair_files import LabelledPair, read_labelled_pairs
from llmrec.train.pair_measure import measured_pairs
from llmrec.train.pair_trees import train_pair_matcher
from llmrec.train.summarize import save_adapter
from llmrec.train.task import Lengths, Measured, Splits, TrainingTask

logger = logging.getLogger(__name__)

#: Highest weight of matching pairs that ``auto`` gives.
MOST_WEIGHT = 5.0
#: Cosines of pairs lie close together; as logits they are spread by this before weight and bias are fitted.
SHARPNESS = 10.0
#: Pairs that a saved adapter is asked, and the most that a logit may move by being saved.
ASKED, MOVED = 32, 1e-3


def rerank_task(recipe: Recipe, model: ModelFolder, chosen: Chosen) -> TrainingTask:
    """The task that the recipe's ``rerank.kind`` names."""
    if recipe.rerank.kind == "yes-no":
        from llmrec.train.yes_no import YesNoTask

        return YesNoTask(recipe, model, chosen)
    return CrossEncoderTask(recipe, model, chosen)


def read_pair_splits(recipe: Recipe) -> Splits:
    """Training, dev and test pairs of a recipe.

    A pair that is trained on and measured is told: offers may come back in other pairs, as they do in the usual sets.

    Raises:
        InputError: No pairs, or pairs of one kind alone.
    """
    data = recipe.data
    train = [pair for name in data.train for pair in read_labelled_pairs(name)][: data.limit]
    dev = read_labelled_pairs(data.dev) if data.dev else []
    if not data.dev and data.dev_share:
        train, dev = hold_out(train, data.dev_share, lambda pair: repr(pair.left), seed=recipe.training.seed)
    if not dev:
        step = "Give data.dev, or a data.dev_share above 0."
        raise InputError("data.dev: without dev pairs there is no threshold", next_step=step)
    test = read_labelled_pairs(data.test) if data.test else []
    known = {_key(pair) for pair in train}
    for name, pairs in (("train", train), ("dev", dev), ("test", test)):
        if (pairs or name == "train") and len({pair.label for pair in pairs}) < 2:
            step = "Give pairs that match and pairs that do not."
            raise InputError(f"data.{name}: {len(pairs)} pairs, of one label alone", next_step=step)
        shared = sum(_key(pair) in known for pair in pairs) if name != "train" else 0
        if shared:
            logger.warning("data.%s: %d of its %d pairs are also in data.train", name, shared, len(pairs))
    return Splits(train, dev, test)


class CrossEncoderTask(TrainingTask):
    """Learns a score for each pair by binary cross-entropy; measured by F1 at the threshold that is best on dev."""

    kind = "reranker"

    def __init__(self, recipe: Recipe, model: ModelFolder, chosen: Chosen) -> None:
        super().__init__(recipe, model, chosen)
        if recipe.rerank.save == "adapter":
            self.kind = "adapter"

    def read(self) -> Splits:
        self.splits = read_pair_splits(self.recipe)
        return self.splits

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder.path, local_files_only=True)

    @cached_property
    def rows(self) -> list[dict[str, Any]]:
        """The training pairs as token ids, with their labels; a swapped pair stands beside its original."""
        pairs: Sequence[LabelledPair] = self.splits.train
        rows = self._encode(pairs)
        if self.recipe.rerank.swap:
            rows += self._encode([pair._replace(left=pair.right, right=pair.left) for pair in pairs])
        return rows

    def _encode(self, pairs: Sequence[LabelledPair]) -> list[dict[str, Any]]:
        if not pairs:
            return []
        texts = [pair_texts(pair.left, pair.right, hints=self.recipe.rerank.hints) for pair in pairs]
        encoded = self.tokenizer(
            [text.left for text in texts],
            [text.right for text in texts],
            truncation="longest_first",
            max_length=self.chosen.max_tokens,
        )
        return [
            {**{key: encoded[key][i] for key in encoded}, "labels": float(pair.label)} for i, pair in enumerate(pairs)
        ]

    def lengths(self) -> Lengths:
        tokens = [len(row["input_ids"]) for row in self.rows]
        cut = sum(length >= self.chosen.max_tokens for length in tokens)
        return Lengths(tokens, tokens, cut)

    def shown(self, count: int) -> list[str]:
        rows = self.rows[:count]
        return [f"{self.tokenizer.decode(row['input_ids'])} ⟦{row['labels']:.0f}⟧" for row in rows]

    def load(self) -> Any:
        from peft import get_peft_model

        full = self.recipe.method.name == "full"
        model = load_for_training(self.folder.path, self.folder.reference, self.chosen, full=full, head="pair")
        self._new_head = bool(model.new_layers)
        config = peft_config(self.recipe, model, "SEQ_CLS", whole=model.new_layers)
        self.model = model if config is None else get_peft_model(model, config)
        return self.model

    def trainer(self, arguments: dict[str, Any], callbacks: list[Any]) -> Any:
        from torch.nn.functional import binary_cross_entropy_with_logits
        from transformers import Trainer as Base
        from transformers import TrainingArguments

        from llmrec.train.steps import StepsMixin

        drop, pad = self.recipe.rerank.drop_tokens, self._pad
        weight = self._positive_weight()
        keep = sorted(self.tokenizer.all_special_ids)

        class Trainer(StepsMixin, Base):  # type: ignore[misc]
            """transformers', with our batches and checks."""

            def compute_loss(self, model: Any, inputs: Any, *args: Any, **kwargs: Any) -> Any:
                import torch

                if drop and model.training:
                    # as Ditto's token deletion: no single word may decide
                    ids = inputs["input_ids"]
                    special = torch.isin(ids, torch.tensor(keep, device=ids.device))
                    dropped = (torch.rand(ids.shape, device=ids.device) < drop) & ~special
                    inputs["attention_mask"] = inputs["attention_mask"].masked_fill(dropped, 0)
                return super().compute_loss(model, inputs, *args, **kwargs)

        def loss(outputs: Any, labels: Any, num_items_in_batch: Any = None) -> Any:
            weights = 1 + (weight - 1) * labels
            total = binary_cross_entropy_with_logits(outputs.logits[:, 0].float(), labels, weights, reduction="sum")
            return total / (len(labels) if num_items_in_batch is None else num_items_in_batch)

        return Trainer(
            model=self.model,
            args=TrainingArguments(**arguments, label_names=["labels"]),
            train_dataset=self.rows,
            eval_dataset=self._encode(self.splits.dev[: self.recipe.evaluation.limit]) or None,
            data_collator=pad,
            compute_loss_func=loss,
            processing_class=self.tokenizer,
            callbacks=callbacks,
        )

    @cached_property
    def matcher(self) -> PairMatcher | None:
        """Trees over features, grown on the training pairs; None where the recipe does without."""
        if not self.recipe.rerank.features:
            return None
        return train_pair_matcher(self.splits.train, self.splits.dev, seed=self.recipe.training.seed)

    def measure(self, examples: Sequence[LabelledPair], *, base: bool = False) -> Measured:
        labels = np.array([pair.label for pair in examples])
        # a model that brings its head is asked as it is: nothing is trained yet when the base is measured
        logits = {"model": self._cosines(examples) if base and self._new_head else self.logits(examples)}
        if self.matcher is not None and not base:
            logits["features"] = self.matcher.logits([(pair.left, pair.right) for pair in examples])
        if examples is not self.splits.test:
            self._blend = Blend.fit(logits, labels)
        measured = measured_pairs(self._blend.score(logits).tolist(), labels.tolist(), self._blend.threshold)
        for name in logits if len(logits) > 1 else ():
            alone = probabilities(logits[name]).tolist()
            measured.parts[f"{name} alone"] = (alone, self._blend.alone[name])
        return measured

    def _cosines(self, pairs: Sequence[LabelledPair]) -> NDArray[np.float64]:
        """What the untrained model knows of pairs without a head: cosines of its vectors, float64 ``[n]``."""
        from llmrec.embed import load_encoder

        encoder = load_encoder(self.folder.reference, device=self.chosen.device, query_prompt="", document_prompt="")
        left, right = (
            encoder.encode([offer_fields(getattr(pair, side)).text for pair in pairs]) for side in ("left", "right")
        )
        return SHARPNESS * np.einsum("nd,nd->n", left, right, dtype=np.float64)

    def logits(self, pairs: Sequence[LabelledPair]) -> NDArray[np.float64]:
        """The present model's logit that each pair matches, float64 ``[n]``, in input order."""
        import torch

        from llmrec.llm.hardware import torch_threads

        rows = self._encode(pairs)
        order = sorted(range(len(rows)), key=lambda i: len(rows[i]["input_ids"]))
        found = np.zeros(len(rows))
        training = self.model.training
        self.model.eval()
        with torch_threads(self.chosen.threads), torch.inference_mode():
            for start in range(0, len(order), 64):
                some = order[start : start + 64]
                batch = {k: v.to(self.chosen.device) for k, v in self._pad([rows[i] for i in some]).items()}
                batch.pop("labels")
                found[some] = self.model(**batch).logits[:, 0].float().cpu().numpy()
        self.model.train(training)
        return found

    def save(self, folder: Path) -> None:
        asked = self.splits.dev[:ASKED]
        before = self.logits(asked)
        settings = {"version": VERSION, "hints": self.recipe.rerank.hints, **self._blend.state()}
        if self.kind == "adapter":
            settings["max_length"] = self.chosen.max_tokens
            save_adapter(self.model, self.folder.reference, folder)
        else:
            self._save_merged(folder)
        self._check_saved(folder, asked, before)
        if self.matcher is not None:
            self.matcher.save(folder / FEATURES)
        (folder / SETTINGS).write_text(json.dumps(settings) + "\n", encoding="utf-8")

    def _save_merged(self, folder: Path) -> None:
        model = self.model.merge_and_unload(safe_merge=True) if hasattr(self.model, "merge_and_unload") else self.model
        model.config.id2label = {0: "match"}
        scratch = folder / "scratch"
        model.save_pretrained(scratch)
        self.tokenizer.save_pretrained(scratch)
        plain_pair_encoder(scratch, device="cpu", max_length=self.chosen.max_tokens, logits=False).save(str(folder))
        for path in sorted(scratch.iterdir()):
            path.unlink()
        scratch.rmdir()

    def _check_saved(self, folder: Path, asked: Sequence[LabelledPair], before: NDArray[np.float64]) -> None:
        """Load what was saved and ask it again; in 16 bits and fewer its logits may differ by rounding."""
        encoder = load_pair_encoder(resolve(str(folder)), max_length=self.chosen.max_tokens, device=self.chosen.device)
        texts = [tuple(pair_texts(pair.left, pair.right, hints=self.recipe.rerank.hints)) for pair in asked]
        moved = float(np.abs(before - encoder.predict(texts, show_progress_bar=False)).max())
        if self.chosen.precision == "fp32" and not moved <= MOVED:
            step = "Train it again with method full, or with another model; the checkpoints are kept."
            raise TrainingError(f"{folder}: saved scores differ from the trained ones ({moved:.4f})", next_step=step)

    _blend = Blend({"model": 1.0}, 0.0, 0.5, {})

    def _pad(self, rows: Sequence[dict[str, Any]]) -> dict[str, Any]:
        return dict(self.tokenizer.pad(list(rows), return_tensors="pt"))

    def _positive_weight(self) -> float:
        weight = self.recipe.rerank.positive_weight
        if weight != "auto":
            return float(weight)
        positives = sum(pair.label for pair in self.splits.train)
        return min(MOST_WEIGHT, max(1.0, (len(self.splits.train) - positives) / positives))


def _key(pair: LabelledPair) -> str:
    return hashlib.sha256(f"{pair.left!r}\0{pair.right!r}".encode()).hexdigest()
