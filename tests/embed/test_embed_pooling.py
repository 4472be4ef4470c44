"""Pooling and precision, with numbers worked out by hand."""

from __future__ import annotations

import pytest
import torch

from llmrec.embed.hardware import LARGE, choose_device, choose_dtype, cpu_has_bfloat16
from llmrec.embed.pooled import pool
from llmrec.errors import InputError

HIDDEN = torch.tensor([[[1.0, 2.0], [3.0, 4.0], [9.0, 9.0]]])


@pytest.mark.parametrize(
    ("pooling", "mask", "expected"),
    [
        ("mean", [1, 1, 0], [2.0, 3.0]),
        ("mean", [0, 1, 1], [6.0, 6.5]),
        ("last", [1, 1, 0], [3.0, 4.0]),
        ("last", [0, 1, 1], [9.0, 9.0]),
        ("cls", [1, 1, 0], [1.0, 2.0]),
        ("cls", [0, 1, 1], [3.0, 4.0]),
        ("mean", [0, 0, 0], [0.0, 0.0]),
        ("last", [0, 0, 0], [0.0, 0.0]),
        ("cls", [0, 0, 0], [0.0, 0.0]),
    ],
)
def test_pool(pooling: str, mask: list[int], expected: list[float]) -> None:
    assert pool(HIDDEN, torch.tensor([mask]), pooling)[0].tolist() == expected


def test_half_precision_is_summed_in_full() -> None:
    many = torch.full((1, 4096, 1), 0.1, dtype=torch.bfloat16)
    exact = float(torch.tensor(0.1, dtype=torch.bfloat16))
    assert pool(many, torch.ones(1, 4096), "mean").item() == pytest.approx(exact, rel=1e-5)


def test_small_models_run_in_float32_on_a_cpu_and_large_ones_as_the_cpu_can() -> None:
    cpu = torch.device("cpu")
    assert choose_dtype("auto", cpu, 135_000_000) == torch.float32
    assert choose_dtype("auto", cpu, LARGE + 1) == (torch.bfloat16 if cpu_has_bfloat16() else torch.float32)
    assert choose_dtype("bfloat16", cpu, 1) == torch.bfloat16


def test_unknown_precisions_and_devices_are_refused() -> None:
    with pytest.raises(InputError, match="float8"):
        choose_dtype("float8", torch.device("cpu"), 1)
    with pytest.raises(InputError, match="abacus"):
        choose_device("abacus")
    if not torch.cuda.is_available():
        with pytest.raises(InputError, match="sees no CUDA device"):
            choose_device("cuda")
