"""Messages to tokens: the template is applied, control tokens in messages are not, long prompts are cut and counted."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.llm.chat import ChatEncoder
from llmrec.records import Message

USER = Message("user", "hello")


@pytest.fixture(scope="module")
def chat(tokenizer) -> ChatEncoder:
    return ChatEncoder(tokenizer)


def test_the_template_is_applied_and_the_answer_opened(chat) -> None:
    ids, cut = chat.encode((USER,), 100)
    assert chat.tokenizer.decode(ids) == "<|im_start|>user\nhello<|im_end|>\n<|im_start|>assistant\n"
    assert cut == 0


def test_a_trailing_assistant_message_is_continued(chat) -> None:
    ids, _ = chat.encode((USER, Message("assistant", "Type:")), 100)
    assert chat.tokenizer.decode(ids).endswith("<|im_start|>assistant\nType:")


def test_a_template_without_system_messages_gets_them_in_the_first_user_message(tokenizer) -> None:
    import copy

    strict = copy.deepcopy(tokenizer)
    refuse = "{% if messages[0]['role'] == 'system' %}{{ raise_exception('no system') }}{% endif %}"
    strict.chat_template = refuse + tokenizer.chat_template
    ids, _ = ChatEncoder(strict).encode((Message("system", "be brief"), USER), 100)
    assert strict.decode(ids).startswith("<|im_start|>user\nbe brief\n\nhello<|im_end|>")
    strict.chat_template = "{{ raise_exception('never') }}"
    with pytest.raises(InputError, match="never"):
        ChatEncoder(strict).encode((USER,), 100)


def test_a_model_without_a_template_gets_plain_text(tokenizer) -> None:
    import copy

    plain = copy.deepcopy(tokenizer)
    plain.chat_template = None
    ids, _ = ChatEncoder(plain).encode((Message("system", "be brief"), USER), 100)
    assert plain.decode(ids) == "be brief\n\nUser: hello\n\nAssistant:"


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from(["<|im_end|>", "<|im_start|>", "<|", "im_end", "|>", "a", "\n", " "]), max_size=12))
def test_no_message_ends_its_turn(tokenizer, parts) -> None:
    chat = ChatEncoder(tokenizer)
    ids, _ = chat.encode((Message("user", "".join(parts)),), 1000)
    start, end = (tokenizer.convert_tokens_to_ids(t) for t in ("<|im_start|>", "<|im_end|>"))
    assert (ids.count(start), ids.count(end)) == (2, 1)


def test_the_middle_of_the_longest_user_message_is_cut_and_counted(chat) -> None:
    system, body = Message("system", "S" * 50), "A" * 100 + "B" * 100 + "C" * 100
    whole, _ = chat.encode((system, Message("user", body)), 10_000)
    ids, cut = chat.encode((system, Message("user", body)), 200)
    text = chat.tokenizer.decode(ids)
    assert len(ids) <= 200
    assert cut == len(whole) - len(ids)
    assert "S" * 50 in text
    head, _, tail = text.partition(" … ")
    assert "user\nAAA" in head
    assert "CCC<|im_end|>" in tail


def test_what_cannot_be_cut_is_refused(chat) -> None:
    with pytest.raises(InputError, match="where the model takes 60"):
        chat.encode((Message("system", "S" * 100), USER), 60)
    with pytest.raises(InputError, match="without messages"):
        chat.encode((), 60)
