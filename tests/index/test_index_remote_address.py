"""Addresses of indexes in a store."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.index.remote.address import is_address, parse_address


@pytest.mark.parametrize(
    ("text", "place", "name"),
    [
        ("qdrant://search:6333/shop", "search:6333", "shop"),
        ("qdrant:/search/shop", "search:6333", "shop"),
        ("qdrants://eu.example/shop-1", "eu.example:443", "shop-1"),
        ("qdrant://[::1]:7000/shop", "[::1]:7000", "shop"),
        ("qdrant+file:a/b/shop", "a/b", "shop"),
        ("qdrant+file:///a/b/shop", "/a/b", "shop"),
    ],
)
def test_addresses_are_read_also_as_paths(text: str, place: str, name: str) -> None:
    for given_as in (text, Path(text)):
        address = parse_address(given_as)
        assert is_address(given_as) and address[1:] == (place, name)
        assert parse_address(str(address)) == address


@pytest.mark.parametrize(
    "text", ["shop.index", "qdrant://host", "qdrant://host/", "qdrant://u:secret@host/shop", "qdrant://host/a b"]
)
def test_what_is_no_address_is_refused(text: str) -> None:
    with pytest.raises(InputError) as told:
        parse_address(text)
    assert "secret" not in str(told.value)


@given(st.text(max_size=40))
def test_any_text_is_an_address_or_refused(text: str) -> None:
    for tried in (text, f"qdrant:{text}", f"qdrant+file:{text}"):
        try:
            address = parse_address(tried)
        except InputError:
            continue
        assert parse_address(str(address)) == address
