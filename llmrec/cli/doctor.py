"""``llmrec doctor``: what this machine has, what is broken, and what to do about it.

Leaves with 1 when something essential is broken, else with 0. A package that is missing or does not import is a
finding, never a crash.
"""

from __future__ import annotations

import os
import platform
import re
import shutil
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from importlib import import_module, metadata
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Literal

import typer

from llmrec.cli.manners import emit, table

_CV2_WHEELS = tuple(f"opencv-{kind}{ending}" for kind in ("python", "contrib-python") for ending in ("", "-headless"))
_GIGABYTE = 1e9


@dataclass(frozen=True)
class Check:
    """One finding; ``fix`` is empty when there is nothing to do."""

    name: str
    status: Literal["ok", "warn", "fail"]
    found: str
    fix: str = ""


def register(app: typer.Typer) -> None:
    """Add the command ``doctor``."""
    app.command()(doctor)


def doctor(as_json: bool = typer.Option(False, "--json", help="Print one JSON object.")) -> None:
    """Check this machine: hardware, torch, video libraries, optional packages, model cache."""
    checks = [check for examine in EXAMINATIONS for check in _safely(examine)]
    broken = any(check.status == "fail" for check in checks)
    text = table(["", "check", "found"], [[c.status, c.name, c.found] for c in checks])
    fixes = [f"{c.name}: {c.fix}" for c in checks if c.fix and c.status != "ok"]
    text += "\n\nto do:\n" + "\n".join(f"- {fix}" for fix in fixes) if fixes else "\n\nnothing to do"
    emit({"ok": not broken, "checks": [asdict(check) for check in checks]}, as_json=as_json, text=text)
    if broken:
        raise typer.Exit(1)


def _safely(examine: Callable[[], list[Check]]) -> list[Check]:
    try:
        return examine()
    except Exception as error:  # a broken machine is what this command is for
        name = examine.__name__.strip("_").replace("_", " ")
        return [Check(name, "warn", f"could not be checked: {_short(error)}", "Report this with the message.")]


def _python() -> list[Check]:
    from llmrec import __version__

    found = f"{platform.python_version()} on {platform.system()} {platform.machine()}, llmrec {__version__}"
    old = sys.version_info < (3, 11)
    checks = [Check("python", "fail" if old else "ok", found, "Install Python 3.11 or newer." if old else "")]
    if find_spec("pip") is None:
        checks.append(Check("pip", "warn", "missing: starters cannot be fetched", "Run: python -m ensurepip"))
    return checks


def _cores() -> list[Check]:
    usable, total = usable_cores(), os.cpu_count() or 1
    threads = os.environ.get("OMP_NUM_THREADS", "")
    found = f"{usable:g} usable of {total}" + (f", OMP_NUM_THREADS={threads}" if threads else "")
    if threads.isdigit() and int(threads) > max(1, usable):
        fix = f"Set OMP_NUM_THREADS to {max(1, int(usable))} or less: more threads than cores are slower."
        return [Check("cores", "warn", found, fix)]
    return [Check("cores", "ok", found)]


def usable_cores(cgroup: Path = Path("/sys/fs/cgroup")) -> float:
    """Cores that this process may use: its affinity, and the quota of its control group."""
    cores = float(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1)
    quota = _read(cgroup / "cpu.max").split()
    if not quota:
        quota = [_read(cgroup / "cpu" / "cpu.cfs_quota_us"), _read(cgroup / "cpu" / "cpu.cfs_period_us")]
    if len(quota) == 2 and all(part.strip().isdigit() for part in quota) and int(quota[1]):
        cores = min(cores, int(quota[0]) / int(quota[1]))
    return cores


def _memory() -> list[Check]:
    total, free = memory_bytes()
    if not total:
        return [Check("memory", "ok", "not known on this system")]
    found = f"{free / _GIGABYTE:.1f} GB free of {total / _GIGABYTE:.1f} GB"
    short = free < 3 * _GIGABYTE
    fix = "Close other programs: the starter language model and an encoder together want about 3 GB."
    return [Check("memory", "warn" if short else "ok", found, fix if short else "")]


def memory_bytes(proc: Path = Path("/proc/meminfo"), cgroup: Path = Path("/sys/fs/cgroup")) -> tuple[int, int]:
    """Memory of this machine or container, in bytes: (total, free); zeros when not known."""
    lines = (line.split() for line in _read(proc).splitlines())
    facts = {parts[0].rstrip(":"): int(parts[1]) * 1024 for parts in lines if len(parts) >= 2 and parts[1].isdigit()}
    total, free = facts.get("MemTotal", 0), facts.get("MemAvailable", 0)
    limit, used = _read(cgroup / "memory.max"), _read(cgroup / "memory.current")
    if limit.isdigit() and used.isdigit():
        total = min(total, int(limit)) if total else int(limit)
        free = min(free or total, max(0, int(limit) - int(used)))
    return total, free


