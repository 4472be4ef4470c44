"""Pairs and preferences from recipe to folder, with tiny models: what is saved scores as what was trained."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from llmrec.errors import ArtefactError, InputError
from llmrec.match.pair_reranker import PairReranker
from llmrec.recipes import Recipe, parse_recipe
from llmrec.train import finetune, prepare
from llmrec.train.merge import merge
from llmrec.train.rerank import read_pair_splits

MAKERS, KINDS = ("Acme", "Blim", "Corv"), ("drill", "lamp", "kettle")


def write_pairs(path: Path, count: int, seed: int) -> Path:
    """A model number decides: the same offer in other words, or its neighbour."""
    rng = random.Random(seed)
    rows = []
    for _ in range(count):
        maker, kind, number = rng.choice(MAKERS), rng.choice(KINDS), rng.randrange(1000, 9999)
        label = rng.random() < 0.4
        other = number if label else number + rng.choice((1, 10, 100))
        left = {"title": f"{maker} {kind} {maker[0]}{number}", "price": 20}
        rows.append({"left": left, "right": f"{kind} by {maker} {maker[0]}-{other}", "label": int(label)})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


@pytest.fixture(scope="module")
def bert(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with a tokenizer of letters."""
    from tests.train.conftest import make_model, make_tokenizer

    folder = tmp_path_factory.mktemp("bert")
    make_model("bert").save_pretrained(folder)
    tokenizer = make_tokenizer()
    tokenizer.sep_token = "<|im_end|>"
    tokenizer.save_pretrained(folder)
    return folder


def recipe(model: Path, folder: Path, *changes: str) -> Recipe:
    write_pairs(folder / "train.jsonl", 80, 1)
    write_pairs(folder / "dev.jsonl", 40, 2)
    write_pairs(folder / "test.jsonl", 40, 3)
    text = f"""
task: rerank
model: {model}
precision: fp32
device: cpu
method: {{name: full}}
data:
  train: {folder}/train.jsonl
  dev: {folder}/dev.jsonl
  test: {folder}/test.jsonl
  max_tokens: 160
training: {{epochs: 1, batch_size: 16, learning_rate: 1e-3, threads: 1}}
output: {folder}/run
"""
    return parse_recipe(text, changes)


def test_a_cross_encoder_comes_back_as_it_was_trained(bert: Path, tmp_path: Path) -> None:
    from sentence_transformers import CrossEncoder

    done = finetune(recipe(bert, tmp_path))
    assert done.folder == tmp_path / "run" / "model"
    test = done.metrics["test"]
    assert test["examples"] == 40
    assert test["f1"]["tuned"]["value"] > 0.9  # the features see model numbers
    assert set(test["parts"]) == {"model alone", "features alone"}
    reranker = PairReranker.load(done.folder)
    task = prepare(recipe(bert, tmp_path))
    pairs = [(pair.left, pair.right) for pair in task.splits.test]
    scores = reranker.score(pairs)
    said = scores >= reranker.threshold
    truth = np.array([pair.label for pair in task.splits.test])
    f1 = 2 * (said & truth).sum() / (said.sum() + truth.sum())
    assert f1 == pytest.approx(test["f1"]["tuned"]["value"], abs=1e-6)
    # the library alone loads it and says the same
    texts = [("acme drill a1000", "drill by acme a1000")]
    alone = CrossEncoder(str(done.folder)).predict(texts)
    assert float(alone[0]) == pytest.approx(1 / (1 + np.exp(-reranker.encoder.predict(texts)[0])), abs=1e-5)
    for path in done.folder.rglob("*.json"):
        assert str(tmp_path) not in path.read_text(encoding="utf-8").replace(str(tmp_path / "train.jsonl"), "")


def test_without_features_only_the_model_judges(bert: Path, tmp_path: Path) -> None:
    done = finetune(recipe(bert, tmp_path, "rerank.features=false", "method.name=lora", "rerank.drop_tokens=0.1"))
    assert done.folder is not None
    assert not (done.folder / "features").exists()
    assert "parts" not in done.metrics["test"]
    assert PairReranker.load(done.folder).score([("a", "b")]).shape == (1,)


def test_an_adapter_with_its_head_is_the_matcher_that_was_trained(bert: Path, tmp_path: Path) -> None:
    done = finetune(recipe(bert, tmp_path, "method.name=lora", "rerank.save=adapter", "evaluation.base=true"))
    assert done.folder == tmp_path / "run" / "adapter"
    reranker = PairReranker.load(done.folder)
    pairs = prepare(recipe(bert, tmp_path)).splits.test
    said = reranker.score([(pair.left, pair.right) for pair in pairs]) >= reranker.threshold
    truth = np.array([pair.label for pair in pairs])
    f1 = done.metrics["test"]["f1"]
    assert 2 * (said & truth).sum() / (said.sum() + truth.sum()) == pytest.approx(f1["tuned"]["value"], abs=1e-6)
    assert f1["difference"]["value"] == pytest.approx(f1["tuned"]["value"] - f1["base"]["value"])
    # a new head is trained whole and saved: without it the scores would be those of chance
    from safetensors import safe_open

    with safe_open(done.folder / "adapter_model.safetensors", "np") as file:
        names = set(file.keys())
    assert {name.split(".")[-2] for name in names if "lora" not in name} >= {"classifier"}
    # merged, it is the same matcher still
    whole = PairReranker.load(merge(str(done.folder), tmp_path / "whole", dtype="float32").path)
    offers = [(pair.left, pair.right) for pair in pairs]
    assert np.abs(whole.score(offers) - reranker.score(offers)).max() < 1e-5
    again = np.array([PairReranker.load(done.folder).score([("acme a1", "acme a-1")])[0] for _ in range(2)])
    assert again[0] == again[1]


