"""A PEFT adapter on disk: the model that it names, and its weights on top of that model.

::

    folder = resolve("runs/matcher/adapter")
    base = base_of(folder, remedy="Train the adapter again.")     # digest checked
    adapted = apply_adapter(AutoModel.from_pretrained(base.path), folder)
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from llmrec.errors import ModelError
from llmrec.models.quiet import quiet
from llmrec.models.resolve import ModelFolder, resolve

CONFIG, WEIGHTS = "adapter_config.json", "adapter_model.safetensors"


def named_base(folder: ModelFolder) -> tuple[str, str]:
    """Reference and digest of the model that an adapter was trained on; empty where it does not say."""
    try:
        manifest = json.loads((folder.path / "manifest.json").read_text(encoding="utf-8"))
        named = manifest["models"]["base"]
        return str(named.get("reference") or folder.base), str(named.get("digest") or "")
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return folder.base, ""


def base_of(folder: ModelFolder, *, remedy: str) -> ModelFolder:
    """The model beneath an adapter, as it was when the adapter was trained.

    Args:
        folder: The adapter.
        remedy: What to do when it is not to be had.

    Raises:
        ModelError: The adapter names none, or it cannot be found, is an adapter itself, or has changed since.
    """
    reference, digest = named_base(folder)
    if not reference:
        raise ModelError(f"{folder.reference}: names no model", next_step=remedy)
    try:
        model = resolve(reference)
    except ModelError as error:
        raise ModelError(
            f"{folder.reference}: its model {error.message}", next_step=f"{remedy} {error.next_step}"
        ) from error
    if model.kind == "adapter":
        raise ModelError(f"{folder.reference}: its model {reference} is an adapter itself", next_step=remedy)
    if digest and digest != model.digest:
        raise ModelError(f"{model.reference}: has changed since the adapter was trained", next_step=remedy)
    return model


def read_config(folder: ModelFolder) -> Any:
    """PEFT's configuration of an adapter whose weights are safetensors.

    Raises:
        ModelError: No such weights, a configuration that cannot be read, or one that imports modules by name.
    """
    from peft import PeftConfig

    if not (folder.path / WEIGHTS).is_file():
        step = f"Give an adapter whose weights are {WEIGHTS}."
        raise ModelError(f"{folder.reference}: has no safetensors weights", next_step=step)
    try:
        config: Any = PeftConfig.from_pretrained(str(folder.path))
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        step = "Train the adapter again, or copy it again."
        raise ModelError(f"{folder.reference}: {CONFIG} cannot be read: {first_line(error)}", next_step=step) from error
    if getattr(config, "megatron_config", None):  # peft imports the module that such a configuration names
        step = "Use an adapter that was trained with transformers."
        raise ModelError(f"{folder.reference}: is an adapter for Megatron", next_step=step)
    return config


def apply_adapter(model: Any, folder: ModelFolder, *, remedy: str) -> Any:
    """Put an adapter's weights on top of a model whose layers are changed in place.

    PEFT itself only warns of weights that are missing, and leaves out those for which the model has no layer.

    Args:
        model: A transformers model.
        folder: The adapter.
        remedy: What to do when it does not fit.

    Raises:
        ModelError: Weights are missing, are for another model, or cannot be read.
    """
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError, safe_open

    try:
        with quiet():
            adapted: Any = PeftModel.from_pretrained(model, str(folder.path), is_trainable=False).eval()
        with safe_open(folder.path / WEIGHTS, "pt") as file:
            # embeddings that were saved with the adapter lie in the model under their own names
            own = set(adapted.state_dict())
            there = {name for name in list(file.keys()) if name not in own}
            wanted = set(get_peft_model_state_dict(adapted, save_embedding_layers=False))
        for names, what in ((wanted - there, "lacks"), (there - wanted, "is for layers that the model has not:")):
            if names:
                raise ValueError(f"it {what} {', '.join(sorted(names)[:3])}")
    except (OSError, ValueError, KeyError, RuntimeError, TypeError, SafetensorError) as error:
        raise ModelError(
            f"{folder.reference}: does not fit the model: {first_line(error)}", next_step=remedy
        ) from error
    return adapted


def quantized(path: Path) -> str:
    """The quantisation that a model's ``config.json`` names; empty for none."""
    try:
        config = json.loads((path / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return ""
    found = config.get("quantization_config") if isinstance(config, dict) else None
    return str(found.get("quant_method") or "unknown") if isinstance(found, dict) else ""


def first_line(error: BaseException) -> str:
    """What an error says, in one line."""
    text = str(error).strip()
    return text.split("\n", 1)[0][:300] if text else type(error).__name__
