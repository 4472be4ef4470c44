"""The queries of the sample: products of the catalog, split by family, and written again to the byte."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llmrec.records import Content

EXAMPLES = Path(__file__).parents[2] / "examples"
SPLITS = ("train", "dev", "test")


@pytest.fixture(scope="module")
def splits() -> dict[str, list[dict[str, Any]]]:
    files = {split: EXAMPLES / f"retrieval-{split}.jsonl" for split in SPLITS}
    return {split: [json.loads(line) for line in path.read_text("utf-8").splitlines()] for split, path in files.items()}


def test_families_are_split_as_those_of_the_summaries(splits: dict[str, list[dict[str, Any]]]) -> None:
    with (EXAMPLES / "catalog.csv").open(encoding="utf-8", newline="") as file:
        known = {row["sku"]: row["title"] for row in csv.DictReader(file)}
    for split, rows in splits.items():
        lines = (EXAMPLES / f"summaries-{split}.jsonl").read_text("utf-8").splitlines()
        families = {json.loads(line)["group"] for line in lines}
        assert {row["product_id"][:3] for row in rows} == families
        for row in rows:
            content = msgspec.convert(row["query"], Content)
            assert (content.title or content.caption) and content.title != known[row["product_id"]]


def test_every_content_stands_once(splits: dict[str, list[dict[str, Any]]]) -> None:
    ids = [row["query"]["id"] for rows in splits.values() for row in rows]
    assert len(set(ids)) == len(ids) == 857


def test_the_script_writes_the_same_again(tmp_path: Path) -> None:
    script = EXAMPLES / "make" / "retrieval.py"
    subprocess.run([sys.executable, str(script), "-o", str(tmp_path)], check=True, capture_output=True)
    for split in SPLITS:
        name = f"retrieval-{split}.jsonl"
        assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes()
