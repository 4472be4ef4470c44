"""Vision models of transformers by reference: ViT, DINOv2, Swin (pictures only), CLIP and SigLIP (pictures and texts).

Pictures are prepared by the model's own image processor, in its form without torchvision.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.embed.hardware import choose_device
from llmrec.embed.towers import load_backbone
from llmrec.errors import ModelError
from llmrec.models.quiet import quiet

if TYPE_CHECKING:
    from numpy.typing import NDArray
    from PIL.Image import Image

    from llmrec.embed.pictures import Prepared

#: Vision transformers whose first token stands for the picture.
FIRST_TOKEN = frozenset({"vit", "deit", "dinov2", "dinov2_with_registers", "dinov3_vit"})

#: Vision halves whose pooled output is what they were trained for.
POOLED = frozenset({"clip_vision_model", "siglip_vision_model", "siglip2_vision_model", "swin", "swinv2", "beit"})

#: Files that hold the words of a tokenizer.
VOCABULARIES = ("tokenizer.json", "vocab.json", "vocab.txt", "spiece.model", "tokenizer.model")


class VisionTower:
    """A vision transformer: the vector of its own pooling, else the mean of its patches."""

    def __init__(self, folder: Path, config: dict[str, Any], *, device: str | None) -> None:
        self._device = choose_device(device)
        self._prepare = _Processor(folder)
        model = load_backbone(folder, config)
        self._model = getattr(model, model.base_model_prefix, model).to(self._device)
        self._kind = str(config.get("model_type"))
        self.dimension = self._width()

    def prepare(self, image: Image) -> Prepared:
        """What the model's image processor makes of it."""
        return self._prepare(image)

    def embed(self, batch: Prepared) -> NDArray[np.float32]:
        """Encode prepared pictures, float32 ``[n, dimension]``."""
        import torch

        with torch.inference_mode():
            output = self._model(**_tensors(batch, self._device))
            hidden = output.last_hidden_state
            if self._kind in POOLED and getattr(output, "pooler_output", None) is not None:
                hidden = output.pooler_output
            elif hidden.ndim == 4:
                hidden = hidden.mean(dim=(2, 3))
            else:
                hidden = hidden[:, 0] if self._kind in FIRST_TOKEN else hidden.mean(dim=1)
        return hidden.flatten(1).float().cpu().numpy()

    def _width(self) -> int:
        from PIL import Image

        blank = self.prepare(Image.new("RGB", (64, 64)))
        return self.embed({name: array[None] for name, array in blank.items()}).shape[1]


class JointVisionTower:
    """CLIP, SigLIP and their kin: pictures and texts in one space."""

    def __init__(self, folder: Path, config: dict[str, Any], *, device: str | None) -> None:
        from transformers import AutoTokenizer

        self._device = choose_device(device)
        self._prepare = _Processor(folder)
        self._model = load_backbone(folder, config).to(self._device)
        try:
            # without its files some tokenizers load as empty ones
            if not any((folder / name).is_file() for name in VOCABULARIES):
                raise OSError("none of " + ", ".join(VOCABULARIES))
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except (OSError, ValueError, KeyError) as error:
            reason = str(error).strip().split("\n", 1)[0][:200]
            step = "Copy the tokenizer's files beside the weights."
            raise ModelError(f"{folder}: no tokenizer that can be loaded ({reason})", next_step=step) from error
        positions = getattr(self._model.config.text_config, "max_position_embeddings", 77)
        self._length = min(int(positions), int(self._tokenizer.model_max_length))
        # SigLIP never saw a text that was not padded to its full length, nor a mask over the padding
        self._padded = str(config.get("model_type")).startswith("siglip")
        self.dimension = self.embed_texts(["a"]).shape[1]

    def prepare(self, image: Image) -> Prepared:
        """What the model's image processor makes of it."""
        return self._prepare(image)

    def embed(self, batch: Prepared) -> NDArray[np.float32]:
        """Encode prepared pictures, float32 ``[n, dimension]``."""
        import torch

        with torch.inference_mode():
            return _pooled(self._model.get_image_features(**_tensors(batch, self._device)))

    def embed_texts(self, texts: Sequence[str]) -> NDArray[np.float32]:
        """Encode texts, cut to what the model sees, float32 ``[n, dimension]``."""
        import torch

        tokens = self._tokenizer(
            list(texts),
            padding="max_length" if self._padded else True,
            truncation=True,
            max_length=self._length,
            return_tensors="pt",
            return_attention_mask=not self._padded,
            return_token_type_ids=False,
        ).to(self._device)
        with torch.inference_mode():
            return _pooled(self._model.get_text_features(**tokens))


def is_joint(config: dict[str, Any]) -> bool:
    """Whether the config is that of a model with a tower for pictures and one for texts."""
    from transformers import CONFIG_MAPPING, MODEL_MAPPING

    if not {"vision_config", "text_config"} <= set(config) or config.get("model_type") not in CONFIG_MAPPING:
        return False
    model = MODEL_MAPPING.get(CONFIG_MAPPING[config["model_type"]], None)
    return hasattr(model, "get_image_features") and hasattr(model, "get_text_features")


class _Processor:
    """The image processor of a folder."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoImageProcessor

        try:
            with quiet():
                self._processor = AutoImageProcessor.from_pretrained(
                    folder, local_files_only=True, trust_remote_code=False, backend="pil"
                )
        except (OSError, ValueError, KeyError, ImportError, AttributeError) as error:
            reason = str(error).strip().split("\n", 1)[0][:200]
            step = "Give a folder with the preprocessor_config.json that the model was published with."
            raise ModelError(f"{folder}: cannot prepare pictures ({reason})", next_step=step) from error

    def __call__(self, image: Image) -> Prepared:
        found = self._processor(images=image.convert("RGB"), return_tensors="np")
        return {name: np.asarray(array[0]) for name, array in found.items()}


def _tensors(batch: Prepared, device: Any) -> dict[str, Any]:
    import torch

    return {name: torch.from_numpy(array).to(device) for name, array in batch.items()}


def _pooled(output: Any) -> NDArray[np.float32]:
    # a tensor up to transformers 4, an output with the projected vector from 5 on
    tensor = output if hasattr(output, "float") else output.pooler_output
    return tensor.float().cpu().numpy()
