"""EfficientNet-Lite and MobileNetV2 from a ``.pth`` of their authors to one layout: stem, blocks, head.

Both are chains of the block of MobileNetV2 (Sandler et al., 2018): widen by a 1 x 1 convolution, filter each channel,
narrow again. Lite (TensorFlow's ``efficientnet/lite``) drops the squeeze-and-excitation of EfficientNet, so that
transformers' ``EfficientNet`` cannot hold it. ``config.json`` says all that ``llmrec.embed`` needs to build the net::

    {"model_type": "inverted_residual", "padding": "tensorflow", "norm_epsilon": 0.001, "stem": 32, "head": 1280,
     "blocks": [{"input": 32, "output": 16, "kernel": 3, "stride": 1, "wide": 32}, …], "id2label": {"0": "tench", …}}
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrec.errors import ModelError
from llmrec.models.torch_weights import read_state

if TYPE_CHECKING:
    from torch import Tensor

#: Stride at the first block of each stage; a stage begins where the width changes.
STRIDES = (1, 2, 2, 2, 1, 2, 1)

_ENDS = {
    "lite": {"_conv_stem": "stem.conv", "_bn0": "stem.norm", "_conv_head": "head.conv", "_bn1": "head.norm",
             "_fc": "classifier"},
    "mobilenet": {"features.0.0": "stem.conv", "features.0.1": "stem.norm", "features.18.0": "head.conv",
                  "features.18.1": "head.norm", "classifier.1": "classifier"},
}  # fmt: skip
_BLOCK = {
    "lite": {"_expand_conv": "expand.conv", "_bn0": "expand.norm", "_depthwise_conv": "filter.conv",
             "_bn1": "filter.norm", "_project_conv": "narrow.conv", "_bn2": "narrow.norm"},
    "mobilenet": {"0.0": "expand.conv", "0.1": "expand.norm", "1.0": "filter.conv", "1.1": "filter.norm",
                  "2": "narrow.conv", "3": "narrow.norm"},
    # the first block does not widen
    "mobilenet first": {"0.0": "filter.conv", "0.1": "filter.norm", "1": "narrow.conv", "2": "narrow.norm"},
}  # fmt: skip


def convert_inverted(source: Path, target: Path, *, lite: bool, side: int) -> None:
    """Write config, preprocessor config and safetensors.

    Args:
        source: The ``.pth`` file; loaded with ``weights_only=True``.
        target: An existing folder.
        lite: An EfficientNet-Lite of TensorFlow's making; else torchvision's MobileNetV2.
        side: Pixels a side that the net was trained on.

    Raises:
        ModelError: The file is not what it should be.
    """
    from safetensors.torch import save_file

    state = rename(read_state(source), lite=lite)
    config = {**describe(state, source.name), **_trained_as(lite), "id2label": imagenet_labels()}
    normal = ([127 / 255] * 3, [128 / 255] * 3) if lite else ([0.485, 0.456, 0.406], [0.229, 0.224, 0.225])
    preprocessor = {
        "do_resize": True,
        "size": {"shortest_edge": round(side * 8 / 7)},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": normal[0],
        "image_std": normal[1],
    }
    save_file(state, target / "model.safetensors", metadata={"format": "pt"})
    for name, value in {"config.json": config, "preprocessor_config.json": preprocessor}.items():
        (target / name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def rename(state: dict[str, Tensor], *, lite: bool) -> dict[str, Tensor]:
    """The tensors under the names of the common layout, without the counters of the batch norms."""
    found: dict[str, Tensor] = {}
    for name, tensor in state.items():
        layer, _, kind = name.rpartition(".")
        if kind == "num_batches_tracked":
            continue
        new = _renamed(layer, "lite" if lite else "mobilenet")
        if new is None:
            raise ModelError(f"not such a network: holds {name}", next_step="Tell the maintainers.")
        found[f"{new}.{kind}"] = tensor.clone().contiguous()
    return found


def _renamed(layer: str, family: str) -> str | None:
    if layer in _ENDS[family]:
        return _ENDS[family][layer]
    match = re.fullmatch(r"(_blocks|features)\.(\d+)\.(?:conv\.)?(.+)", layer)
    if not match:
        return None
    number = int(match[2]) - (family == "mobilenet")  # torchvision counts the stem as its block 0
    part = _BLOCK["mobilenet first" if family == "mobilenet" and number == 0 else family].get(match[3])
    return f"blocks.{number}.{part}" if part else None


def describe(state: dict[str, Tensor], shown: str) -> dict[str, Any]:
    """Read the shape of the network off its weights."""
    blocks: list[dict[str, int]] = []
    try:
        width, stage = len(state["stem.conv.weight"]), -1
        while f"blocks.{len(blocks)}.filter.conv.weight" in state:
            here = f"blocks.{len(blocks)}"
            wide, _, kernel, _ = state[f"{here}.filter.conv.weight"].shape
            output = len(state[f"{here}.narrow.conv.weight"])
            stage += output != width
            stride = STRIDES[stage] if output != width else 1
            blocks.append({"input": width, "output": output, "kernel": kernel, "stride": stride, "wide": wide})
            width = output
        stem, head = len(state["stem.conv.weight"]), len(state["head.conv.weight"])
    except (KeyError, IndexError) as error:
        raise ModelError(f"{shown}: not such a network: {error}", next_step="Tell the maintainers.") from error
    if stage != len(STRIDES) - 1:
        raise ModelError(f"{shown}: has {stage + 1} stages, not {len(STRIDES)}", next_step="Tell the maintainers.")
    return {
        "architectures": ["InvertedResidualForImageClassification"],
        "model_type": "inverted_residual",
        "stem": stem,
        "head": head,
        "blocks": blocks,
    }


def imagenet_labels() -> dict[str, str]:
    """Names of the 1,000 classes of ImageNet (ILSVRC 2012) by their number as text, in the usual order."""
    text = (Path(__file__).parent / "imagenet.txt").read_text(encoding="utf-8")
    return {str(number): name for number, name in enumerate(text.splitlines())}


def _trained_as(lite: bool) -> dict[str, Any]:
    # TensorFlow pads an even picture under a stride of 2 on the right and below only
    padding = {"padding": "tensorflow", "norm_epsilon": 1e-3}
    return padding if lite else {"padding": "symmetric", "norm_epsilon": 1e-5}
