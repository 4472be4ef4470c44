"""A ``.pth`` file of PyTorch weights to safetensors, read without running what a pickle may hold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from llmrec.errors import ModelError


def convert_torch(source: Path, target: Path) -> None:
    """Write the tensors of a ``.pth`` state dict to ``model.safetensors``.

    Args:
        source: The file; loaded with ``weights_only=True``.
        target: An existing folder.

    Raises:
        ModelError: The file holds anything but tensors under names.
    """
    import pickle

    import torch
    from safetensors.torch import save_file

    try:
        loaded: Any = torch.load(source, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, ValueError) as error:
        step = "Do not load it by other means unless you trust where it comes from."
        raise ModelError(
            f"{source.name}: not a plain file of weights: {str(error).splitlines()[0]}", next_step=step
        ) from error
    state = loaded.get("state_dict", loaded) if isinstance(loaded, dict) else None
    if not state or not all(isinstance(tensor, torch.Tensor) for tensor in state.values()):
        raise ModelError(f"{source.name}: holds no state dict", next_step="Give a file that torch.save wrote of one.")
    # clones: safetensors refuses tensors that share memory
    save_file({str(name): tensor.clone().contiguous() for name, tensor in state.items()}, target / "model.safetensors")
