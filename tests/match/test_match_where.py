"""``llmrec match --where``: a filter is kept to by all that a content is searched by."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.index import Index
from llmrec.records import Content, Match, Product, TimedText
from llmrec.storage import read_records, write_records

PRODUCTS = [
    Product("K", "Kestrel gooseneck kettle", brand="Kestrel"),
    Product("G", "Gooseneck kettle", brand="Globex"),
    Product("M", "Moss yoga mat", brand="Moss"),
]


def matched(tmp_path: Path, *arguments: str) -> tuple[int, str, list[Match]]:
    Index.build(tmp_path / "index", PRODUCTS, None, replace=True)
    # misread text goes by pieces of words, the rest by whole ones
    pieces = (TimedText(0, 4, "gooseneck kettle", "speech"), TimedText(0, 4, "Kestrei goosneck", "screen", 0.4))
    write_records(tmp_path / "contents.jsonl", [Content("c", "video", timed_text=pieces)], Content)
    command = ["match", str(tmp_path / "contents.jsonl"), "--index", str(tmp_path / "index"), "-o"]
    done = CliRunner().invoke(app, [*command, str(tmp_path / "m.jsonl"), *arguments])
    found = list(read_records(tmp_path / "m.jsonl", Match)) if (tmp_path / "m.jsonl").exists() else []
    return done.exit_code, done.output, found


def test_only_products_that_fit_are_matched(tmp_path: Path) -> None:
    assert {product.product_id for product in matched(tmp_path)[2][0].products} >= {"K", "G"}
    code, output, (match,) = matched(tmp_path, "--where", 'brand != "Kestrel"')
    assert code == 0, output
    assert match.products[0].product_id == "G"
    assert "K" not in {product.product_id for product in match.products}


def test_a_filter_that_nothing_fits_is_told(tmp_path: Path) -> None:
    code, output, (match,) = matched(tmp_path, "--where", 'brand == "Nobody"')
    assert (code, match.products) == (0, ())
    assert "no product of" in output and "fits the filter" in output


def test_a_fault_is_told_before_anything_is_written(tmp_path: Path) -> None:
    code, output, found = matched(tmp_path, "--where", "brand == Acme")
    assert (code, found) == (2, [])
    assert 'Write it in quotes: "Acme".' in output
