"""A filter keeps in a store the very products that it keeps in an index folder, or is refused."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.index.filters import All, AnyOf, Compare, Filter, Money, Not
from llmrec.index.remote.address import parse_address
from llmrec.index.remote.filtering import translated
from llmrec.index.remote.payload import INDEXED, payload_of, point_of
from llmrec.index.remote.store import Store, Wanted
from llmrec.index.where import parse
from llmrec.records import Price, Product
from tests.index.test_index_where import PRODUCTS, facets

ODD = [
    Product("f", "", category=("Home", " > ", "Mugs/Large"), attributes={"!!": "x", "Größe": "42", "size": " 42.0 "}),
    Product("g", "A", "b  C", extra={"n": "3e2", "N": 5, "list": [1], "flag": True, "colour": ""}, language="DE"),
    Product("h", "x" * 50, category=("a", "b", "a", "b", "c"), price=Price(0.1 + 0.2, ""), url="http://x/É"),
    Product("A", "\u0301", brand=" ", extra={"availability": "sold out", "Colour": "red", "n": "1e999"}),
    Product(" ", "nameless", attributes={"colour": "  ", "COLOUR": "red", "stock": "-1"}, price=Price(-5, "eur")),
]
CATALOG = [*PRODUCTS, *ODD]
COLUMNS = facets(CATALOG)
CURRENCIES = ["eur", "usd"]

words = st.sampled_from(["acme", "Globex", "Ünique", "red", "RED ", "x", "b c", "de", "", " ", "a", "É", "\u0301", "ß"])
paths = st.sampled_from(["shoes", "Shoes > Running", "running/road", "a > b", "b > a", "a|b|a|b|c", ">", "mugs", "up"])
numbers = st.sampled_from([0.0, 3.0, 4.0, 5.0, 42.0, 50.0, 300.0, -5.0, 0.30000000000000004, 1e308, float("inf")])
money = st.builds(Money, numbers, st.sampled_from(["EUR", "USD", "GBP"]))
names = st.sampled_from(["Colour", "!!", "grösse", "größe", "n", "list", "flag", "size", "nothing", '"', "Stock"])
texts = st.sampled_from(["title", "description", "brand", "language", "url", "currency", "id"])
opened = st.sampled_from(["attributes", "extra"])
orders = st.sampled_from(["<", "<=", ">", ">="])
several = st.lists(words, min_size=1, max_size=3).map(tuple)
compares = st.one_of(
    st.builds(Compare, texts, st.just("=="), several),
    st.builds(Compare, texts, st.just("contains"), st.tuples(words)),
    st.builds(
        Compare, st.sampled_from(["price", "category", "in_stock", "id", "currency", "brand"]), st.just("exists")
    ),
    st.builds(Compare, st.just("price"), st.one_of(orders, st.just("==")), st.tuples(money)),
    st.builds(Compare, st.just("price"), st.just("=="), st.tuples(money, money)),
    st.builds(Compare, st.just("category"), st.sampled_from(["under", "=="]), st.tuples(paths, paths)),
    st.builds(Compare, st.just("category"), st.just("contains"), st.tuples(words)),
    st.builds(Compare, opened, st.just("=="), st.lists(st.one_of(words, numbers), min_size=1).map(tuple), names),
    st.builds(Compare, opened, st.just("contains"), st.tuples(words), names),
    st.builds(Compare, opened, orders, st.tuples(numbers), names),
    st.builds(Compare, opened, st.just("exists"), st.just(()), names),
    st.just(Compare("in_stock", "true")),
)
filters = st.recursive(
    compares,
    lambda inner: st.one_of(
        st.builds(Not, inner),
        st.builds(All, st.lists(inner, min_size=2, max_size=3).map(tuple)),
        st.builds(AnyOf, st.lists(inner, min_size=2, max_size=3).map(tuple)),
    ),
    max_leaves=6,
)

Kept = Callable[[Filter], list[bool]]


@pytest.fixture(scope="module", params=["local", "engine"])
def kept(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Kept:
    """What a store keeps of the catalog, in its order."""
    qdrant = pytest.importorskip("qdrant_client", reason="pip install 'llmrec[qdrant]'")
    from qdrant_client import models

    from llmrec.index.remote.pushing import Layout

    where, client = "qdrant+file:store/odd", None
    if request.param == "engine":
        pytest.importorskip("qdrant_edge", reason="pip install qdrant-edge-py")
        from tests.index.edge import EdgeClient

        where, client = "qdrant://store/odd", EdgeClient(tmp_path_factory.mktemp("edge"))
    store = Store(parse_address(where), client or qdrant.QdrantClient(":memory:"))  # type: ignore[arg-type]
    store.create("odd", {}, ["bm25:title"], Layout())
    store.index_payload("odd", INDEXED)
    points = [models.PointStruct(id=point_of(p.id), vector={}, payload=payload_of(p, coded=False)) for p in CATALOG]
    store.put("odd", points)

    def keep(wanted: Filter) -> list[bool]:
        ((found, _),) = store.search("odd", [Wanted("", None, len(CATALOG), translated(wanted, CURRENCIES))])
        return [point_of(product.id) in found for product in CATALOG]

    return keep


@settings(max_examples=300, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(filters)
@example(Compare("attributes", "==", (42.0,), "size"))
@example(Compare("extra", "==", ("true",), "flag"))
@example(Compare("extra", ">", (1e308,), "n"))
@example(Compare("category", "under", ("a > b > c",)))
@example(Compare("id", "==", ("a", "A", " ")))
@example(Not(AnyOf((Compare("category", "==", (">",)), Compare("title", "contains", ("",))))))
def test_a_store_keeps_what_a_folder_keeps(kept: Kept, wanted: Filter) -> None:
    assert kept(wanted) == COLUMNS.keep(wanted).tolist()


@pytest.mark.parametrize(
    ("where", "ids"),
    [
        ('brand == "acme" and price < 50 EUR', "a"),
        ('brand not in ["Acme"] and category under "kitchen > cups"', "d"),
        ('title contains "CAFE creme" or id in ["h", "e"]', "deh"),
        ('category under "b > c" and not in_stock', "h"),
        ('attributes["GRÖSSE"] == 42 or extra.n >= 300', "fgA"),
        ("in_stock exists and not in_stock", "cA "),
        ("price < 0 EUR", " "),
    ],
)
def test_filters_by_hand(kept: Kept, where: str, ids: str) -> None:
    found = kept(parse(where))
    assert "".join(product.id for product, keep in zip(CATALOG, found, strict=True) if keep) == ids


@pytest.mark.parametrize(
    "wanted",
    [
        Compare("brand", "<", (3.0,)),
        Compare("price", "contains", ("5",)),
        Compare("in_stock", "=="),
        Compare("category", "<"),
        Compare("attributes", "under", ("a",), "x"),
        Compare("x", "=="),
    ],
)
def test_what_has_no_form_in_the_store_is_refused(wanted: Any) -> None:
    pytest.importorskip("qdrant_client", reason="pip install 'llmrec[qdrant]'")
    with pytest.raises(InputError, match="has no form in Qdrant"):
        translated(Not(wanted), CURRENCIES)


def test_a_price_names_its_currency_where_there_are_several() -> None:
    pytest.importorskip("qdrant_client", reason="pip install 'llmrec[qdrant]'")
    with pytest.raises(InputError, match="prices in EUR, USD") as told:
        translated(parse("price < 50"), CURRENCIES)
    assert "price < 50 EUR" in told.value.next_step
    assert translated(parse("price < 50"), ["eur"]).should


def test_a_filter_travels_as_json_without_loss() -> None:
    models = pytest.importorskip("qdrant_client.models", reason="pip install 'llmrec[qdrant]'")
    wanted = 'attributes["!"] in ["x", 3] and (price >= 20 EUR or not category under "a > b") and id contains "B"'
    found = translated(parse(wanted), CURRENCIES)
    assert models.Filter.model_validate_json(found.model_dump_json()) == found
