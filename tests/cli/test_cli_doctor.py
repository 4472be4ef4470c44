"""``llmrec doctor``: what it finds, on machines made up for the test and on this one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from importlib import metadata
from pathlib import Path
from types import SimpleNamespace

import pytest

from llmrec.cli import doctor
from llmrec.cli.doctor import Check, memory_bytes, usable_cores

ROOT = Path(__file__).parents[2]


def run(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(ROOT / "cli.py"), "doctor", *arguments]
    return subprocess.run(command, capture_output=True, text=True, env={**os.environ, **environment}, timeout=120)


def test_this_machine(tmp_path: Path) -> None:
    done = run("--json", LLMREC_CACHE=str(tmp_path / "cache"), HF_ENDPOINT="https://user:secret@mirror.example")
    result = json.loads(done.stdout)
    checks = {check["name"]: check for check in result["checks"]}
    assert {"python", "cores", "memory", "torch", "gpu", "cpu bf16", "faiss", "opencv", "model cache"} <= set(checks)
    assert done.returncode == (0 if result["ok"] else 1)
    assert result["ok"] == all(check["status"] != "fail" for check in checks.values())
    assert all(check["fix"] for check in checks.values() if check["status"] != "ok")
    assert metadata.version("torch") in checks["torch"]["found"]
    assert "starter:minilm" in checks["starter models"]["fix"]
    assert checks["model settings"]["found"] == "HF_ENDPOINT=https://…@mirror.example"
    assert not (tmp_path / "cache").exists()


def test_a_broken_torch_is_a_finding_and_leaves_with_1(tmp_path: Path) -> None:
    (tmp_path / "torch.py").write_text("raise ImportError('libtorch.so: no such file')")
    done = run(PYTHONPATH=f"{tmp_path}:{ROOT}", LLMREC_CACHE=str(tmp_path / "cache"))
    assert done.returncode == 1
    assert "libtorch.so: no such file" in done.stdout
    assert "torch: Run: pip install --force-reinstall torch" in done.stdout
    assert "Traceback" not in done.stderr


def test_a_check_that_crashes_is_a_finding() -> None:
    def _some_check() -> list[Check]:
        raise ZeroDivisionError("division by zero\nmore")

    [check] = doctor._safely(_some_check)
    assert (check.name, check.status) == ("some check", "warn")
    assert "ZeroDivisionError: division by zero" in check.found


def versions(monkeypatch: pytest.MonkeyPatch, **found: str) -> None:
    packages = {name.replace("_", "-"): version for name, version in found.items()}
    monkeypatch.setattr(doctor, "_version", lambda package: packages.get(package, ""))


def test_two_opencv_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, opencv_python="5.0", opencv_python_headless="5.0")
    [check] = doctor._opencv()
    assert check.status == "warn"
    assert check.fix == (
        "Run: pip uninstall -y opencv-python opencv-python-headless && pip install opencv-python-headless"
    )
    versions(monkeypatch)
    assert doctor._opencv()[0].fix == "Run: pip install 'llmrec[video]'"


def test_two_faiss_wheels(monkeypatch: pytest.MonkeyPatch) -> None:
    versions(monkeypatch, faiss_cpu="1.12", faiss_gpu="1.12")
    assert doctor._faiss()[0].status == "warn"
    monkeypatch.setattr(doctor, "_import_error", lambda module: "ImportError: swigfaiss")
    assert doctor._faiss()[0].status == "fail"


def test_a_torchvision_that_does_not_fit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "find_spec", lambda name: SimpleNamespace() if name == "torchvision" else None)
    monkeypatch.setattr(
        doctor, "_import_error", lambda module: "RuntimeError: operator torchvision::nms does not exist"
    )
    check = next(check for check in doctor._torch() if check.name == "torchvision")
    assert check.status == "fail"
    assert "pip uninstall torchvision" in check.fix


def test_a_missing_requirement(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        metadata,
        "requires",
        lambda _: ["numpy>=2.0", "msgspec>=0.19", "av>=14; extra == 'video'", "old>=1; python_version < '3'"],
    )
    versions(monkeypatch, numpy="1.26", av="13.0")
    checks = {check.name: check for check in doctor._packages()}
    assert checks["packages"].status == "fail"
    assert checks["packages"].found == "missing or too old: numpy>=2.0, msgspec>=0.19"
    assert checks["extra video"].status == "warn"
    assert checks["extra video"].fix == "Run: pip install 'llmrec[video]'"


def test_cores_of_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    assert usable_cores(tmp_path) == 8
    (tmp_path / "cpu.max").write_text("150000 100000\n")
    assert usable_cores(tmp_path) == 1.5
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert usable_cores(tmp_path) == 8
    (tmp_path / "cpu.max").unlink()
    (tmp_path / "cpu").mkdir()
    (tmp_path / "cpu" / "cpu.cfs_quota_us").write_text("200000")
    (tmp_path / "cpu" / "cpu.cfs_period_us").write_text("100000")
    assert usable_cores(tmp_path) == 2


def test_more_threads_than_cores(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(doctor, "usable_cores", lambda: 2.0)
    monkeypatch.setenv("OMP_NUM_THREADS", "8")
    [check] = doctor._cores()
    assert (check.status, check.found.split(",")[1]) == ("warn", " OMP_NUM_THREADS=8")


def test_memory_of_a_container(tmp_path: Path) -> None:
    proc = tmp_path / "meminfo"
    proc.write_text("MemTotal:       16000000 kB\nMemFree: 1 kB\nMemAvailable:    8000000 kB\n")
    assert memory_bytes(proc, tmp_path) == (16_000_000 * 1024, 8_000_000 * 1024)
    (tmp_path / "memory.max").write_text("4000000000\n")
    (tmp_path / "memory.current").write_text("1500000000\n")
    assert memory_bytes(proc, tmp_path) == (4_000_000_000, 2_500_000_000)
    assert memory_bytes(tmp_path / "none", tmp_path / "none") == (0, 0)


def test_a_cache_on_a_full_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LLMREC_CACHE", str(tmp_path / "cache"))
    monkeypatch.setattr("shutil.disk_usage", lambda _: SimpleNamespace(free=10**9))
    check = doctor._cache()[0]
    assert check.status == "warn"
    assert "LLMREC_CACHE" in check.fix
    entry = tmp_path / "cache" / "models" / "starter--x"
    entry.mkdir(parents=True)
    damaged = next(check for check in doctor._cache() if check.name == "damaged models")
    assert (damaged.status, damaged.found) == ("warn", "starter--x")
    assert str(entry) in damaged.fix
