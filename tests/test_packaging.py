"""What is shipped: the wheel holds prompts and sample, and works in an environment that has no checkout."""

from __future__ import annotations

import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

import llmrec

ROOT = Path(__file__).parent.parent


def test_every_public_name_loads() -> None:
    for name in llmrec.__all__:
        assert getattr(llmrec, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = llmrec.nonsense  # type: ignore[attr-defined]


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("dist")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    built = subprocess.run(command, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    return next(out.glob("*.whl"))


def test_the_wheel_installs_one_top_level_name(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = archive.namelist()
    tops = {name.split("/")[0] for name in names if ".dist-info" not in name}
    assert tops == {"llmrec"}
    assert "llmrec/_data/prompts/summarize-product.yaml" in names
    for adapter in ("smollm2-135m-summaries", "minilm-pairs"):
        assert f"llmrec/_data/adapters/{adapter}/adapter_model.safetensors" in names
    assert "llmrec/_data/adapters/minilm-pairs/features/trees.npz" in names
    assert "llmrec/py.typed" in names
    assert not [name for name in names if name.endswith(".pyc")]


def test_the_wheel_runs_where_there_is_no_checkout(wheel: Path, tmp_path: Path) -> None:
    environment = tmp_path / "env"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(environment)], check=True)
    python = environment / "bin" / "python"
    command = [sys.executable, "-m", "pip", "--python", str(python), "install", "-q", "--no-deps", str(wheel)]
    subprocess.run(command, check=True, capture_output=True)
    # the dependencies come from the environment of the tests; a path file inside another one is not followed, so the
    # editable llmrec that lies there stays unseen
    site = next(environment.glob("lib/python*/site-packages"))
    (site / "dependencies.pth").write_text(sysconfig.get_paths()["purelib"] + "\n")
    code = (
        "import llmrec; from llmrec.prompting import load_prompt\n"
        f"assert llmrec.__file__.startswith({str(site)!r}), llmrec.__file__\n"
        "print(load_prompt('summarize-product').name)\n"
    )
    ran = subprocess.run([str(python), "-I", "-c", code], capture_output=True, text=True, cwd=tmp_path)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "summarize-product\n"
    tool = environment / "bin" / "llmrec"
    shown = subprocess.run([str(tool), "--version"], capture_output=True, text=True, cwd=tmp_path)
    assert shown.stdout == f"llmrec {llmrec.__version__}\n", shown.stderr
