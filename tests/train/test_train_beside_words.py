"""What a trained encoder counts in the hybrid: measured on dev queries, kept in its folder, taken up by an index."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from llmrec.embed import load_encoder
from llmrec.errors import ModelError
from llmrec.index import Index
from llmrec.index.weighing import Weighed
from llmrec.recipes import parse_recipe
from llmrec.records import Product
from llmrec.train import beside_words, finetune
from llmrec.train.beside_words import KnownVectors, hybrid_negatives
from llmrec.train.retrieval_data import RetrievalExample
from tests.train.made_models import bert

PRODUCTS = [Product(id=f"p{n}", title=f"{'abcdefgh'[n % 8]} mug {n}") for n in range(48)]


def test_a_text_that_was_asked_for_before_is_not_asked_for_again() -> None:
    asked: list[list[str]] = []

    def ask(texts: list[str]) -> np.ndarray:
        asked.append(texts)
        return np.array([[0, 1]] * len(texts), dtype=np.float32)

    prompts = {"query": "q ", "document": ""}
    encoder = KnownVectors({"q mug": 1, "mug": 0}, np.array([[1, 0], [0.6, 0.8]], np.float32), ask, prompts)
    np.testing.assert_array_equal(encoder.encode(["mug", "cup"]), np.array([[1, 0], [0, 1]], np.float32))
    np.testing.assert_array_equal(encoder.encode(["mug"], kind="query"), np.array([[0.6, 0.8]], np.float32))
    assert asked == [["cup"]]


def test_what_the_hybrid_confuses_are_the_negatives() -> None:
    """The vectors know nothing: what shares words with the query is ranked first, the right product is barred."""
    shelf = [Product(id=n, title=t) for n, t in [("a", "red kettle"), ("b", "red kettle, large"), ("c", "green lamp")]]
    shelf += [Product(id=f"x{n}", title=f"thing {n}") for n in range(20)]
    vectors = np.full((1, 4), 0.5, dtype=np.float32)
    encoder = KnownVectors(
        {}, vectors, lambda texts: np.repeat(vectors, len(texts), axis=0), {"query": "", "document": ""}
    )
    example = RetrievalExample("q", "red kettle", "red kettle", {"a": 1})
    right = np.arange(len(shelf)) == 0
    window = {"count": 1, "first": 1, "last": 1, "seed": 0}
    assert hybrid_negatives(encoder, shelf, [example], lambda number: right, **window) == [[1]]
    assert hybrid_negatives(encoder, shelf, [example], lambda number: ~right, **window) == [[0]]


@pytest.mark.parametrize("catalog", [True, False])
def test_a_training_with_a_catalog_and_dev_queries_keeps_what_it_measured(
    catalog: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shelf = [{"id": p.id, "title": p.title} for p in PRODUCTS]
    (tmp_path / "shelf.jsonl").write_text("".join(json.dumps(row) + "\n" for row in shelf))
    for name, numbers in (("train", range(16)), ("dev", range(16, 40))):
        rows = [{"query": f"a mug {n}", "positive": shelf[n]} for n in numbers]
        (tmp_path / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    seen: list[Weighed] = []
    really = beside_words.weigh

    def weigh(index: Index, queries: list, right: list) -> Weighed:
        assert len(index) == 48 and len(queries) == 24 and right[0] == ["p16"]
        seen.append(really(index, queries, right)._replace(weights={"dense": 2.0}))
        return seen[-1]

    monkeypatch.setattr(beside_words, "weigh", weigh)
    products = f"products: {tmp_path}/shelf.jsonl, " if catalog else ""
    recipe = parse_recipe(f"""
task: embed
model: {bert(tmp_path / "bert")}
precision: fp32
device: cpu
method: {{name: full}}
embed: {{hard_negatives: 1, mine_from: 1, mine_with: {"hybrid" if catalog else "vectors"}}}
data: {{train: {tmp_path}/train.jsonl, dev: {tmp_path}/dev.jsonl, {products}max_tokens: 24}}
training: {{epochs: 1, batch_size: 8, threads: 1}}
evaluation: {{base: false}}
output: {tmp_path}/run
""")
    folder = finetune(recipe).folder
    assert folder is not None
    encoder = load_encoder(str(folder))
    if not catalog:
        assert encoder.fusion == {} and not (folder / "llmrec_fusion.json").exists() and not seen
        return
    kept = json.loads((folder / "llmrec_fusion.json").read_text())
    assert kept == seen[0].as_dict() and kept["measured"]["queries"] == 24
    assert encoder.fusion == {"dense": 2.0}
    index = Index.build(tmp_path / "index", PRODUCTS, encoder)
    assert Index.open(tmp_path / "index", encoder).settings.weights == index.settings.weights == {"dense": 2.0}
    (folder / "llmrec_fusion.json").write_text('{"weights": {"dense": "much"}}')
    with pytest.raises(ModelError, match=r"llmrec_fusion\.json: has no numbers as weights"):
        load_encoder(str(folder))
