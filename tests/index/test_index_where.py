"""Filters: read or refused with the place, written back, and kept to by every retriever."""

from __future__ import annotations

import contextlib
import operator
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.index import Index
from llmrec.index.dense import Dense
from llmrec.index.facets import Facets
from llmrec.index.filters import All, AnyOf, Compare, Filter, Money, Not, as_text
from llmrec.index.where import DEEPEST, LONGEST, parse
from llmrec.records import Price, Product, Query
from llmrec.storage import write_parquet
from tests.fakes import FakeEncoder

SHOES = ("Shoes", "Running")
PRODUCTS = [
    Product("a", "Trail shoe", brand="Acme", category=SHOES, price=Price(40, "EUR"), attributes={"Colour": "Red"}),
    Product("b", "Road shoe", brand="ACME", category=(*SHOES, "Road"), price=Price(60, "EUR"), language="de"),
    Product("c", "Wool hat", brand="Globex", category=("Hats",), price=Price(20, "USD"), extra={"in_stock": False}),
    Product("d", "Café crème cup", brand="", category=("Kitchen > Cups",), extra={"availability": "InStock", "n": 3}),
    Product("e", "Blue shoe", brand="Ünique", price=Price(50, "EUR"), attributes={"colour": "blue", "Stock": "4"}),
]


def facets(products: list[Product]) -> Facets:
    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder) / "products.parquet"
        write_parquet(target, products, Product)
        table = pq.read_table(target)
    return Facets(lambda names: table.select(list(names)), len(products))


def kept(where: str, products: list[Product] = PRODUCTS) -> str:
    mask = facets(products).keep(parse(where))
    return "".join(product.id for product, keep in zip(products, mask, strict=True) if keep)


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ('brand == "acme"', "ab"),
        ('brand = "Unique"', "e"),
        ('brand != "Acme"', "cde"),
        ('brand in ["Globex", "ünique"]', "ce"),
        ('brand not in ["Globex"]', "abde"),
        ("brand missing", "d"),
        ("brand exists and price < 45 EUR", "a"),
        ("price >= 50 EUR", "be"),
        ("price in [20 USD, 50 EUR]", "ce"),
        ("price missing", "d"),
        ('currency == "usd"', "c"),
        ('category under "shoes"', "ab"),
        ('category under "Running > Road"', "b"),
        ('category under "Shoes/Running"', "ab"),
        ('category == "Shoes > Running"', "a"),
        ('category contains "cup"', "d"),
        ('category under "Cups"', "d"),
        ("category missing", "e"),
        ('title contains "CAFE creme"', "d"),
        ('attributes.colour == "RED"', "a"),
        ('attributes["COLOUR"] != "red"', "bcde"),
        ("attributes.colour exists", "ae"),
        ("extra.n >= 3", "d"),
        ("extra.n == 3", "d"),
        ("in_stock", "de"),
        ("price < 45 EUR AND brand exists OR in_stock", "ade"),
        ("price < 45 EUR and brand exists", "a"),
        ('id contains "a"', "a"),
        ('id contains "A"', ""),
        ("in_stock == false", "abc"),
        ("not in_stock and in_stock exists", "c"),
        ("in_stock missing", "ab"),
        ('language == "de" or id in ["a", "A"]', "ab"),
        ('not (brand == "Acme" or title contains "hat")', "de"),
        ('brand == "acme" or brand == "globex" and price < 5 USD', "ab"),
        ('description == "" or url contains "x"', ""),
    ],
)
def test_a_filter_keeps(where: str, ids: str) -> None:
    assert kept(where) == ids


def test_prices_in_several_currencies_want_one_named() -> None:
    with pytest.raises(InputError, match="prices in EUR, USD") as told:
        kept("price < 50")
    assert "price < 50 EUR" in told.value.next_step
    assert kept("price < 50", PRODUCTS[:2]) == "a"


