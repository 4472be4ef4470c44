"""Which column is which field."""

from __future__ import annotations

import pytest

from llmrec.catalog.columns import known, missing_columns, normal, plan_for, read_mapping, unique_names
from llmrec.errors import InputError


@pytest.mark.parametrize(
    ("columns", "chosen"),
    [
        (  # Shopify
            ["Handle", "Title", "Body (HTML)", "Vendor", "Type", "Variant SKU", "Variant Price", "Image Src"],
            {"id": "Handle", "title": "Title", "description": "Body (HTML)", "brand": "Vendor", "category": "Type",
             "price": "Variant Price", "images": "Image Src"},
        ),
        (  # Google Merchant
            ["g:id", "title", "description", "link", "image_link", "additional_image_link", "price", "brand",
             "google_product_category", "color"],
            {"id": "g:id", "title": "title", "description": "description", "url": "link", "images": "image_link",
             "price": "price", "brand": "brand", "category": "google_product_category", "attributes.color": "color"},
        ),
        (  # Amazon
            ["item-name", "item-description", "seller-sku", "price", "image-url", "asin1"],
            {"id": "seller-sku", "title": "item-name", "description": "item-description", "price": "price",
             "images": "image-url"},
        ),
        (  # WooCommerce
            ["ID", "SKU", "Name", "Short description", "Description", "Regular price", "Categories", "Images"],
            {"id": "ID", "title": "Name", "description": "Description", "price": "Regular price",
             "category": "Categories", "images": "Images"},
        ),
        (
            ["Artikelnummer", "Bezeichnung", "Beschreibung", "Hersteller", "Preis", "Größe"],
            {"id": "Artikelnummer", "title": "Bezeichnung", "description": "Beschreibung", "brand": "Hersteller",
             "price": "Preis", "attributes.Größe": "Größe"},
        ),
        (["référence", "nom", "prix"], {"title": "nom", "price": "prix"}),
        (["productId", "productName", "imageURL"], {"id": "productId", "title": "productName", "images": "imageURL"}),
        (["id", "name", "attribute:colour", "attr.size"],
         {"id": "id", "title": "name", "attributes.colour": "attribute:colour", "attributes.size": "attr.size"}),
    ],
)  # fmt: skip
def test_usual_names(columns: list[str], chosen: dict[str, str]) -> None:
    found: dict[str, str] = {}
    for field, column in plan_for(columns, {}).chosen:
        found.setdefault(field, column)
    assert found == chosen


def test_spellings() -> None:
    assert normal("g:Product-Title (de)") == "product_title"
    assert known("Product Name") == known("productname") == known("PRODUCT.NAME") == "title"
    assert known("Image 3") == known("image_url_2") == "images"
    assert known("stock") is None


def test_the_more_usual_name_wins_and_the_other_is_kept_in_extra() -> None:
    plan = plan_for(["sku", "id", "name", "title"], {})
    assert (plan.id, plan.title) == (1, 3)
    assert plan.unmapped == ("sku", "name")


def test_a_mapping_wins_over_usual_names() -> None:
    plan = plan_for(["id", "title", "model", "c"], read_mapping({"title": "model", "attributes.colour": "c"}))
    assert plan.title == 2 and plan.named_attributes == (("colour", 3),)
    assert plan.unmapped == ("title",)


def test_several_images_add_up() -> None:
    assert plan_for(["id", "image2", "image", "image1"], {}).images == (2, 1, 3)


def test_the_currency_in_a_header() -> None:
    assert plan_for(["id", "Price (EUR)"], {}).header_currency == "EUR"
    assert plan_for(["id", "price_usd"], {}).header_currency == "USD"
    assert plan_for(["id", "price_now"], {}).header_currency == ""


def test_a_mapped_column_that_is_not_there_names_the_nearest() -> None:
    with pytest.raises(InputError, match="no column 'product_nam'") as caught:
        missing_columns("shop.csv", ["product_name", "price"], read_mapping({"title": "product_nam"}))
    assert "product_name" in caught.value.next_step


def test_a_field_that_products_have_not_is_refused() -> None:
    with pytest.raises(InputError, match="no field 'titel'"):
        read_mapping({"titel": "x"})
    with pytest.raises(InputError):
        read_mapping({"attributes.": "x"})


def test_names_of_columns_are_made_unique() -> None:
    assert unique_names(["a", "", "a", " b ", "a.2"]) == ("a", "column 2", "a.2", "b", "a.2.2")
