"""The table of starters, and those of them that this machine has."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from llmrec.models import STARTERS, ModelFolder, known


def cached_or_skip(name: str) -> ModelFolder:
    folder = known(f"starter:{name}")
    if folder is None:
        pytest.skip(f"starter:{name} is not in the cache: llmrec models pull starter:{name}")
    return folder


def test_every_starter_can_be_checked() -> None:
    assert {"smollm2-135m", "minilm", "potion-base-8m", "gte-small", "whisper-base", "whisper-tiny.en"} <= set(STARTERS)
    for name, starter in STARTERS.items():
        assert starter.name == name
        assert starter.licence in {"Apache-2.0", "MIT", "BSD-3-Clause"}
        assert set(starter.weights) <= set(starter.files)
        assert starter.weights, f"{name}: no weights are checked"
        hashes = [archive.sha256 for archive in starter.archives] + list(starter.weights.values())
        assert all(re.fullmatch("[0-9a-f]{64}", value) for value in hashes)
        assert not any(file.startswith(("/", "..")) for file in starter.files)
    assert len({starter.entry for starter in STARTERS.values()}) == len(STARTERS)


@pytest.mark.parametrize("name", ["minilm", "potion-base-8m", "gte-small"])
def test_an_encoder_puts_like_by_like(real_cache: None, name: str) -> None:
    from sentence_transformers import SentenceTransformer

    model = SentenceTransformer(str(cached_or_skip(name).path), device="cpu")
    vectors = model.encode(["red running shoes", "sneakers for jogging, red", "a savings account"])
    np.testing.assert_allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > vectors[0] @ vectors[2] + 0.1


@pytest.fixture(scope="module")
def smollm2() -> Any:
    from transformers import AutoModelForCausalLM, AutoTokenizer

    path = cached_or_skip("smollm2-135m").path
    return AutoModelForCausalLM.from_pretrained(path), AutoTokenizer.from_pretrained(path)


def test_smollm2_reads_digits_one_by_one_and_has_its_chat_template(real_cache: None, smollm2: Any) -> None:
    _, tokenizer = smollm2
    assert tokenizer.tokenize("x1234") == ["x", "1", "2", "3", "4"]
    assert tokenizer.tokenize("12 345") == ["1", "2", "Ġ", "3", "4", "5"]
    text = tokenizer.apply_chat_template(
        [{"role": "user", "content": "hi"}], tokenize=False, add_generation_prompt=True
    )
    assert text.endswith("<|im_start|>user\nhi<|im_end|>\n<|im_start|>assistant\n")
    assert tokenizer.decode([tokenizer.eos_token_id]) == "<|im_end|>"
    assert tokenizer.model_max_length == 8192


def test_smollm2_answers(real_cache: None, smollm2: Any) -> None:
    model, tokenizer = smollm2
    chat = [{"role": "user", "content": "What is the capital of France?"}]
    inputs = tokenizer.apply_chat_template(chat, add_generation_prompt=True, return_tensors="pt", return_dict=True)
    answer = model.generate(**inputs, max_new_tokens=12, do_sample=False)
    assert "Paris" in tokenizer.decode(answer[0, inputs["input_ids"].shape[1] :])


def test_smollm2_learns_and_is_saved(real_cache: None, smollm2: Any, tmp_path: Any) -> None:
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModelForCausalLM

    model, tokenizer = smollm2
    model.save_pretrained(tmp_path / "whole")
    again = AutoModelForCausalLM.from_pretrained(tmp_path / "whole")
    assert torch.equal(again.model.embed_tokens.weight, model.model.embed_tokens.weight)
    torch.manual_seed(0)
    tuned = get_peft_model(again, LoraConfig(r=4, target_modules=["q_proj", "v_proj"], task_type="CAUSAL_LM"))
    batch = tokenizer("A pair of trail shoes for 89.90 euros.", return_tensors="pt")
    optimizer = torch.optim.SGD([p for p in tuned.parameters() if p.requires_grad], lr=1.0)
    losses = []
    for _ in range(2):
        loss = tuned(**batch, labels=batch["input_ids"]).loss
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        losses.append(loss.item())
    assert losses[1] < losses[0]
    tuned.save_pretrained(tmp_path / "adapter")
    assert (tmp_path / "adapter" / "adapter_model.safetensors").is_file()


@pytest.mark.parametrize(("name", "multilingual"), [("whisper-base", True), ("whisper-tiny.en", False)])
def test_whisper_loads(real_cache: None, name: str, multilingual: bool) -> None:
    faster_whisper = pytest.importorskip("faster_whisper")
    path = cached_or_skip(name).path
    model = faster_whisper.WhisperModel(str(path), device="cpu", compute_type="int8", local_files_only=True)
    assert model.model.is_multilingual is multilingual
    segments, _ = model.transcribe(np.zeros(16_000, dtype=np.float32), language="en", beam_size=1)
    assert isinstance([segment.text for segment in segments], list)


def test_resnet50_loads_whole(real_cache: None) -> None:
    from transformers import ResNetForImageClassification

    path = cached_or_skip("resnet50").path
    model, report = ResNetForImageClassification.from_pretrained(path, output_loading_info=True)
    assert not any(report.values()), report
    assert sum(parameter.numel() for parameter in model.parameters()) == 25_557_032  # as torchvision counts its own
    assert model.config.id2label[954] == "banana"


@pytest.mark.parametrize(
    ("name", "tensors", "parameters"),
    [
        ("efficientnet-lite0", None, 4_652_008),
        ("efficientnet-lite2", None, 6_092_072),
        ("mobilenet-v2", 262, 3_504_872),
    ],
)
def test_image_weights_have_their_published_size(
    real_cache: None, name: str, tensors: int | None, parameters: int
) -> None:
    from safetensors.numpy import load_file

    state = load_file(cached_or_skip(name).path / "model.safetensors")
    learned = [v for k, v in state.items() if not k.endswith(("running_mean", "running_var", "num_batches_tracked"))]
    assert sum(value.size for value in learned) == parameters
    assert tensors is None or len(state) == tensors
