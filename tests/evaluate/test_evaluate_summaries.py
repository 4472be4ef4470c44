"""Summaries: reading, ROUGE over products, and what holds without references."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmrec.errors import InputError
from llmrec.evaluate import evaluate_summaries, read_references, read_summaries
from llmrec.records import Price, Product, ProductSummary, Support
from llmrec.storage import write_records

DATA = os.environ.get("LLMREC_DATA")
RECORDS = [
    ProductSummary(
        "p1",
        "Trail shoe",
        "A light trail shoe of 250 g.",
        highlights=("Light", "Waterproof"),
        attributes={"colour": "Red"},
        support=(Support("light", "title", 5, 10), Support("colour: red", "attributes.colour", 0, 3)),
    ),
    ProductSummary("p2", "", "", problems=("no JSON found",)),
]


def values(estimates: dict) -> dict[str, float]:
    return {name: estimate.value for name, estimate in estimates.items()}


def test_summaries_by_themselves() -> None:
    found = values(evaluate_summaries(RECORDS).records)
    assert found == {"empty": 0.5, "with_problems": 0.5, "words": 3.5, "claims": 1.5, "claims_supported": 2 / 3}


def test_summaries_against_their_products() -> None:
    catalog = [
        Product(
            "p1", "Acme light trail shoe", price=Price(89.0, "EUR"), attributes={"colour": "red", "weight": "260 g"}
        ),
        Product("p9", "Other"),
    ]
    found = values(evaluate_summaries(RECORDS, catalog=iter(catalog)).records)
    assert found["support_in_source"] == 1.0
    assert found["words_from_source"] == pytest.approx(4 / 7)  # light, trail, shoe, g; not: a, of, 250
    assert found["numbers_from_source"] == 0.0  # 250 is made up
    outside = [ProductSummary("p1", "", "x", support=(Support("x", "title", 5, 99), Support("x", "nowhere", 0, 1)))]
    assert values(evaluate_summaries(outside, catalog=catalog).records)["support_in_source"] == 0.0


def test_rouge_over_products() -> None:
    references = {"p1": ["A light trail shoe of 250 g."], "p3": ["missing"]}
    result = evaluate_summaries(RECORDS, references, over="max", stem=True)
    assert result.rouge["rouge1"].value == 0.5
    assert (result.scored, result.missing, result.without_reference) == (2, 1, 1)
    assert [(line.id, line.score) for line in result.worst] == [("p3", 0.0), ("p1", 1.0)]
    assert (result.references, result.stemmed) == ("max", True)


def test_baseline() -> None:
    references = {f"p{i}": ["red shoe"] for i in range(6)}
    good, bad = dict.fromkeys(references, "red shoe"), dict.fromkeys(references, "blue hat")
    comparison = evaluate_summaries(good, references, baseline=bad).comparison
    assert comparison["rougeL"].difference.value == 1.0
    assert comparison["rougeL"].p_value == 2 / 2**6
    assert comparison["rougeL"].p_adjusted == 6 / 2**6


def test_other_ids_are_refused() -> None:
    with pytest.raises(InputError, match="no reference is of a product"):
        evaluate_summaries({"a": "x"}, {"b": ["x"]})
    with pytest.raises(InputError, match="no summaries"):
        evaluate_summaries({})


@pytest.mark.parametrize("name", ["s.jsonl", "s.parquet"])
def test_reading_records(tmp_path: Path, name: str) -> None:
    write_records(tmp_path / name, RECORDS, ProductSummary)
    assert read_summaries(tmp_path / name) == RECORDS


def test_reading_plain_rows(tmp_path: Path) -> None:
    (tmp_path / "s.jsonl").write_text('{"id": 7, "text": "one"}\n{"product_id": "b", "summary": "two"}\n')
    (tmp_path / "s.csv").write_text('id,text\n7,"one, two"\n')
    assert [(s.product_id, s.summary) for s in read_summaries(tmp_path / "s.jsonl")] == [("7", "one"), ("b", "two")]
    assert [(s.product_id, s.summary) for s in read_summaries(tmp_path / "s.csv")] == [("7", "one, two")]


def test_reading_references(tmp_path: Path) -> None:
    (tmp_path / "r.jsonl").write_text('{"id":"a","reference":"x"}\n{"id":"a","references":["y","z"]}\n')
    (tmp_path / "r.tsv").write_text("cat\tgroup_id\trev1\tsumm1\tsumm2\nc\ta\tno\tx\ty\nc\tb\tno\tz\t\n")
    assert read_references(tmp_path / "r.jsonl") == {"a": ["x", "y", "z"]}
    assert read_references(tmp_path / "r.tsv") == {"a": ["x", "y"], "b": ["z"]}


@pytest.mark.parametrize(
    ("reader", "text", "message"),
    [
        (read_summaries, '{"id": "a", "text": "x"}\n{"id": "a", "text": "y"}', "line 2: product 'a' stands twice"),
        (read_summaries, '{"id": "a"}', "line 1: no text"),
        (read_summaries, '{"text": "a"}', "line 1: no id"),
        (read_summaries, '{"product_id": "a", "headline": "h", "summary": 3}', "line 1: not as expected"),
        (read_summaries, "", "is empty"),
        (read_summaries, "id,text\na\n", "line 2: 1 cells"),
        (read_references, '{"id": "a", "text": "x"}', "line 1: no reference"),
        (read_references, '{"id": "a", "reference": " "}', "line 1: the reference is empty"),
        (read_references, '{"id": "a", "reference": 4}', "line 1: a reference is not a text"),
        (read_references, '{"id": null, "reference": "x"}', "line 1: no id"),
        (read_references, "id,reference\n", "holds no references"),
    ],
)
def test_faults(tmp_path: Path, reader, text: str, message: str) -> None:
    (tmp_path / "f").write_text(text)
    with pytest.raises(InputError, match=message):
        reader(tmp_path / "f")


@pytest.mark.skipif(not DATA, reason="LLMREC_DATA is not set")
def test_fewsum_is_read_as_it_lies() -> None:
    path = Path(str(DATA)) / "fewsum_amazon" / "val.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    references = read_references(path)
    assert len(references) == 12 and {len(texts) for texts in references.values()} == {3}
