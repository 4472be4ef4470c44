"""``llmrec models merge | quantize | export``: results, exit codes, and messages that name the remedy."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

sys.path.insert(0, str(Path(__file__).parent.parent / "train"))

from made_models import adapter, language_model

from llmrec.cli import app


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from peft import LoraConfig, PrefixTuningConfig

    root = tmp_path_factory.mktemp("after")
    base = language_model(root / "base")
    adapter(root / "lora", base, LoraConfig(r=2, task_type="CAUSAL_LM", target_modules=["q_proj"]))
    adapter(root / "prefix", base, PrefixTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"))
    (root / "texts").write_text("red mug\nblue tent\n")
    return root


def run(*words: object) -> tuple[int, str, str]:
    done = CliRunner().invoke(app, ["models", *map(str, words)])
    assert done.exception is None or isinstance(done.exception, SystemExit), done.exception
    return done.exit_code, done.stdout, done.stderr


def test_from_an_adapter_to_a_file(made: Path, tmp_path: Path) -> None:
    asked = ("--texts", made / "texts")
    code, out, _ = run("merge", made / "lora", "-o", tmp_path / "merged", "--json", *asked)
    assert code == 0
    report = json.loads(out)
    assert report["output"] == str(tmp_path / "merged")
    assert report["likeness"]["texts"] == 2
    code, out, _ = run("export", tmp_path / "merged", "--to", "gguf", "-o", tmp_path / "m.gguf", *asked)
    assert code == 0
    assert "of what it was made from" in out
    assert "perplexity_after" in out
    pytest.importorskip("bitsandbytes", reason="bitsandbytes is not installed")
    code, out, _ = run("quantize", tmp_path / "merged", "--to", "int8", "-o", tmp_path / "q", "--json", *asked)
    assert code == 0
    assert json.loads(out)["to"] == "int8"


def test_the_call_was_wrong(made: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    for words, told in [
        (("merge", made / "base", "-o", out), "not an adapter"),
        (("merge", made / "prefix", "-o", out), "nothing to merge"),
        (("merge", made / "lora", "-o", made / "base"), "exists already"),
        (("merge", made / "lora", "-o", out, "--base", "starter:minilms"), "no such starter"),
        (("merge", made / "nothing", "-o", out), "no such"),
        (("quantize", made / "lora", "-o", out), "llmrec models merge"),
        (("quantize", made / "base", "--to", "int3", "-o", out), "Give one of: int8, nf4"),
        (("export", made / "base", "--to", "gguf", "-o", out), ".gguf"),
        (("export", made / "base", "--to", "safetensors", "-o", out), "Give gguf or onnx"),
        (("export", made / "base", "--to", "onnx", "--texts", made / "none", "-o", out), "cannot be read"),
    ]:
        code, stdout, stderr = run(*words)
        assert (code, stdout) == (2, ""), words
        assert told in stderr.replace("\n", " "), (words, stderr)
    assert not out.exists()


def test_drift_is_work_that_failed(made: Path, tmp_path: Path) -> None:
    words = ("merge", made / "lora", "-o", tmp_path / "out", "--tolerance", "1e-15", "--texts", made / "texts")
    code, stdout, stderr = run(*words)
    assert (code, stdout) == (1, "")
    assert "nothing was written" in stderr
    assert list(tmp_path.iterdir()) == []
