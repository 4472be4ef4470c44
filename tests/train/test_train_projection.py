"""A projection learned over a tower that sees mean colours only: known products, unknown ones, and damaged folders."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from llmrec.embed import load_image_encoder
from llmrec.embed.projected import KIND, rooted, views_of
from llmrec.errors import ArtefactError, InputError
from llmrec.models import known
from llmrec.models.inspect import PROJECTION
from llmrec.records import Product
from llmrec.seams import ImageEncoder
from llmrec.train import Photo, ProjectionSettings, train_projection
from llmrec.train.augment import looks
from llmrec.train.projection import fit
from tests.fakes import FakeEncoder, FakeImageEncoder

COLOURS = {"tomato": (200, 30, 30), "cucumber": (30, 150, 40), "plum": (60, 30, 120)}


@pytest.fixture(autouse=True)
def fakes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.train.projection.load_image_encoder", lambda *_, **__: FakeImageEncoder())
    monkeypatch.setattr("llmrec.train.projection.load_encoder", lambda *_, **__: FakeEncoder())
    monkeypatch.setattr("llmrec.embed.loading.load_encoder", lambda *_, **__: FakeEncoder())


def shop(folder: Path) -> tuple[list[Photo], list[Product]]:
    """Photos somewhat darker and greyer than the catalog's pictures."""
    photos, products = [], []
    for id, colour in COLOURS.items():
        Image.new("RGB", (40, 40), colour).save(folder / f"{id}.png")
        products.append(Product(id=id, title=f"Fresh {id}", images=(f"{id}.png",)))
        for number in range(3):
            darker = tuple(int(value * 0.6) + 20 + 5 * number for value in colour)
            Image.new("RGB", (50, 30), darker).save(folder / f"{id}-{number}.png")
            photos.append(Photo(f"{id}-{number}.png", id))
    return photos, products


def open_it(folder: Path) -> ImageEncoder:
    from llmrec.embed.projected import load_projected

    return load_projected(folder, lambda _: FakeImageEncoder(), None)


def test_photos_land_on_their_products(tmp_path: Path) -> None:
    photos, products = shop(tmp_path)
    settings = ProjectionSettings(looks=3, ridge=0.01)
    report = train_projection(photos, products, "fake:images", tmp_path / "out", root=tmp_path, settings=settings)
    assert (report.products, report.photos, report.catalog_pictures, report.without_photo) == (3, 9, 3, 0)
    assert report.accuracy == 1.0
    encoder = open_it(tmp_path / "out")
    assert isinstance(encoder, ImageEncoder)
    assert encoder.dimension == 3 + 3
    cards = encoder.encode_images([Image.open(tmp_path / f"{id}.png") for id in COLOURS])
    dark = [Image.new("RGB", (64, 48), tuple(int(value * 0.6) + 28 for value in colour)) for colour in COLOURS.values()]
    seen, read = encoder.encode_images(dark), encoder.encode_texts([f"Fresh {id}" for id in COLOURS])
    for vectors in (cards, read):
        assert (seen @ vectors.T).argmax(axis=1).tolist() == [0, 1, 2]
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([cards, seen, read]), axis=1), 1, atol=1e-5)
    assert encoder.encode_images([]).shape == encoder.encode_texts([]).shape == (0, 6)
    again = open_it(tmp_path / "out")
    assert again.digest == encoder.digest
    np.testing.assert_array_equal(again.encode_images(dark), seen)


def test_a_projection_can_be_shown_as_a_model(tmp_path: Path) -> None:
    photos, products = shop(tmp_path)
    train_projection(photos, products, "fake:images", tmp_path / "my-shop", root=tmp_path)
    shown = known(str(tmp_path / "my-shop"))
    assert shown is not None
    assert shown.kind == KIND == PROJECTION
    manifest = json.loads((tmp_path / "my-shop" / "manifest.json").read_text(encoding="utf-8"))
    assert shown.base == manifest["models"]["tower"]["reference"] != ""


def test_the_same_photos_and_seed_give_the_same_projection(tmp_path: Path) -> None:
    photos, products = shop(tmp_path)
    for name in ("a", "b"):
        train_projection(
            photos, products, "fake:images", tmp_path / name, root=tmp_path, settings=ProjectionSettings(looks=2)
        )
    assert open_it(tmp_path / "a").digest == open_it(tmp_path / "b").digest
    with pytest.raises(InputError, match="is there already"):
        train_projection(photos, products, "fake:images", tmp_path / "a", root=tmp_path)


