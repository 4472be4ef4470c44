"""The labelled pairs of the sample: true labels, split by family, hard enough, and written again to the byte."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from llmrec.prompting.pairs import pair_texts
from llmrec.prompting.spans import forms
from llmrec.train.pair_files import read_labelled_pairs

EXAMPLES = Path(__file__).parents[2] / "examples"
SPLITS = ("train", "dev", "test")


@pytest.fixture(scope="module")
def splits() -> dict[str, list[dict[str, Any]]]:
    return {
        split: [json.loads(line) for line in (EXAMPLES / f"pairs-{split}.jsonl").read_text("utf-8").splitlines()]
        for split in SPLITS
    }


@pytest.fixture(scope="module")
def catalog() -> dict[str, dict[str, str]]:
    with (EXAMPLES / "catalog.csv").open(encoding="utf-8", newline="") as file:
        return {row["sku"]: row for row in csv.DictReader(file)}


def test_labels_say_whether_both_sides_are_one_product(
    splits: dict[str, list[dict[str, Any]]], catalog: dict[str, dict[str, str]]
) -> None:
    for rows in splits.values():
        for row in rows:
            left, right = row["ids"]
            assert row["label"] == int(left == right)
            assert row["right"]["title"] == catalog[right]["title"]
            assert row["left"]["title"].strip()
            assert row["left"].get("price", 1) > 0
    # each product has two matching pairs in its split
    matching = Counter(row["ids"][1] for rows in splits.values() for row in rows if row["label"])
    assert set(matching.values()) == {2}
    assert len(matching) == 414


def test_no_family_lies_in_two_splits_and_the_splits_are_those_of_the_summaries(
    splits: dict[str, list[dict[str, Any]]],
) -> None:
    for split, rows in splits.items():
        lines = (EXAMPLES / f"summaries-{split}.jsonl").read_text("utf-8").splitlines()
        families = {json.loads(line)["group"] for line in lines}
        assert {sku[:3] for row in rows for sku in row["ids"]} == families


def test_counts_and_hard_negatives(splits: dict[str, list[dict[str, Any]]]) -> None:
    assert 1_550 < len(splits["train"]) < 1_700
    assert 280 < len(splits["dev"]) < 330
    assert 370 < len(splits["test"]) < 430
    for rows in splits.values():
        wrong = [row for row in rows if not row["label"]]
        assert 0.3 < 1 - len(wrong) / len(rows) < 0.45
        siblings = sum(row["ids"][0][:3] == row["ids"][1][:3] for row in wrong)
        assert 0.4 < siblings / len(wrong) < 0.7
        assert len({json.dumps([row["left"], row["right"]]) for row in rows}) == len(rows)


def test_variants_of_a_family_can_be_told_apart(catalog: dict[str, dict[str, str]]) -> None:
    told = {
        tuple(row[name] for name in ("title", "color", "size", "material", "model", "specifications"))
        for row in catalog.values()
    }
    assert len(told) == 414


def test_words_in_common_do_not_tell_them_apart(splits: dict[str, list[dict[str, Any]]]) -> None:
    def f1(rows: list[dict[str, Any]], least: float) -> float:
        said = [(row["label"], _overlap(row) >= least) for row in rows]
        right = sum(label and guess for label, guess in said)
        return 2 * right / max(1, sum(label + guess for label, guess in said))

    best = max((step / 50 for step in range(51)), key=lambda least: f1(splits["train"], least))
    assert 0.5 < f1(splits["test"], best) < 0.85


def _overlap(row: dict[str, Any]) -> float:
    left, right = (forms([" ".join(str(value) for value in row[side].values())]) for side in ("left", "right"))
    return len(left & right) / len(left | right)


def test_they_are_read_as_pairs_of_offers(splits: dict[str, list[dict[str, Any]]]) -> None:
    pairs = read_labelled_pairs("sample:pairs-dev.jsonl")
    assert [(pair.left, pair.right, pair.label) for pair in pairs] == [
        (row["left"], row["right"], bool(row["label"])) for row in splits["dev"]
    ]
    texts = pair_texts(pairs[0].left, pairs[0].right)
    assert splits["dev"][0]["ids"][0] not in f"{texts.left} {texts.right}".upper()


def test_the_script_writes_the_committed_files(tmp_path: Path) -> None:
    script = EXAMPLES / "make" / "pairs.py"
    subprocess.run([sys.executable, str(script), "-o", str(tmp_path)], check=True, capture_output=True)
    for split in SPLITS:
        name = f"pairs-{split}.jsonl"
        assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes(), name
