"""The network behind ``starter:efficientnet-lite2`` and ``starter:mobilenet-v2``: a chain of inverted residual blocks.

Built from the ``config.json`` that ``llmrec.models.inverted`` writes. The block is that of MobileNetV2 (Sandler et al.,
2018) with ReLU6; its names are our own, so that one class holds both families.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrec.errors import ModelError

if TYPE_CHECKING:
    import torch


def load_inverted(folder: Path, config: dict[str, Any]) -> Any:
    """Build the network of ``config`` and load ``model.safetensors`` of ``folder`` into it, for inference.

    Called with pixels ``[n, 3, h, w]`` it gives the last map ``[n, head, h / 32, w / 32]``; ``classifier`` is the
    linear layer over the mean of that map.

    Raises:
        ModelError: The weights are not those that the config describes.
    """
    from safetensors.torch import load_file

    try:
        net = _network(config)
        net.load_state_dict(load_file(folder / "model.safetensors"), strict=True)
    except (KeyError, TypeError, RuntimeError, OSError) as error:
        reason = str(error).strip().splitlines()[0]
        step = "Pull the model again: llmrec models pull."
        raise ModelError(
            f"{folder}: cannot be loaded as an inverted residual network ({reason})", next_step=step
        ) from (error)
    return _folded(net.eval())


def _folded(net: Any) -> Any:
    """Put each batch norm into the convolution before it: the same outputs, a fifth quicker on a CPU."""
    from torch import nn
    from torch.nn.utils.fusion import fuse_conv_bn_eval

    for layer in net.modules():
        if isinstance(getattr(layer, "norm", None), nn.BatchNorm2d):
            layer.conv, layer.norm = fuse_conv_bn_eval(layer.conv, layer.norm), nn.Identity()
    return net


def _network(config: dict[str, Any]) -> Any:
    from torch import nn

    tensorflow, epsilon = config["padding"] == "tensorflow", float(config["norm_epsilon"])

    class Layer(nn.Module):
        """Convolution, batch norm, and ReLU6 unless ``last``."""

        def __init__(self, source: int, target: int, kernel: int, stride: int, groups: int, last: bool) -> None:
            super().__init__()
            self.kernel, self.stride, self.last = kernel, stride, last
            pads = 0 if tensorflow and stride > 1 else kernel // 2
            self.conv = nn.Conv2d(source, target, kernel, stride, pads, groups=groups, bias=False)
            self.norm = nn.BatchNorm2d(target, eps=epsilon)

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            if tensorflow and self.stride > 1:
                down, right = (max(self.kernel - (size % self.stride or self.stride), 0) for size in x.shape[-2:])
                x = nn.functional.pad(x, (right // 2, right - right // 2, down // 2, down - down // 2))
            x = self.norm(self.conv(x))
            return x if self.last else nn.functional.relu6(x)

    class Block(nn.Module):
        def __init__(self, block: dict[str, int]) -> None:
            super().__init__()
            source, target, wide, stride = (block[key] for key in ("input", "output", "wide", "stride"))
            self.expand = Layer(source, wide, 1, 1, 1, False) if wide != source else nn.Identity()
            self.filter = Layer(wide, wide, block["kernel"], stride, wide, False)
            self.narrow = Layer(wide, target, 1, 1, 1, True)
            self.skip = stride == 1 and source == target

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            y = self.narrow(self.filter(self.expand(x)))
            return x + y if self.skip else y

    class Network(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            blocks = config["blocks"]
            self.stem = Layer(3, config["stem"], 3, 2, 1, False)
            self.blocks = nn.Sequential(*map(Block, blocks))
            self.head = Layer(blocks[-1]["output"], config["head"], 1, 1, 1, False)
            self.classifier = nn.Linear(config["head"], len(config["id2label"]))

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            return self.head(self.blocks(self.stem(x)))

    return Network()
