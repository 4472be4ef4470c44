"""Encoders of pictures: shapes, order, unit length, and what is said of folders that hold none."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageDraw

from llmrec.embed import load_image_encoder
from llmrec.embed.pixels import Pixels
from llmrec.errors import InputError, ModelError
from llmrec.models import known
from llmrec.seams import ImageEncoder


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    ("size", "shape"),
    [
        ((224, 224), (224, 224)),
        ((500, 500), (224, 224)),
        ((1280, 720), (288, 160)),  # 224 × sqrt(16 / 9) = 298.7, 224 / sqrt(16 / 9) = 168
        ((720, 1280), (160, 288)),
        ((4000, 100), (320, 160)),  # as if it were 2 : 1
    ],
)
def test_a_picture_keeps_its_shape(size: tuple[int, int], shape: tuple[int, int]) -> None:
    pixels = Pixels(224, (0.5, 0.5, 0.5), (0.25, 0.25, 0.25))
    assert pixels.shape(*size) == shape
    white = pixels.prepare(Image.new("RGB", size, "white"))
    assert white.shape == (3, shape[1], shape[0])
    np.testing.assert_allclose(white, 2.0, atol=1e-6)  # (1 − 0.5) / 0.25


def test_a_resnet_by_folder(resnet: Path) -> None:
    encoder = load_image_encoder(str(resnet), batch_size=2)
    assert isinstance(encoder, ImageEncoder)
    pictures = [picture(64, 64, 0), picture(90, 40, 1), picture(64, 64, 2), picture(64, 64, 3)]
    together = encoder.encode_images(pictures)
    assert together.shape == (4, encoder.dimension) == (4, 16)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    alone = np.concatenate([encoder.encode_images([one]) for one in pictures])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    assert encoder.encode_images([]).shape == (0, 16)
    with pytest.raises(InputError, match="knows pictures only"):
        encoder.encode_texts(["a mug"])
    assert load_image_encoder(str(resnet)).digest == encoder.digest


def test_what_is_no_image_model_is_said(resnet: Path, bert: Path) -> None:
    with pytest.raises(ModelError, match="'bert' is no image model"):
        load_image_encoder(str(bert))
    with pytest.raises(InputError, match="batch_size=0"):
        load_image_encoder(str(resnet), batch_size=0)
    (resnet / "preprocessor_config.json").write_text(json.dumps({"size": {"shortest_edge": 32}, "image_mean": [0.5]}))
    with pytest.raises(ModelError, match="does not say how pictures are prepared"):
        load_image_encoder(str(resnet))


@pytest.mark.parametrize("name", ["efficientnet-lite2", "mobilenet-v2"])
def test_a_starter_puts_like_by_like(name: str) -> None:
    if known(f"starter:{name}") is None:
        pytest.skip(f"starter:{name} is not in the cache: llmrec models pull starter:{name}")
    encoder = load_image_encoder(f"starter:{name}")
    disc, sheet = Image.new("RGB", (200, 200), "white"), Image.new("RGB", (300, 200), "grey")
    ImageDraw.Draw(disc).ellipse((40, 40, 160, 160), "orange", "brown", 4)
    for line in range(20, 180, 20):
        ImageDraw.Draw(sheet).text((20, line), "white rice 500 g, product of Italy", "black")
    same, turned, different = encoder.encode_images([disc, disc.resize((260, 260)).rotate(5, fillcolor="white"), sheet])
    assert same @ turned > same @ different + 0.2
