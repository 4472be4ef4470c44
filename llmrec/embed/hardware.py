"""Which device and precision an encoder runs on when the caller leaves it open, and how quietly it loads."""

from __future__ import annotations

from typing import TYPE_CHECKING

from llmrec.errors import InputError

if TYPE_CHECKING:
    import torch

#: Parameters above which a CPU with bfloat16 units uses them. Below, float32 is quick enough, and the rounding of
#: bfloat16 (about 0.004 of a cosine) would reorder near-duplicates.
LARGE = 500_000_000


def choose_device(device: str | None) -> torch.device:
    """The device asked for, else CUDA, else the CPU.

    Raises:
        InputError: Not a device, or one that this machine does not have.
    """
    import torch

    if device in (None, "auto"):
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(str(device))
    except RuntimeError as error:
        raise InputError(f"device {device!r} is not known", next_step="Give cpu, cuda or cuda:N.") from error
    if chosen.type == "cuda" and not torch.cuda.is_available():
        step = "Leave the device out, or install a CUDA build of torch (llmrec doctor shows what there is)."
        raise InputError(f"device {device!r}: torch sees no CUDA device", next_step=step)
    return chosen


def choose_dtype(dtype: str, device: torch.device, parameters: int) -> torch.dtype:
    """The precision asked for; ``auto`` is bfloat16 on CUDA, and on CPUs with AVX512-BF16 or AMX for large models.

    Raises:
        InputError: Not a precision that encoders run in.
    """
    import torch

    known = {"float32": torch.float32, "bfloat16": torch.bfloat16, "float16": torch.float16}
    if dtype in known:
        return known[dtype]
    if dtype != "auto":
        raise InputError(f"dtype {dtype!r} is not known", next_step=f"Give auto, {', '.join(known)}.")
    if device.type == "cuda":
        return torch.bfloat16 if torch.cuda.is_bf16_supported() else torch.float16
    return torch.bfloat16 if parameters > LARGE and cpu_has_bfloat16() else torch.float32


def cpu_has_bfloat16() -> bool:
    """Whether this CPU multiplies bfloat16 in hardware (AVX512-BF16 or AMX)."""
    import torch

    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in checks)