def _torch() -> list[Check]:
    try:
        import torch
    except Exception as error:
        return [Check("torch", "fail", f"does not import: {_short(error)}", "Run: pip install --force-reinstall torch")]
    build = f"CUDA {torch.version.cuda}" if torch.version.cuda else "ROCm" if torch.version.hip else "CPU only"
    checks = [Check("torch", "ok", f"{torch.__version__}, {build}")]
    present = shutil.which("nvidia-smi") is not None or Path("/dev/nvidia0").exists()
    if torch.cuda.is_available():
        names = [torch.cuda.get_device_name(index) for index in range(torch.cuda.device_count())]
        checks.append(Check("gpu", "ok", ", ".join(names)))
    elif torch.backends.mps.is_available():
        checks.append(Check("gpu", "ok", "Apple Metal"))
    elif present:
        fix = "Install the CUDA build of torch that fits the driver (see pytorch.org, 'Get started')."
        checks.append(Check("gpu", "warn", "an NVIDIA GPU is here, but this torch cannot use it", fix))
    else:
        checks.append(Check("gpu", "ok", "none: models run on the CPU"))
    for package in ("torchvision", "torchaudio"):
        if find_spec(package) is not None and (reason := _import_error(package)):
            fix = f"Run: pip uninstall {package} (llmrec does not need it, and its presence breaks transformers)."
            checks.append(Check(package, "fail", f"does not fit this torch: {reason}", fix))
    return checks


def _bf16() -> list[Check]:
    flags = set(_read(Path("/proc/cpuinfo")).partition("flags")[2].partition("\n")[0].split())
    fast = [label for flag, label in (("amx_bf16", "AMX"), ("avx512_bf16", "AVX512-BF16")) if flag in flags]
    if fast:
        return [Check("cpu bf16", "ok", f"{' and '.join(fast)}: language models run in bfloat16")]
    return [Check("cpu bf16", "ok", "no AMX or AVX512-BF16: language models run in float32 on the CPU")]


def _video() -> list[Check]:
    if find_spec("av") is None:
        return [Check("ffmpeg (PyAV)", "warn", "not installed: no video", "Run: pip install 'llmrec[video]'")]
    import av

    version = ".".join(map(str, av.library_versions.get("libavcodec", ())))
    missing = [name for name in ("h264", "hevc", "vp9", "aac", "mp3", "opus") if name not in av.codecs_available]
    found = f"PyAV {av.__version__}, libavcodec {version}"
    if missing:
        fix = "Install the wheel of PyAV: pip install --force-reinstall --only-binary=:all: av"
        return [Check("ffmpeg (PyAV)", "warn", f"{found}, without {', '.join(missing)}", fix)]
    return [Check("ffmpeg (PyAV)", "ok", found)]


def _opencv() -> list[Check]:
    wheels = [name for name in _CV2_WHEELS if _version(name)]
    if not wheels:
        return [Check("opencv", "warn", "not installed: no video", "Run: pip install 'llmrec[video]'")]
    again = f"pip uninstall -y {' '.join(wheels)} && pip install opencv-python-headless"
    if len(wheels) > 1:
        found = f"{' and '.join(wheels)} overwrite each other's cv2"
        return [Check("opencv", "warn", found, f"Run: {again}")]
    if error := _import_error("cv2"):
        return [Check("opencv", "fail", f"{wheels[0]} does not import: {error}", f"Run: {again}")]
    return [Check("opencv", "ok", f"{wheels[0]} {_version(wheels[0])}")]


def _faiss() -> list[Check]:
    wheels = [name for name in ("faiss-cpu", "faiss-gpu", "faiss-gpu-cu12") if _version(name)]
    if error := _import_error("faiss"):
        return [Check("faiss", "fail", f"does not import: {error}", "Run: pip install --force-reinstall faiss-cpu")]
    if len(wheels) > 1:
        fix = f"Run: pip uninstall -y {' '.join(wheels)} && pip install faiss-cpu"
        return [Check("faiss", "warn", f"{' and '.join(wheels)} overwrite each other", fix)]
    return [Check("faiss", "ok", f"{wheels[0]} {_version(wheels[0])}" if wheels else "installed")]


