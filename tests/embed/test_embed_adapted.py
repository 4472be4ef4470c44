"""Encoders that are adapters beside their base, and vectors that are cut."""

from __future__ import annotations

import json
import logging
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrec.embed import load_encoder
from llmrec.errors import InputError, LlmrecError, ModelError

TEXTS = ["red shoe", "blue camera of the acme trail", "42"]


def adapter_over(base: Path, folder: Path, **settings: Any) -> Path:
    """A LoRA of random numbers over the query and value layers, as ``task: embed`` writes one."""
    import torch
    from peft import LoraConfig, get_peft_model
    from transformers import AutoModel

    torch.manual_seed(5)
    targets = ["query", "value"] if "bert" in base.name or (base / "modules.json").exists() else ["q_proj", "v_proj"]
    config = LoraConfig(r=2, target_modules=targets, task_type="FEATURE_EXTRACTION")
    model: Any = get_peft_model(AutoModel.from_pretrained(base), config)
    for name, parameter in model.named_parameters():
        if "lora_" in name:
            parameter.data.normal_(0, 0.3)
    model.peft_config["default"].base_model_name_or_path = str(base)
    model.save_pretrained(folder, save_embedding_layers=False)
    if settings:
        (folder / "llmrec_embed.json").write_text(json.dumps(settings))
    return folder


@pytest.fixture
def adapter(bert: Path, tmp_path: Path) -> Path:
    return adapter_over(bert, tmp_path / "adapter", pooling="cls", max_length=9, matryoshka=[4, 8],
                        prompts={"query": "query ", "document": ""})  # fmt: skip


