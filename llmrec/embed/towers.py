"""Convolutional networks as image towers: the mean of the last map, and class probabilities where there are classes.

One pass a picture: the mean with its mirror image found .01 more of what was shown (R@1) for twice the time.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.embed.hardware import choose_device
from llmrec.embed.pixels import Pixels
from llmrec.errors import ModelError
from llmrec.models.quiet import quiet

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray
    from PIL.Image import Image

    from llmrec.embed.pictures import Prepared

#: Model types whose last map has the picture's own shape, so that any shape of picture fits.
CONVOLUTIONAL = frozenset({"inverted_residual", "resnet", "regnet", "convnext", "convnextv2"})

#: Pictures that a CPU takes at once: more do not fit its cache, and each then costs twice the time (measured).
CPU_BATCH = 4


class ConvolutionalTower:
    """A convolutional network; ``labels`` are its classes, empty where the folder holds no classifier."""

    def __init__(self, folder: Path, config: dict[str, Any], *, device: str | None) -> None:
        import torch

        self._device = choose_device(device)
        self.pixels = Pixels.of(folder)
        if config["model_type"] == "inverted_residual":
            from llmrec.embed.inverted import load_inverted

            model = load_inverted(folder, config)
            self._classifier = model.classifier
            self._maps = model
        else:
            model = load_backbone(folder, config)
            self._classifier = getattr(model, "classifier", None)
            base = getattr(model, model.base_model_prefix, model)
            self._maps = lambda pixels: base(pixels).last_hidden_state
        model.to(self._device, memory_format=torch.channels_last)
        with torch.inference_mode():
            self.dimension = int(self._maps(torch.zeros(1, 3, 64, 64, device=self._device)).shape[1])
            known = self._classifier is not None and self._scores(torch.zeros(1, self.dimension)).shape[1]
        self.labels = labels_of(config)
        if len(self.labels) != known:
            self.labels = []

    def prepare(self, image: Image) -> Prepared:
        """Pixels float32 ``[3, height, width]``."""
        return {"pixel_values": self.pixels.prepare(image)}

    def embed(self, batch: Prepared) -> NDArray[np.float32]:
        """Mean of the last map, float32 ``[n, dimension]``."""
        return self._pooled(batch).cpu().numpy()

    def classify(self, batch: Prepared) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """Vectors as of ``embed``, and the probabilities, float32 ``[n, labels]``."""
        import torch

        pooled = self._pooled(batch)
        with torch.inference_mode():
            return pooled.cpu().numpy(), self._scores(pooled).softmax(dim=1).cpu().numpy()

    def _pooled(self, batch: Prepared) -> torch.Tensor:
        """Means of the maps of the pictures, ``[n, dimension]``."""
        import torch

        pixels = torch.from_numpy(batch["pixel_values"]).to(self._device, memory_format=torch.channels_last)
        size = CPU_BATCH if self._device.type == "cpu" else len(pixels)
        with torch.inference_mode():
            return torch.cat([self._maps(some).float().mean(dim=(2, 3)) for some in pixels.split(size)])

    def _scores(self, pooled: torch.Tensor) -> torch.Tensor:
        """Logits of pooled vectors ``[n, dimension]``."""
        assert self._classifier is not None
        pooled = pooled.to(self._device)
        from torch import nn

        # transformers' ResNet flattens a map in front of its linear layer
        flattens = isinstance(self._classifier, nn.Sequential)
        return self._classifier(pooled[:, :, None, None] if flattens else pooled)


def load_backbone(folder: Path, config: dict[str, Any]) -> Any:
    """A transformers vision model with the classifier that its folder holds, for inference.

    Raises:
        ModelError: It cannot be loaded.
    """
    from transformers import AutoModel, AutoModelForImageClassification

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


def labels_of(config: dict[str, Any]) -> list[str]:
    """Class names of a config by their number; the first of several names of one class."""
    names = config.get("id2label")
    if not isinstance(names, dict) or any(str(number) not in names for number in range(len(names))):
        return []
    return [str(names[str(number)]).split(",")[0].replace("_", " ").strip() for number in range(len(names))]
