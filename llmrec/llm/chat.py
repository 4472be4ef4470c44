"""A conversation to the tokens that a model was trained on: its chat template, no smuggled control tokens, a bound.

What the messages hold is text: a ``<|im_end|>`` written in a product's description must not end the turn. Every control
token of the tokenizer that appears in a message is broken up before the template is applied.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from llmrec.errors import InputError
from llmrec.records import Conversation, Message

#: Share of a message that is kept at its head when it is cut; the rest is kept at its tail.
HEAD_SHARE = 0.6
CUT_MARK = " … "


class ChatEncoder:
    """Turns conversations into token ids for one tokenizer."""

    def __init__(self, tokenizer: Any) -> None:
        self.tokenizer = tokenizer
        tokens = {t.content for t in tokenizer.added_tokens_decoder.values()} | set(tokenizer.all_special_tokens)
        # tokens with white space in them are ordinary text ("\n\n" in Gemma)
        control = sorted((t for t in tokens if len(t) > 1 and not re.search(r"\s", t)), key=lambda t: (-len(t), t))
        self._control = re.compile("|".join(map(re.escape, control)) or "(?!)")

    def encode(self, conversation: Conversation, limit: int) -> tuple[list[int], int]:
        """Token ids of a conversation, ready for the answer, and how many tokens were cut to fit ``limit``.

        The middle of the longest user message is cut, never its head or tail, where the instruction stands, and never
        the system message. A trailing assistant message is the beginning of the answer and is continued.

        Raises:
            InputError: No messages, or too long even without the message that is cut.
        """
        if not conversation:
            raise InputError("a conversation without messages", next_step="Give at least one user message.")
        if any(m.images for m in conversation):
            step = "Ask a vision-language model behind a server (openai:MODEL@URL), or load_captioner."
            raise InputError("pictures for a model that reads text alone", next_step=step)
        messages = [Message(m.role, self.neutral(m.content)) for m in conversation]
        whole = self._ids(messages)
        if len(whole) <= limit:
            return whole, 0
        users = [i for i, m in enumerate(messages) if m.role == "user"]
        place = max(users, key=lambda i: len(messages[i].content), default=None)
        if place is not None:
            content = self.tokenizer.encode(messages[place].content, add_special_tokens=False)
            spare = len(content) - (len(whole) - limit)
            while spare > 0:
                messages[place] = Message("user", self._without_middle(content, spare))
                ids = self._ids(messages)
                if len(ids) <= limit:
                    return ids, len(whole) - len(ids)
                # decoding and encoding again may give some tokens more
                spare -= len(ids) - limit
        step = "Shorten the prompt, ask for fewer new tokens, or take a model with a longer context."
        raise InputError(f"a prompt of {len(whole)} tokens where the model takes {limit}", next_step=step)

    def neutral(self, text: str) -> str:
        """The text with every control token broken up by a space after its first character."""
        while self._control.search(text):
            text = self._control.sub(lambda match: f"{match[0][0]} {match[0][1:]}", text)
        return text

    def decode(self, ids: Sequence[int]) -> str:
        """Token ids to text, without control tokens."""
        return self.tokenizer.decode(ids, skip_special_tokens=True, clean_up_tokenization_spaces=False)

    def _ids(self, messages: Sequence[Message]) -> list[int]:
        begun = messages[-1].role == "assistant"
        if self.tokenizer.chat_template is None:
            return self.tokenizer.encode(_plain(messages, begun))
        from jinja2 import TemplateError

        for turns in (messages, _without_system(messages)):
            try:
                return self.tokenizer.apply_chat_template(
                    [{"role": m.role, "content": m.content} for m in turns],
                    add_generation_prompt=not begun,
                    continue_final_message=begun,
                    tokenize=True,
                    return_dict=False,
                )
            except TemplateError as error:  # some templates know no system message
                reason = str(error)
        step = "Give user and assistant messages in turn, the system message first."
        raise InputError(f"the model's chat template refuses the conversation: {reason}", next_step=step)

    def _without_middle(self, content: list[int], spare: int) -> str:
        head = int(spare * HEAD_SHARE)
        tail = self.decode(content[len(content) - (spare - head) :])
        # a cut through a character of several tokens leaves replacement characters
        return self.decode(content[:head]).rstrip("\ufffd") + CUT_MARK + tail.lstrip("\ufffd")


def _without_system(messages: Sequence[Message]) -> Sequence[Message]:
    if len(messages) < 2 or messages[0].role != "system" or messages[1].role != "user":
        return messages
    return [Message("user", f"{messages[0].content}\n\n{messages[1].content}"), *messages[2:]]


def _plain(messages: Sequence[Message], begun: bool) -> str:
    """A conversation for a base model, which has no chat template."""
    names = {"system": "", "user": "User: ", "assistant": "Assistant: "}
    text = "\n\n".join(f"{names[m.role]}{m.content}" for m in messages)
    return text if begun else f"{text}\n\nAssistant:"
