"""What a prompt is told about a product and a content."""

from __future__ import annotations

from llmrec.prompting import content_variables, product_variables
from llmrec.records import Content, Price, Product, TimedText


def test_a_product() -> None:
    product = Product(
        "1", "Tea tin", description="Tea tin - round, 100 g", price=Price(9.5, "EUR"), category=("a", "b")
    )
    assert product_variables(product) == {
        "title": "Tea tin",
        "brand": "",
        "category": ["a", "b"],
        "attributes": {},
        # a description that begins with the title says it once
        "description": "round, 100 g",
        "price": "9.5 EUR",
        "language": "",
    }
    assert product_variables(Product("1", "Tea tin", description="A tea tin"))["description"] == "A tea tin"
    assert product_variables(Product("1", "T", description="T"))["description"] == ""


def test_a_content_by_source_and_time_without_repeats() -> None:
    said = (
        TimedText(5, 6, "and round", "speech"),
        TimedText(0, 1, "a  tea tin", "speech"),
        TimedText(1, 2, "TEA TIN", "screen"),
        TimedText(2, 3, "Tea Tin", "screen"),
        TimedText(2, 3, " ", "screen"),
        TimedText(3, 4, "how much?", "chat"),
    )
    content = Content("c", "video", title="t", hashtags=("#tea", "tin"), timed_text=said)
    assert content_variables(content) == {
        "kind": "video",
        "title": "t",
        "caption": "",
        "hashtags": ["tea", "tin"],
        "text": [("says", "a tea tin / and round"), ("shows", "TEA TIN"), ("viewers ask", "how much?")],
        "language": "",
    }
