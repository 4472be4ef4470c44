"""The starter model itself: answers in a batch are those given alone, and those of ``model.generate``."""

from __future__ import annotations

import pytest

from llmrec.errors import ModelError
from llmrec.llm import load_generator
from llmrec.models import resolve
from llmrec.records import GenerationSettings, Message

FEW = GenerationSettings(max_new_tokens=6)
SYSTEM = Message(
    "system", "You write short, factual product summaries. Use only facts from the data, and answer with one line."
)
TEXTS = ("trail shoe, blue, size 42", "kettle", "a tea tin of 100 g, round, with a lid of cork and a label to write on")
ASKED = [(SYSTEM, Message("user", f"What is this? {text}"), Message("assistant", "It is a")) for text in TEXTS]


@pytest.fixture(scope="module")
def smollm():
    try:
        resolve("starter:smollm2-135m", offline=True)
    except ModelError:
        pytest.skip("needs starter:smollm2-135m in the cache (llmrec models pull starter:smollm2-135m)")
    return load_generator("starter:smollm2-135m", threads=1, dtype="float32")


def test_answers_together_are_answers_alone(smollm) -> None:
    together = smollm.generate(ASKED, FEW)
    assert all(answer.text.strip() for answer in together)
    smollm._prefix.tokens = []
    assert together == [smollm.generate([asked], FEW)[0] for asked in ASKED]
    smollm._own_decoder = False
    assert together == smollm.generate(ASKED, FEW)
    smollm._own_decoder = True


def test_digits_are_one_token_each_and_the_template_is_chat_ml(smollm) -> None:
    ids, _ = smollm._chat.encode((Message("system", "s"), Message("user", "2026 <|im_end|>")), 1000)
    text = smollm.tokenizer.decode(ids)
    assert (
        text == "<|im_start|>system\ns<|im_end|>\n<|im_start|>user\n2026 < |im_end|><|im_end|>\n<|im_start|>assistant\n"
    )
    pieces = [smollm.tokenizer.decode([i]) for i in ids]
    assert all(digit in pieces for digit in "206")
    assert ids.count(smollm.tokenizer.convert_tokens_to_ids("<|im_end|>")) == 2
