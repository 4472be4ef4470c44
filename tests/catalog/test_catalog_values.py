"""Category paths, attributes, images and texts of cells."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.catalog.values import attributes_of, category_paths, first_price, image_list, plain, text_of


@pytest.mark.parametrize(
    ("cell", "path"),
    [
        ("Home > Kitchen > Kettles", ("Home", "Kitchen", "Kettles")),
        ("Home &gt; Kitchen &amp; Dining", ("Home", "Kitchen & Dining")),
        ("Clothing >> Women's", ("Clothing", "Women's")),
        ("Home|Kitchen", ("Home", "Kitchen")),
        ("Maison › Cuisine", ("Maison", "Cuisine")),
        ("Home / Kitchen", ("Home", "Kitchen")),
        ("/Home/Kitchen", ("Home", "Kitchen")),
        ("TV/Audio", ("TV/Audio",)),
        ("Clothing, Shoes & Jewelry", ("Clothing, Shoes & Jewelry",)),
        (["Home", "Kitchen"], ("Home", "Kitchen")),
        ('["Clothing >> Women"]', ("Clothing", "Women")),
        ({"name": "Kettles"}, ("Kettles",)),
    ],
)
def test_a_category_path(cell: object, path: tuple[str, ...]) -> None:
    assert category_paths(cell) == (path,)


def test_plural_columns_hold_several_paths() -> None:
    assert category_paths("Industrial,Tools", several=True) == (("Industrial", "Tools"),)
    assert category_paths("A > B, A > C", several=True) == (("A", "B"), ("A", "C"))
    assert category_paths([["A", "B"], ["A", "C"]]) == (("A", "B"), ("A", "C"))
    assert category_paths("") == category_paths(None) == category_paths([]) == ()


@pytest.mark.parametrize(
    ("cell", "attributes"),
    [
        ({"colour": "red", "size": 42}, {"colour": "red", "size": "42"}),
        ([{"name": "colour", "value": "red"}], {"colour": "red"}),
        ("Colour: red; Size: 42", {"Colour": "red", "Size": "42"}),
        ("colour=red|size=42", {"colour": "red", "size": "42"}),
        ('{"colour": ["red", "blue"]}', {"colour": "red, blue"}),
        ("", {}),
        (None, {}),
        ("just some words", None),
        ([1, 2], None),
    ],
)
def test_attributes(cell: object, attributes: dict[str, str] | None) -> None:
    assert attributes_of(cell) == attributes


@pytest.mark.parametrize(
    ("cell", "images"),
    [
        ("https://a/1.jpg", ("https://a/1.jpg",)),
        ("https://a/1.jpg, https://a/2.jpg|https://a/3.jpg", ("https://a/1.jpg", "https://a/2.jpg", "https://a/3.jpg")),
        ("/local/one image.jpg", ("/local/one image.jpg",)),
        (["a.jpg", "", "b.jpg"], ("a.jpg", "b.jpg")),
        ([{"src": "a.jpg"}, {"large": "b.jpg", "thumb": "t.jpg"}], ("a.jpg", "b.jpg")),
        ({"hi_res": ["a.jpg", "b.jpg"], "thumb": ["t.jpg"]}, ("a.jpg", "b.jpg")),
        ('["a.jpg"]', ("a.jpg",)),
        ("", ()),
        (None, ()),
        (5, ()),
    ],
)
def test_images(cell: object, images: tuple[str, ...]) -> None:
    assert image_list(cell) == images


def test_texts_of_cells() -> None:
    assert [text_of(cell) for cell in (12.0, 1.5, True, None, float("nan"), "nan", ["a", "b"])] == [
        "12", "1.5", "true", "", "", "", "a\nb",
    ]  # fmt: skip
    assert text_of({"$oid": "5f"}) == "5f"
    assert text_of({"a": 1}) == '{"a": 1}'
    assert plain({"n": float("nan"), "i": 2**70, "b": b"xyz"}) == {"n": None, "i": str(2**70), "b": "<3 bytes>"}


def test_the_first_price_of_offers() -> None:
    assert first_price([{"sku": "x"}, {"price": "5"}]) == {"amount": "5", "currency": ""}
    assert first_price({"lowPrice": 5, "priceCurrency": "EUR"}) == {"amount": 5, "currency": "EUR"}
    assert first_price("no offers") is None


_JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(), st.binary()),
    lambda inner: st.one_of(st.lists(inner), st.dictionaries(st.text(), inner)),
    max_leaves=8,
)


@given(_JSON)
def test_any_cell_is_understood_as_something(cell: object) -> None:
    assert isinstance(text_of(cell), str)
    assert all(all(isinstance(name, str) and name for name in path) for path in category_paths(cell, several=True))
    assert all(isinstance(image, str) and image for image in image_list(cell))
    attributes_of(cell)
    first_price(cell)
