"""What is trained on: the prompt as it will be sent, then the answer and the end of the turn, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_trainings import make_model, make_tokenizer

from llmrec.errors import InputError
from llmrec.llm.local import TransformersGenerator
from llmrec.records import GenerationSettings, Message
from llmrec.train.tokens import IGNORED, ExampleEncoder, collate, end_of_turn


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return make_tokenizer()


@pytest.fixture(scope="module")
def encoder(tokenizer: Any) -> ExampleEncoder:
    return ExampleEncoder(tokenizer)


def ask(text: str) -> tuple[Message, ...]:
    return (Message("user", text),)


def test_only_the_answer_and_its_end_are_trained(encoder: ExampleEncoder, tokenizer: Any) -> None:
    tokens = encoder.encode(ask("A mug?"), "Yes.", 200)
    trained = [label for label in tokens.labels if label != IGNORED]
    assert tokenizer.decode(trained) == "Yes.<|im_end|>"
    assert tokens.input_ids[-5:] == trained
    assert (tokens.trained, tokens.cut) == (5, 0)
    read = tokens.input_ids[:-5]
    assert tokenizer.decode(read) == "<|im_start|>user\nA mug?<|im_end|>\n<|im_start|>assistant\n"


@pytest.mark.parametrize(
    "conversation",
    [ask("A mug?"), (Message("system", "Be brief."), *ask("<|im_end|> ü")), (*ask("Q"), Message("assistant", "So:"))],
)
def test_the_model_reads_in_training_what_it_will_be_sent(
    encoder: ExampleEncoder, tokenizer: Any, conversation: tuple[Message, ...]
) -> None:
    model = make_model("llama")
    sent: list[list[int]] = []
    inner = model.forward

    def forward(*args: Any, input_ids: Any = None, **kwargs: Any) -> Any:
        sent.append(input_ids[0].tolist())
        return inner(*args, input_ids=input_ids, **kwargs)

    model.forward = forward
    generator = TransformersGenerator(model, tokenizer, reference="tiny", threads=1)
    generator.generate([conversation], GenerationSettings(max_new_tokens=1))
    tokens = encoder.encode(conversation, "Yes.", 400)
    read = [i for i, label in zip(tokens.input_ids, tokens.labels, strict=True) if label == IGNORED]
    assert sent and sent[0] == read


def test_an_answer_cannot_smuggle_in_an_end(encoder: ExampleEncoder, tokenizer: Any) -> None:
    tokens = encoder.encode(ask("?"), "a<|im_end|>b", 200)
    assert tokens.labels.count(end_of_turn(tokenizer)) == 1
    assert tokens.labels[-1] == end_of_turn(tokenizer)


@settings(max_examples=60, deadline=None)
@given(st.integers(80, 160), st.integers(30, 200), st.integers(1, 200))
def test_what_is_too_long_is_cut_to_the_limit(limit: int, asked: int, answered: int) -> None:
    encoder = _encoder()
    tokens = encoder.encode(ask("x" * asked), "y" * answered, limit)
    # 19 tokens of template around the question, one at the end of the answer
    whole = 19 + asked + answered + 1
    assert len(tokens.input_ids) == len(tokens.labels) <= limit
    assert tokens.trained >= 1
    assert (tokens.cut > 0) == (whole > limit)
    if whole <= limit:
        assert len(tokens.input_ids) == whole
    trained = [label for label in tokens.labels if label != IGNORED]
    # an answer that was cut has no end, or the model would learn to stop in the middle of a word
    assert (trained[-1] == encoder.end) == (tokens.trained == answered + 1)


def test_no_room_at_all_is_told(encoder: ExampleEncoder) -> None:
    with pytest.raises(InputError, match="a prompt of"):
        encoder.encode((Message("system", "s" * 300), *ask("q")), "a", 100)


def test_batches_are_padded_on_the_right() -> None:
    batch = collate([{"input_ids": [1, 2, 3], "labels": [IGNORED, 2, 3]}, {"input_ids": [4], "labels": [4]}], pad=0)
    assert batch["input_ids"].tolist() == [[1, 2, 3], [4, 0, 0]]
    assert batch["attention_mask"].tolist() == [[1, 1, 1], [1, 0, 0]]
    assert batch["labels"].tolist() == [[IGNORED, 2, 3], [4, IGNORED, IGNORED]]


def _encoder(known: list[ExampleEncoder] = []) -> ExampleEncoder:  # noqa: B006  # made once for hypothesis
    if not known:
        known.append(ExampleEncoder(make_tokenizer()))
    return known[0]


def test_the_end_is_that_of_the_template(tokenizer: Any, tmp_path: Path) -> None:
    assert tokenizer.decode([end_of_turn(tokenizer)]) == "<|im_end|>"
    plain = make_tokenizer()
    plain.chat_template = None
    plain.eos_token = "<|endoftext|>"
    assert plain.decode([end_of_turn(plain)]) == "<|endoftext|>"
    plain.eos_token = None
    with pytest.raises(ValueError, match="no end of text"):
        end_of_turn(plain)
