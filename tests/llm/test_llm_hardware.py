"""Threads, devices and precisions: what is asked for, else what this machine is good at."""

from __future__ import annotations

import os

import pytest

from llmrec.errors import InputError
from llmrec.llm import hardware


def test_threads_asked_for_win_over_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMREC_THREADS", "3")
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert hardware.choose_threads(2) == 2
    assert hardware.choose_threads(None) == 3
    monkeypatch.delenv("LLMREC_THREADS")
    assert hardware.choose_threads(None) == 4


def test_what_is_no_number_of_threads_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMREC_THREADS", "many")
    with pytest.raises(InputError, match="LLMREC_THREADS is 'many'"):
        hardware.choose_threads(None)
    with pytest.raises(InputError, match="threads is 0"):
        hardware.choose_threads(0)


def test_threads_are_measured_once_and_torch_gets_its_own_back(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    monkeypatch.delenv("LLMREC_THREADS", raising=False)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    hardware.measured_threads.cache_clear()
    before = torch.get_num_threads()
    count = hardware.choose_threads(None)
    assert 1 <= count <= (os.cpu_count() or 1)
    assert torch.get_num_threads() == before
    with hardware.torch_threads(1):
        assert torch.get_num_threads() == 1
    assert torch.get_num_threads() == before
    assert hardware.measured_threads.cache_info().misses == 1


def test_all_core_counts_are_tried() -> None:
    assert hardware._counts(1) == [1]
    assert hardware._counts(6) == [1, 2, 4, 6]
    assert hardware._counts(8) == [1, 2, 4, 8]


def test_bfloat16_only_where_it_is_multiplied(monkeypatch: pytest.MonkeyPatch) -> None:
    import torch

    cpu = torch.device("cpu")
    monkeypatch.setattr(hardware, "cpu_multiplies_bf16", lambda: False)
    assert hardware.choose_dtype("auto", cpu) == torch.float32
    monkeypatch.setattr(hardware, "cpu_multiplies_bf16", lambda: True)
    assert hardware.choose_dtype("auto", cpu) == torch.bfloat16
    assert hardware.choose_dtype("float32", cpu) == torch.float32
    with pytest.raises(InputError, match="int4"):
        hardware.choose_dtype("int4", cpu)


def test_a_device_that_is_not_there_is_refused() -> None:
    with pytest.raises(InputError, match="not a device"):
        hardware.choose_device("toaster")
    with pytest.raises(InputError, match="no such device"):
        hardware.choose_device("cuda:99")
