"""Prices, worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.catalog.prices import Prices, read_currency
from llmrec.errors import InputError
from llmrec.records import Price


@pytest.mark.parametrize(
    ("cell", "amount", "currency"),
    [
        ("1.299,00 €", 1299.0, "EUR"),
        ("$12.99", 12.99, "USD"),
        ("USD 5", 5.0, "USD"),
        ("15.00 CHF", 15.0, "CHF"),
        ("EUR 1 299,50", 1299.5, "EUR"),
        ("1'299.00 CHF", 1299.0, "CHF"),
        ("₹ 1,29,999", 129999.0, "INR"),
        ("A$ 5", 5.0, "AUD"),
        ("R$ 10,00", 10.0, "BRL"),
        ("￥1,299", 1299.0, "JPY"),
        ("kr 100", 100.0, ""),
        ("12,5", 12.5, ""),
        ("399.0", 399.0, ""),
        ("1.299", 1299.0, ""),
        ("1299.000", 1299.0, ""),
        ("0.999", 0.999, ""),
        ("1e3", 1000.0, ""),
        ("0.0", 0.0, ""),
        ("free", 0.0, ""),
        (7, 7.0, ""),
        ({"amount": 5, "currency": "eur"}, 5.0, "EUR"),
        ({"value": "9,90", "currencyCode": "PLN"}, 9.9, "PLN"),
    ],
)
def test_prices(cell: object, amount: float, currency: str) -> None:
    assert Prices().parse(cell) == (Price(amount, currency), "")


@pytest.mark.parametrize("cell", ["", None, float("nan"), "N/A", "null"])
def test_no_price_is_no_fault(cell: object) -> None:
    assert Prices().parse(cell) == (None, "")


@pytest.mark.parametrize(
    ("cell", "words"),
    [
        ("-5", "negative"), ("−5 €", "negative"), ("$-5", "negative"), ("(5.00)", "negative"), (-1, "negative"),
        ("call us", "not a price"), (float("inf"), "not a price"), (True, "not a price"), ("9" * 400, "not a price"),
        (10**400, "not a price"), ("2 for $5", "several numbers"),
    ],
)  # fmt: skip
def test_faults_are_named(cell: object, words: str) -> None:
    price, fault = Prices().parse(cell)
    assert price is None and words in fault


@pytest.mark.parametrize(("cell", "amount"), [("$10.99 - $15.99", 10.99), ("10–15 €", 10.0), ("EUR 5 bis 9", 5.0)])
def test_a_range_gives_its_lower_bound_and_says_so(cell: str, amount: float) -> None:
    price, fault = Prices().parse(cell)
    assert price is not None and price.amount == amount and "range" in fault


def test_currency_of_the_row_then_of_the_cell_then_the_default() -> None:
    prices = Prices("EUR")
    assert prices.parse("5", "gbp") == (Price(5.0, "GBP"), "")
    assert prices.parse("$5") == (Price(5.0, "USD"), "")
    assert prices.parse("5") == (Price(5.0, "EUR"), "")
    assert Prices("CAD").parse("$5") == (Price(5.0, "CAD"), "")
    assert Prices("SEK").parse("5 kr") == (Price(5.0, "SEK"), "")


def test_a_currency_that_is_none_is_refused() -> None:
    assert read_currency("eur") == "EUR"
    with pytest.raises(InputError, match="not a currency"):
        read_currency("euro")


@given(st.one_of(st.text(), st.floats(), st.integers(), st.lists(st.text()), st.dictionaries(st.text(), st.text())))
def test_any_cell_gives_a_price_or_a_fault(cell: object) -> None:
    price, fault = Prices().parse(cell)
    assert isinstance(fault, str)
    assert price is None or 0 <= price.amount < float("inf")
