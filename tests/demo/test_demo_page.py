"""The page shows what was found and runs nothing that is in it."""

from __future__ import annotations

import re
from pathlib import Path

from PIL import Image

from llmrec.demo import PageData, Tile, write_page
from llmrec.records import (
    Content,
    Evidence,
    Intent,
    Keyframe,
    Match,
    Price,
    Product,
    ProductSummary,
    RankedProduct,
    Span,
    TimedText,
)

HOSTILE = "<script>alert(1)</script><img src=x onerror=alert(2)>\"'"


def page(folder: Path) -> str:
    Image.new("RGB", (900, 500), "teal").save(folder / "frame.jpg")
    said = TimedText(1.0, 2.0, f"a mug {HOSTILE}", "speech")
    frames = (Keyframe(1.5, "frame.jpg"), Keyframe(2.5, "absent.jpg"))
    content = Content("c", "video", title=HOSTILE, hashtags=(HOSTILE,), timed_text=(said,), keyframes=frames)
    evidence = (
        Evidence("speech", 1.0, 2.0, HOSTILE, "title"),
        Evidence("vision", 1.5, 1.5, "", "images", "frame.jpg"),
        Evidence("vision", 2.5, 2.5, "", "images"),
    )
    found = RankedProduct("p", 1, 2.5, None, evidence, (Span(1.0, 2.0), Span(7.25, 9.0)))
    data = PageData(
        title="T",
        lead="L",
        tiles=[Tile("products", "1")],
        contents=[content, Content("none", "search", title="nothing")],
        matches=[Match("c", (found,)), Match("none")],
        products={"p": Product("p", f"mug {HOSTILE}", brand=HOSTILE, category=(HOSTILE,), price=Price(9.5, "EUR"))},
        summaries={"p": ProductSummary("p", HOSTILE, HOSTILE)},
        intents={"c": [Intent("c", query=HOSTILE)]},
        truth={"c": {"p": 2}, "none": {}},
    )
    write_page(folder / "page.html", data, folder=folder)
    return (folder / "page.html").read_text(encoding="utf-8")


def test_hostile_text_is_shown_not_run(tmp_path: Path) -> None:
    html = page(tmp_path)
    assert "<script" not in html and "<img src=x" not in html
    assert html.count("&lt;script&gt;") >= 8
    assert "default-src 'none'" in html
    # all that is fetched is inside the page
    assert all(address.startswith("data:image/jpeg;base64,") for address in re.findall(r'(?:src|href)="([^"]*)"', html))


def test_what_is_known_is_shown(tmp_path: Path) -> None:
    html = page(tmp_path)
    assert "✓ this one" in html
    assert "The catalog does not hold this product." in html
    assert "9.50 EUR" in html and "1.5 s" in html and "2.50" in html
    assert html.count("<figure>") == 1, "a frame that is no picture is left out"
    assert html.count('class="look"') == 1 and "vision 1.5 s" in html and "vision 2.5 s" in html
    assert "in the content at 1.0–2.0 s, 7.2–9.0 s" in html
