"""Language models in 8 and 4 bits, in transformers' own layout, loaded again and compared."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from made_models import bert, language_model

from llmrec.errors import InputError, MissingExtraError, StorageError, TrainingError
from llmrec.train.quantize import quantize

pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
TEXTS = ("red mug 12", "a tent")


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return language_model(tmp_path_factory.mktemp("quantize") / "tiny")


@pytest.mark.parametrize(("to", "bits", "most"), [("int8", 8, 0.05), ("nf4", 4, 2.0)])
def test_transformers_loads_what_was_quantised(llama: Path, tmp_path: Path, to: str, bits: int, most: float) -> None:
    from transformers import AutoModelForCausalLM

    # a random model of two layers is all outliers: 4 bits tell on it more than on a trained one
    done = quantize(str(llama), tmp_path / "out", to=to, tolerance=most, texts=TEXTS)
    assert 0 < done.report["likeness"]["kl"] < most
    assert json.loads((tmp_path / "out" / "quantize.json").read_text()) == done.report
    model = AutoModelForCausalLM.from_pretrained(tmp_path / "out", device_map={"": "cpu"})
    weight = model.model.layers[0].mlp.up_proj.weight
    assert weight.numel() * weight.element_size() == 64 * 96 * bits // 8
    assert model.lm_head.weight.element_size() == 2
    assert 0.3 < done.report["share"] < 0.9
    with pytest.raises(InputError, match="is quantised already"):
        quantize(str(tmp_path / "out"), tmp_path / "twice", texts=TEXTS)


def test_what_is_refused(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TrainingError, match="drift by kl"):
        quantize(str(llama), tmp_path / "out", tolerance=1e-6, texts=TEXTS)
    with pytest.raises(InputError, match="unknown"):
        quantize(str(llama), tmp_path / "out", to="int2")
    with pytest.raises(InputError, match="is a reranker, not a language model") as refused:
        quantize(str(bert(tmp_path / "bert", "reranker")), tmp_path / "out")
    assert "--to onnx" in refused.value.next_step
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match="train"):
        quantize(str(llama), tmp_path / "out")
    assert [path.name for path in tmp_path.iterdir()] == ["bert"]


def test_a_full_disk(llama: Path, tiny_disk: Callable[[str], Path]) -> None:
    disk = tiny_disk("64k")
    with pytest.raises(StorageError, match="no space left"):
        quantize(str(llama), disk / "out", tolerance=5, texts=TEXTS)
    assert list(disk.iterdir()) == []
