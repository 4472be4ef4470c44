"""A language model writes, a parser reads, and a checker ties what was read to its source.

Records come out in the order of the input, each batch as soon as it is done; no more than one batch is held.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import Any, Generic, TypeVar

from llmrec.errors import InputError
from llmrec.prompting import (
    Prompt,
    content_variables,
    ground_intent,
    ground_summary,
    load_prompt,
    parse_intent,
    parse_summary,
    product_variables,
)
from llmrec.records import Completion, Content, GenerationSettings, Intent, Product, ProductSummary
from llmrec.seams import Generator
from llmrec.storage import Ledger, fingerprint
from llmrec.summarize.report import Report

Source = TypeVar("Source", Product, Content)
Written = TypeVar("Written", ProductSummary, Intent)

#: Records that are handed to the generator at once; it sorts them by length and batches them by tokens.
BATCH = 32


class _Writer(Generic[Source, Written]):
    """What summaries and intents have in common."""

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
        if not batch:
            return []
        rendered = [self.prompt.render(self.prompt.pick(self._variables(record))) for record in batch]
        completions = self.generator.generate([one.conversation for one in rendered], self.settings)
        out: list[Written] = []
        for record, one, completion in zip(batch, rendered, completions, strict=True):
            problems = [f"{n}: {count} characters of it left out of the prompt" for n, count in one.truncated.items()]
            if completion.truncated_prompt_tokens:
                problems.append(f"prompt: {completion.truncated_prompt_tokens} tokens of it cut to fit the model")
            out.append(self._read(record, completion, tuple(problems)))
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


class Summarizer(_Writer[Product, ProductSummary]):
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


class IntentWriter(_Writer[Content, Intent]):
    """Writes what each content shows or wants; arguments and errors as of ``Summarizer``, task ``intent``."""

    task = "intent"
    written = Intent

    def __init__(
        self,
        generator: Generator,
        prompt: str | Path | Prompt = "shopping-intent",
        settings: GenerationSettings | None = None,
    ) -> None:
        super().__init__(generator, prompt, settings)

    def intents(
        self, contents: Iterable[Content], batch_size: int = BATCH, ledger: Ledger[Intent] | None = None
    ) -> Iterator[Intent]:
        """Write intents, in order; arguments and errors as of ``Summarizer.summarize``.

        A content without any text gets an empty intent that says so; a shopping intent of a search that is shorter
        than the intent itself is still the model's, so that all kinds are treated alike.
        """
        return self.write(contents, batch_size, ledger)

    def _variables(self, record: Content) -> dict[str, Any]:
        return content_variables(record)

    def _write_batch(self, batch: list[Content]) -> list[Intent]:
        told = [i for i, content in enumerate(batch) if _has_text(content)]
        written = dict(zip(told, super()._write_batch([batch[i] for i in told]), strict=True))
        silent = ("unreadable: the content has no text",)
        return [written.get(i) or Intent(content.id, problems=silent) for i, content in enumerate(batch)]

    def _read(self, record: Content, completion: Completion, problems: tuple[str, ...]) -> Intent:
        parsed = parse_intent(**self._answer(completion))
        checked, support = ground_intent(parsed, record, self.prompt.examples)
        return Intent(
            content_id=record.id,
            product_type=checked.product_type,
            brand=checked.brand,
            attributes=checked.attributes,
            query=checked.query,
            support=support,
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


def _has_text(content: Content) -> bool:
    texts = (content.title, content.caption, *content.hashtags, *(item.text for item in content.timed_text))
    return any(char.isalnum() for text in texts for char in text)
