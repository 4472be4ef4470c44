"""Local folders: what they are, what is refused, and what is seen to be damaged."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from conftest import model_folder
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import ModelError
from llmrec.models import cached, pull, resolve
from llmrec.models.weights import _length, weight_files


@pytest.mark.parametrize(
    ("config", "kind"),
    [
        ({"architectures": ["LlamaForCausalLM"], "model_type": "llama"}, "causal-lm"),
        ({"architectures": ["GPT2LMHeadModel"], "model_type": "gpt2"}, "causal-lm"),
        ({"architectures": ["T5ForConditionalGeneration"], "model_type": "t5"}, "seq2seq-lm"),
        ({"architectures": ["Qwen2VLForConditionalGeneration"], "vision_config": {}}, "vision-language"),
        ({"architectures": ["WhisperForConditionalGeneration"], "model_type": "whisper"}, "speech"),
        ({"architectures": ["CLIPModel"], "vision_config": {}, "text_config": {}}, "image-text"),
        ({"architectures": ["ResNetForImageClassification"]}, "image"),
        ({"architectures": ["BertForSequenceClassification"]}, "reranker"),
        ({"architectures": ["BertModel"]}, "text-encoder"),
        ({"model_type": "model2vec"}, "static-encoder"),
    ],
)
def test_the_kind_by_its_config(tmp_path: Path, config: dict, kind: str) -> None:
    assert resolve(str(model_folder(tmp_path / "m", config))).kind == kind


def test_a_folder_of_sentence_transformers(bert: Path) -> None:
    modules = [{"type": "sentence_transformers.models.Transformer"}, {"type": "sentence_transformers.models.Pooling"}]
    (bert / "modules.json").write_text(json.dumps(modules))
    assert resolve(str(bert)).kind == "sentence-encoder"
    (bert / "modules.json").write_text(json.dumps([{"type": "sentence_transformers.models.StaticEmbedding"}]))
    assert resolve(str(bert)).kind == "static-encoder"
    (bert / "config_sentence_transformers.json").write_text('{"model_type": "CrossEncoder"}')
    assert resolve(str(bert)).kind == "reranker"


def test_an_adapter_names_its_base(bert: Path) -> None:
    (bert / "config.json").unlink()
    (bert / "model.safetensors").rename(bert / "adapter_model.safetensors")
    (bert / "adapter_config.json").write_text('{"base_model_name_or_path": "starter:smollm2-135m"}')
    folder = resolve(str(bert))
    assert (folder.kind, folder.base) == ("adapter", "starter:smollm2-135m")


def test_a_whisper_of_ctranslate2_is_no_pickle(bert: Path) -> None:
    (bert / "model.safetensors").rename(bert / "model.bin")
    with pytest.raises(ModelError, match=r"model\.bin is a pickle"):
        resolve(str(bert))
    (bert / "vocabulary.json").write_text("[]")
    (bert / "config.json").write_text('{"alignment_heads": [[1, 0]]}')
    assert resolve(str(bert)).kind == "speech"


def test_what_a_folder_is(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(bert.parent)
    folder = resolve("bert")
    assert folder.reference == str(bert) == str(folder.path)
    assert (folder.licence, folder.revision, folder.base) == ("apache-2.0", "", "")
    assert pull("bert").action == "present"
    assert cached() == []


def test_the_digest_follows_the_contents_and_is_remembered(bert: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = resolve(str(bert)).digest
    (bert / "README.md").write_text("other words")
    (bert / "optimizer.pt").write_bytes(b"state of training")
    (bert / "training_args.bin").write_bytes(b"state of training")
    assert resolve(str(bert)).digest == first
    with monkeypatch.context() as patch:
        patch.setattr("llmrec.models.folders.sha256_file", lambda path: pytest.fail(f"{path} read again"))
        assert resolve(str(bert)).digest == first
    (bert / "config.json").write_text('{"model_type": "bert", "hidden_size": 2}')
    assert resolve(str(bert)).digest != first


def test_a_cache_that_cannot_be_written_is_no_fault(bert: Path, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert resolve(str(bert), cache=tmp_path / "file").kind == "text-encoder"


def test_a_folder_without_a_model(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="holds no weights") as caught:
        resolve(str(tmp_path))
    assert "config.json" in caught.value.next_step
    (tmp_path / "a.gguf").write_bytes(b"")
    with pytest.raises(ModelError, match="holds no weights") as caught:
        resolve(str(tmp_path))
    assert "the path of that file" in caught.value.next_step


@pytest.mark.parametrize("config", ["", "[1]", "{", '{"hidden_size": 3}'])
def test_a_config_that_says_nothing(bert: Path, config: str) -> None:
    (bert / "config.json").write_text(config)
    with pytest.raises(ModelError, match=r"config\.json"):
        resolve(str(bert))


@pytest.mark.parametrize(
    "name", ["pytorch_model.bin", "pytorch_model-00001-of-00002.bin", "model.pt", "adapter_model.bin"]
)
def test_pickles_alone_are_refused(bert: Path, name: str) -> None:
    (bert / name).write_bytes(b"x")
    resolve(str(bert))  # safetensors beside it: those are taken
    (bert / "model.safetensors").unlink()
    with pytest.raises(ModelError, match="is a pickle") as caught:
        resolve(str(bert))
    assert "--allow-pickle" in caught.value.next_step
    assert resolve(str(bert), allow_pickle=True).kind == "text-encoder"


def test_a_part_with_a_pickle_of_its_own_is_refused(bert: Path) -> None:
    (bert / "2_Dense").mkdir()
    (bert / "2_Dense" / "pytorch_model.bin").write_bytes(b"x")
    with pytest.raises(ModelError, match=r"2_Dense/pytorch_model\.bin is a pickle"):
        resolve(str(bert))


def test_other_formats_and_checkpoints_are_left_aside() -> None:
    names = [
        "model.safetensors",
        "onnx/model.bin",
        "checkpoint-50/optimizer.pt",
        "consolidated.safetensors",
        ".x/y.bin",
    ]
    assert weight_files(names, "m", allow_pickle=False) == ["model.safetensors"]


def test_code_of_its_own_is_refused_unless_transformers_has_the_architecture(bert: Path) -> None:
    code = {"model_type": "acme", "architectures": ["AcmeModel"], "auto_map": {"AutoModel": "modeling.AcmeModel"}}
    (bert / "config.json").write_text(json.dumps(code))
    with pytest.raises(ModelError, match="needs code that comes with the model") as caught:
        resolve(str(bert), allow_pickle=True)
    assert "never runs" in caught.value.next_step
    (bert / "config.json").write_text(json.dumps({**code, "model_type": "bert"}))
    assert resolve(str(bert)).kind == "text-encoder"
    (bert / "modules.json").write_text('[{"type": "acme.Transformer"}]')
    with pytest.raises(ModelError, match=r"acme\.Transformer"):
        resolve(str(bert))


@pytest.mark.parametrize("keep", [0, 4, 20, -1])
def test_weights_that_were_cut_short(bert: Path, keep: int) -> None:
    path = bert / "model.safetensors"
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(ModelError, match=r"model\.safetensors is not whole"):
        resolve(str(bert))


def test_a_shard_that_is_missing(bert: Path) -> None:
    (bert / "model.safetensors").rename(bert / "model-00001-of-00002.safetensors")
    shards = {"a": "model-00001-of-00002.safetensors", "b": "model-00002-of-00002.safetensors"}
    (bert / "model.safetensors.index.json").write_text(json.dumps({"weight_map": shards}))
    with pytest.raises(ModelError, match=r"model-00002-of-00002\.safetensors is missing \(1 of 2\)"):
        resolve(str(bert))


@settings(deadline=None)  # a busy disk is no fault
@given(st.binary(max_size=80))
def test_any_bytes_for_a_header(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    path = tmp_path_factory.getbasetemp() / "any.safetensors"
    path.write_bytes(data)
    assert isinstance(_length(path), int)
