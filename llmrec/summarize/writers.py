"""A language model writes, a parser reads, and a checker ties what was read to its source.

Records come out in the order of the input, each batch as soon as it is done; no more than one batch is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from llmrec.errors import InputError
from llmrec.prompting import (
    Prompt,
    ground_summary,
    load_prompt,
    parse_summary,
    product_variables,
)
from llmrec.records import Completion, Content, GenerationSettings, Product, ProductSummary
from llmrec.seams import Generator
from llmrec.storage import Ledger, fingerprint
from llmrec.summarize.report import Report

if TYPE_CHECKING:
    from llmrec.summarize.intents import Intents


Source = TypeVar("Source", Product, Content)
Written = TypeVar("Written", bound="ProductSummary | Intents")

#: Records that are handed to the generator at once; it sorts them by length and batches them by tokens.
BATCH = 32


class Writer(Generic[Source, Written]):
    """What summaries and intents have in common: asking in batches, reading, keeping in a ledger."""

    task = ""
    written: type[Written]

    def __init__(self, generator: Generator, prompt: str | Path | Prompt, settings: GenerationSettings | None) -> None:
        self.generator = generator
        self.prompt = prompt if isinstance(prompt, Prompt) else load_prompt(prompt)
        if self.prompt.task != self.task:
            step = f"Give a prompt whose task is {self.task}."
            raise InputError(f"{self.prompt.name}: a prompt for the task {self.prompt.task}", next_step=step)
        self.settings = settings or self.prompt.settings
        self.report = Report()
        #: Records that were taken from a ledger.
        self.resumed = 0
        digest = getattr(generator, "digest", "") or generator.reference
        #: Changes with all that the answers depend on beside the record: prompt, model, adapter, settings.
        self.settings_digest = fingerprint(self.prompt.digest, digest, generator.adapter, self.settings)

    def ledger(self, output: str | Path, *, resume: bool = True) -> Ledger[Written]:
        """A ledger beside an output: with it an interrupted run goes on where it was (see ``Ledger``)."""
        return Ledger(output, self.written, self.settings_digest, resume=resume)

    def write(
        self, records: Iterable[Source], batch_size: int = BATCH, ledger: Ledger[Written] | None = None
    ) -> Iterator[Written]:
        """Write for each record, in order; what the ledger holds is not written again."""
        if batch_size < 1:
            raise InputError(f"batch_size is {batch_size}", next_step="Give a whole number from 1.")
        stream = iter(records)
        while batch := list(islice(stream, batch_size)):
            # a record that was changed since is another record
            keys = [f"{record.id} {fingerprint(record)}" for record in batch]
            found = ledger.done if ledger is not None else {}
            done: dict[int, Written] = {i: found[key] for i, key in enumerate(keys) if key in found}
            self.resumed += len(done)
            pending = [i for i in range(len(batch)) if i not in done]
            for i, written in zip(pending, self._write_batch([batch[i] for i in pending]), strict=True):
                done[i] = written
                if ledger is not None:
                    ledger.add(keys[i], written)
            for i in range(len(batch)):
                self.report.count(done[i].problems)
                yield done[i]

    def _write_batch(self, batch: list[Source]) -> list[Written]:
        return [self._read(record, *asked) for record, asked in zip(batch, self._ask(batch), strict=True)]

    def _ask(self, batch: list[Source]) -> list[tuple[Completion, tuple[str, ...]]]:
        """The model's answer for each record, and what of the record it did not see."""
        if not batch:
            return []
        rendered = [self.prompt.render(self.prompt.pick(self._variables(record))) for record in batch]
        completions = self.generator.generate([one.conversation for one in rendered], self.settings)
        out = []
        for one, completion in zip(rendered, completions, strict=True):
            problems = [f"{n}: {count} characters of it left out of the prompt" for n, count in one.truncated.items()]
            if completion.truncated_prompt_tokens:
                problems.append(f"prompt: {completion.truncated_prompt_tokens} tokens of it cut to fit the model")
            out.append((completion, tuple(problems)))
        return out

    def _answer(self, completion: Completion) -> dict[str, Any]:
        return {
            "text": completion.text,
            "schema": self.prompt.output,
            "prefix": self.prompt.prefix,
            "cut": completion.finish == "length",
        }

    def _variables(self, record: Source) -> dict[str, Any]:
        raise NotImplementedError

    def _read(self, record: Source, completion: Completion, problems: tuple[str, ...]) -> Written:
        raise NotImplementedError


class Summarizer(Writer[Product, ProductSummary]):
    """Writes a grounded summary of each product.

    Args:
        generator: The language model.
        prompt: A shipped prompt's name, a prompt file, or a loaded prompt, of the task ``summary``.
        settings: How the model writes; default: as the prompt says.

    Raises:
        InputError: No such prompt, or one of another task.
    """

    task = "summary"
    written = ProductSummary

    def __init__(
        self,
        generator: Generator,
        prompt: str | Path | Prompt = "summarize-product",
        settings: GenerationSettings | None = None,
    ) -> None:
        super().__init__(generator, prompt, settings)

    def summarize(
        self, products: Iterable[Product], batch_size: int = BATCH, ledger: Ledger[ProductSummary] | None = None
    ) -> Iterator[ProductSummary]:
        """Summarise products, in order, a batch at a time.

        Args:
            products: Any number of them; they are streamed.
            batch_size: Products that the model gets at once.
            ledger: Holds finished summaries, so that an interrupted run goes on where it was (``ledger``).

        Raises:
            GenerationError: The model or its server failed.
        """
        return self.write(products, batch_size, ledger)

    def _variables(self, record: Product) -> dict[str, Any]:
        return product_variables(record)

    def _read(self, record: Product, completion: Completion, problems: tuple[str, ...]) -> ProductSummary:
        parsed = parse_summary(**self._answer(completion))
        checked, support = ground_summary(parsed, record, self.prompt.examples)
        return ProductSummary(
            product_id=record.id,
            headline=checked.headline,
            summary=checked.summary,
            highlights=checked.highlights,
            attributes=checked.attributes,
            support=support,
            model=self.generator.reference,
            adapter=self.generator.adapter,
            prompt=self.prompt.version,
            problems=problems + checked.problems,
        )


def summary_text(summary: ProductSummary) -> str:
    """A summary as one text, to be embedded or indexed."""
    attributes = [f"{name} {value}" for name, value in summary.attributes.items()]
    parts = [summary.headline, summary.summary, *summary.highlights, *attributes]
    seen: dict[str, str] = {}
    for part in parts:
        seen.setdefault(part.casefold(), part)
    return ". ".join(part.rstrip(".") for part in seen.values() if part)
