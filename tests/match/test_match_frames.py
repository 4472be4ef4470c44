"""Frames in the match: whose vectors are used, how frames are pooled, what is told as evidence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from llmrec.index import Index
from llmrec.match import Matcher, MatchSettings
from llmrec.match.frames import FrameSearch, pool, showing
from llmrec.records import Content, Evidence, Hit, Keyframe, Product
from tests.fakes import FakeImageEncoder

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255)}


class Tower(FakeImageEncoder):
    """Counts what it is shown; pictures only."""

    joint = False

    def __init__(self) -> None:
        self.shown = 0

    def encode_images(self, images: object) -> np.ndarray:
        self.shown += len(images)  # type: ignore[arg-type]
        return super().encode_images(images)  # type: ignore[arg-type]


def vector(name: str) -> bytes:
    return (np.array(COLOURS[name]) / 255).astype("<f2").tobytes()


@pytest.fixture
def tower() -> Tower:
    return Tower()


@pytest.fixture
def index(tmp_path: Path, tower: Tower) -> Index:
    for name, colour in COLOURS.items():
        Image.new("RGB", (4, 4), colour).save(tmp_path / f"{name}.png")
    products = [Product(name, f"enamel mug number {n}", images=(f"{name}.png",)) for n, name in enumerate(COLOURS)]
    built = Index.build(tmp_path / "i", products, image_encoder=tower, images_root=tmp_path)
    tower.shown = 0
    return built


def test_pooling_by_hand() -> None:
    first = [Hit("a", 4.0, "vision:images"), Hit("b", 1.0, "vision:images")]
    second = [Hit("b", 3.0, "vision:title"), Hit("c", 2.0, "vision:images")]
    found = pool([first, [], second], best=2)
    # a: 4 and the floor 2; b: 1 and 3; c: the floor 1 and 2
    assert [(h.product_id, h.score, h.retriever) for h in found] == [
        ("a", 3.0, "vision:images"),
        ("b", 2.0, "vision:title"),
        ("c", 1.5, "vision:images"),
    ]
    assert [(h.product_id, h.score) for h in pool([first, second], best=1)] == [("a", 4.0), ("b", 3.0), ("c", 2.0)]
    assert pool([[], []]) == []


def test_a_frame_shows_what_it_finds_first_and_what_comes_close() -> None:
    def hits(*scores: float) -> list[Hit]:
        return [Hit(id, score, "vision:images") for id, score in zip("abcd", scores, strict=False)]

    early, late = Keyframe(1.0, "1.jpg"), Keyframe(2.0, "2.jpg")
    found = showing([(early, hits(5.0, 4.0, 3.9, 3.8)), (late, hits(6.0, 2.0)), (late, hits(-1.0))])
    assert {id: [frame.time for frame, _ in pairs] for id, pairs in found.items()} == {"a": [2.0, 1.0], "b": [1.0]}


def test_vectors_of_the_same_encoder_are_used_as_they_are(index: Index, tower: Tower) -> None:
    frames = (Keyframe(3.0, "gone.jpg", vector=vector("blue")), Keyframe(1.0, "", vector=vector("red")))
    content = Content("c", "video", keyframes=frames, image_encoder="fake-images")
    found = FrameSearch(index).search(content, 2)
    assert [(frame.time, hits[0].product_id) for frame, hits in found] == [(1.0, "red"), (3.0, "blue")]
    assert tower.shown == 0


def test_frames_of_another_encoder_are_encoded_anew(index: Index, tower: Tower, tmp_path: Path) -> None:
    frames = (Keyframe(1.0, "green.png", vector=b"\0" * 10), Keyframe(2.0, "", vector=b"\0" * 10))
    content = Content("c", "video", keyframes=frames, image_encoder="another")
    found = FrameSearch(index).search(content, 2, tmp_path)
    assert [(frame.time, hits[0].product_id) for frame, hits in found] == [(1.0, "green")]
    assert tower.shown == 1


def test_what_cannot_be_compared_is_left_out_and_told_once(
    index: Index, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    content = Content("c", "video", title="mug", keyframes=(Keyframe(1.0, "gone.jpg"), Keyframe(2.0, "gone2.jpg")))
    (match,) = Matcher(index).match([content], folder=tmp_path)
    assert len(match.products) == 3 and caplog.text.count("frames are not compared") == 1
    caplog.clear()
    bare = Index.open(tmp_path / "i")
    assert len(list(Matcher(bare).match([content, content], folder=tmp_path))) == 2
    assert caplog.text.count("opened without its image encoder") == 1


@pytest.mark.parametrize("odd", [b"abc", b"\0" * 8, np.full(3, np.nan, "<f2").tobytes()])
def test_vectors_that_cannot_be_cost_the_content_its_pictures_only(
    index: Index, caplog: pytest.LogCaptureFixture, odd: bytes
) -> None:
    frames = (Keyframe(1.0, "", vector=odd),)
    content = Content("c", "video", title="mug", keyframes=frames, image_encoder="fake-images")
    (match,) = Matcher(index).match([content])
    assert [e.source for e in match.products[0].evidence] == ["title"]
    assert "content 'c'" in caplog.text


def test_a_frame_is_evidence_beside_words(index: Index) -> None:
    frames = (Keyframe(1.5, "f/1.jpg", vector=vector("blue")),)
    content = Content("c", "video", title="enamel mug", keyframes=frames, image_encoder="fake-images")
    (match,) = Matcher(index).match([content])
    assert match.products[0].product_id == "blue"
    assert match.products[0].evidence[-1] == Evidence("vision", 1.5, 1.5, "", "images", "f/1.jpg")
    assert [e.source for e in match.products[1].evidence] == ["title"]
    (blind,) = Matcher(index, settings=MatchSettings(vision=False)).match([content])
    assert blind.products[0].product_id == "blue" and blind.products[0].score < match.products[0].score
    assert all(e.source == "title" for product in blind.products for e in product.evidence)
