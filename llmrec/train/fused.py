"""Parts of a language model in fewer passes over memory while it is trained on a processor.

Each function here computes what the library's own layers compute, with gradients written out: nothing is kept that is
not needed, large tensors are not cast, and the sums are made in place. They stand in only where a layer is exactly the
known one, in one precision throughout, without dropout; every other layer is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch.autograd import Function

#: Positions whose logits are held at once: 25 MB for a vocabulary of 50,000.
HEAD_ROWS = 128
PRECISIONS = (torch.float32, torch.float64, torch.bfloat16)


class LowRank(Function):
    """``x W' + b + s (x A') B'`` with frozen ``W`` (LoRA, Hu et al. 2021): one pass in place for the adapter's part.

    ``A`` and ``B`` may be wider than the rest; they are small, and are computed with in its precision.
    """

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, bias: Any, a: Any, b: Any, scale: float) -> Any:
        flat = x.reshape(-1, x.shape[-1])
        ctx.wide = a.dtype
        a, b = a.to(x.dtype), b.to(x.dtype)
        down = flat @ a.t()
        out = flat @ weight.t() if bias is None else torch.addmm(bias, flat, weight.t())
        out.addmm_(down, b.t(), alpha=scale)
        ctx.save_for_backward(flat, down, weight, a, b)
        ctx.scale, ctx.shape = scale, x.shape
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        flat, down, weight, a, b = ctx.saved_tensors
        grad = grads[0].reshape(-1, grads[0].shape[-1])
        up = (grad @ b).mul_(ctx.scale)
        to_a = (up.t() @ flat).to(ctx.wide)
        to_b = (grad.t() @ down).to(ctx.wide).mul_(ctx.scale)
        to_x = None
        if ctx.needs_input_grad[0]:
            to_x = (grad @ weight).addmm_(up, a).view(ctx.shape)
        return to_x, None, None, to_a, to_b, None


class RootMeanSquare(Function):
    """RMSNorm with frozen weights (Zhang and Sennrich 2019), in float32 at least."""

    @staticmethod
    def forward(ctx: Any, x: Any, weight: Any, eps: float) -> Any:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        scale = torch.linalg.vector_norm(wide, dim=-1, keepdim=True).square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, scale)
        return (wide * scale).to(x.dtype).mul_(weight)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        x, weight, scale = ctx.saved_tensors
        wide, inner = x.to(scale.dtype), (grads[0] * weight).to(scale.dtype)
        along = (inner * wide).sum(-1, keepdim=True).mul_(scale.pow(3)).div_(-x.shape[-1])
        return inner.mul_(scale).addcmul_(wide, along).to(x.dtype), None, None


class GatedProduct(Function):
    """``silu(gate) * up``: the product is made anew for its gradient instead of being kept."""

    @staticmethod
    def forward(ctx: Any, gate: Any, up: Any) -> Any:
        ctx.save_for_backward(gate, up)
        return torch.nn.functional.silu(gate).mul_(up)

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        gate, up = ctx.saved_tensors
        grad = grads[0]
        to_up = torch.nn.functional.silu(gate).mul_(grad)
        return torch.ops.aten.silu_backward(grad * up, gate), to_up


class HeadLoss(Function):
    """Sum of the cross-entropies of a frozen head: its gradient is made with it, a few positions at a time."""

    @staticmethod
    def forward(ctx: Any, hidden: Any, weight: Any, bias: Any, labels: Any) -> Any:
        wanted = ctx.needs_input_grad[0]
        wide = torch.promote_types(hidden.dtype, torch.float32)
        total = hidden.new_zeros((), dtype=wide)
        gradient = torch.empty_like(hidden) if wanted else None
        for start in range(0, len(hidden), HEAD_ROWS):
            part = hidden[start : start + HEAD_ROWS]
            label = labels[start : start + HEAD_ROWS, None]
            logits = torch.nn.functional.linear(part, weight, bias).to(wide)
            largest = logits.logsumexp(-1, keepdim=True)
            total += (largest - logits.gather(1, label)).sum()
            if gradient is not None:
                share = logits.sub_(largest).exp_()
                share.scatter_add_(1, label, torch.full_like(largest, -1.0))
                gradient[start : start + HEAD_ROWS] = share.to(weight.dtype) @ weight
        if gradient is not None:
            ctx.save_for_backward(gradient)
        return total

    @staticmethod
    def backward(ctx: Any, *grads: Any) -> Any:
        (gradient,) = ctx.saved_tensors
        return gradient * grads[0].to(gradient.dtype), None, None, None


@contextmanager
def fused(model: Any) -> Iterator[int]:
    """Put the functions above in the place of the layers that they equal, until the end; yields how many."""
    changed = []
    try:
        for module in model.modules():
            stand_in = _stand_in(module)
            if stand_in is not None:
                module.forward = stand_in
                changed.append(module)
        yield len(changed)
    finally:
        for module in changed:
            del module.forward


def _stand_in(module: Any) -> Callable[..., Any] | None:
    if "forward" in vars(module):  # another library has already put its own there
        return None
    own = module.forward
    if _is_low_rank(module):
        return _low_rank(module, own)
    weight: Any = getattr(module, "weight", None)
    norm = type(module).__name__.endswith("RMSNorm") and hasattr(module, "variance_epsilon")
    if norm and weight.dtype in PRECISIONS and not weight.requires_grad:
        eps = module.variance_epsilon
        return lambda x: RootMeanSquare.apply(x, module.weight, eps) if _plain(x, weight) else own(x)
    names = ("gate_proj", "up_proj", "down_proj", "act_fn")
    if all(hasattr(module, name) for name in names) and type(module.act_fn).__name__ in ("SiLU", "SiLUActivation"):

        def gated(x: Any) -> Any:
            gate, up = module.gate_proj(x), module.up_proj(x)
            if _plain(gate, up):
                return module.down_proj(GatedProduct.apply(gate, up))
            return module.down_proj(module.act_fn(gate) * up)

        return gated
    return None


def _plain(x: Any, other: Any) -> bool:
    """Whether gradients are wanted and all is in one precision, which autocast would leave as it is."""
    if not torch.is_grad_enabled() or x.dtype != other.dtype or x.dtype not in PRECISIONS:
        return False
    kind = x.device.type
    return not torch.is_autocast_enabled(kind) or x.dtype == torch.get_autocast_dtype(kind)


def _is_low_rank(module: Any) -> bool:
    from peft.tuners.lora.layer import Linear

    if type(module) is not Linear or type(module.base_layer) is not torch.nn.Linear:
        return False
    if len(module.active_adapters) != 1 or module.active_adapters[0] not in module.lora_A:
        return False
    name = module.active_adapters[0]
    a, b, base = module.lora_A[name], module.lora_B[name], module.base_layer
    frozen = not base.weight.requires_grad and (base.bias is None or not base.bias.requires_grad)
    whole = base.weight.dtype in PRECISIONS and a.weight.dtype == b.weight.dtype
    return (
        frozen and whole and name not in module.lora_variant and b.bias is None
        and isinstance(module.lora_dropout[name], torch.nn.Identity)
    )  # fmt: skip


def _low_rank(module: Any, own: Callable[..., Any]) -> Callable[..., Any]:
    name = module.active_adapters[0]
    a, b, base, scale = module.lora_A[name], module.lora_B[name], module.base_layer, module.scaling[name]

    def forward(x: Any, *args: Any, **kwargs: Any) -> Any:
        if not _plain(x, base.weight) or module.disable_adapters or module.merged or args or kwargs:
            return own(x, *args, **kwargs)
        return LowRank.apply(x, base.weight, base.bias, a.weight, b.weight, scale)

    return forward