def _bitsandbytes() -> list[Check]:
    if not (version := _version("bitsandbytes")):
        found = "not installed (only 4-bit and 8-bit loading needs it)"
        return [Check("bitsandbytes", "ok", found, "Run: pip install bitsandbytes")]
    if error := _import_error("bitsandbytes"):
        return [Check("bitsandbytes", "warn", f"{version} does not import: {error}", "Run: pip uninstall bitsandbytes")]
    return [Check("bitsandbytes", "ok", version)]


def _packages() -> list[Check]:
    from packaging.requirements import Requirement

    try:
        lines = metadata.requires("llmrec") or []
        extras = metadata.metadata("llmrec").get_all("Provides-Extra") or []
    except metadata.PackageNotFoundError:
        return [Check("packages", "warn", "llmrec runs from a folder, not installed", "Run: pip install -e .")]
    requirements = [Requirement(line) for line in lines]

    def unmet(extra: str) -> list[str]:
        wanted = [r for r in requirements if _belongs(r, extra)]
        return [f"{r.name}{r.specifier}" for r in wanted if not r.specifier.contains(_version(r.name) or "0", True)]

    missing = unmet("")
    fix = f"Run: pip install {' '.join(repr(name) for name in missing)}" if missing else ""
    found = f"missing or too old: {', '.join(missing)}" if missing else "all that llmrec always needs"
    checks = [Check("packages", "fail" if missing else "ok", found, fix)]
    for extra in sorted(set(extras) - {"dev"}):
        absent = unmet(extra)
        fix = f"Run: pip install 'llmrec[{extra}]'" if absent else ""
        found = f"not installed: {', '.join(absent)}" if absent else "installed"
        # the demo and watch need video; the others are for those who want them
        checks.append(Check(f"extra {extra}", "warn" if absent and extra == "video" else "ok", found, fix))
    return checks


def _belongs(requirement: Any, extra: str) -> bool:
    marker = requirement.marker
    if marker is None:
        return not extra
    return marker.evaluate({"extra": extra}) and (not extra or not marker.evaluate({"extra": ""}))


def _cache() -> list[Check]:
    from llmrec.models import STARTERS, VARIABLE, cache_folder, cached

    folder = cache_folder()
    nearest = next(path for path in (folder, *folder.parents) if path.exists())
    free = shutil.disk_usage(nearest).free
    entries = cached()
    size = sum(entry.bytes for entry in entries)
    found = f"{folder}: {len(entries)} models, {size / _GIGABYTE:.1f} GB; {free / _GIGABYTE:.0f} GB free on the disk"
    move = f"set {VARIABLE} to a folder on another disk."
    if not os.access(nearest, os.W_OK):
        checks = [Check("model cache", "fail", f"{found}; cannot be written", f"Correct its permissions, or {move}")]
    elif free < 2 * _GIGABYTE:
        checks = [Check("model cache", "warn", found, f"Free some space, or {move}")]
    else:
        checks = [Check("model cache", "ok", found)]
    have = {entry.path.name for entry in entries if entry.folder}
    here = [name for name, starter in STARTERS.items() if starter.entry in have]
    absent = [starter.reference for starter in STARTERS.values() if starter.entry not in have]
    fix = f"Fetched at first use; ahead of time: llmrec models pull {' '.join(absent)}" if absent else ""
    checks.append(Check("starter models", "ok", f"cached: {', '.join(here) or 'none'}", fix))
    if absent and shutil.which("npm") is None and any(ref == "starter:gte-small" for ref in absent):
        checks.append(Check("npm", "ok", "not installed (only starter:gte-small needs it)", "Install Node.js."))
    damaged = [entry.path.name for entry in entries if entry.folder is None]
    if damaged:
        fix = "They are made again at their next use, or delete them: " + " ".join(
            str(entry.path) for entry in entries if entry.folder is None
        )
        checks.append(Check("damaged models", "warn", ", ".join(damaged), fix))
    settings = [name for name in ("HF_ENDPOINT", "HF_HUB_OFFLINE", "LLMREC_OFFLINE") if os.environ.get(name)]
    if settings:
        shown = ", ".join(f"{name}={re.sub('//[^/@]*@', '//…@', os.environ[name])}" for name in settings)
        checks.append(Check("model settings", "ok", shown))
    return checks


EXAMINATIONS: list[Callable[[], list[Check]]] = [
    _python, _cores, _memory, _torch, _bf16, _video, _opencv, _faiss, _bitsandbytes, _packages, _cache,
]  # fmt: skip


def _version(package: str) -> str:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return ""


def _import_error(module: str) -> str:
    try:
        import_module(module)
    except Exception as error:
        return _short(error)
    return ""


def _short(error: Exception) -> str:
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0][:160]}" if lines else type(error).__name__


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except OSError:
        return ""
