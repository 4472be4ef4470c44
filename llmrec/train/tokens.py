"""A conversation and its answer to token ids: exactly what the model will be given when it is used, then the answer.

Only the answer and the end of the turn are trained. A model that never sees the end learns to go on for ever.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from llmrec.llm.chat import ChatEncoder
from llmrec.records import Conversation, Message

#: Label of a token that is read but not trained.
IGNORED = -100
#: Part of the room that an answer may take at most when an example is cut.
ANSWER_SHARE = 0.5


@dataclass(frozen=True)
class Tokens:
    """Token ids of an example; ``labels`` are those of the answer, ``IGNORED`` before it."""

    input_ids: list[int]
    labels: list[int]
    cut: int = 0

    @property
    def trained(self) -> int:
        """Tokens that are trained."""
        return sum(label != IGNORED for label in self.labels)


class ExampleEncoder:
    """Encodes examples for one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        self.chat = ChatEncoder(tokenizer)
        self.end = end_of_turn(tokenizer)

    def encode(self, conversation: Conversation, answer: str, limit: int) -> Tokens:
        """Token ids of at most ``limit``.

        What is too long is cut in the middle of the longest user message, never at the end of the answer, unless the
        answer alone takes more than half of the room.

        Raises:
            InputError: It does not fit even so.
        """
        begun = conversation[-1].role == "assistant"
        # after a beginning that the prompt wrote, the answer goes on in the same line
        text = answer if not begun else f" {answer.lstrip()}"
        ids = self.tokenizer.encode(self.chat.neutral(text), add_special_tokens=False)
        room = max(limit - 1 - len(ids), 1)
        cut = 0
        if len(ids) > ANSWER_SHARE * limit:
            whole = len(self.chat.encode(conversation, 10**9)[0])
            keep = max(int(ANSWER_SHARE * limit), limit - 1 - whole)
            cut, ids = max(0, len(ids) - keep), ids[:keep]
            room = limit - 1 - len(ids)
        ended = [*ids, self.end] if not cut else ids
        prompt, left_out = self.chat.encode(conversation, room)
        return Tokens([*prompt, *ended], [IGNORED] * len(prompt) + ended, cut + left_out)


def end_of_turn(tokenizer: Any) -> int:
    """The token with which the assistant's turn ends: the template's own, else the end of the text."""
    specials = set(tokenizer.added_tokens_decoder)
    if tokenizer.chat_template is not None:
        mark = "llmrec"
        turns = [{"role": m.role, "content": m.content} for m in (Message("user", "?"), Message("assistant", mark))]
        text = tokenizer.apply_chat_template(turns, tokenize=False)
        after = tokenizer.encode(text[text.rindex(mark) + len(mark) :], add_special_tokens=False)
        for token in after:
            if token in specials:
                return int(token)
    if tokenizer.eos_token_id is None:
        raise ValueError("the tokenizer has no end of text")
    return int(tokenizer.eos_token_id)


def common_beginning(rows: Sequence[Tokens]) -> int:
    """Tokens that all rows begin with, none of them trained and none the last of its row."""
    first, last = (min(rows, key=lambda t: t.input_ids).input_ids, max(rows, key=lambda t: t.input_ids).input_ids)
    most = min(min(len(t.input_ids) - 1, len(t.labels) - t.trained) for t in rows)
    # what the first and the last in order begin with, all between them do
    same = (i for i in range(most) if first[i] != last[i])
    return next(same, most)


def collate(batch: Sequence[dict[str, list[int]]], pad: int) -> dict[str, Any]:
    """Examples to int64 tensors ``[n, longest]``, padded on the right: input_ids, attention_mask, labels."""
    import torch

    longest = max(len(row["input_ids"]) for row in batch)

    def padded(key: str, value: int) -> Any:
        return torch.tensor([[*row[key], *[value] * (longest - len(row[key]))] for row in batch])

    mask = torch.tensor([[1] * len(row["input_ids"]) + [0] * (longest - len(row["input_ids"])) for row in batch])
    return {"input_ids": padded("input_ids", pad), "attention_mask": mask, "labels": padded("labels", IGNORED)}
