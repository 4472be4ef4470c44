"""JSON in the forms that shops hand out."""

from __future__ import annotations

import gzip
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.catalog import Catalog, NothingKeptError
from llmrec.catalog.json_rows import JsonDocument, is_lines
from llmrec.catalog.rejects import RejectLog
from llmrec.errors import InputError
from llmrec.records import Price, Product
from llmrec.storage import write_jsonl

KETTLE = {"id": "1", "title": "Kettle", "price": "12.50 EUR", "brand": {"@type": "Brand", "name": "Acme"}}
PAN = {"id": 2, "title": "Pan", "price": {"amount": 9, "currency": "USD"}, "colour": "red", "stock": {"a": [1, None]}}


def read(path: Path, text: str | bytes, **options: Any) -> tuple[Catalog, list[Product]]:
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    catalog = Catalog.read(path, **options)
    return catalog, list(catalog)


FORMS = {
    "lines.jsonl": "\n".join(map(json.dumps, [KETTLE, PAN])),
    "lines.json": "\n".join(map(json.dumps, [KETTLE, PAN])) + "\n",
    "array.json": json.dumps([KETTLE, PAN]),
    "array.jsonl": json.dumps([KETTLE, PAN], indent=1),
    "wrapped.json": json.dumps({"count": 2, "title": "our shop", "products": [KETTLE, PAN]}),
    "deep.json": json.dumps({"data": {"items": [KETTLE, PAN]}, "next": None}),
    "keyed.json": json.dumps({"1": {**KETTLE, "id": "1"}, "2": {k: v for k, v in PAN.items() if k != "id"}}, indent=2),
    "one_after_other.json": json.dumps(KETTLE, indent=2) + "\n" + json.dumps(PAN, indent=2),
    "no_suffix": json.dumps([KETTLE, PAN]),
}


@pytest.mark.parametrize("name", FORMS)
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_every_form_gives_the_same_products(tmp_path: Path, name: str, encoding: str) -> None:
    catalog, products = read(tmp_path / name, FORMS[name].encode(encoding))
    assert products == [
        Product("1", "Kettle", brand="Acme", price=Price(12.5, "EUR")),
        Product(
            "2", "Pan", price=Price(9.0, "USD"), attributes={"colour": "red"}, extra={"stock": {"a": [1, None]}}
        ),
    ]  # fmt: skip
    assert catalog.report.read == 2 and not catalog.report.rejected


def test_packed(tmp_path: Path) -> None:
    _, products = read(tmp_path / "a.json.gz", gzip.compress(FORMS["array.json"].encode()))
    assert [product.id for product in products] == ["1", "2"]
    _, products = read(tmp_path / "b.jsonl", gzip.compress(FORMS["lines.jsonl"].encode()))  # packed, whatever its name
    assert [product.id for product in products] == ["1", "2"]


def test_bad_lines_are_rejected_and_the_others_kept(tmp_path: Path) -> None:
    text = '{"id":"1","title":"a"}\n{"id":"2",\n[1]\n\n{"id":"3","title":"c","w":NaN}\n'
    text += '{"title":"no id"}\n{"id":"5","title":null}\n'
    catalog, products = read(tmp_path / "a.jsonl", text)
    assert [product.id for product in products] == ["1", "3"]
    assert [(r.row, r.line, r.field, r.reason) for r in catalog.rejects] == [
        (2, 2, "", "bad_json"),
        (3, 3, "", "not_an_object"),
        (5, 6, "id", "missing_id"),
        (6, 7, "title", "missing_title"),
    ]
    assert catalog.report.read == 6 and catalog.report.kept == 2


def test_rows_of_mixed_layouts_keep_their_order_and_their_titles(tmp_path: Path) -> None:
    rows = [
        {"id": "1", "title": "a", "x": 1},
        {"sku": "2", "name": "b"},
        {"id": "3", "title": "c", "sku": "s3"},
        {"id": "4", "title": "d", "brand": "Acme"},
    ]
    catalog, products = read(tmp_path / "a.jsonl", "\n".join(map(json.dumps, rows)))
    assert [(p.id, p.title, p.brand) for p in products] == [
        ("1", "a", ""),
        ("2", "b", ""),
        ("3", "c", ""),
        ("4", "d", "Acme"),
    ]
    assert products[2].extra == {"sku": "s3"} and products[0].extra == {"x": 1}
    assert catalog.report.files[0].columns["title"] == "title, name"


