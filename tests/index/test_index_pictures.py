"""Product pictures in an index: what is found, what is counted, what is refused."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from llmrec.errors import ArtefactError, InputError
from llmrec.index import Index
from llmrec.records import Product
from tests.fakes import FakeImageEncoder

COLOURS = {"red": (255, 0, 0), "green": (0, 255, 0), "blue": (0, 0, 255), "dark": (40, 0, 0)}


class Shutter(FakeImageEncoder):
    """Pictures only."""

    joint, digest = False, "fake-shutter"


@pytest.fixture
def photos(tmp_path: Path) -> Path:
    folder = tmp_path / "photos"
    folder.mkdir()
    for name, colour in COLOURS.items():
        Image.new("RGB", (8, 8), colour).save(folder / f"{name}.png")
    (folder / "torn.jpg").write_bytes(b"\xff\xd8\xff\xe0 no more")
    return folder


def shelf(folder: Path) -> list[Product]:
    return [
        Product("a", "cup", images=("photos/blue.png", "photos/torn.jpg", "photos/gone.png")),
        Product("b", "red green bowl", images=("https://shop.example/b.jpg",)),
        Product("c", "plate", images=(str(folder / "green.png"), "photos/red.png", "photos/red.png")),
        Product("d", "fork"),
    ]


def test_frames_find_the_product_whose_nearest_picture_is_near(photos: Path, tmp_path: Path) -> None:
    index = Index.build(tmp_path / "i", shelf(photos), image_encoder=Shutter(), images_root=tmp_path)
    red, blue = np.eye(3, dtype=np.float32)[[0, 2]]
    found = index.search_pictures(np.stack([red, blue, np.zeros(3, np.float32)]), 3)
    # cosines with the three pictures are 0, 0, 1 but for 4e-6: mean 1/3, deviation sqrt(2)/3
    assert [(h.product_id, round(h.score, 3), h.retriever) for h in found[0]] == [
        ("c", 1.414, "vision:images"),
        ("a", -0.707, "vision:images"),
    ]
    assert [h.product_id for h in found[1]] == ["a", "c"]
    assert found[2] == []
    assert index.search_pictures(np.zeros((0, 3), np.float32), 3) == []


def test_what_became_of_the_pictures_is_told(photos: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    info = Index.build(tmp_path / "i", shelf(photos), image_encoder=Shutter(), images_root=tmp_path).info()
    told = info["pictures"]
    assert {name: told[name] for name in ("embedded", "products", "urls", "unreadable")} == {
        "embedded": 3,
        "products": 2,
        "urls": 1,
        "unreadable": 2,
    }
    assert "torn.jpg" in told["first_unreadable"]
    assert "2 of 5 pictures cannot be read" in caplog.text
    assert info["image_encoder"]["digest"] == "fake-shutter"
    assert info["retrievers"][-2:] == ["vision:images", "vision"]


def test_a_joint_encoder_finds_products_by_their_titles(photos: Path, tmp_path: Path) -> None:
    index = Index.build(tmp_path / "i", shelf(photos), image_encoder=FakeImageEncoder(), images_root=tmp_path)
    assert index.info()["retrievers"][-3:] == ["vision:images", "vision:title", "vision"]
    yellow = np.array([[1, 1, 0]], np.float32) / np.sqrt(np.float32(2))
    hits = {hit.product_id: hit.retriever for hit in index.search_pictures(yellow, 4)[0]}
    assert hits["b"] == "vision:title" and hits["c"] == "vision:images"
    assert [h.product_id for h in index.search_pictures(yellow, 1, "vision:title")[0]] == ["b"]
    assert [h.product_id for h in index.search_pictures(yellow, 1, "vision:images")[0]] == ["c"]
    only_titles = [Product("b", "red green bowl"), Product("x", "blue bowl")]
    bare = Index.build(tmp_path / "bare", only_titles, image_encoder=FakeImageEncoder())
    assert [hit.product_id for hit in bare.search_pictures(yellow, 1)[0]] == ["b"]


def test_pictures_are_read_again_as_they_were_written(photos: Path, tmp_path: Path) -> None:
    built = Index.build(tmp_path / "i", shelf(photos), image_encoder=FakeImageEncoder(), images_root=tmp_path)
    opened = Index.open(tmp_path / "i")
    assert opened.image_encoder is None and opened.image_digest == "fake-images" and opened.has_pictures
    query = np.array([[0.6, 0.8, 0.0]], np.float32)
    assert opened.search_pictures(query, 4) == built.search_pictures(query, 4)
    assert Index.encoder_reference(tmp_path / "i", "image_encoder") == "fake:images"


def test_another_image_encoder_is_refused(photos: Path, tmp_path: Path) -> None:
    Index.build(tmp_path / "i", shelf(photos), image_encoder=Shutter(), images_root=tmp_path)
    with pytest.raises(ArtefactError, match="was built with the image encoder fake:images, but with other weights"):
        Index.open(tmp_path / "i", image_encoder=FakeImageEncoder())


def test_vectors_that_cannot_be_are_refused(photos: Path, tmp_path: Path) -> None:
    index = Index.build(tmp_path / "i", shelf(photos), image_encoder=Shutter(), images_root=tmp_path)
    with pytest.raises(InputError, match=r"shape \(1, 4\) for pictures of 3 dimensions"):
        index.search_pictures(np.ones((1, 4), np.float32), 1)
    with pytest.raises(InputError, match="not a number"):
        index.search_pictures(np.full((1, 3), np.nan, np.float32), 1)
    with pytest.raises(InputError, match="no retriever 'vision:title' of pictures"):
        index.search_pictures(np.ones((1, 3), np.float32), 1, "vision:title")
    with pytest.raises(InputError, match="k=0"):
        index.search_pictures(np.ones((1, 3), np.float32), 0)


def test_damaged_rows_are_refused(photos: Path, tmp_path: Path) -> None:
    Index.build(tmp_path / "i", shelf(photos), image_encoder=Shutter(), images_root=tmp_path)
    rows = tmp_path / "i" / "versions" / "0001" / "pictures" / "rows.npy"
    good = rows.read_bytes()
    rows.write_bytes(good[:-1] + b"\x01")
    with pytest.raises(ArtefactError, match="damaged"):
        Index.open(tmp_path / "i")
    with pytest.raises(ArtefactError, match="does not fit the products"):
        Index.open(tmp_path / "i", check=False)


class Table(FakeImageEncoder):
    """Looks up the vector that a picture's first pixel numbers, and that of a title by its number."""

    digest = "fake-table"

    def __init__(self, images: np.ndarray, titles: np.ndarray) -> None:
        self.images, self.titles, self.dimension = images, titles, images.shape[1]

    def encode_images(self, images: object) -> np.ndarray:
        return self.images[[image.getpixel((0, 0))[0] for image in images]]  # type: ignore[attr-defined]

    def encode_texts(self, texts: object) -> np.ndarray:
        return self.titles[[int(text) for text in texts]]  # type: ignore[attr-defined]


