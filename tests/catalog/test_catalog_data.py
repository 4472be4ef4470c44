"""Every table of the shared data, as it lies there (``LLMREC_DATA`` names the folder)."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from llmrec.catalog import Catalog
from llmrec.errors import InputError
from llmrec.records import Price

DATA = Path(os.environ.get("LLMREC_DATA", "nowhere"))
pytestmark = pytest.mark.skipif(not DATA.is_dir(), reason="LLMREC_DATA names no folder")

TABLES = [
    ("er_products/abt_buy/abt.csv", 1076, "|"),
    ("er_products/abt_buy/abtclean.csv", 1076, "|"),
    ("er_products/abt_buy/buy.csv", 1076, "|"),
    ("er_products/abt_buy/buyclean.csv", 1064, "|"),
    ("er_products/amazon_google/amazon.csv", 1354, "#"),
    ("er_products/amazon_google/gp.csv", 3039, "#"),
    ("grocerystore/dataset/classes.csv", 81, ","),
    ("grozi120_dev/products.csv", 120, ","),
    ("amazon_scientific_sid/Scientific.item.json", 4344, ""),
]


@pytest.mark.parametrize(("name", "rows", "delimiter"), TABLES)
def test_tables_need_no_options(name: str, rows: int, delimiter: str) -> None:
    catalog = Catalog.read(DATA / name)
    products = list(catalog)
    assert len(products) == len({product.id for product in products}) == rows
    assert all(product.title for product in products)
    assert catalog.report.files[0].delimiter == delimiter
    assert not catalog.rejects


def test_some_products() -> None:
    abt = {product.id: product for product in Catalog.read(DATA / "er_products/abt_buy/abt.csv")}
    assert abt["1"].title == "Bose Acoustimass 5 Series III Speaker System - AM53BK" and abt["1"].price == Price(399.0)
    google = {product.id: product for product in Catalog.read(DATA / "er_products/amazon_google/gp.csv")}
    assert google["0"].brand == "intuit" and google["0"].price == Price(38.99)
    item = next(iter(Catalog.read(DATA / "amazon_scientific_sid/Scientific.item.json")))
    assert item.category == ("Industrial & Scientific", "Industrial Electrical", "Passive Components", "Capacitors")
    shelf = next(iter(Catalog.read(DATA / "grozi120_dev/products.csv", mapping={"id": "index"})))
    assert (shelf.id, shelf.extra["upc"]) == ("1", "310119030486")


def test_reviews_with_a_mapping() -> None:
    mapping = {"id": "group_id", "title": "summ1", "category": "cat"}
    catalog = Catalog.read(DATA / "fewsum_amazon/train.csv", mapping=mapping)
    products = list(catalog)
    assert len(products) == 28 and products[0].id == "B0040EIHQQ" and products[0].category == ("cloth",)
    assert not catalog.rejects


@pytest.mark.parametrize(
    ("name", "columns"),
    [
        ("fewsum_amazon/val.csv", "cat, group_id, rev1"),
        ("wdc_products/preprocessed_wdcproducts80cc20rnd000un_valid_small.csv", "prompt, completion"),
        ("er_products/abt_buy/gt.csv", "D1, D2"),
    ],
)
def test_tables_without_an_id_say_what_they_hold(name: str, columns: str) -> None:
    with pytest.raises(InputError, match=f"no column for the product id among: {columns}") as caught:
        list(Catalog.read(DATA / name))
    assert "--map id=COLUMN" in caught.value.next_step
