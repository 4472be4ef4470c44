"""Convolutional and transformer backbones: one vector a picture, and class probabilities where there is a classifier.

A convolutional tower pools its last map, the picture and its mirror image together; a vision transformer gives the
vector of its own pooling token, or the mean of its patches where it has none.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.embed.hardware import choose_device, quiet
from llmrec.embed.pixels import Pixels
from llmrec.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

#: Model types whose last map has the picture's own shape, so that any shape of picture fits.
CONVOLUTIONAL = frozenset({"inverted_residual", "resnet", "regnet", "convnext", "convnextv2", "mobilenet_v2"})


class ConvolutionalTower:
    """A convolutional network; ``labels`` are its classes, empty where the folder holds no classifier."""

    def __init__(self, folder: Path, config: dict[str, Any], *, device: str | None) -> None:
        self._device = choose_device(device)
        self._pixels = Pixels.of(folder)
        if config["model_type"] == "inverted_residual":
            from llmrec.embed.inverted import load_inverted

            self._net = load_inverted(folder, config)
            self._classifier = self._net.classifier
        else:
            model = load_backbone(folder)
            self._classifier = getattr(model, "classifier", None)
            base = getattr(model, model.base_model_prefix, model)
            self._net = lambda pixels: base(pixels).last_hidden_state
            model.to(self._device)
        if hasattr(self._net, "to"):
            self._net.to(self._device)
        self.labels = _labels(config) if self._classifier is not None else []
        self.dimension = self._width()

    def prepare(self, image: Image) -> NDArray[np.float32]:
        """Pixels float32 ``[3, height, width]``."""
        return self._pixels.prepare(image)

    def embed(self, batch: NDArray[np.float32]) -> NDArray[np.float32]:
        """Mean of the last map over the picture and its mirror image, float32 ``[n, dimension]``."""
        import torch

        with torch.inference_mode():
            pixels = torch.from_numpy(batch).to(self._device)
            both = self._net(torch.cat([pixels, pixels.flip(3)])).float().mean(dim=(2, 3))
            return both.unflatten(0, (2, -1)).mean(dim=0).cpu().numpy()

    def _width(self) -> int:
        import torch

        with torch.inference_mode():
            return int(self._net(torch.zeros(1, 3, 64, 64, device=self._device)).shape[1])


def load_backbone(folder: Path) -> Any:
    """A transformers vision model with the classifier that its folder holds, for inference.

    Raises:
        ModelError: It cannot be loaded.
    """
    from transformers import AutoModel, AutoModelForImageClassification

    config = read_config(folder)
    classes = any(name.endswith("ForImageClassification") for name in config.get("architectures") or [])
    try:
        with quiet():
            kind = AutoModelForImageClassification if classes else AutoModel
            model = kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False, use_safetensors=True)
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        reason = str(error).strip().split("\n", 1)[0][:200]
        step = "Give a vision model in transformers layout with safetensors weights."
        raise ModelError(f"{folder}: cannot be loaded as an image tower ({reason})", next_step=step) from error
    return model.eval()


def read_config(folder: Path) -> dict[str, Any]:
    """``config.json`` of a model folder.

    Raises:
        ModelError: It is missing, or no JSON object.
    """
    try:
        config = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        if not isinstance(config, dict):
            raise ValueError("not an object")
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder}: no config.json that can be read ({error})", next_step="Fetch it again.") from error
    return config


def _labels(config: dict[str, Any]) -> list[str]:
    names = config.get("id2label") or {}
    return [str(names[str(number)]) for number in range(len(names))]
