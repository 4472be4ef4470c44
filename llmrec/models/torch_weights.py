"""A ``.pth`` file of PyTorch weights to safetensors, read without running what a pickle may hold."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrec.errors import ModelError

if TYPE_CHECKING:
    from torch import Tensor


def convert_torch(source: Path, target: Path) -> None:
    """Write the tensors of a ``.pth`` state dict to ``model.safetensors``.

    Args:
        source: The file; loaded with ``weights_only=True``.
        target: An existing folder.

    Raises:
        ModelError: The file holds anything but tensors under names.
    """
    from safetensors.torch import save_file

    # clones: safetensors refuses tensors that share memory
    state = {name: tensor.clone().contiguous() for name, tensor in read_state(source).items()}
    save_file(state, target / "model.safetensors")


def read_state(source: Path) -> dict[str, Tensor]:
    """The tensors of a ``.pth`` state dict by name.

    Raises:
        ModelError: The file holds anything but tensors under names.
    """
    import pickle

    import torch

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
    return {str(name): tensor for name, tensor in state.items()}
