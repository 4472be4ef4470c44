"""Vision models by reference, with random weights: CLIP, SigLIP, SigLIP 2, DINOv2, ViT, and towers joined by a plus."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from llmrec.embed import load_encoder, load_image_encoder
from llmrec.embed.joined import NAMES_SHARE, by_names
from llmrec.errors import InputError, ModelError

SIZES = {"hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2, "intermediate_size": 32}


def picture(width: int, height: int, seed: int = 0) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 255, (height, width, 3), dtype=np.uint8))


@pytest.fixture(params=["clip", "siglip", "siglip2", "chinese_clip"])
def joint(request: pytest.FixtureRequest, tmp_path: Path, bert: Path) -> Path:
    """A model of pictures and texts, with the tokenizer of the tiny BERT."""
    import shutil

    import torch
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    kind = request.param
    texts = {**SIZES, "vocab_size": 30, "max_position_embeddings": 24}
    vision = {**SIZES, "image_size": 32, "patch_size": 8}
    if kind.startswith("siglip"):
        texts["projection_size"] = 16
    if kind == "clip":
        texts["eos_token_id"] = 3  # where CLIP reads off its vector
    if kind == "siglip2":
        vision = {**SIZES, "patch_size": 8, "num_patches": 16}
    config = CONFIG_MAPPING[kind](
        text_config=texts, vision_config=vision, **({"projection_dim": 16} if "clip" in kind else {})
    )
    torch.manual_seed(0)
    folder = tmp_path / kind
    MODEL_MAPPING[type(config)](config).save_pretrained(folder)
    for name in ("tokenizer.json", "tokenizer_config.json"):
        shutil.copy(bert / name, folder / name)
    processor = {
        "clip": {"image_processor_type": "CLIPImageProcessor", "size": {"shortest_edge": 32}, "crop_size": 32},
        "siglip": {"image_processor_type": "SiglipImageProcessor", "size": {"height": 32, "width": 32}},
        "siglip2": {"image_processor_type": "Siglip2ImageProcessor", "patch_size": 8, "max_num_patches": 16},
        "chinese_clip": {"image_processor_type": "ChineseCLIPImageProcessor", "size": {"height": 32, "width": 32}},
    }[kind]
    if kind == "chinese_clip":
        processor["crop_size"] = {"height": 32, "width": 32}
    (folder / "preprocessor_config.json").write_text(json.dumps(processor))
    return folder


def test_pictures_and_texts_share_a_space(joint: Path) -> None:
    encoder = load_image_encoder(str(joint), batch_size=2)
    assert encoder.joint
    pictures = [picture(40, 40, 0), picture(90, 40, 1), picture(40, 64, 2)]
    seen = encoder.encode_images(pictures)
    read = encoder.encode_texts(["red shoe", "blue", "red shoe " * 30])
    assert seen.shape == read.shape == (3, encoder.dimension) == (3, 16)
    np.testing.assert_allclose(np.linalg.norm(np.concatenate([seen, read]), axis=1), 1, atol=1e-5)
    np.testing.assert_allclose(seen[1:2], encoder.encode_images(pictures[1:2]), atol=1e-5)
    np.testing.assert_allclose(read[1:2], encoder.encode_texts(["blue"]), atol=1e-5)
    if joint.name != "siglip2":  # whose own tokenizer splits words as Gemma's does, and knows none of the tiny BERT's
        assert np.abs(read[0] - read[1]).max() > 1e-5
    with pytest.raises(InputError, match="list of texts"):
        encoder.encode_texts("red shoe")


def test_a_joint_model_without_its_tokenizer_is_refused(joint: Path) -> None:
    for path in joint.glob("tokenizer*"):
        path.unlink()
    with pytest.raises(ModelError, match="tokenizer"):
        load_image_encoder(str(joint))


@pytest.mark.parametrize("kind", ["dinov2", "vit"])
def test_a_vision_transformer_gives_its_first_token(kind: str, tmp_path: Path) -> None:
    import torch
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    torch.manual_seed(0)
    config = CONFIG_MAPPING[kind](**SIZES, image_size=32, patch_size=8)
    model = MODEL_MAPPING[type(config)](config).eval()
    model.save_pretrained(tmp_path)
    means = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    processor = {"image_processor_type": "ViTImageProcessor", "size": {"height": 32, "width": 32}, **means}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(processor))
    encoder = load_image_encoder(str(tmp_path))
    assert (encoder.joint, encoder.dimension) == (False, 16)
    image = picture(32, 32)
    pixels = torch.from_numpy((np.asarray(image, np.float32) / 255 - 0.5) / 0.5).permute(2, 0, 1)[None]
    with torch.no_grad():
        token = model(pixels).last_hidden_state[0, 0].numpy()
    np.testing.assert_allclose(encoder.encode_images([image])[0], token / np.linalg.norm(token), atol=1e-5)


def test_a_place_among_names_worked_out_by_hand() -> None:
    """Of eleven classes, ten count: (0.5 × (1, 0) + 0.3 × (0, 1)) / (0.5 + 0.3 + 8 × 0.02)."""
    names = np.zeros((11, 2), dtype=np.float32)
    names[0], names[1], names[10] = (1, 0), (0, 1), (-100, -100)
    probabilities = np.array([[0.5, 0.3, *[0.02] * 8, 0.01]], dtype=np.float32)
    np.testing.assert_allclose(by_names(probabilities, names), [[0.5 / 0.96, 0.3 / 0.96]], rtol=1e-5)


def test_towers_joined_by_a_plus(resnet: Path, bert: Path) -> None:
    alone, texts = load_image_encoder(str(resnet)), load_encoder(str(bert))
    pictures = [picture(64, 64, 0), picture(100, 50, 1)]
    twice = load_image_encoder(f"{resnet}+{resnet}")
    np.testing.assert_allclose(
        twice.encode_images(pictures) @ twice.encode_images(pictures).T,
        alone.encode_images(pictures) @ alone.encode_images(pictures).T,
        atol=1e-5,
    )
    named = load_image_encoder(f"{resnet}+{bert}")
    assert named.joint
    assert named.dimension == 16 + 16
    assert named.digest not in {alone.digest, twice.digest}
    seen, read = named.encode_images(pictures), named.encode_texts(["red shoe"])
    np.testing.assert_allclose(seen[:, :16], alone.encode_images(pictures) * (1 - NAMES_SHARE) ** 0.5, atol=1e-5)
    np.testing.assert_allclose(read[0, 16:], texts.encode(["red shoe"], kind="query")[0], atol=1e-5)
    # the likeliest of three classes weighs most: their names are "mug", "shoe" and "lamp"
    likely = named.tower._towers[0].classify(  # type: ignore[attr-defined]
        {"pixel_values": alone.tower.prepare(pictures[0])["pixel_values"][None]}
    )[1]
    assert likely.sum() == pytest.approx(1, abs=1e-5)
    place = likely @ texts.encode(["mug", "shoe", "lamp"])
    np.testing.assert_allclose(
        seen[0, 16:] / np.linalg.norm(seen[0, 16:]), (place / np.linalg.norm(place))[0], atol=1e-4
    )


def test_parts_that_cannot_be_joined(resnet: Path, bert: Path) -> None:
    with pytest.raises(InputError, match="two text encoders"):
        load_image_encoder(f"{resnet}+{bert}+{bert}")
    config = json.loads((resnet / "config.json").read_text())
    config["architectures"] = ["ResNetModel"]
    (resnet / "config.json").write_text(json.dumps(config))
    with pytest.raises(InputError, match="no part of the image encoder has classes"):
        load_image_encoder(f"{resnet}+{bert}")
