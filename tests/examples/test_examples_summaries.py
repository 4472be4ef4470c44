"""The gold summaries and preferences of the sample: grounded, split by family, and written again to the byte."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path
from typing import Any

import msgspec
import pytest

from llmrec.prompting import ground_summary, load_prompt, parse_summary, product_variables
from llmrec.prompting.answers import ParsedSummary
from llmrec.prompting.spans import FILLERS, forms, words
from llmrec.prompting.writing import write_summary
from llmrec.records import Product, ProductSummary

EXAMPLES = Path(__file__).parents[2] / "examples"
SPLITS = ("train", "dev", "test")
#: Words of the golds that no field of the product holds, nor any of its values: they join what is said.
JOINING = {"para", "من"}


def _read(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (EXAMPLES / name).read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def splits() -> dict[str, list[dict[str, Any]]]:
    return {split: _read(f"summaries-{split}.jsonl") for split in SPLITS}


@pytest.fixture(scope="module")
def golds(splits: dict[str, list[dict[str, Any]]]) -> list[tuple[Product, ParsedSummary]]:
    found = []
    for row in (row for rows in splits.values() for row in rows):
        product = msgspec.convert(row["product"], Product)
        summary = msgspec.convert({"product_id": product.id, **row["summary"]}, ProductSummary)
        parsed = ParsedSummary(summary.headline, summary.summary, summary.highlights, summary.attributes)
        found.append((product, parsed))
    return found


def test_every_product_has_a_gold_and_no_family_lies_in_two_splits(splits: dict[str, list[dict[str, Any]]]) -> None:
    assert {split: len(rows) for split, rows in splits.items()} == {"train": 300, "dev": 47, "test": 67}
    assert len({row["id"] for rows in splits.values() for row in rows}) == 414
    groups = [{row["group"] for row in rows} for rows in splits.values()]
    assert sum(map(len, groups)) == len(set().union(*groups)) == 104
    assert all(row["group"] == row["id"][:3] for rows in splits.values() for row in rows)
    departments = [{row["product"]["category"][0] for row in rows if row["product"]["language"] == "en"} for rows in
                   splits.values()]  # fmt: skip
    assert len(departments[0]) == 15
    assert {row["product"]["language"] for row in splits["train"]} == {"en", "de", "fr", "es", "ja", "zh", "ar", "th"}
    assert {row["product"]["language"] for row in splits["test"]} == {"en", "de", "fr", "es", "ja", "zh", "ar", "th"}


def test_nothing_is_said_that_the_product_does_not_say(golds: list[tuple[Product, ParsedSummary]]) -> None:
    for product, gold in golds:
        checked, support = ground_summary(gold, product)
        assert checked == gold, product.id
        assert support
        fields = [product.title, product.brand, product.description, *product.category]
        known = forms([*fields, *product.attributes, *product.attributes.values()]) | FILLERS | JOINING
        texts = [gold.headline, gold.summary, *gold.highlights, *gold.attributes.values()]
        assert not forms(texts) - known, product.id
        numbers = {word.form for text in texts for word in words(text) if word.number}
        assert numbers <= forms([*fields, *product.attributes.values()])


def test_golds_name_the_brand_and_are_of_one_sentence_without_markup(
    golds: list[tuple[Product, ParsedSummary]],
) -> None:
    for product, gold in golds:
        assert gold.attributes.get("brand", "") == product.brand
        # "TBN" names its publisher, "GPF-03" the filter it is a part of
        if product.brand:
            assert product.brand in gold.summary, product.id
        assert "<" not in gold.summary and "&nbsp;" not in gold.summary
        assert len(gold.highlights) <= 4
        assert gold.headline and not re.search(r"[\[\]{}|]", f"{gold.headline}{gold.summary}{gold.highlights}")
        if product.language in ("en", "de", "fr", "es"):
            assert len(gold.summary.split()) <= 33, product.id
            assert len(gold.summary.split()) >= (9 if product.description else 4), product.id


def test_an_empty_description_makes_a_short_gold_without_highlights(
    golds: list[tuple[Product, ParsedSummary]],
) -> None:
    bare = [gold for product, gold in golds if not product.description]
    assert len(bare) == 15
    assert not any(gold.highlights for gold in bare)
    assert max(len(gold.summary) for gold in bare) < 100


@pytest.mark.parametrize("name", ["summarize-product", "summarize-product-short"])
def test_what_a_model_learns_to_write_parses_to_the_gold(name: str, golds: list[tuple[Product, ParsedSummary]]) -> None:
    prompt = load_prompt(name)
    for product, gold in golds:
        summary = ProductSummary(product.id, gold.headline, gold.summary, gold.highlights, gold.attributes)
        written = write_summary(prompt, summary)
        assert parse_summary(written, prompt.output, prefix=prompt.prefix) == gold, product.id


def test_the_short_prompt_shows_all_of_every_product_and_little_else(
    golds: list[tuple[Product, ParsedSummary]],
) -> None:
    prompt = load_prompt("summarize-product-short")
    assert [field.labels[0] for field in prompt.output.values()] == ["Type", "Attributes", "Highlights", "Summary"]
    for product, _gold in golds:
        rendered = prompt.render(prompt.pick(product_variables(product)))
        assert not rendered.truncated, product.id
        said = " ".join(message.content for message in rendered.conversation)
        assert " ".join(product.description.split()) in " ".join(said.split())
    empty = prompt.render({"title": "", "brand": "", "category": [], "attributes": {}, "description": ""})
    assert sum(len(message.content.split()) for message in empty.conversation) < 40


def test_preferences_set_the_gold_beside_one_fault(splits: dict[str, list[dict[str, Any]]]) -> None:
    golds = {row["id"]: row for rows in splits.values() for row in rows}
    counts = {}
    for split in ("train", "dev"):
        rows = _read(f"preferences-{split}.jsonl")
        counts[split] = len(rows)
        groups = {row["group"] for row in splits[split]}
        faults: Counter[str] = Counter()
        for row in rows:
            assert row["group"] in groups
            assert row["chosen"] == golds[row["id"]]["summary"]
            assert row["product"] == golds[row["id"]]["product"]
            faults[_fault(row)] += 1
        assert min(faults[fault] for fault in ("html", "praise", "not said")) >= len(rows) // 8
        assert faults["misplaced"] <= len(rows) // 10
    assert counts == {"train": 200, "dev": 47}


def _fault(row: dict[str, Any]) -> str:
    chosen, rejected = row["chosen"], row["rejected"]
    assert rejected != chosen
    if "<p>" in rejected["summary"]:
        return "html"
    if "!" in rejected["summary"]:
        return "praise"
    product = msgspec.convert(row["product"], Product)
    fields = [product.title, product.brand, product.description, *product.category, *product.attributes.values()]
    texts = [*rejected["attributes"].values(), rejected["headline"], rejected["summary"], *rejected["highlights"]]
    if forms(texts) - forms([*fields, *product.attributes]) - FILLERS - JOINING:
        return "not said"
    # a word that stands elsewhere in the product: "Harbour Blend" of "Harbour Blend Decaf", 12 hours of a 12-pack
    assert forms([rejected["summary"]]) != forms([chosen["summary"]])
    return "misplaced"


def test_the_script_writes_the_committed_files(tmp_path: Path) -> None:
    script = EXAMPLES / "make" / "summaries.py"
    subprocess.run([sys.executable, str(script), "-o", str(tmp_path)], check=True, capture_output=True)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == sorted(
        [*(f"summaries-{split}.jsonl" for split in SPLITS), "preferences-dev.jsonl", "preferences-train.jsonl"]
    )
    for name in names:
        assert (tmp_path / name).read_bytes() == (EXAMPLES / name).read_bytes(), name