@pytest.mark.parametrize(
    ("where", "fault"),
    [
        ("", "is empty"),
        ("price <", "has 'its end' where a value"),
        ('brnd == "x"', "'brnd', which is no field"),
        ('price < "50"', "a number, with the text"),
        ("brand == Acme", "'Acme' where a value"),
        ('brand == "Acme', "quote that is not closed"),
        ("price < 50 & price > 2", "'&', which means nothing"),
        ("(price < 50", "where '\\)' is expected"),
        ("price < 50 price > 2", "goes on with 'price'"),
        ("brand < 3", "a text, with the number"),
        ('brand < "a"', "'<' of a text"),
        ('title under "Shoes"', "no tree"),
        ("price contains 5", "of a number"),
        ("brand == 5 EUR", "amount of money"),
        ("brand not 5", "'in' must follow"),
        ("in_stock == 5", "other than true or false"),
        ("in_stock in [true]", "'in' of in_stock"),
        (" or ".join(["in_stock"] * 101), "compares too often"),
        ("attributes", "where '\\[' is expected"),
        ("attributes. == 3", "no name after"),
        ("not", "a field is expected"),
        ('and == "x"', "a field is expected"),
        ("brand", "no comparison"),
        ("(" * (DEEPEST + 1) + "in_stock", "too deeply"),
        ("not " * 100_000, str(LONGEST)),
        ("brand in []", "a value is expected"),
        ("price < 1e999 or __import__('os').system('true')", "is no field"),
    ],
)
def test_what_cannot_be_read_is_refused_with_its_place(where: str, fault: str) -> None:
    with pytest.raises(InputError, match=fault):
        parse(where)


def test_the_nearest_field_is_named_and_the_place_is_marked() -> None:
    with pytest.raises(InputError) as told:
        parse('price < 5 and brnd == "x"')
    assert "Did you mean 'brand'?" in told.value.next_step
    _, line, caret = told.value.message.splitlines()
    assert line[caret.index("^") :].startswith("brnd")


words = st.sampled_from(["acme", "Globex", "red", "Shoes", 'a "quote" \\', "ß", " "])
numbers = st.floats(-1e6, 1e6).map(lambda number: number + 0.0)
money = st.builds(Money, numbers, st.sampled_from(["EUR", "USD"]))
compares = st.one_of(
    st.builds(Compare, st.sampled_from(["brand", "title", "language"]), st.just("=="), st.tuples(words, words)),
    st.builds(Compare, st.just("price"), st.sampled_from(["<", "<=", ">", ">=", "=="]), st.tuples(money)),
    st.builds(Compare, st.just("category"), st.sampled_from(["under", "==", "contains"]), st.tuples(words)),
    st.builds(Compare, st.just("attributes"), st.just("=="), st.tuples(words), st.sampled_from(["Colour", "a b", '"'])),
    st.builds(Compare, st.just("extra"), st.sampled_from(["<", ">="]), st.tuples(numbers), st.just("n")),
    st.builds(Compare, st.sampled_from(["brand", "price", "in_stock"]), st.just("exists")),
    st.just(Compare("in_stock", "true")),
)
filters = st.recursive(
    compares,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=8,
)


@given(filters)
def test_a_filter_comes_back_from_its_text(wanted: Filter) -> None:
    assert parse(as_text(wanted)) == wanted


@given(st.text(max_size=60))
@example("price < 5\x00")
@example("\U0001d7d9 == 1")
def test_any_text_is_read_or_refused(text: str) -> None:
    with contextlib.suppress(InputError):
        parse(text)


COLUMNS = facets(PRODUCTS)


@settings(max_examples=200)
@given(filters)
def test_a_filter_keeps_what_a_loop_over_the_products_keeps(wanted: Filter) -> None:
    found = COLUMNS.keep(wanted)
    assert found.tolist() == [plainly(wanted, product) for product in PRODUCTS]


