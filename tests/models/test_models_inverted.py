"""EfficientNet-Lite and MobileNetV2 to one layout: names of both families, shapes read off the weights."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmrec.errors import ModelError
from llmrec.models.inverted import STRIDES, convert_inverted, describe, imagenet_labels, rename

WIDTHS = (8, 4, 6, 5, 7, 9, 10, 11)  # stem, then seven stages of one block; the fourth has two


def state(family: str) -> dict:
    """Weights under the names of their authors; every block but the first widens threefold."""
    import torch

    torch.manual_seed(0)
    found = {}

    def layer(conv: str, norm: str, target: int, source: int, kernel: int) -> None:
        found[f"{conv}.weight"] = torch.randn(target, source, kernel, kernel)
        for part in ("weight", "bias", "running_mean", "running_var"):
            found[f"{norm}.{part}"] = torch.rand(target) + 0.5
        found[f"{norm}.num_batches_tracked"] = torch.tensor(3)

    lite = family == "lite"
    layer(*(("_conv_stem", "_bn0") if lite else ("features.0.0", "features.0.1")), WIDTHS[0], 3, 3)
    pairs = [(WIDTHS[n], WIDTHS[n + 1]) for n in range(7)]
    pairs.insert(4, (WIDTHS[4], WIDTHS[4]))
    for number, (source, target) in enumerate(pairs):
        wide = source * 3 if number else source
        here = f"_blocks.{number}." if lite else f"features.{number + 1}.conv."
        names = [("_depthwise_conv", "_bn1"), ("_project_conv", "_bn2")] if lite else [("1.0", "1.1"), ("2", "3")]
        if not lite and not number:
            names = [("0.0", "0.1"), ("1", "2")]
        if number:
            expand = ("_expand_conv", "_bn0") if lite else ("0.0", "0.1")
            layer(here + expand[0], here + expand[1], wide, source, 1)
        layer(here + names[0][0], here + names[0][1], wide, 1, 5 if number == 2 else 3)
        layer(here + names[1][0], here + names[1][1], target, wide, 1)
    layer(*(("_conv_head", "_bn1") if lite else ("features.18.0", "features.18.1")), 12, WIDTHS[-1], 1)
    head = "_fc" if lite else "classifier.1"
    found |= {f"{head}.weight": torch.randn(1000, 12), f"{head}.bias": torch.randn(1000)}
    return found


@pytest.mark.parametrize("family", ["lite", "mobilenet"])
def test_both_families_become_one_layout(family: str) -> None:
    given = state(family)
    found = rename(given, lite=family == "lite")
    assert len(found) == len([name for name in given if not name.endswith("num_batches_tracked")])
    config = describe(found, "m.pth")
    assert (config["stem"], config["head"], len(config["blocks"])) == (8, 12, 8)
    assert [block["stride"] for block in config["blocks"]] == [*STRIDES[:4], 1, *STRIDES[4:]]
    assert config["blocks"][0] == {"input": 8, "output": 4, "kernel": 3, "stride": 1, "wide": 8}
    assert config["blocks"][2] == {"input": 6, "output": 5, "kernel": 5, "stride": 2, "wide": 18}
    assert "blocks.0.expand.conv.weight" not in found


def test_the_folder_says_how_pictures_are_prepared(tmp_path: Path) -> None:
    import torch

    torch.save(state("lite"), tmp_path / "m.pth")
    convert_inverted(tmp_path / "m.pth", tmp_path, lite=True, side=260)
    config = json.loads((tmp_path / "config.json").read_text())
    assert (config["padding"], config["norm_epsilon"], config["id2label"]["948"]) == (
        "tensorflow",
        1e-3,
        "Granny Smith",
    )
    preprocessor = json.loads((tmp_path / "preprocessor_config.json").read_text())
    assert preprocessor["crop_size"] == {"height": 260, "width": 260}
    assert preprocessor["image_mean"][0] * 255 == pytest.approx(127)


def test_another_network_is_refused() -> None:
    given = state("lite")
    with pytest.raises(ModelError, match="holds classifier"):
        rename({"classifier.weight": given["_fc.weight"]}, lite=True)
    short = {name: tensor for name, tensor in rename(given, lite=True).items() if not name.startswith("blocks.7.")}
    with pytest.raises(ModelError, match="has 6 stages, not 7"):
        describe(short, "m.pth")


def test_the_thousand_names() -> None:
    labels = imagenet_labels()
    assert len(labels) == 1000
    assert (labels["0"], labels["954"], labels["999"]) == ("tench", "banana", "toilet tissue")
