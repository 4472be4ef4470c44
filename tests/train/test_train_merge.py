"""Adapters merged into their models: the answers stay, and what cannot be merged is refused with nothing written."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from made_models import adapter, bert, language_model

from llmrec.errors import InputError, ModelError, StorageError, TrainingError
from llmrec.storage import read_manifest, sha256_file
from llmrec.train.likeness import Answers, likeness, pairs_of, read_texts, shared_start
from llmrec.train.merge import merge

TEXTS = ("red mug 12", "a tent")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A llama, a LoRA and a prompt over it."""
    from peft import LoraConfig, PromptTuningConfig

    root = tmp_path_factory.mktemp("merge")
    base = language_model(root / "base")
    layers = ["q_proj", "down_proj"]
    adapter(root / "lora", base, LoraConfig(r=4, lora_alpha=8, task_type="CAUSAL_LM", target_modules=layers))
    adapter(root / "prompt", base, PromptTuningConfig(num_virtual_tokens=4, task_type="CAUSAL_LM"))
    return root


def left(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_a_merged_lora_is_the_sum_rounded_once_and_transformers_loads_it(made: Path, tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file
    from transformers import AutoModelForCausalLM

    done = merge(str(made / "lora"), tmp_path / "out", texts=TEXTS)
    name = "model.layers.1.self_attn.q_proj.weight"
    weight = AutoModelForCausalLM.from_pretrained(made / "base", dtype=torch.float32).state_dict()[name]
    small = load_file(made / "lora" / "adapter_model.safetensors")
    stem = f"base_model.model.{name.removesuffix('.weight')}"
    product = small[f"{stem}.lora_B.weight"] @ small[f"{stem}.lora_A.weight"]
    expected = (weight + 8 / 4 * product).to(torch.bfloat16)
    merged = AutoModelForCausalLM.from_pretrained(tmp_path / "out")
    assert merged.dtype == torch.bfloat16
    assert torch.equal(merged.state_dict()[name], expected)

    report = json.loads((tmp_path / "out" / "merge.json").read_text())
    assert report == done.report
    assert report["adapter"]["method"] == "lora"
    assert 0 < report["likeness"]["kl"] < 0.01
    assert report["likeness"]["top1"] > 0.9
    assert read_manifest(tmp_path / "out", kind="causal-lm", format_version=1)["report"] == report
    assert "adapter `lora` merged in" in (tmp_path / "out" / "README.md").read_text()


@pytest.mark.parametrize("method", ["dora", "rslora", "ia3"])
def test_the_other_methods_that_change_weights(made: Path, tmp_path: Path, method: str) -> None:
    from peft import IA3Config, LoraConfig

    config: Any = LoraConfig(
        r=4, use_dora=method == "dora", use_rslora=method == "rslora", task_type="CAUSAL_LM", target_modules=["v_proj"]
    )
    if method == "ia3":
        config = IA3Config(
            task_type="CAUSAL_LM", target_modules=["k_proj", "down_proj"], feedforward_modules=["down_proj"]
        )
    adapter(tmp_path / "adapter", made / "base", config)
    done = merge(str(tmp_path / "adapter"), tmp_path / "out", dtype="float32", texts=TEXTS)
    assert done.report["adapter"]["method"] == method
    assert done.report["likeness"]["kl"] < 1e-8
    assert sha256_file(tmp_path / "out" / "model.safetensors") != sha256_file(made / "base" / "model.safetensors")


def test_encoders_and_rerankers(tmp_path: Path) -> None:
    from peft import LoraConfig
    from sentence_transformers import CrossEncoder, SentenceTransformer

    bert(tmp_path / "sentence")
    config = {"r": 4, "target_modules": ["query", "value"]}
    adapter(tmp_path / "a", tmp_path / "sentence-plain", LoraConfig(task_type="FEATURE_EXTRACTION", **config), size=0.3)
    done = merge(str(tmp_path / "a"), tmp_path / "encoder", base=str(tmp_path / "sentence"), texts=TEXTS)
    assert 0 < done.report["likeness"]["cosine_loss"] < 1e-4
    vectors = [SentenceTransformer(str(tmp_path / f), device="cpu").encode("mug") for f in ("sentence", "encoder")]
    assert np.linalg.norm(vectors[1]) == pytest.approx(1, abs=1e-2)
    assert vectors[0] @ vectors[1] < 0.999  # the adapter does something
    # a head that was trained with the adapter, over a model that has none
    adapter(tmp_path / "b", tmp_path / "sentence-plain", LoraConfig(task_type="SEQ_CLS", **config), size=0.3)
    done = merge(str(tmp_path / "b"), tmp_path / "reranker", texts=TEXTS)
    assert done.report["likeness"]["score_difference"] < 0.01
    scores = CrossEncoder(str(tmp_path / "reranker"), device="cpu").predict([("mug", "mug"), ("mug", "tent")])
    assert np.shape(scores) == (2,)


def test_drift_is_refused_and_nothing_is_written(made: Path, tmp_path: Path) -> None:
    with pytest.raises(TrainingError, match=r"merged in bfloat16: its answers drift by kl .*, more than 1e-12"):
        merge(str(made / "lora"), tmp_path / "out", tolerance=1e-12, texts=TEXTS)
    assert left(tmp_path) == []
    with pytest.raises(InputError, match="below nothing"):
        merge(str(made / "lora"), tmp_path / "out", tolerance=-1, texts=TEXTS)
    with pytest.raises(InputError, match="below nothing"):
        merge(str(made / "lora"), tmp_path / "out", tolerance=float("nan"), texts=TEXTS)


def test_weights_beyond_float16_are_no_numbers_and_refused(made: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file, save_file

    shutil.copytree(made / "lora", tmp_path / "large")
    weights = load_file(tmp_path / "large" / "adapter_model.safetensors")
    save_file({name: tensor * 3000 for name, tensor in weights.items()}, tmp_path / "large/adapter_model.safetensors")
    with pytest.raises(TrainingError, match="overflow"):
        merge(str(tmp_path / "large"), tmp_path / "out", dtype="float16", texts=TEXTS)
    assert left(tmp_path) == ["large"]


def test_what_cannot_be_merged(made: Path, tmp_path: Path) -> None:
    with pytest.raises(InputError, match="learns tokens before the text") as refused:
        merge(str(made / "prompt"), tmp_path / "out")
    assert "--adapter" in refused.value.next_step
    with pytest.raises(InputError, match="is a causal-lm, not an adapter"):
        merge(str(made / "base"), tmp_path / "out")
    with pytest.raises(InputError, match="dtype 'int8': unknown"):
        merge(str(made / "lora"), tmp_path / "out", dtype="int8")
    (tmp_path / "there").mkdir()
    with pytest.raises(InputError, match="exists already"):
        merge(str(made / "lora"), tmp_path / "there")
    assert left(tmp_path) == ["there"]


def test_adapters_of_other_models(made: Path, tmp_path: Path) -> None:
    deeper = language_model(tmp_path / "shallow", num_hidden_layers=1)
    with pytest.raises(ModelError, match=r"layers that the model has not: .*layers\.1"):
        merge(str(made / "lora"), tmp_path / "out", base=str(deeper))
    with pytest.raises(ModelError, match="does not fit the model"):
        merge(str(made / "lora"), tmp_path / "out", base=str(language_model(tmp_path / "gpt2", "gpt2")))
    with pytest.raises(ModelError, match="is an adapter itself"):
        merge(str(made / "lora"), tmp_path / "out", base=str(made / "lora"))

    moved = tmp_path / "moved"
    shutil.copytree(made / "lora", moved)
    config = json.loads((moved / "adapter_config.json").read_text())
    (moved / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": "/nowhere/model"}))
    with pytest.raises(ModelError, match="no such folder") as missing:
        merge(str(moved), tmp_path / "out")
    assert "--base" in missing.value.next_step
    (moved / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": None}))
    with pytest.raises(ModelError, match="names no model"):
        merge(str(moved), tmp_path / "out")
    (moved / "adapter_config.json").write_text(json.dumps(config | {"r": 8}))
    with pytest.raises(ModelError, match="does not fit"):
        merge(str(moved), tmp_path / "out", base=str(made / "base"))
    assert not (tmp_path / "out").exists()


def test_a_base_that_has_changed_and_one_that_is_quantised(made: Path, tmp_path: Path) -> None:
    changed = tmp_path / "lora"
    shutil.copytree(made / "lora", changed)
    named = {"models": {"base": {"reference": str(made / "base"), "digest": "0" * 64}}, "precision": "nf4"}
    (changed / "manifest.json").write_text(json.dumps(named))
    with pytest.raises(ModelError, match="has changed since"):
        merge(str(changed), tmp_path / "out")
    done = merge(str(changed), tmp_path / "out", base=str(made / "base"), texts=TEXTS)
    assert done.report["trained_in"] == "nf4"

    quantised = tmp_path / "base-nf4"
    shutil.copytree(made / "base", quantised)
    config = json.loads((quantised / "config.json").read_text())
    config["quantization_config"] = {"quant_method": "bitsandbytes"}
    (quantised / "config.json").write_text(json.dumps(config))
    with pytest.raises(ModelError, match="is quantised"):
        merge(str(made / "lora"), tmp_path / "out2", base=str(quantised))


def test_pickled_and_damaged_weights(made: Path, tmp_path: Path) -> None:
    import torch

    for name in ("pickled", "cut"):
        shutil.copytree(made / "lora", tmp_path / name)
    (tmp_path / "pickled" / "adapter_model.safetensors").unlink()
    torch.save({}, tmp_path / "pickled" / "adapter_model.bin")
    with pytest.raises(ModelError, match="is a pickle"):
        merge(str(tmp_path / "pickled"), tmp_path / "out")
    weights = tmp_path / "cut" / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-10])
    with pytest.raises(ModelError, match="is not whole"):
        merge(str(tmp_path / "cut"), tmp_path / "out")


def test_a_full_disk(made: Path, tiny_disk: Callable[[str], Path]) -> None:
    disk = tiny_disk("64k")
    with pytest.raises(StorageError, match="no space left"):
        merge(str(made / "lora"), disk / "out", texts=TEXTS)
    assert left(disk) == []


def test_likeness_by_hand() -> None:
    """Probabilities 1/2, 1/2 against 1/4, 3/4: KL = ln(1/2 / 1/4)/2 + ln(1/2 / 3/4)/2 = 0.1438."""
    before = Answers([np.log([[0.5, 0.5], [0.2, 0.8]]).astype(np.float32)], [[0, 1]], [[1, 1]])
    after = Answers([np.log([[0.25, 0.75], [0.2, 0.8]]).astype(np.float32)], [[0, 1]], [[1, 0]])
    found = likeness("causal-lm", before, after)
    assert found["kl"] == pytest.approx(0.1438 / 2, abs=1e-4)
    assert found["kl_worst"] == pytest.approx(0.1438, abs=1e-4)
    assert found["top1"] == 0.5  # of equals the first counts
    assert (found["continued"], found["continued_alike"]) == (1, 0)
    # the first text gives one token to foretell, with probability 1/2 and then 3/4
    assert found["perplexity_before"] == pytest.approx(2)
    assert found["perplexity_after"] == pytest.approx(4 / 3)

    apart = likeness("encoder", Answers([np.array([3, 4.0])]), Answers([np.array([4, 3.0])]))
    assert apart["cosine_loss"] == pytest.approx(1 - 24 / 25)
    assert likeness("reranker", Answers([np.array([0.9])]), Answers([np.array([0.7])]))[
        "score_difference"
    ] == pytest.approx(0.2)
    assert pairs_of(["a", "b", "c"]) == [("a", "b"), ("b", "c"), ("c", "a")]


def test_what_all_texts_begin_with_counts_for_nothing() -> None:
    """Tokens 1, 1 are the template's; the models differ there alone, and in what they foretell of the second text."""
    tokens = [[1, 1, 0], [1, 1, 1, 0]]
    assert shared_start(tokens) == 2
    assert [shared_start(rows) for rows in ([[1, 2]], [[1, 2], [1, 2]], [[1], [2]])] == [0, 2, 0]
    even, odd = [0.5, 0.5], [0.25, 0.75]
    before = Answers([np.log([even] * 3).astype(np.float32), np.log([even] * 4).astype(np.float32)], tokens)
    after = [[odd, even, even], [odd, even, odd, even]]
    found = likeness("causal-lm", before, Answers([np.log(rows).astype(np.float32) for rows in after], tokens))
    # positions 1 and 2 of the first, 1, 2 and 3 of the second: one of five differs
    assert (found["tokens"], found["kl"]) == (5, pytest.approx(0.1438 / 5, abs=1e-4))


def test_texts_of_ones_own(tmp_path: Path) -> None:
    (tmp_path / "t.txt").write_text("one\n\n  two \n", encoding="utf-8")
    assert read_texts(tmp_path / "t.txt") == ("one", "two")
    (tmp_path / "empty").write_text("\n")
    (tmp_path / "bytes").write_bytes(b"\xff\xfe\xfa")
    for name, what in (("empty", "holds no text"), ("bytes", "cannot be read"), ("none", "cannot be read")):
        with pytest.raises(InputError, match=what):
            read_texts(tmp_path / name)