def test_a_regression_worked_out_by_hand() -> None:
    """Features ±(0.5, −0.5) about their mean, eight of them: moments (2, −2; −2, 2), whose mean diagonal is 2, so
    that a ridge of 1 adds 2; the features meet the targets ±0.5 in ±2; (4, −2; −2, 4)⁻¹ (2, −2) is (1/3, −1/3)."""
    vectors = np.array([[1, 0], [0, 1]] * 4, dtype=np.float32)
    tensors, accuracy = fit(vectors, np.array([0, 1] * 4), 2, ProjectionSettings(ridge=1.0))
    assert accuracy == 1.0
    np.testing.assert_allclose(tensors["mean"], [0.5, 0.5])
    np.testing.assert_allclose(tensors["weight"], [[1 / 3, -1 / 3], [-1 / 3, 1 / 3]], rtol=1e-5)
    roots = rooted(np.array([[-4.0, 0.0, 9.0]], dtype=np.float32))
    np.testing.assert_allclose(roots, [[-2 / 13**0.5, 0, 3 / 13**0.5]], rtol=1e-5)


def test_views_of_a_picture() -> None:
    image = Image.fromarray(np.arange(24, dtype=np.uint8).reshape(4, 6))
    whole, mirror, *corners = views_of(image, 6)
    assert np.asarray(whole)[0].tolist() == [0, 1, 2, 3, 4, 5]
    assert np.asarray(mirror)[0].tolist() == [5, 4, 3, 2, 1, 0]
    assert [corner.size for corner in corners] == [(4, 3)] * 4
    assert [int(np.asarray(corner)[0, 0]) for corner in corners] == [0, 6, 2, 8]
    assert [len(views_of(image, count)) for count in (1, 2)] == [1, 2]
    assert [view.size for view in views_of(Image.new("RGB", (1, 1)), 6)] == [(1, 1)] * 6


def test_looks_are_the_same_for_a_seed() -> None:
    image = Image.fromarray(np.random.default_rng(0).integers(0, 255, (30, 50, 3), dtype=np.uint8))
    first, second = looks(image, 4, 7), looks(image, 4, 7)
    assert first[0] is image
    assert [a.tobytes() for a in first] == [b.tobytes() for b in second]
    assert len({a.tobytes() for a in first}) == 4
    assert all(a.width <= 50 and a.height <= 30 for a in first)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"photos": []}, "nothing to tell apart"),
        ({"photos": [Photo("a.png", "leek")]}, r"photo 1 \(a.png\): no product 'leek'"),
        ({"settings": ProjectionSettings(views=3)}, "views=3"),
        ({"settings": ProjectionSettings(share=1.0)}, "share=1.0"),
        ({"photos": [Photo("gone.png", "plum")]}, "gone.png: no such file"),
    ],
)
def test_what_cannot_be_learned_from(tmp_path: Path, change: dict, message: str) -> None:
    photos, products = shop(tmp_path)
    given = {"photos": photos, "products": products, "settings": None} | change
    with pytest.raises(InputError, match=message):
        train_projection(
            given["photos"],
            given["products"],
            "fake:images",
            tmp_path / "out",
            root=tmp_path,
            settings=given["settings"],
        )
    assert not (tmp_path / "out").exists()


def test_folders_that_cannot_be_used(tmp_path: Path) -> None:
    photos, products = shop(tmp_path)
    out = tmp_path / "out"
    train_projection(photos, products, "fake:images", out, root=tmp_path, settings=ProjectionSettings(looks=1))
    manifest = json.loads((out / "manifest.json").read_text())
    for change, message in (
        ({"products": ["tomato"]}, "do not fit"),
        ({"models": {}}, "damaged projection"),
        ({"format": 99}, "format 99"),
        ({"models": manifest["models"] | {"tower": {"reference": "fake:images", "digest": "other"}}}, "another fake"),
        ({"models": manifest["models"] | {"tower": {"reference": str(out), "digest": ""}}}, "names itself"),
    ):
        (out / "manifest.json").write_text(json.dumps(manifest | change))
        with pytest.raises(ArtefactError, match=message):
            open_it(out)
    (out / "manifest.json").write_text(json.dumps(manifest))
    data = (out / "model.safetensors").read_bytes()
    (out / "model.safetensors").write_bytes(data[:-1] + bytes([data[-1] ^ 1]))
    with pytest.raises(ArtefactError, match="damaged"):
        load_image_encoder(str(out))
