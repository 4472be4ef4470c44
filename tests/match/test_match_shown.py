"""When each of several products is on screen or spoken of."""

from __future__ import annotations

import itertools
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from llmrec.index import Index
from llmrec.match import Matcher
from llmrec.match.shown import merged
from llmrec.records import Content, Keyframe, Product, RankedProduct, Span, TimedText
from tests.fakes import FakeImageEncoder

KETTLE = Product("kettle", "Norrvik Fjord gooseneck kettle", images=("kettle.png",))
TENT = Product("tent", "Alpa Ridge tent for two", images=("tent.png",))
LAMP = Product("lamp", "Lumo desk lamp", images=("lamp.png",))
OTHERS = [Product(f"o{n}", title) for n, title in enumerate(("Norrvik mug", "Alpa rope", "Lumo bulb", "wool hat"))]
COLOURS = {"kettle": (255, 0, 0), "tent": (0, 255, 0), "lamp": (0, 0, 255)}

# three products one after the other, the kettle once more at the end
SAID = (
    TimedText(0.0, 4.0, "hello everyone welcome back", "speech"),
    TimedText(5.0, 9.0, "this is the Norrvik Fjord kettle with a gooseneck", "speech"),
    TimedText(10.0, 14.0, "look at that spout of the kettle", "speech"),
    TimedText(30.0, 34.0, "next the Alpa Ridge tent", "speech"),
    TimedText(32.0, 40.0, "ALPA RlDGE", "screen"),
    TimedText(60.0, 66.0, "and the Lumo lamp for your desk", "speech"),
    TimedText(80.0, 84.0, "back to the gooseneck kettle the Fjord", "speech"),
)


def spans(products: tuple[RankedProduct, ...]) -> dict[str, tuple[Span, ...]]:
    return {product.product_id: product.shown for product in products}


def test_each_product_of_a_stream_has_its_own_times(tmp_path: Path) -> None:
    index = Index.build(tmp_path / "i", [KETTLE, TENT, LAMP, *OTHERS])
    (match,) = Matcher(index).match([Content("c", "live", timed_text=SAID)])
    assert {product.product_id for product in match.products[:3]} == {"kettle", "tent", "lamp"}
    found = spans(match.products)
    assert found["kettle"] == (Span(5.0, 14.0), Span(80.0, 84.0))
    assert found["tent"] == (Span(30.0, 40.0),)
    assert found["lamp"] == (Span(60.0, 66.0),)
    assert found.get("o3", ()) == ()


def test_frames_tell_of_the_seconds_around_them(tmp_path: Path) -> None:
    for name, colour in COLOURS.items():
        Image.new("RGB", (4, 4), colour).save(tmp_path / f"{name}.png")
    tower = FakeImageEncoder()
    index = Index.build(tmp_path / "i", [KETTLE, TENT, LAMP], image_encoder=tower, images_root=tmp_path)
    times = {1.0: "kettle", 2.0: "kettle", 5.0: "tent", 20.0: "lamp"}
    frames = tuple(
        Keyframe(time, "", vector=(np.array(COLOURS[name]) / 255).astype("<f2").tobytes())
        for time, name in times.items()
    )
    content = Content("c", "video", keyframes=frames, image_encoder=tower.digest)
    (match,) = Matcher(index).match([content])
    # half-way to the neighbours, two seconds at most; nothing is known of after the last frame
    assert spans(match.products) == {
        "kettle": (Span(0.0, 3.5),),
        "tent": (Span(3.5, 7.0),),
        "lamp": (Span(18.0, 20.0),),
    }


def test_a_search_has_no_times(tmp_path: Path) -> None:
    index = Index.build(tmp_path / "i", [KETTLE, TENT])
    (match,) = Matcher(index).match([Content("c", "search", title="fjord kettle")])
    assert match.products[0].shown == ()


def test_stretches_are_merged_by_hand() -> None:
    assert merged([(10.0, 12.0), (0.0, 2.0), (5.0, 6.0), (1.0, 1.5)]) == (Span(0.0, 6.0), Span(10.0, 12.0))
    assert merged([]) == ()


@given(st.lists(st.tuples(st.integers(0, 100), st.integers(0, 20)), max_size=12), st.integers(0, 5))
def test_merged_stretches_cover_the_same_and_stand_apart(pairs: list[tuple[int, int]], gap: int) -> None:
    given_ = [(float(start), float(start + length)) for start, length in pairs]
    found = merged(given_, gap)
    assert all(any(span.start <= a and b <= span.end for span in found) for a, b in given_)
    assert all(right.start - left.end > gap for left, right in itertools.pairwise(found))


def test_a_window_tells_of_a_product_that_nothing_finer_tells_of(tmp_path: Path) -> None:
    from llmrec.match.shown import shown_times

    found = shown_times([], {"a": {}, "b": {}}, {}, {}, [], [(0.0, 20.0, "a"), (15.0, 30.0, "a"), (40.0, 50.0, "x")])
    assert found == {"a": (Span(0.0, 20.0),), "b": ()}


@pytest.mark.parametrize("start", [0.0, 3.0])
def test_two_products_named_at_once_share_the_time(tmp_path: Path, start: float) -> None:
    index = Index.build(tmp_path / "i", [KETTLE, TENT, LAMP, *OTHERS])
    said = TimedText(start, start + 5, "the Fjord gooseneck kettle and the Ridge tent", "speech")
    (match,) = Matcher(index).match([Content("c", "live", timed_text=(said,))])
    found = spans(match.products)
    assert found["kettle"] == found["tent"] == (Span(start, start + 5),)
    assert found.get("o1", ()) == ()
