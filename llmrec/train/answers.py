"""Examples of ``summarize``: a conversation and the answer that is to be learned.

One row a line, in any of these forms (``id`` and ``group`` are optional; a group is never in both train and dev)::

    {"product": {"id":"mug-1","title":…}, "summary": {"headline":…,"summary":…}}      put into the recipe's prompt
    {"prompt": "Title: …", "completion": "A blue enamel mug."}                        also with "references": [...]
    {"messages": [{"role":"user","content":…}, {"role":"assistant","content":…}]}
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

from llmrec.errors import InputError
from llmrec.prompting import Prompt, load_prompt, product_variables
from llmrec.prompting.writing import plain_summary, write_summary
from llmrec.records import Conversation, Message, Product, ProductSummary
from llmrec.train.files import rows, sample_path

PROMPT = "summarize-product"
_STEP = "Give product and summary, prompt and completion, or messages in every row (docs/finetune.md)."


@dataclass(frozen=True)
class Answer:
    """A conversation, its answer, and what a written answer is compared with."""

    id: str
    group: str
    conversation: Conversation
    answer: str
    references: tuple[str, ...]
    #: The prompt that the answer is parsed by; None: it is taken as it is.
    prompt: Prompt | None = None


def read_answers(name: str, prompt: str | None) -> list[Answer]:
    """Read a file of examples.

    Args:
        name: Path, or ``sample:NAME``.
        prompt: Prompt of rows that hold a product.

    Raises:
        InputError: Names the file, the line and the fault.
    """
    return [example for _, example in read_rows(name, prompt)]


def read_rows(name: str, prompt: str | None, *, answer: str | None = None) -> Iterator[tuple[int, Answer]]:
    """Yield line and example, as ``read_answers``.

    Args:
        answer: Key of the answer, in every form of row (``chosen``, ``rejected``).
    """
    path = sample_path(name)
    loaded: Prompt | None = None
    for line, row in rows(path, name):
        try:
            if "product" in row:
                loaded = loaded or load_prompt(prompt or PROMPT)
                example = _product(row, loaded, answer or "summary")
            elif "messages" in row and answer is None:
                example = _chat(row, f"line {line}")
            elif "messages" in row:
                messages = msgspec.convert(row["messages"], tuple[Message, ...])
                example = _answer(row, messages, row[str(answer)], f"line {line}")
            elif "prompt" in row:
                example = _completion(row, f"line {line}", answer or "completion")
            else:
                keys = ", ".join(sorted(row)) or "no keys"
                raise ValueError(f"has neither product, messages nor prompt among {keys}")
        except (msgspec.ValidationError, ValueError, TypeError, KeyError) as error:
            reason = f"no {error}" if isinstance(error, KeyError) else str(error)
            step = _STEP if answer is None else f"Give {answer} in every row (docs/finetune.md)."
            raise InputError(f"{name}, line {line}: {reason}", next_step=step) from error
        yield line, example


def _product(row: dict[str, Any], prompt: Prompt, key: str) -> Answer:
    product = msgspec.convert(row["product"], Product)
    given = row[key]
    if isinstance(given, str):
        given = {"headline": "", "summary": given}
    summary = msgspec.convert({"product_id": product.id, **given}, ProductSummary)
    if not summary.summary.strip():
        raise ValueError("the summary is empty")
    conversation = prompt.render(prompt.pick(product_variables(product))).conversation
    reference = plain_summary(summary.headline, summary.attributes, summary.highlights, summary.summary)
    answer = write_summary(prompt, summary)
    group = str(row.get("group", product.id))
    return Answer(str(row.get("id", product.id)), group, conversation, answer, (reference,), prompt)


def _chat(row: dict[str, Any], fallback: str) -> Answer:
    messages = tuple(msgspec.convert(row["messages"], tuple[Message, ...]))
    if len(messages) < 2 or messages[-1].role != "assistant":
        raise ValueError("messages: the last is not the assistant's")
    return _answer(row, messages[:-1], messages[-1].content, fallback)


def _completion(row: dict[str, Any], fallback: str, key: str) -> Answer:
    prompt, completion = row["prompt"], row[key]
    if not isinstance(prompt, str) or not isinstance(completion, str):
        raise TypeError(f"prompt and {key} are texts")
    return _answer(row, (Message("user", prompt),), completion, fallback)


def _answer(row: dict[str, Any], conversation: Conversation, answer: str, fallback: str) -> Answer:
    if not isinstance(answer, str) or not answer.strip():
        raise ValueError("the answer is empty")
    references = row.get("references") or [answer]
    if not isinstance(references, list) or not all(isinstance(item, str) for item in references):
        raise TypeError("references: a list of texts is wanted")
    name = str(row.get("id", fallback))
    return Answer(name, str(row.get("group", name)), conversation, answer.strip(), tuple(references))
