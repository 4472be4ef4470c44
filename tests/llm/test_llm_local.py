"""A tiny model with random weights: answers are those of ``model.generate``, alone and in a batch."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from llmrec.errors import InputError, ModelError
from llmrec.llm import load_generator
from llmrec.llm.local import TransformersGenerator
from llmrec.llm.next_word import word_odds
from llmrec.records import GenerationSettings, Message
from llmrec.seams import Generator

SYSTEM = Message("system", "You write short, factual product summaries. Use only facts from the data.")
TEXTS = ("a", "trail shoe", "a much longer text about a kettle that boils water", "blue", "x" * 90, "green mat", "b")
ASKED = [(SYSTEM, Message("user", text)) for text in TEXTS]
END, PAD = 257, 258
TEN = GenerationSettings(max_new_tokens=10)


def load(folder: Path, **options):
    return load_generator(str(folder), threads=1, dtype="float32", **options)


@pytest.fixture(scope="module")
def llama(tiny):
    generator = load(tiny["llama"])
    generator.break_loops = False
    return generator


def reference_answers(generator, conversations, count: int) -> list[str]:
    """One at a time by transformers, without anything of ours but the chat encoder."""
    import torch

    out = []
    for conversation in conversations:
        ids, _ = generator._chat.encode(conversation, 500)
        made = generator.model.generate(
            torch.tensor([ids]),
            attention_mask=torch.ones(1, len(ids), dtype=torch.long),
            max_new_tokens=count,
            do_sample=False,
            eos_token_id=[END, PAD],
            pad_token_id=PAD,
        )
        out.append(generator._chat.decode([t for t in made[0, len(ids) :].tolist() if t < 256]))
    return out


@pytest.mark.parametrize("kind", ["llama", "sliding"])
def test_answers_are_those_of_transformers(tiny, kind: str) -> None:
    generator = load(tiny[kind])
    generator.break_loops = False
    assert isinstance(generator, Generator)
    # a sliding window is left to transformers' own loop
    assert generator._own_decoder == (kind == "llama")
    together = generator.generate(ASKED, TEN)
    assert [answer.text for answer in together] == reference_answers(generator, ASKED, 10)
    assert together == [generator.generate([asked], TEN)[0] for asked in ASKED]


def test_answers_do_not_depend_on_the_batches(tiny, llama) -> None:
    small = load(tiny["llama"], max_batch_tokens=300)
    small.break_loops = False
    assert small.generate(ASKED[::-1], TEN)[::-1] == llama.generate(ASKED, TEN)


def test_counts(llama) -> None:
    before = llama.usage.conversations
    (answer,) = llama.generate([(Message("user", "hello"),)], TEN)
    # <|im_start|> user \\n hello <|im_end|> \\n <|im_start|> assistant \\n: four control tokens
    assert answer.prompt_tokens == 1 + 5 + 5 + 1 + 1 + 1 + 10  # a byte is a token
    assert (answer.new_tokens, answer.finish, answer.truncated_prompt_tokens) == (10, "length", 0)
    assert llama.usage.conversations == before + 1
    assert llama.generate([], TEN) == []


def test_stop_strings_cut_the_answer(llama) -> None:
    (whole,) = llama.generate(ASKED[:1], TEN)
    stop = whole.text[4:6]
    place = whole.text.index(stop)
    (cut,) = llama.generate(ASKED[:1], GenerationSettings(max_new_tokens=10, stop=("never", stop)))
    assert (cut.text, cut.finish) == (whole.text[:place], "stop")
    assert cut.new_tokens < whole.new_tokens


def test_a_token_that_ends_the_turn_ends_the_answer(tiny, llama) -> None:
    answer = llama.generate(ASKED, TEN)[3]
    char = next(char for char in answer.text[2:] if char.isascii())
    (token,) = llama.tokenizer.encode(char)
    other = load(tiny["llama"]).model
    other.generation_config.eos_token_id = [END, token]
    ending = TransformersGenerator(other, llama.tokenizer, reference="tiny", break_loops=False)
    (ended,) = ending.generate([ASKED[3]], TEN)
    assert (ended.text, ended.finish) == (answer.text[: answer.text.index(char)], "stop")
    assert ended.new_tokens < answer.new_tokens


def test_sampling_is_the_row_s_own(tiny, llama) -> None:
    warm = GenerationSettings(max_new_tokens=10, temperature=1.0, top_p=0.9, seed=7)
    together = llama.generate(ASKED, warm)
    assert together == [llama.generate([asked], warm)[0] for asked in ASKED]
    other = llama.generate(ASKED, GenerationSettings(max_new_tokens=10, temperature=1.0, top_p=0.9, seed=8))
    assert other != together
    # the loader's seed is added to the settings'
    seeded = load(tiny["llama"], seed=1)
    seeded.break_loops = False
    assert seeded.generate(ASKED, warm) == other
    assert llama.generate(ASKED, TEN) != together


def test_a_tiny_nucleus_is_greedy(llama) -> None:
    narrow = GenerationSettings(max_new_tokens=10, temperature=1.0, top_p=1e-6, seed=7)
    assert llama.generate(ASKED, narrow) == llama.generate(ASKED, TEN)


def test_loops_are_broken_alike_in_both_decoders(tiny) -> None:
    generator = load(tiny["llama"])
    settings = GenerationSettings(max_new_tokens=60)
    own = generator.generate(ASKED, settings)
    assert generator.usage.loops > 0
    generator._own_decoder = False
    assert generator.generate(ASKED, settings) == own


def test_long_prompts_are_cut_counted_and_warned_about(llama, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="llmrec"):
        (answer,) = llama.generate([(SYSTEM, Message("user", "word " * 300))], TEN)
    assert answer.prompt_tokens <= 502
    assert answer.truncated_prompt_tokens > 1000
    assert "1 of 1 prompts were cut" in caplog.text
    with pytest.raises(InputError, match="max_new_tokens is 512"):
        llama.generate(ASKED, GenerationSettings(max_new_tokens=512))


def save_adapter(folder: Path, base: Path, config, scale: float = 0.2) -> Path:
    import torch
    from peft import get_peft_model
    from transformers import AutoModelForCausalLM

    torch.manual_seed(1)
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base, dtype=torch.float32), config)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name or "prompt" in name:
                parameter.normal_(0, scale)
    model.save_pretrained(folder)
    return folder


def test_a_lora_adapter_answers_as_peft_does(tiny, llama, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig, PeftModel
    from transformers import AutoModelForCausalLM

    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj", "down_proj"], task_type="CAUSAL_LM")
    folder = save_adapter(tmp_path / "adapter", tiny["llama"], config)
    adapted = load(tiny["llama"], adapter=str(folder))
    adapted.break_loops = False
    assert adapted.adapter and adapted.digest != llama.digest
    answers = [answer.text for answer in adapted.generate(ASKED, TEN)]
    assert answers != [answer.text for answer in llama.generate(ASKED, TEN)]
    base = AutoModelForCausalLM.from_pretrained(tiny["llama"], dtype=torch.float32)
    adapted.model = PeftModel.from_pretrained(base, folder).eval()
    assert answers == reference_answers(adapted, ASKED, 10)


def test_a_learned_prompt_answers_through_transformers(tiny, llama, tmp_path: Path) -> None:
    from peft import PromptTuningConfig

    config = PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM")
    folder = save_adapter(tmp_path / "adapter", tiny["llama"], config, scale=1.0)
    adapted = load(tiny["llama"], adapter=str(folder))
    adapted.break_loops = False
    assert not adapted._own_decoder
    together = adapted.generate(ASKED[:3], TEN)
    assert together == [adapted.generate([asked], TEN)[0] for asked in ASKED[:3]]
    assert together != llama.generate(ASKED[:3], TEN)


def test_adapters_of_pickle_or_of_another_model_are_refused(tiny, tmp_path: Path) -> None:
    import torch
    from peft import LoraConfig
    from safetensors.torch import load_file, save_file

    config = LoraConfig(r=4, target_modules=["q_proj"], task_type="CAUSAL_LM")
    folder = save_adapter(tmp_path / "adapter", tiny["llama"], config)
    weights = folder / "adapter_model.safetensors"
    kept = weights.read_bytes()
    weights.unlink()
    torch.save({}, folder / "adapter_model.bin")
    with pytest.raises(ModelError):
        load(tiny["llama"], adapter=str(folder))
    (folder / "adapter_model.bin").unlink()
    weights.write_bytes(kept[:-64])
    with pytest.raises(ModelError):
        load(tiny["llama"], adapter=str(folder))
    weights.write_bytes(kept)
    tensors = load_file(weights)
    save_file({name: t for name, t in tensors.items() if "layers.1" not in name}, weights)
    with pytest.raises(ModelError, match="without the weights"):
        load(tiny["llama"], adapter=str(folder))
    weights.write_bytes(kept)
    settings = (folder / "adapter_config.json").read_text().replace('"q_proj"', '"no_such_layer"')
    (folder / "adapter_config.json").write_text(settings)
    with pytest.raises(ModelError, match="does not fit this model"):
        load(tiny["llama"], adapter=str(folder))


def test_what_is_no_language_model_is_refused(tiny, tmp_path: Path) -> None:
    import shutil

    broken = tmp_path / "broken"
    shutil.copytree(tiny["llama"], broken)
    (broken / "config.json").write_text('{"model_type": "bert", "architectures": ["BertModel"]}')
    with pytest.raises(ModelError, match="cannot be loaded as a language model"):
        load(broken)


def test_a_model_without_some_of_its_weights_is_refused(tiny, tmp_path: Path) -> None:
    import shutil

    from safetensors.torch import load_file, save_file

    broken = tmp_path / "broken"
    shutil.copytree(tiny["llama"], broken)
    weights = load_file(broken / "model.safetensors")
    del weights["model.layers.1.mlp.up_proj.weight"]
    save_file(weights, broken / "model.safetensors", metadata={"format": "pt"})
    # transformers would make up the missing ones and go on
    with pytest.raises(ModelError, match="up_proj"):
        load(broken)


@pytest.mark.parametrize("kind", ["llama", "sliding"])
def test_the_odds_of_a_word_are_those_of_the_next_token(tiny, kind: str) -> None:
    import torch

    generator = load(tiny[kind])
    odds = word_odds(generator, ASKED)
    assert odds.shape == (len(ASKED),)
    assert word_odds(generator, ASKED[2:3])[0] == pytest.approx(odds[2], abs=1e-4)
    ids, _ = generator._chat.encode(ASKED[1], 500)
    with torch.inference_mode():
        logits = generator.model(torch.tensor([ids])).logits[0, -1]
    yes, no = (generator.tokenizer.encode(word, add_special_tokens=False)[0] for word in ("yes", "no"))
    assert odds[1] == pytest.approx(float(logits[yes] - logits[no]), abs=1e-4)
