"""Every method finds what to change in every usual architecture, learns, and starts as the model is."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from tiny_trainings import make_model

from llmrec.errors import InputError
from llmrec.recipes import Recipe, parse_recipe
from llmrec.train import finetune
from llmrec.train.methods import find_targets, linear_layers, peft_config

LLAMA = ["down_proj", "gate_proj", "k_proj", "o_proj", "q_proj", "up_proj", "v_proj"]
LAYERS = {
    "llama": LLAMA,
    "qwen2": LLAMA,
    "gpt2": ["c_attn", "c_fc", "c_proj"],
    "bert": ["dense", "key", "query", "value"],
}
ATTENTION = {
    "llama": ["k_proj", "o_proj", "q_proj", "v_proj"],
    "qwen2": ["k_proj", "o_proj", "q_proj", "v_proj"],
    "gpt2": ["c_attn"],
    "bert": ["key", "query", "value"],
}


@pytest.fixture(scope="module")
def models() -> dict[str, Any]:
    return {kind: make_model(kind) for kind in LAYERS}


def recipe(method: str, **keys: Any) -> Recipe:
    more = "".join(f", {key}: {value}" for key, value in keys.items())
    return parse_recipe(f"task: summarize\nmodel: m\nmethod: {{name: {method}{more}}}\ndata: {{train: a}}\n")


@pytest.mark.parametrize("kind", LAYERS)
def test_targets_by_architecture(models: dict[str, Any], kind: str) -> None:
    assert linear_layers(models[kind]) == LAYERS[kind]
    assert find_targets(models[kind], "auto") == LAYERS[kind]
    assert find_targets(models[kind], "attention") == ATTENTION[kind]
    with pytest.raises(InputError, match="the model has no layer nosuch") as caught:
        find_targets(models[kind], ("nosuch", LAYERS[kind][0]))
    assert LAYERS[kind][0] in caught.value.next_step


@pytest.mark.parametrize("kind", LAYERS)
@pytest.mark.parametrize("method", ["lora", "rslora", "dora", "ia3", "p-tuning", "prefix"])
def test_every_method_learns_on_every_architecture(kind: str, method: str) -> None:
    import torch
    from peft import get_peft_model

    if kind == "bert" and method in ("p-tuning", "prefix"):
        pytest.skip("virtual tokens are refused for encoders by the recipe")
    model = make_model(kind).eval()
    ids = torch.tensor([[1, 2, 3, 4, 5]])
    with torch.no_grad():
        before = model(input_ids=ids, attention_mask=torch.ones_like(ids))[0]
    adapted = get_peft_model(model, peft_config(recipe(method), model, "CAUSAL_LM" if kind != "bert" else None))
    adapted.eval()
    after = adapted(input_ids=ids, attention_mask=torch.ones_like(ids))[0]
    if method in ("lora", "rslora", "dora", "ia3"):
        assert torch.allclose(before, after, atol=1e-5)
    after.square().mean().backward()
    trained = {name: p.grad for name, p in adapted.named_parameters() if p.requires_grad}
    assert trained
    assert any(grad is not None and grad.any() for grad in trained.values())
    assert not any(part in ("lm_head", "pooler") for name in trained for part in name.split("."))
    if method in ("lora", "rslora", "dora"):
        assert all(grad is not None for grad in trained.values())


def test_settings_reach_peft(models: dict[str, Any]) -> None:
    config = peft_config(
        recipe("rslora", rank=8, alpha=4, dropout=0.1, targets="attention"), models["llama"], "CAUSAL_LM"
    )
    assert (config.r, config.lora_alpha, config.lora_dropout, config.use_rslora) == (8, 4, 0.1, True)
    assert config.target_modules == set(ATTENTION["llama"])
    default = peft_config(recipe("lora"), models["llama"], "CAUSAL_LM")
    assert (default.r, default.lora_alpha) == (16, 32)
    assert peft_config(recipe("full"), models["llama"], "CAUSAL_LM") is None


def test_ia3_scales_keys_values_and_what_leads_out(models: dict[str, Any]) -> None:
    config = peft_config(recipe("ia3"), models["qwen2"], "CAUSAL_LM")
    assert config.target_modules == {"k_proj", "v_proj", "down_proj"}
    assert config.feedforward_modules == {"down_proj"}


def ia3_targets(model: Any, targets: str) -> tuple[set[str], set[str]]:
    config = peft_config(recipe("ia3", targets=targets), model, "CAUSAL_LM")
    return set(config.target_modules), set(config.feedforward_modules)


def test_ia3_scales_no_more_than_it_was_told(models: dict[str, Any]) -> None:
    assert ia3_targets(models["qwen2"], "attention") == ({"k_proj", "v_proj"}, set())
    assert ia3_targets(models["bert"], "attention") == ({"key", "value"}, set())
    assert ia3_targets(models["qwen2"], "all-linear") == (set(LLAMA), {"down_proj"})
    assert ia3_targets(models["qwen2"], "[q_proj]") == ({"q_proj"}, set())
    assert ia3_targets(models["qwen2"], "[v_proj, down_proj]") == ({"v_proj", "down_proj"}, {"down_proj"})
    assert ia3_targets(models["bert"], "[value]") == ({"value"}, set())
    ways_out = {f"encoder.layer.{i}.output.dense" for i in range(2)}
    assert ia3_targets(models["bert"], "auto") == ({"key", "value", *ways_out}, ways_out)


def test_ia3_on_attention_alone_leaves_the_feed_forward_as_it_is() -> None:
    from peft import get_peft_model

    model = make_model("llama")
    adapted = get_peft_model(model, peft_config(recipe("ia3", targets="attention"), model, "CAUSAL_LM"))
    trained = [name for name, p in adapted.named_parameters() if p.requires_grad]
    assert len(trained) == 4  # keys and values of two layers
    assert all("k_proj" in name or "v_proj" in name for name in trained)


@pytest.mark.parametrize("method", ["lora", "dora"])
def test_eight_bits_learn_beyond_the_first_step(
    tiny_recipe: Callable[..., Recipe], method: str, caplog: pytest.LogCaptureFixture
) -> None:
    # peft reads 8-bit weights for DoRA and gives them back without their scales: the second step failed
    changes = (f"method={{name: {method}}}", "precision=int8", "training.epochs=1", "training.learning_rate=1e-2")
    trained = finetune(tiny_recipe(*changes)).metrics["training"]
    assert trained["steps"] == 6 and trained["last_loss"] < trained["first_loss"]
    assert not [record for record in caplog.records if record.name.startswith("bitsandbytes")]
