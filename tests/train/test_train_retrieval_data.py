from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.recipes import Recipe, parse_recipe
from llmrec.train.mining import kept, mine, tell_near
from llmrec.train.product_batches import ProductBatches, product_batches
from llmrec.train.retrieval_data import read_splits


def recipe(folder: Path, rows: list[Any], *changes: str, name: str = "train.jsonl") -> Recipe:
    (folder / name).write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    text = f"task: embed\nmodel: none\ndata: {{train: {folder}/{name}, dev_share: 0}}\nevaluation: {{every: end}}"
    return parse_recipe(text, changes)


def test_texts_and_records_stand_for_the_same(tmp_path: Path) -> None:
    content = {"id": "v", "kind": "video", "title": "new mug", "caption": "so blue", "hashtags": ["#mugs"]}
    product = {"id": "M-1", "title": "Mug", "brand": "Acme", "description": "blue", "attributes": {"size": "0.3 l"}}
    rows = [{"query": "a mug", "positive": "Mug"}, {"query": content, "positive": product, "negatives": ["Lamp"]}]
    splits, reader = read_splits(recipe(tmp_path, rows))
    plain, rich = splits["train"]
    assert (plain.title, plain.whole, plain.positives) == ("a mug", "a mug", ["Mug"])
    assert (rich.title, rich.whole) == ("new mug", "new mug \nso blue \nmugs")
    assert (rich.id, rich.positives, rich.negatives) == ("v", ["M-1"], ("Lamp",))
    item = reader.items["M-1"]
    assert (item.title, item.whole, item.group) == ("Mug", "Mug Acme blue size 0.3 l", "M-1")


