"""What each content shows or wants, by a language model: an intent for each product, with its times.

::

    writer = IntentWriter(load_generator("starter:smollm2-135m"))
    for content, intents in zip(contents, writer.intents(contents)):
        for intent in intents:
            print(content.id, intent.start, intent.end, intent.query)
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path
from typing import Any

import msgspec

from llmrec.prompting import Prompt, content_variables, ground_intent, parse_intents
from llmrec.prompting.spans import forms
from llmrec.records import Completion, Content, GenerationSettings, Intent
from llmrec.seams import Generator
from llmrec.storage import Ledger
from llmrec.summarize.parts import parts_of, span_of
from llmrec.summarize.writers import BATCH, Writer

#: Share of their words from which on two sentences of neighbouring parts are about one product.
SAME = 0.5
SILENT = "unreadable: the content has no text"


class Intents(msgspec.Struct, frozen=True):
    """All intents of one content, in order of time; at least one, which may be empty but for its problems."""

    content_id: str
    intents: tuple[Intent, ...]

    @property
    def problems(self) -> tuple[str, ...]:
        """Those of all of them, each once."""
        return tuple(dict.fromkeys(chain.from_iterable(intent.problems for intent in self.intents)))


class IntentWriter(Writer[Content, Intents]):
    """Writes what each content shows or wants.

    A content with much timed text is cut into parts by time (``llmrec.summarize.parts``), and the model is asked about
    each; what it says of neighbouring parts about one product becomes one intent.

    Args:
        generator: The language model.
        prompt: Of the task ``intent``: ``shopping-intent`` asks for one product of each part, ``shopping-intents``
            for all (larger models can), or a prompt file.
        settings: How the model writes; default: as the prompt says.

    Raises:
        InputError: No such prompt, or one of another task.
    """

    task = "intent"
    written = Intents

    def __init__(
        self,
        generator: Generator,
        prompt: str | Path | Prompt = "shopping-intent",
        settings: GenerationSettings | None = None,
    ) -> None:
        super().__init__(generator, prompt, settings)

    def intents(
        self, contents: Iterable[Content], batch_size: int = BATCH, ledger: Ledger[Intents] | None = None
    ) -> Iterator[tuple[Intent, ...]]:
        """Write the intents of each content, in order; arguments and errors as of ``Summarizer.summarize``.

        A content without any text gets one empty intent that says so; a shopping intent of a search that is shorter
        than the intent itself is still the model's, so that all kinds are treated alike.
        """
        for written in self.write(contents, batch_size, ledger):
            yield written.intents

    def _variables(self, record: Content) -> dict[str, Any]:
        return content_variables(record)

    def _write_batch(self, batch: list[Content]) -> list[Intents]:
        parts = [(place, part) for place, content in enumerate(batch) for part in parts_of(content) if _has_text(part)]
        found: list[list[Intent]] = [[] for _ in batch]
        for (place, part), asked in zip(parts, self._ask([part for _, part in parts]), strict=True):
            found[place] += self._read(part, *asked).intents
        return [
            Intents(content.id, told(intents) or (Intent(content.id, problems=(SILENT,)),))
            for content, intents in zip(batch, found, strict=True)
        ]

    def _read(self, record: Content, completion: Completion, problems: tuple[str, ...]) -> Intents:
        intents = []
        answers = parse_intents(**self._answer(completion))
        for parsed in answers:
            checked, support = ground_intent(parsed, record, self.prompt.examples)
            start, end = span_of(record)
            if len(answers) > 1:  # of several products of one part each is where its words are
                starts = [one.start for one in support if one.start is not None]
                ends = [one.end for one in support if one.end is not None]
                start, end = min(starts, default=start), max(ends, default=end)
            intents.append(
                Intent(
                    content_id=record.id,
                    product_type=checked.product_type,
                    brand=checked.brand,
                    attributes=checked.attributes,
                    query=checked.query,
                    support=support,
                    problems=problems + checked.problems,
                    start=start,
                    end=end,
                )
            )
        return Intents(record.id, tuple(intents))


def told(intents: Iterable[Intent]) -> tuple[Intent, ...]:
    """The intents of a content's parts, neighbours about one product made one; empty ones only if all are."""
    every = list(intents)
    out: list[Intent] = []
    for intent in every:
        if not intent.query:
            continue
        if out and same_product(out[-1], intent):
            out[-1] = _joined(out[-1], intent)
        else:
            out.append(intent)
    return tuple(out) or tuple(every[:1])


def same_product(one: Intent, other: Intent) -> bool:
    """Whether two intents are about one product: brands that do not differ, and half of the shorter's words shared."""
    brands = {intent.brand.casefold() for intent in (one, other)} - {""}
    mine, theirs = forms([one.query, one.product_type]), forms([other.query, other.product_type])
    shared = len(mine & theirs) / max(1, min(len(mine), len(theirs)))
    return len(brands) < 2 and shared >= SAME


def _joined(one: Intent, other: Intent) -> Intent:
    """The more telling of two intents about one product, with the attributes, support and time of both."""
    better = max(one, other, key=lambda intent: (len(intent.support), -(intent.start or 0.0)))
    starts = [intent.start for intent in (one, other) if intent.start is not None]
    ends = [intent.end for intent in (one, other) if intent.end is not None]
    return msgspec.structs.replace(
        better,
        brand=one.brand or other.brand,
        attributes={**other.attributes, **one.attributes},
        support=tuple(dict.fromkeys((*one.support, *other.support))),
        problems=tuple(dict.fromkeys((*one.problems, *other.problems))),
        start=min(starts, default=None),
        end=max(ends, default=None),
    )


def _has_text(content: Content) -> bool:
    texts = (content.title, content.caption, *content.hashtags, *(item.text for item in content.timed_text))
    return any(char.isalnum() for text in texts for char in text)