def test_a_matcher_is_trained_further_from_where_it_is(bert: Path, tmp_path: Path) -> None:
    alone = ("rerank.features=false", "evaluation.base=true", "training.learning_rate=1e-9")
    first = finetune(recipe(bert, tmp_path, *alone)).folder
    assert first is not None
    (tmp_path / "more").mkdir()
    again = finetune(recipe(first, tmp_path / "more", *alone)).metrics["test"]
    # its own head is the base, and nothing was learned at such a rate
    assert again["average_precision"]["difference"]["value"] == pytest.approx(0, abs=1e-3)


def test_adapters_of_other_tasks_are_no_matchers(bert: Path, tmp_path: Path) -> None:
    done = finetune(recipe(bert, tmp_path, "method.name=lora", "rerank.save=adapter", "evaluation.base=false"))
    assert done.folder is not None
    path = done.folder / "adapter_config.json"
    path.write_text(path.read_text().replace('"SEQ_CLS"', '"FEATURE_EXTRACTION"'), encoding="utf-8")
    with pytest.raises(ArtefactError, match="not an adapter of a cross-encoder"):
        PairReranker.load(done.folder)


def test_a_language_model_learns_yes_and_no(tiny: Path, tmp_path: Path) -> None:
    made = recipe(tiny, tmp_path, "rerank.kind=yes-no", "rerank.swap=false", "method.name=lora", "data.max_tokens=400")
    task: Any = prepare(made)
    assert task.shown(1)[0].endswith(("⟦yes<|im_end|>⟧", "⟦no<|im_end|>⟧"))
    done = finetune(made)
    assert done.folder == tmp_path / "run" / "adapter"
    assert set(done.metrics["dev"]) >= {"f1", "auroc", "examples"}
    assert (done.folder / "adapter_model.safetensors").is_file()


def test_preferences_are_learned(tiny: Path, tmp_path: Path) -> None:
    rows = [
        {"id": i, "prompt": f"item {i}", "chosen": f"A mug, number {i}.", "rejected": f"BEST {i} EVER!"}
        for i in range(24)
    ]
    (tmp_path / "p.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    text = f"""
task: prefer
model: {tiny}
precision: fp32
device: cpu
data: {{train: {tmp_path}/p.jsonl, dev_share: 0.25, max_tokens: 100}}
training: {{epochs: 2, batch_size: 4, learning_rate: 1e-2, threads: 1}}
output: {tmp_path}/run
"""
    dev = finetune(parse_recipe(text)).metrics["dev"]
    assert dev["margin"]["difference"]["value"] > 0.05
    assert dev["accuracy"]["tuned"]["value"] >= dev["accuracy"]["base"]["value"]


def test_faults_of_preferences_are_told(tiny: Path, tmp_path: Path) -> None:
    path = tmp_path / "p.jsonl"
    path.write_text('{"prompt": "x", "chosen": "a", "rejected": "a"}\n', encoding="utf-8")
    text = f"task: prefer\nmodel: {tiny}\ndata: {{train: {path}}}\noutput: {tmp_path}/run\n"
    with pytest.raises(InputError, match="line 1: chosen and rejected are the same"):
        prepare(parse_recipe(text))
    path.write_text('{"prompt": "x", "chosen": "a"}\n', encoding="utf-8")
    with pytest.raises(InputError, match="line 1: no 'rejected'"):
        prepare(parse_recipe(text))


def test_pairs_of_one_label_are_refused(bert: Path, tmp_path: Path) -> None:
    made = recipe(bert, tmp_path)
    (tmp_path / "dev.jsonl").write_text('{"left": "a", "right": "b", "label": 0}\n', encoding="utf-8")
    with pytest.raises(InputError, match=r"data.dev: 1 pairs, of one label alone"):
        read_pair_splits(made)


@pytest.mark.parametrize(
    "content", [None, "", "{}", '{"version": 99, "hints": true, "weights": {}, "bias": 0, "threshold": 1}']
)
def test_what_is_no_matcher(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "llmrec_pairs.json").write_text(content, encoding="utf-8")
    with pytest.raises(ArtefactError):
        PairReranker.load(tmp_path if content is not None else tmp_path / "nowhere")