def test_schema_org_and_shopify_offers(tmp_path: Path) -> None:
    rows = [
        {"sku": "1", "name": "a", "offers": {"@type": "Offer", "price": "5.00", "priceCurrency": "EUR"}},
        {"sku": "2", "name": "b", "offers": [{"price": 7}]},
    ]
    _, products = read(tmp_path / "a.json", json.dumps(rows))
    assert [product.price for product in products] == [Price(5.0, "EUR"), Price(7.0)]
    assert products[0].extra["offers"]["@type"] == "Offer"  # kept, since a price is not all of it


def test_an_array_that_breaks_off_says_where(tmp_path: Path) -> None:
    text = json.dumps([KETTLE, PAN], indent=1)
    with pytest.raises(InputError, match=r"a\.json, line \d+: not JSON after 1 products"):
        read(tmp_path / "a.json", text[:-30])
    with pytest.raises(InputError, match=r"line 3: not JSON after 1 products: expected ','"):
        read(tmp_path / "a.json", '[\n{"id":"1","title":"a"}\n{"id":"2","title":"b"}]')


def test_json_by_columns_is_refused_with_the_remedy(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="by columns") as caught:
        read(tmp_path / "a.json", '{"id":{"0":"1"},"title":{"0":"a"}}')
    assert "records" in caught.value.next_step


@pytest.mark.parametrize("text", ["[]", "{}", '{"u1": ["i1", "i2"]}', '{"products": []}'])
def test_json_without_products(tmp_path: Path, text: str) -> None:
    with pytest.raises(NothingKeptError, match="no products"):
        read(tmp_path / "a.json", text)


def test_an_endless_line_is_rejected(tmp_path: Path) -> None:
    line = b'{"id":"1","title":"' + b"a" * 10_000_000 + b'"}\n'
    catalog, products = read(tmp_path / "a.jsonl", line + b'{"id":"2","title":"b"}\n')
    assert [product.id for product in products] == ["2"]
    assert [(r.row, r.reason) for r in catalog.rejects] == [(1, "line_too_long")]
    with pytest.raises(NothingKeptError, match="line_too_long 1"):
        read(tmp_path / "a.jsonl", line)


def test_an_endless_element_of_an_array_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="longer than"):
        read(tmp_path / "a.json", b'[{"id":"1","title":"' + b"a" * 20_000_000 + b'"}]')


def test_deep_nesting_and_halves_of_surrogates_do_no_harm(tmp_path: Path) -> None:
    deep = '{"id":"1","title":"a","x":' + "[" * 5000 + "]" * 5000 + "}"
    odd = '{"id":"2","title":"b\\ud800","n":123456789012345678901234567890}'
    _, products = read(tmp_path / "a.jsonl", deep + "\n" + odd + "\n")
    assert write_jsonl(tmp_path / "out.jsonl", products) == len(products) >= 1
    assert products[-1].title == "b?" and products[-1].extra["n"] == "123456789012345678901234567890"


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.dictionaries(st.text(max_size=5), st.one_of(st.text(max_size=9), st.floats(), st.none()), max_size=4)),
    st.integers(1, 40),
    st.sampled_from([None, 1]),
)
def test_arrays_cut_into_blocks_anywhere(rows: list[dict[str, Any]], size: int, indent: int | None) -> None:
    text = json.dumps(rows, indent=indent)
    blocks = iter([text[i : i + size] for i in range(0, len(text), size)])
    found = [row.values for row in JsonDocument("a.json", blocks, RejectLog())]
    assert json.dumps(found) == json.dumps(rows)


def test_lines_or_document() -> None:
    assert is_lines('{"id":1}\n{"id":2}', "a.json")
    assert is_lines('{"id":1', "a.jsonl")
    assert is_lines('{"id":"1","title":"a"}\n', "a.json")
    assert not is_lines('[{"id":1}]', "a.jsonl")
    assert not is_lines('{"1":{"title":"a"}}', "a.json")
    assert not is_lines('{\n"products": [', "a.json")