def test_contents_with_qrels_learn_the_highest_grade(tmp_path: Path) -> None:
    (tmp_path / "catalog.jsonl").write_text(
        "".join(json.dumps({"id": key, "title": f"Mug {key}"}) + "\n" for key in ("A", "B", "C")), encoding="utf-8"
    )
    (tmp_path / "qrels.tsv").write_text("v\t0\tA\t2\nv\t0\tB\t1\nw\t0\tC\t1\nempty\t0\tC\t1\nnone\t0\tC\t0\n")
    rows = [{"id": key, "kind": "search", "title": "" if key == "empty" else f"mug {key}"}
            for key in ("v", "w", "empty", "none", "unknown")]  # fmt: skip
    changes = [f"data.products={tmp_path}/catalog.jsonl", f"data.qrels={tmp_path}/qrels.tsv"]
    splits, reader = read_splits(recipe(tmp_path, rows, *changes))
    assert [(e.id, e.positives, e.grades) for e in splits["train"]] == [
        ("v", ["A"], {"A": 2, "B": 1}),
        ("w", ["C"], {"C": 1}),
    ]
    assert reader.catalog == ["A", "B", "C"]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"query": "a"}, "line 2: has no query, or no positive"),
        ({"query": "", "positive": "b"}, "line 2: the query is empty"),
        ({"query": "a", "positive": " "}, "line 2: a product is empty"),
        ({"query": "a", "positive": {"id": "x"}}, "line 2: no product: .*title"),
        ({"query": {"id": "x", "kind": "song"}, "positive": "b"}, "line 2: no query: "),
        ({"query": "a", "product_id": "x"}, "line 2: product 'x' is in no catalog"),
        ({"query": "a", "positive": "b", "negatives": "c"}, "line 2: negatives is not a list"),
    ],
)
def test_faults_name_their_line(tmp_path: Path, row: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_splits(recipe(tmp_path, [{"query": "q", "positive": "p"}, row]))


def test_products_on_both_sides_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dev.jsonl").write_text(json.dumps({"query": "other words", "positive": "Mug 1"}), encoding="utf-8")
    rows = [{"query": f"q {i}", "positive": f"Mug {i}"} for i in range(3)]
    with pytest.raises(InputError, match=r"data.dev: 1 of its products are in data.train \(Mug 1"):
        read_splits(recipe(tmp_path, rows, f"data.dev={tmp_path}/dev.jsonl"))
    grouped = [{**row, "group": "mugs"} for row in rows]
    other = {"query": "cup", "positive": "Cup", "group": "mugs"}
    (tmp_path / "dev.jsonl").write_text(json.dumps(other), encoding="utf-8")
    with pytest.raises(InputError, match=r"data.dev: 1 of its products are in data.train \(mugs"):
        read_splits(recipe(tmp_path, grouped, f"data.dev={tmp_path}/dev.jsonl"))


@settings(max_examples=25, deadline=None)
@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=12, max_size=40), st.integers(0, 5))
def test_no_product_and_no_query_is_on_both_sides_of_the_split(
    tmp_path_factory: pytest.TempPathFactory, links: list[tuple[int, int]], seed: int
) -> None:
    folder = tmp_path_factory.mktemp("split")
    rows = [{"query": f"q{a}", "positive": f"p{b}"} for a, b in links]
    rows += [{"query": f"lone {i}", "positive": f"own {i}"} for i in range(20)]
    splits, _ = read_splits(recipe(folder, rows, "data.dev_share=0.3", f"training.seed={seed}"))
    assert len(splits["train"]) + len(splits["dev"]) == len(rows)
    for side in (lambda e: set(e.grades), lambda e: {e.whole}, lambda e: {e.group}):
        sides = [set().union(*map(side, splits[name])) for name in ("train", "dev")]
        assert not sides[0] & sides[1]


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 6)), min_size=1, max_size=60), st.integers(1, 9))
def test_every_example_once_and_no_product_twice_in_a_batch(rows: list[tuple[int, int]], size: int) -> None:
    lengths, products = [length for length, _ in rows], [str(product) for _, product in rows]
    counts = set()
    for epoch in range(3):
        batches = product_batches(lengths, products, size, seed=1, epoch=epoch, grouped=True)
        assert sorted(i for batch in batches for i in batch) == list(range(len(rows)))
        assert all(0 < len(batch) <= size for batch in batches)
        assert all(len({products[i] for i in batch}) == len(batch) for batch in batches)
        counts.add(len(batches))
    assert counts == {max(-(-len(rows) // size), max(products.count(p) for p in products))}


def test_batches_follow_from_seed_and_epoch_and_hold_like_lengths() -> None:
    rng = np.random.default_rng(0)
    lengths, products = rng.integers(1, 100, 640).tolist(), [str(i) for i in range(640)]
    sampler = ProductBatches(lengths, products, 16, seed=3, grouped=True)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    sampler.set_epoch(0)
    assert list(sampler) == first != second and len(sampler) == len(first) == 40
    spreads = [max(lengths[i] for i in b) - min(lengths[i] for i in b) for b in first]
    assert np.mean(spreads) < 10


def test_negatives_come_from_their_ranks_and_are_never_barred() -> None:
    items = np.array([[np.cos(a), np.sin(a)] for a in np.linspace(0, 1.5, 10)], dtype=np.float32)
    queries = items[[0, 9]]
    barred = np.zeros((2, 10), dtype=bool)
    barred[0, [0, 2]] = barred[1, 9] = True
    # ranks of query 0 without the barred: 1 3 4 5 6 …; of query 1: 8 7 6 5 …
    assert mine(queries, items, barred, count=3, first=2, last=4, seed=0) == [[3, 4, 5], [7, 6, 5]]
    one = mine(queries, items, barred, count=1, first=1, last=4, seed=7)
    assert one == mine(queries, items, barred, count=1, first=1, last=4, seed=7)
    assert one[0][0] in (1, 3, 4, 5) and one[1][0] in (8, 7, 6, 5)
    assert mine(queries, items, np.ones((2, 10), dtype=bool), count=2, first=1, last=5, seed=0) == [[], []]


def test_what_was_mined_is_kept_while_nothing_has_changed(tmp_path: Path) -> None:
    path, calls = tmp_path / "run" / "mined.json", []

    def work() -> list[list[int]]:
        calls.append(1)
        return [[len(calls)]]

    assert [kept(path, "a", work), kept(path, "a", work), kept(path, "b", work)] == [[[1]], [[1]], [[2]]]
    path.write_text("{")
    assert kept(path, "b", work) == [[3]]


def test_a_mask_that_leaves_little_is_told(caplog: pytest.LogCaptureFixture) -> None:
    """Two of the four products are one: 2 of 16 pairs, 12%."""
    vectors = np.array([[1, 0], [1, 0], [0, 1], [-1, 0]], dtype=np.float32)
    tell_near(vectors, 0.95)
    assert "12% of all pairs of products are taken for near-duplicates" in caplog.text
    caplog.clear()
    tell_near(vectors[1:], 0.95)
    assert not caplog.text
