"""The inverted residual network: padding of both makers, skips, batch norms put into the convolutions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from llmrec.embed.inverted import _network, load_inverted
from llmrec.errors import ModelError

BLOCKS = [
    {"input": 4, "output": 4, "kernel": 3, "stride": 1, "wide": 4},
    {"input": 4, "output": 6, "kernel": 5, "stride": 2, "wide": 12},
]


def config(padding: str) -> dict[str, Any]:
    return {
        "padding": padding, "norm_epsilon": 1e-3, "stem": 4, "head": 8, "blocks": BLOCKS,
        "id2label": {"0": "mug", "1": "shoe"},
    }  # fmt: skip


@pytest.mark.parametrize("padding", ["tensorflow", "symmetric"])
def test_the_network_is_its_parts_in_a_row(padding: str, tmp_path: Path) -> None:
    """Each layer worked out with plain functions, from the weights as they lie on disk."""
    import torch
    from safetensors.torch import save_file
    from torch.nn.functional import batch_norm, conv2d, pad

    torch.manual_seed(0)
    state = _network(config(padding)).state_dict()
    state = {
        name: tensor if "conv" in name else torch.rand_like(tensor) + 0.5
        for name, tensor in state.items()
        if not name.endswith("num_batches_tracked")
    }
    save_file(state, tmp_path / "model.safetensors")
    net = load_inverted(tmp_path, config(padding))

    def layer(x: torch.Tensor, name: str, stride: int = 1, *, last: bool = False) -> torch.Tensor:
        kernel = state[f"{name}.conv.weight"]
        size, groups = kernel.shape[-1], x.shape[1] if kernel.shape[1] == 1 and x.shape[1] > 1 else 1
        if padding == "tensorflow" and stride == 2:  # sizes here are even: one less on the left than on the right
            x = pad(x, ((size - 2) // 2, (size - 1) // 2) * 2)
            x = conv2d(x, kernel, stride=2, groups=groups)
        else:
            x = conv2d(x, kernel, stride=stride, padding=size // 2, groups=groups)
        norm = [state[f"{name}.norm.{part}"] for part in ("running_mean", "running_var", "weight", "bias")]
        x = batch_norm(x, *norm, training=False, eps=1e-3)
        return x if last else x.clamp(0, 6)

    x = torch.randn(2, 3, 16, 12)
    y = layer(x, "stem", 2)
    y = y + layer(layer(y, "blocks.0.filter"), "blocks.0.narrow", last=True)
    y = layer(layer(layer(y, "blocks.1.expand"), "blocks.1.filter", 2), "blocks.1.narrow", last=True)
    y = layer(y, "head")
    with torch.no_grad():
        torch.testing.assert_close(net(x), y, atol=1e-4, rtol=1e-4)
    assert net(x).shape == (2, 8, 4, 3)


def test_weights_of_another_shape_are_refused(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import save_file

    save_file({"stem.conv.weight": torch.zeros(1)}, tmp_path / "model.safetensors")
    with pytest.raises(ModelError, match="cannot be loaded as an inverted residual network"):
        load_inverted(tmp_path, config("symmetric"))
    with pytest.raises(ModelError, match="'padding'"):
        load_inverted(tmp_path, {})
