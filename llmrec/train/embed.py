"""``task: embed``: an encoder, or a language model that is pooled, learns to put queries beside their products.

By sentence-transformers' trainer. Both fields that an index compares are learned: titles with titles, wholes with
wholes. What is saved is one encoder in that library's layout, adapters merged, or with ``embed.save: adapter`` the
adapter in PEFT's.
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec.errors import InputError
from llmrec.models import ModelFolder
from llmrec.recipes import Recipe
from llmrec.records import Product
from llmrec.train.beside_words import KnownVectors, hybrid_negatives, weigh_encoder
from llmrec.train.chosen import Chosen
from llmrec.train.contrastive import Truth, contrastive_loss
from llmrec.train.embed_rows import EmbedRows, Row
from llmrec.train.embed_trainer import embed_trainer
from llmrec.train.encoders import encode, limited, load_sentence_encoder, merged, texts_at_once
from llmrec.train.encoders_saved import note_settings, refuse_more_than_pooling, same_vectors, save_encoder, usage
from llmrec.train.mining import kept, mine, tell_near
from llmrec.train.retrieval_data import RetrievalExample
from llmrec.train.retrieval_measure import centred, ranks, unit
from llmrec.train.summarize import save_adapter
from llmrec.train.task import Measured

#: Texts that a saved encoder is compared on.
COMPARED = 64


class EmbedTask(EmbedRows):
    """Learns by contrast; measured by where the right products stand among all."""

    def __init__(self, recipe: Recipe, model: ModelFolder, chosen: Chosen) -> None:
        if recipe.training.micro_batch_size == "auto":
            # the other examples of a batch are the negatives: it is never cut small, a gradient cache saves the memory
            share = recipe.training.batch_size // chosen.processes
            chosen = replace(chosen, micro_batch_size=share, accumulation=1)
        super().__init__(recipe, model, chosen)
        self._adapter: Any = None
        self._own_length = 0
        self._encoded: tuple[dict[str, int], NDArray[np.float32]] | None = None
        if recipe.embed.save == "adapter":
            self.kind = "adapter"

    def at_once(self) -> int:
        limit, chunk = self.chosen.max_tokens, self._chunk()

        def filled(batch: list[int]) -> int:
            query, product = (min(limit, max(self._tokens[i][side] for i in batch)) for side in (0, 1))
            return len(batch) * (query + (1 + self._negatives) * product)

        most = max(filled(batch) for batch in self.micro_batches())
        longest = min(limit, max(max(pair) for pair in self._tokens))
        return most if chunk is None else min(most, chunk * longest)

    def load(self) -> Any:
        from llmrec.train.summarize import with_adapter

        self.model = self._fresh(self.chosen)
        self._own_length = self.model.max_seq_length
        if self.kind == "adapter":
            refuse_more_than_pooling(self.model, self.folder.reference)
        if self.recipe.method.name != "full":
            for parameter in self.model.parameters():
                parameter.requires_grad_(False)
            self._adapter = with_adapter(self.model[0].auto_model, self, "FEATURE_EXTRACTION")
        return self.model

    def _fresh(self, chosen: Chosen) -> Any:
        full = self.recipe.method.name == "full"
        pooling = self.recipe.embed.pooling
        return load_sentence_encoder(self.folder.path, self.folder.reference, chosen, full=full, pooling=pooling)

    def trainer(self, arguments: dict[str, Any], callbacks: list[Any]) -> Any:
        embed = self.recipe.embed
        over = [d for d in embed.matryoshka if d > self.model.get_embedding_dimension()]
        if over:
            step = f"The vectors of {self.folder.reference} have {self.model.get_embedding_dimension()} numbers."
            raise InputError(f"embed.matryoshka: {over[0]} is too long", next_step=step)
        # nothing is trained yet, and an adapter starts as nothing: this is the untrained model still
        self._truth = self._known()
        self.model.max_seq_length = self.chosen.max_tokens
        loss = contrastive_loss(
            self.model,
            self._truth,
            temperature=embed.temperature,
            symmetric=embed.symmetric,
            chunk=self._chunk(),
            dims=embed.matryoshka,
        )
        train = [
            {"query": row.query, "positive": row.product, **self._negative_texts(row, number), "label": number}
            for number, row in enumerate(self.rows)
        ]
        start = len(self.rows)
        dev = [
            {"query": row.query, "positive": row.product, "label": start + n} for n, row in enumerate(self._dev_rows)
        ]
        return embed_trainer(
            self.model,
            arguments,
            loss,
            (train, dev),
            lengths=self.lengths().tokens,
            products=[self.items[row.item].group for row in self.rows],
            grouped=self.recipe.training.group_by_length,
            callbacks=callbacks,
        )

    def _negative_texts(self, row: Row, number: int) -> dict[str, str]:
        keys = [self._keys[i] for i in self._truth.negatives[number]]
        texts = [getattr(self.items[key], row.field) for key in keys]
        return {f"negative_{k}": self.prompts["document"] + text for k, text in enumerate(texts)}

    def _chunk(self) -> int | None:
        """Texts that go through the model at once; None when the whole batch fits."""
        if self.recipe.embed.chunk is not None:
            return self.recipe.embed.chunk if self.recipe.embed.chunk < self.chosen.micro_batch_size else None
        longest = min(self.chosen.max_tokens, max(max(pair) for pair in self._tokens))
        texts = texts_at_once(
            self.model, self.chosen, longest, checkpointing=self.recipe.training.gradient_checkpointing
        )
        columns = 2 + self._negatives
        return None if columns * self.chosen.micro_batch_size <= texts else min(texts, self.chosen.micro_batch_size)

    def _known(self) -> Truth:
        """What is known to match, what is alike and what are hard negatives, by the untrained model."""
        embed, train = self.recipe.embed, self.splits.train
        used = [*self.pool, *(key for e in (*train, *self.splits.dev) for key in (*e.grades, *e.negatives))]
        self._keys = list(dict.fromkeys(used))
        number = {key: i for i, key in enumerate(self._keys)}
        groups = {name: i for i, name in enumerate(dict.fromkeys(item.group for item in self.items.values()))}
        group = np.array([groups[self.items[key].group] for key in self._keys])
        every = [*train, *self.splits.dev]
        known = [sorted({groups[self.items[key].group] for key in e.grades}) for e in every]
        vectors = None
        if embed.hard_negatives or (embed.mask_false_negatives and embed.mask_above < 1):
            with limited(self.model, self.chosen.max_tokens):
                vectors = encode(self.model, [self.prompts["document"] + self.items[k].whole for k in self._keys])
        near = None
        if vectors is not None and embed.mask_false_negatives and embed.mask_above < 1:
            near = centred(vectors)
            tell_near(near, embed.mask_above)
        mined = None
        if vectors is not None and embed.hard_negatives:
            mined = self._mined(vectors, near, number, group, known)
        width = self._negatives
        rows = [*self.rows, *(row._replace(example=row.example + len(train)) for row in self._dev_rows)]
        negatives = np.empty((len(rows), width), dtype=np.int64)
        for place, row in enumerate(rows):
            own = number[row.item]
            given = [number[key] for key in every[row.example].negatives]
            more = mined[row.example] if mined is not None and row.example < len(train) else []
            # the right product in the place of one that is missing: it is masked
            negatives[place] = [*given, *more, *[own] * width][:width]
        return Truth(
            item=np.array([number[row.item] for row in rows]),
            negatives=negatives,
            known=[known[row.example] for row in rows],
            group=group,
            vectors=near,
            above=embed.mask_above,
            masked=embed.mask_false_negatives,
        )

    def _mined(
        self,
        vectors: NDArray[np.float32],
        near: NDArray[np.float32] | None,
        number: dict[str, int],
        group: NDArray[np.int64],
        known: Sequence[Sequence[int]],
    ) -> list[list[int]]:
        embed, train = self.recipe.embed, self.splits.train
        pool = {number[key] for key in self.pool} if self.recipe.data.products else None
        own = pool or {number[key] for e in train for key in (*e.grades, *e.negatives)}
        outside = np.array([i not in own for i in range(len(self._keys))])

        def barred(place: int) -> NDArray[np.bool_]:
            found = outside | np.isin(group, known[place])
            if near is not None:
                for key in train[place].positives:
                    found = found | (near @ near[number[key]] >= embed.mask_above)
            return found

        def work() -> list[list[int]]:
            window = {"first": embed.mine_from, "last": embed.mine_to, "seed": self.recipe.training.seed}
            with limited(self.model, self.chosen.max_tokens):
                if embed.mine_with == "hybrid":
                    shelf = self._shelf(self._keys)
                    wholes = {self.prompts["document"] + self.items[key].whole: i for i, key in enumerate(self._keys)}
                    encoder = KnownVectors(wholes, vectors, partial(encode, self.model), self.prompts)
                    return hybrid_negatives(encoder, shelf, train, barred, count=embed.hard_negatives, **window)
                asked = encode(self.model, [self.prompts["query"] + e.whole for e in train])
            return mine(asked, vectors, barred, count=embed.hard_negatives, **window)

        items = [self.items[key] for key in self._keys]
        settings = [
            embed.mine_with,
            embed.hard_negatives,
            embed.mine_from,
            embed.mine_to,
            embed.mask_false_negatives,
            embed.mask_above,
        ]
        identity = [self.folder.digest, items, [e[:5] for e in train], self.chosen.as_dict(), settings, embed.pooling]
        return kept(Path(self.recipe.output) / "mined.json", identity, work)

    def measure(self, examples: Sequence[RetrievalExample], *, base: bool = False) -> Measured:
        pool = self.pool
        missing = {key for e in examples for key in e.grades} - set(pool)
        keys = [*pool, *sorted(missing)]
        document, query = self.prompts["document"], self.prompts["query"]
        titles = [document + self.items[key].title for key in keys]
        wholes = [document + self.items[key].whole for key in keys]
        asked = [[query + e.title for e in examples], [query + e.whole for e in examples]]
        texts = list(dict.fromkeys([*titles, *wholes, *asked[0], *asked[1]]))
        place = {text: i for i, text in enumerate(texts)}
        without = self._adapter.disable_adapter() if base and self._adapter is not None else nullcontext()
        with without, limited(self.model, self._own_length):
            vectors = encode(self.model, texts)
        if not base:
            self._encoded = place, vectors
        fields = [
            (vectors[[place[t] for t in left]], vectors[[place[t] for t in right]])
            for left, right in ((asked[0], titles), (asked[1], wholes))
        ]
        values = ranks(fields, keys, examples)
        for dims in self.recipe.embed.matryoshka:
            if dims < vectors.shape[1]:
                cut = [(unit(left[:, :dims]), unit(right[:, :dims])) for left, right in fields]
                values |= {f"{name} ({dims} numbers)": v for name, v in ranks(cut, keys, examples).items()}
        return Measured(values=values)

    def _shelf(self, keys: Sequence[str]) -> list[Product]:
        """Products as an index takes them; one that is known by its text alone has it as title."""
        return [self._products.get(key, Product(id=key, title=self.items[key].title)) for key in keys]

    def _weigh(self, folder: Path) -> None:
        """Keep what the encoder counts in the hybrid, where there is a catalog to search and a query to search for."""
        dev = self.splits.dev[: self.recipe.evaluation.limit]
        if not (self.recipe.data.products and dev):
            return
        if self._encoded is None:
            self.measure(dev)
        assert self._encoded is not None
        products = self._shelf([*self.pool, *sorted({key for e in dev for key in e.positives} - set(self.pool))])
        with limited(self.model, self._own_length):
            encoder = KnownVectors(*self._encoded, partial(encode, self.model), self.prompts)
            weigh_encoder(encoder, products, dev, folder)

    def save(self, folder: Path) -> None:
        self._weigh(folder)
        texts = list(dict.fromkeys(text for row in self.rows for text in (row.query, row.product)))[:COMPARED]
        self.model.max_seq_length = self._own_length
        before = encode(self.model, texts)
        embed = self.recipe.embed
        settings = {"matryoshka": list(embed.matryoshka), "temperature": embed.temperature}
        if self.kind == "adapter":
            save_adapter(self._adapter, self.folder.reference, folder)
            note_settings(folder, **usage(self.model), prompts=self.prompts, **settings)
            lowest = same_vectors(folder, before, texts, self.chosen)
        else:
            precision = replace(self.chosen, precision="bf16")
            model = merged(self.model, self._adapter, lambda: self._fresh(precision))
            model.max_seq_length = self._own_length
            lowest = save_encoder(model, folder, before, texts, self.chosen)
        note_settings(folder, **settings, saved_cosine=lowest)