def unit(vectors: np.ndarray) -> np.ndarray:
    return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)


def test_the_search_gives_what_comparing_with_everything_gives(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    count, d = 40, 8
    images, titles, frames = (unit(rng.normal(size=(n, d))) for n in (60, count, 5))
    for number in range(60):
        Image.new("RGB", (1, 1), (number, 0, 0)).save(tmp_path / f"{number}.png")
    owner = np.sort(rng.integers(0, count, 60))
    products = [
        Product(f"p{row}", str(row), images=tuple(f"{i}.png" for i in np.flatnonzero(owner == row)))
        for row in range(count)
    ]
    index = Index.build(tmp_path / "i", products, image_encoder=Table(images, titles), images_root=tmp_path)
    for frame, hits in zip(frames, index.search_pictures(frames, count), strict=True):
        cosines, told = images @ frame, titles @ frame
        near = np.array(
            [cosines[owner == row].max() if (owner == row).any() else cosines.mean() for row in range(count)]
        )
        expected = (near - cosines.mean()) / cosines.std() + 0.5 * (told - told.mean()) / told.std()
        assert [hit.product_id for hit in hits] == [f"p{row}" for row in np.argsort(-expected)]
        assert np.allclose([hit.score for hit in hits], np.sort(expected)[::-1], atol=1e-4)