def test_it_is_its_base_with_the_adapter_in_the_weights(adapter: Path, bert: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModel, AutoTokenizer

    encoder = load_encoder(str(adapter))
    assert (encoder.pooling, encoder.max_length, encoder.prompts["query"]) == ("cls", 9, "query ")
    model: Any = PeftModel.from_pretrained(AutoModel.from_pretrained(bert), str(adapter)).eval()
    ids = AutoTokenizer.from_pretrained(bert)("query red shoe", return_tensors="pt")
    with torch.no_grad():
        vector = model(**ids).last_hidden_state[0, 0].numpy()
    ours = encoder.encode(["red shoe"], kind="query")[0]
    assert ours @ (vector / np.linalg.norm(vector)) > 1 - 1e-6
    assert np.abs(ours - load_encoder(str(bert), pooling="cls").encode(["query red shoe"])[0]).max() > 1e-3


def test_a_base_in_sentence_transformers_layout_says_what_the_adapter_does_not(sentence: Path, tmp_path: Path) -> None:
    encoder = load_encoder(str(adapter_over(sentence, tmp_path / "adapter")))
    assert (encoder.pooling, encoder.max_length, encoder.prompts["document"]) == ("cls", 12, "passage ")


def test_a_decoder_can_be_the_base(llama: Path, tmp_path: Path) -> None:
    encoder = load_encoder(str(adapter_over(llama, tmp_path / "adapter", pooling="last")))
    assert encoder.pooling == "last" and encoder.encode(TEXTS).shape == (3, 16)


def test_the_digest_covers_base_adapter_and_settings(adapter: Path, bert: Path, tmp_path: Path) -> None:
    def digest() -> str:
        return load_encoder(str(adapter)).digest

    seen = [digest()]
    assert load_encoder(str(adapter), batch_size=2).digest == seen[0]
    settings = json.loads((adapter / "llmrec_embed.json").read_text())
    (adapter / "llmrec_embed.json").write_text(json.dumps(settings | {"max_length": 8}))
    seen.append(digest())
    other = tmp_path / "bert-too"
    shutil.copytree(bert, other)
    with open(other / "config.json", "a") as file:
        file.write("\n")
    config = json.loads((adapter / "adapter_config.json").read_text())
    (adapter / "adapter_config.json").write_text(json.dumps(config | {"base_model_name_or_path": str(other)}))
    seen.append(digest())
    assert len(set(seen)) == 3


def _rewrite(adapter: Path, name: str, **changes: Any) -> None:
    known = json.loads((adapter / name).read_text()) if (adapter / name).is_file() else {}
    (adapter / name).write_text(json.dumps(known | changes))


def test_adapters_that_cannot_be_used_say_why(adapter: Path, bert: Path, llama: Path, tmp_path: Path) -> None:
    import torch

    def refused(name: str, change: Any, message: str) -> None:
        folder = tmp_path / name
        shutil.copytree(adapter, folder)
        change(folder)
        with pytest.raises(LlmrecError, match=message) as caught:
            load_encoder(str(folder))
        assert caught.value.exit_code == 2 and caught.value.next_step

    def pickled(folder: Path) -> None:
        (folder / "adapter_model.safetensors").unlink()
        torch.save({}, folder / "adapter_model.bin")

    def cut(folder: Path) -> None:
        weights = folder / "adapter_model.safetensors"
        weights.write_bytes(weights.read_bytes()[:-10])

    def gone(folder: Path) -> None:
        from safetensors.torch import load_file, save_file

        weights = load_file(folder / "adapter_model.safetensors")
        weights.pop(next(iter(weights)))
        save_file(weights, folder / "adapter_model.safetensors")

    def named(**changes: Any) -> Any:
        return lambda folder: _rewrite(folder, "adapter_config.json", **changes)

    base = {"reference": str(bert), "digest": "0" * 64}
    refused("a", pickled, "is a pickle")
    refused("b", cut, "is not whole")
    refused("c", gone, "does not fit the model: it lacks")
    refused("d", named(base_model_name_or_path=str(tmp_path / "nowhere")), "no such folder")
    refused("e", named(base_model_name_or_path=None), "names no model")
    refused("f", named(base_model_name_or_path=str(llama)), "does not fit the model")
    refused("g", named(base_model_name_or_path=str(adapter)), "is an adapter itself")
    refused("h", named(r=4), "does not fit the model")
    refused("i", named(task_type="CAUSAL_LM"), "is an adapter for CAUSAL_LM")
    refused("j", named(peft_type="NONSENSE"), "adapter_config.json cannot be read")
    refused("k", named(megatron_config={"a": 1}, megatron_core="os"), "is an adapter for Megatron")
    refused("l", lambda f: _rewrite(f, "manifest.json", models={"base": base}), "has changed since")
    refused("m", lambda f: _rewrite(f, "llmrec_embed.json", pooling="max"), "llmrec_embed.json: cannot be read")
    refused("n", lambda f: _rewrite(f, "llmrec_embed.json", matryoshka=[0]), "must be 1 or more")
    refused("o", lambda f: (f / "adapter_config.json").write_text("[1"), "adapter_config.json cannot be read")


def test_its_pooling_is_not_overruled(adapter: Path) -> None:
    with pytest.raises(InputError, match="pools by cls, not mean"):
        load_encoder(str(adapter), pooling="mean")


def test_bases_with_layers_of_their_own_are_refused(sentence: Path, tmp_path: Path) -> None:
    folder = adapter_over(sentence, tmp_path / "adapter")
    path = sentence / "modules.json"
    modules = json.loads(path.read_text())
    modules.append({"idx": 3, "name": "3", "path": "3_Dense", "type": "sentence_transformers.models.Dense"})
    path.write_text(json.dumps(modules))
    with pytest.raises(ModelError, match="has other layers"):
        load_encoder(str(folder))


def test_vectors_are_cut_and_made_unit_again(adapter: Path, bert: Path, static: Path, caplog: Any) -> None:
    whole, cut = load_encoder(str(adapter)), load_encoder(str(adapter), dimension=8)
    expected = whole.encode(TEXTS)[:, :8]
    np.testing.assert_allclose(cut.encode(TEXTS), expected / np.linalg.norm(expected, axis=1, keepdims=True), atol=1e-6)
    assert (cut.dimension, cut.cut_to, whole.cut_to) == (8, 8, None)
    assert cut.digest != whole.digest == load_encoder(str(adapter), dimension=16).digest
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        load_encoder(str(adapter), dimension=5)
        load_encoder(str(bert), dimension=8)
    assert [" ".join(record.getMessage().split()[1:6]) for record in caplog.records] == [
        "was trained only for 4,", "was trained for no cut"
    ]  # fmt: skip
    np.testing.assert_allclose(load_encoder(str(static), dimension=1).encode(["shoe"]), [[1.0]])


@pytest.mark.parametrize("dimension", [0, -1, 17])
def test_lengths_that_there_are_not(adapter: Path, dimension: int) -> None:
    with pytest.raises(InputError, match=f"dimension={dimension}: the vectors of .* have 16 numbers"):
        load_encoder(str(adapter), dimension=dimension)


def test_a_merged_folder_tells_its_lengths_too(sentence: Path, caplog: Any) -> None:
    (sentence / "llmrec_embed.json").write_text(json.dumps({"matryoshka": [8], "temperature": 0.05}))
    with caplog.at_level(logging.WARNING):
        assert load_encoder(str(sentence), dimension=8).encode(TEXTS).shape == (3, 8)
    assert not caplog.records
