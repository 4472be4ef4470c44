"""What an encoder learns from: the rows of ``task: embed``, their lengths, and how many negatives stand beside each."""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from typing import Any, NamedTuple

from llmrec.embed.loading import own_prompts
from llmrec.errors import InputError
from llmrec.models import ModelFolder
from llmrec.recipes import Recipe
from llmrec.train.chosen import Chosen
from llmrec.train.retrieval_data import Item, RetrievalExample, read_splits
from llmrec.train.task import Lengths, Splits, TrainingTask


class Row(NamedTuple):
    """One pair that is trained on: a field of a query with the same field of a product."""

    query: str
    product: str
    example: int
    item: str
    field: str


class EmbedRows(TrainingTask):
    """The data half of ``EmbedTask``."""

    kind = "encoder"
    libraries = ("datasets", "sentence_transformers")

    def __init__(self, recipe: Recipe, model: ModelFolder, chosen: Chosen) -> None:
        super().__init__(recipe, model, chosen)
        self.prompts = own_prompts(model.path)

    def read(self) -> Splits:
        found, reader = read_splits(self.recipe)
        self.items: dict[str, Item] = reader.items
        self._products = reader.products
        self.pool = reader.catalog or list(reader.items)
        self.splits = Splits(found["train"], found["dev"], found["test"])
        return self.splits

    @cached_property
    def rows(self) -> list[Row]:
        """The pairs that are trained on, prompts included."""
        return self._rows(self.splits.train)

    def _rows(self, examples: Sequence[RetrievalExample]) -> list[Row]:
        query, document = self.prompts["query"], self.prompts["document"]
        found = []
        for number, example in enumerate(examples):
            for key in example.positives:
                item = self.items[key]
                pairs = {"whole": (example.whole, item.whole), "title": (example.title, item.title)}
                for field, (left, right) in pairs.items():
                    if field == "whole" or (left, right) != pairs["whole"]:
                        found.append(Row(query + left, document + right, number, key, field))
        return found

    @cached_property
    def tokenizer(self) -> Any:
        """The model's tokenizer, for counting; the encoder brings its own."""
        from transformers import AutoTokenizer

        return AutoTokenizer.from_pretrained(self.folder.path, local_files_only=True)

    @cached_property
    def _tokens(self) -> list[tuple[int, int]]:
        sides = [[row.query for row in self.rows], [row.product for row in self.rows]]
        counts = [[len(ids) for ids in self.tokenizer(side, verbose=False)["input_ids"]] for side in sides]
        return list(zip(*counts, strict=True))

    def lengths(self) -> Lengths:
        limit = self.chosen.max_tokens
        cut = sum(max(pair) > limit for pair in self._tokens)
        if cut and self.recipe.data.too_long == "refuse":
            step = "Raise data.max_tokens, or set data.too_long to cut."
            raise InputError(f"data.train: {cut} pairs are longer than {limit} tokens", next_step=step)
        tokens = [sum(min(count, limit) for count in pair) for pair in self._tokens]
        return Lengths(tokens, tokens, cut)

    def shown(self, count: int) -> list[str]:
        return [f"{row.query} ⟦{row.product}⟧" for row in self.rows[:count]]

    @cached_property
    def _dev_rows(self) -> list[Row]:
        return [row for row in self._rows(self.splits.dev[: self.recipe.evaluation.limit]) if row.field == "whole"]

    @property
    def _negatives(self) -> int:
        """Hard negatives of each query."""
        return self.recipe.embed.hard_negatives or max((len(e.negatives) for e in self.splits.train), default=0)
