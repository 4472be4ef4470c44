"""ResNet50 from a TensorFlow.js file to the layout of transformers' ``ResNetForImageClassification``.

Keras has a bias in each convolution and 1e-3 in the batch norms; the ResNet of transformers has no bias and 1e-5. Both
differences are taken up by the running statistics: ``mean - bias`` and ``variance + 1e-3 - 1e-5`` give the same output.
Keras wants blue, green, red; the first kernel is turned round so that the model takes red, green, blue (0 to 255,
less the mean of each channel, as ``preprocessor_config.json`` says).
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrec.errors import ModelError

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

_EPSILON, _EPSILON_HERE = 1e-3, 1e-5
_STAGES = (3, 4, 6, 3)

_PREPROCESSOR = {
    "image_processor_type": "ConvNextImageProcessor",
    "do_resize": True,
    "size": {"shortest_edge": 224},
    "crop_pct": 0.875,
    "do_rescale": False,
    "do_normalize": True,
    "image_mean": [123.68, 116.779, 103.939],
    "image_std": [1.0, 1.0, 1.0],
}


def convert_tfjs_resnet(source: Path, target: Path) -> None:
    """Write config, preprocessor config and safetensors.

    Args:
        source: A folder with ``model.json``, ``weights.bin`` (all shards joined) and ``labels.json``.
        target: An existing folder.

    Raises:
        ModelError: The weights are not those of a ResNet50.
    """
    from safetensors.numpy import save_file

    labels = json.loads((source / "labels.json").read_text(encoding="utf-8"))
    config = {
        "architectures": ["ResNetForImageClassification"],
        "model_type": "resnet",
        "depths": list(_STAGES),
        "hidden_sizes": [256, 512, 1024, 2048],
        "embedding_size": 64,
        "layer_type": "bottleneck",
        "downsample_in_bottleneck": True,
        "hidden_act": "relu",
        "id2label": labels,
        "label2id": {label: int(number) for number, label in labels.items()},
    }
    save_file(resnet_weights(source), target / "model.safetensors", metadata={"format": "pt"})
    for name, value in {"config.json": config, "preprocessor_config.json": _PREPROCESSOR}.items():
        (target / name).write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


def resnet_weights(source: Path) -> dict[str, NDArray[Any]]:
    """Read the weights of a Keras ResNet50 under the names that transformers gives them."""
    import numpy as np

    found = _read(source)
    weights: dict[str, NDArray[Any]] = {}
    try:
        for kernel in [name for name in found if name.endswith("/kernel") and found[name].ndim == 4]:
            layer = kernel.removesuffix("/kernel")
            here, norm = _names(layer)
            turned = found[kernel].transpose(3, 2, 0, 1)  # height, width, in, out to out, in, height, width
            weights[f"{here}.convolution.weight"] = np.ascontiguousarray(
                turned[:, ::-1] if layer == "conv1" else turned
            )
            mean, variance = found[f"{norm}/moving_mean"], found[f"{norm}/moving_variance"]
            weights[f"{here}.normalization.weight"] = found[f"{norm}/gamma"]
            weights[f"{here}.normalization.bias"] = found[f"{norm}/beta"]
            weights[f"{here}.normalization.running_mean"] = mean - found[f"{layer}/bias"]
            weights[f"{here}.normalization.running_var"] = variance + np.float32(_EPSILON - _EPSILON_HERE)
            weights[f"{here}.normalization.num_batches_tracked"] = np.array(0)
        weights["classifier.1.weight"] = np.ascontiguousarray(found["fc1000/kernel"].T)
        weights["classifier.1.bias"] = found["fc1000/bias"]
    except KeyError as error:
        raise ModelError(f"not a ResNet50: no {error}", next_step="Tell the maintainers.") from error
    return weights


def _names(layer: str) -> tuple[str, str]:
    """Where a Keras convolution goes, and the name of the batch norm behind it.

    ``res3b_branch2a`` is stage 3 (the second), block b (the second), first convolution; ``branch1`` is the shortcut.
    """
    if layer == "conv1":
        return "resnet.embedder.embedder", "bn_conv1"
    match = re.fullmatch(r"res([2-5])([a-f])_branch(1|2[abc])", layer)
    if not match:
        raise KeyError(layer)
    stage, block, branch = int(match[1]) - 2, "abcdef".index(match[2]), match[3]
    part = "shortcut" if branch == "1" else f"layer.{'abc'.index(branch[1])}"
    return f"resnet.encoder.stages.{stage}.layers.{block}.{part}", f"bn{layer.removeprefix('res')}"


def _read(source: Path) -> dict[str, NDArray[np.float32]]:
    import numpy as np

    manifest = json.loads((source / "model.json").read_text(encoding="utf-8"))["weightsManifest"]
    data = np.frombuffer((source / "weights.bin").read_bytes(), dtype="<f4")
    entries = [entry for group in manifest for entry in group["weights"]]
    sizes = [int(np.prod(entry["shape"])) for entry in entries]
    if sum(sizes) != len(data):
        raise ModelError(f"weights.bin holds {len(data)} numbers, not {sum(sizes)}", next_step="Run the command again.")
    parts = np.split(data, np.cumsum(sizes)[:-1])
    return {entry["name"]: part.reshape(entry["shape"]) for entry, part in zip(entries, parts, strict=True)}
