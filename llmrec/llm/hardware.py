"""What this machine is good at: which device, which precision, how many threads.

A model of 135 M parameters answers 18 tokens a second on one quiet core; with two threads fighting another process for
the same two cores it can fall below one. So the number of threads is measured, at the time, on the machine.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING

from llmrec.errors import InputError

if TYPE_CHECKING:
    import torch

#: Environment variable that sets the number of threads; a flag or argument wins over it.
VARIABLE = "LLMREC_THREADS"
DTYPES = ("float32", "bfloat16", "float16")
#: Seconds that each number of threads is tried for.
_TRIAL = 0.06
#: What more threads must gain over fewer to be chosen: below that they only disturb the neighbours.
_WORTH = 1.15


def choose_device(device: str) -> torch.device:
    """``auto`` is CUDA where there is one, else the processor.

    Raises:
        InputError: The device does not exist here.
    """
    import torch

    if device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
    except RuntimeError as error:
        raise InputError(f"device {device!r}: not a device", next_step="Give auto, cpu, cuda or cuda:N.") from error
    if chosen.type == "cuda" and (chosen.index or 0) >= torch.cuda.device_count():
        raise InputError(f"device {device!r}: this machine has no such device", next_step="Give auto or cpu.")
    return chosen


def choose_dtype(dtype: str, device: torch.device) -> torch.dtype:
    """``auto`` is bfloat16 where the hardware multiplies it, float16 on older GPUs, else float32.

    On a processor without AMX or AVX512-BF16, bfloat16 is emulated and slower than float32.

    Raises:
        InputError: Not a precision.
    """
    import torch

    if dtype == "auto":
        if device.type == "cuda":
            return torch.bfloat16 if torch.cuda.is_bf16_supported(including_emulation=False) else torch.float16
        return torch.bfloat16 if cpu_multiplies_bf16() else torch.float32
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r}: not a precision", next_step=f"Give auto, {', '.join(DTYPES)}.")
    return getattr(torch, dtype)


def cpu_multiplies_bf16() -> bool:
    """Whether this processor has instructions that multiply bfloat16 (AVX512-BF16 or AMX)."""
    import torch

    checks = ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    return any(getattr(torch.cpu, name, bool)() for name in checks)


def choose_threads(threads: int | None) -> int:
    """The number asked for, else ``$LLMREC_THREADS``, else ``$OMP_NUM_THREADS``, else what a short measurement finds.

    Raises:
        InputError: Not a whole number above 0.
    """
    for source, value in (
        ("threads", threads),
        (f"${VARIABLE}", os.environ.get(VARIABLE)),
        ("$OMP_NUM_THREADS", os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]),
    ):
        if value in (None, ""):
            continue
        if not str(value).isdecimal() or int(str(value)) < 1:
            raise InputError(f"{source} is {value!r}, not a number of threads", next_step="Give a whole number from 1.")
        return int(str(value))
    return measured_threads()


@lru_cache(maxsize=1)
def measured_threads() -> int:
    """The quickest number of threads for a matrix product of the size that decoding does; measured once a process.

    Tries 1, 2, 4 … up to the cores that this process may use, a few hundredths of a second each, and takes more
    threads only when they gain 15%.
    """
    import torch

    try:
        cores = len(os.sched_getaffinity(0))
    except AttributeError:  # not on macOS and Windows
        cores = os.cpu_count() or 1
    left, right = torch.ones(16, 1024), torch.ones(1024, 4096)
    best, best_rate = 1, 0.0
    before = torch.get_num_threads()
    try:
        for count in _counts(cores):
            torch.set_num_threads(count)
            left @ right  # the pool of threads starts here, not in the measurement
            runs, started = 0, time.perf_counter()
            while (elapsed := time.perf_counter() - started) < _TRIAL:
                left @ right
                runs += 1
            if runs / elapsed > best_rate * (_WORTH if best_rate else 1):
                best, best_rate = count, runs / elapsed
    finally:
        torch.set_num_threads(before)
    return best


def _counts(cores: int) -> list[int]:
    counts = [1]
    while counts[-1] * 2 <= cores:
        counts.append(counts[-1] * 2)
    return counts if counts[-1] == cores else [*counts, cores]


@contextmanager
def torch_threads(count: int) -> Iterator[None]:
    """Run a block with so many threads, and give torch its own number back."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)
