"""Encoders, rerankers and language models as ONNX graphs: the same answers at every length and in every batch."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from made_models import bert, language_model, word_tokenizer

from llmrec.errors import InputError, MissingExtraError, ModelError, StorageError, TrainingError
from llmrec.train.export_onnx import export_onnx

pytest.importorskip("onnx", reason="onnx is not installed")
onnxruntime = pytest.importorskip("onnxruntime", reason="onnxruntime is not installed")
TEXTS = ("red mug", "a tent for two, 1.8 kg; green", "mug " * 200)


@pytest.fixture(scope="module")
def encoder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return bert(tmp_path_factory.mktemp("onnx") / "encoder")


def run(file: Path, **inputs: list[list[int]]) -> dict[str, np.ndarray]:
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    arrays = {name: np.array(rows, dtype=np.int64) for name, rows in inputs.items()}
    given = {item.name: arrays.get(item.name, np.zeros_like(arrays["input_ids"])) for item in session.get_inputs()}
    return dict(zip(names, session.run(None, given), strict=True))


def test_an_encoder_with_its_pooling(encoder: Path, tmp_path: Path) -> None:
    from sentence_transformers import SentenceTransformer

    done = export_onnx(str(encoder), tmp_path / "out", texts=TEXTS)
    found = done.report["likeness"]
    assert found["cosine_loss"] < 1e-9
    assert found["apart"] < 1e-5
    assert found["padding_apart"] < 1e-5
    assert done.report["file"] == "onnx/model.onnx"
    ids = word_tokenizer()(["mug", "tent mug 2"], padding=True)
    got = run(tmp_path / "out" / "onnx" / "model.onnx", **{k: ids[k] for k in ("input_ids", "attention_mask")})
    expected = SentenceTransformer(str(encoder), device="cpu").encode(["mug", "tent mug 2"])
    np.testing.assert_allclose(got["sentence_embedding"], expected, atol=1e-5)
    assert got["last_hidden_state"].shape == (2, 5, 64)
    assert np.linalg.norm(got["sentence_embedding"], axis=1) == pytest.approx([1, 1], abs=1e-5)
    # beside it what sentence-transformers reads, and no weights of torch
    names = {path.relative_to(tmp_path / "out").as_posix() for path in (tmp_path / "out").rglob("*") if path.is_file()}
    assert {"modules.json", "config.json", "tokenizer.json", "export.json", "manifest.json", "README.md"} <= names
    assert not any(name.endswith(".safetensors") for name in names)


def test_int8_is_smaller_and_near(encoder: Path, tmp_path: Path) -> None:
    done = export_onnx(str(encoder), tmp_path / "out", kind="int8", texts=TEXTS)
    assert 1e-9 < done.report["likeness"]["cosine_loss"] < 0.05
    assert done.report["share"] < 0.55
    assert [path.name for path in (tmp_path / "out" / "onnx").iterdir()] == ["model_quint8_avx2.onnx"]
    with pytest.raises(TrainingError, match="as int8 ONNX: its answers drift by cosine_loss"):
        export_onnx(str(encoder), tmp_path / "strict", kind="int8", tolerance=1e-9, texts=TEXTS)
    assert not (tmp_path / "strict").exists()


def test_a_reranker(tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    folder = bert(tmp_path / "reranker", "reranker")
    done = export_onnx(str(folder), tmp_path / "out", texts=TEXTS)
    assert done.report["likeness"]["score_difference"] < 1e-5
    ids = word_tokenizer()("mug", "tent")
    rows = {name: [ids[name]] for name in ("input_ids", "token_type_ids", "attention_mask")}
    logit = run(tmp_path / "out" / "onnx" / "model.onnx", **rows)["logits"][0, 0]
    score = CrossEncoder(str(folder), device="cpu").predict([("mug", "tent")])[0]
    assert 1 / (1 + np.exp(-logit)) == pytest.approx(score, abs=1e-5)


@pytest.mark.parametrize("kind", ["llama", "qwen2"])
def test_a_language_model_reads_prompts_of_any_length(tmp_path: Path, kind: str) -> None:
    folder = language_model(tmp_path / kind, kind)
    done = export_onnx(str(folder), tmp_path / "out", texts=TEXTS)
    assert done.report["likeness"]["kl"] < 1e-8
    ids = [[5, 6, 7, 8, 9], [5, 6, 7, 2, 2]]
    got = run(tmp_path / "out" / "onnx" / "model.onnx", input_ids=ids, attention_mask=[[1] * 5, [1, 1, 1, 0, 0]])[
        "logits"
    ]
    assert got.shape == (2, 5, 266)
    # what comes later, or is padding, is not seen
    np.testing.assert_allclose(got[0, :3], got[1, :3], atol=1e-4)


def test_what_is_refused(encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(InputError, match="unknown"):
        export_onnx(str(encoder), tmp_path / "out", kind="fp16")
    monkeypatch.setattr("llmrec.train.export_onnx._LARGEST", 1000)
    with pytest.raises(ModelError, match="larger in fp32 than an ONNX file can be"):
        export_onnx(str(encoder), tmp_path / "out")
    (tmp_path / "taken").write_text("")
    with pytest.raises(InputError, match="exists already"):
        export_onnx(str(encoder), tmp_path / "taken")
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="ONNX"):
        export_onnx(str(encoder), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["taken"]


def test_a_graph_that_sees_padding_is_noticed(encoder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    from llmrec.train import export_onnx as room

    plain = room._graph

    def blind(opened: object, names: list[str]) -> torch.nn.Module:
        graph = plain(opened, names)
        inner = graph.inner.forward
        graph.inner.forward = lambda given: inner(given | {"attention_mask": given["input_ids"] * 0 + 1})
        return graph

    monkeypatch.setattr(room, "_graph", blind)
    with pytest.raises(TrainingError, match=r"answers change by .* with what else is in the batch"):
        export_onnx(str(encoder), tmp_path / "out", texts=TEXTS)
    assert list(tmp_path.iterdir()) == []


def test_a_full_disk(encoder: Path, tiny_disk: Callable[[str], Path]) -> None:
    disk = tiny_disk("128k")
    with pytest.raises(StorageError, match="no space left"):
        export_onnx(str(encoder), disk / "out", texts=TEXTS)
    assert list(disk.iterdir()) == []


def test_the_command(encoder: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from llmrec.cli import app

    words = ["models", "export", str(encoder), "--to", "onnx", "-o", str(tmp_path / "out")]
    done = CliRunner().invoke(app, words)
    assert done.exit_code == 0, done.output
    assert "cosine_loss" in done.stdout
    assert json.loads((tmp_path / "out" / "export.json").read_text())["opset"] == 18