def plainly(wanted: Filter, product: Product) -> bool:
    """The meaning of a filter, spelt out for one product."""
    match wanted:
        case Not(part):
            return not plainly(part, product)
        case All(parts):
            return all(plainly(part, product) for part in parts)
        case AnyOf(parts):
            return any(plainly(part, product) for part in parts)
    value = {"in_stock": {"c": "no", "d": "yes", "e": "yes"}.get(product.id)}.get(wanted.field, "?")
    if wanted.field == "in_stock":
        return value is not None if wanted.operator == "exists" else value == "yes"
    if wanted.field == "price":
        if wanted.operator == "exists":
            return product.price is not None
        asked: Any = wanted.values[0]
        order = {"<": "lt", "<=": "le", ">": "gt", ">=": "ge", "==": "eq"}[wanted.operator]
        same = product.price is not None and product.price.currency == asked.currency
        return same and getattr(operator, order)(product.price.amount, asked.amount)
    if wanted.field == "extra":
        order = {"<": operator.lt, ">=": operator.ge}[wanted.operator]
        return "n" in product.extra and order(product.extra["n"], wanted.values[0])
    if wanted.field == "category":
        path = [level.strip().lower() for text in product.category for level in text.split(">")]
        asked = str(wanted.values[0]).strip().lower()
        if wanted.operator == "contains":
            return bool(path) and any(asked in level for level in path)
        return path == [asked] if wanted.operator == "==" else bool(asked) and asked in path
    if wanted.field == "attributes":
        text = {name.lower(): value for name, value in product.attributes.items()}.get(wanted.key.lower(), "")
    else:
        text = getattr(product, wanted.field)
    if wanted.operator == "exists":
        return bool(text)
    return bool(text) and text.casefold() in [str(value).casefold() for value in wanted.values]


@pytest.fixture
def index(tmp_path: Path) -> Index:
    return Index.build(tmp_path / "index", PRODUCTS, FakeEncoder())


@pytest.mark.parametrize("retriever", ["hybrid", "bm25", "dense", "bm25:title", "dense:whole"])
def test_every_retriever_keeps_to_the_filter(index: Index, retriever: str) -> None:
    queries = [Query(text="red shoe"), Query(text="hat", title="wool hat")]
    free = index.search_by(retriever, queries, 5)
    where = 'brand == "Acme"'
    for all_found, found in zip(free, index.search_by(retriever, queries, 5, where), strict=True):
        assert {hit.product_id for hit in found} <= {"a", "b"}
        assert [hit.product_id for hit in found] == [h.product_id for h in all_found if h.product_id in ("a", "b")]
    assert index.search_by(retriever, queries, 5, 'brand == "Nobody"') == [[], []]
    assert index.count(where) == 2


def test_pieces_of_words_keep_to_the_filter(index: Index) -> None:
    assert [hit.product_id for hit in index.search_pieces([("shoee", 0.5)], 5, 'brand == "Acme"')] == ["b", "a"]


@pytest.mark.parametrize(
    ("choice", "share"),
    [("exact", 0.01), ("exact", 0.9), ("hnsw", 0.01), ("hnsw", 0.2), ("hnsw", 0.9), ("ivf-disk", 0.2)],
)
def test_the_nearest_of_those_kept_are_found(choice: str, share: float, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.index.dense.FEW", 100)
    monkeypatch.setattr("llmrec.index.dense.PART", 64)
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(3000, 16)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    queries, mask = vectors[:20] + 0.1 * rng.normal(size=(20, 16)).astype(np.float32), rng.random(3000) < share
    found = Dense.build(vectors, choice).top(queries, 10, mask)
    cosines = np.where(mask, queries @ vectors.T, -np.inf)
    exact = np.argsort(-cosines, axis=1)[:, :10]
    assert all(mask[rows].all() and len(set(rows.tolist())) == 10 for rows in found)
    shared = sum(len(set(own.tolist()) & set(best.tolist())) for own, best in zip(found, exact, strict=True))
    assert shared == 200 if share < 0.1 or choice == "exact" else shared >= 190


def test_a_filter_that_keeps_what_lies_elsewhere_still_finds_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.index.dense.FEW", 100)
    rng = np.random.default_rng(0)
    sides = np.repeat([[1.0], [-1.0]], 1500, axis=0) * np.eye(16)[0] + 0.1 * rng.normal(size=(3000, 16))
    vectors = (sides / np.linalg.norm(sides, axis=1, keepdims=True)).astype(np.float32)
    kept = np.arange(3000) >= 1500
    dense = Dense.build(vectors, "ivf-disk")
    for rows, query in zip(dense.top(vectors[:5], 50, kept), vectors[:5], strict=True):
        exact = 1500 + np.argsort(-(vectors[1500:] @ query))[:50]
        assert set(rows.tolist()) == set(exact.tolist())


def test_none_kept_finds_none() -> None:
    vectors = np.eye(8, dtype=np.float32)
    for choice in ("exact", "hnsw", "ivf", "ivf-disk"):
        assert [r.tolist() for r in Dense.build(vectors, choice).top(vectors[:2], 3, np.zeros(8, bool))] == [
            [],
            [],
        ]
