"""``llmrec finetune`` and ``recipes``: bad input ends with a message, exit 2 and nothing half-written."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from llmrec.cli import app

RECIPE = """
task: summarize
model: {model}
precision: fp32
device: cpu
data: {{train: {folder}/train.jsonl, dev_share: 0.2, max_tokens: 128}}
training: {{epochs: 1, batch_size: 4, micro_batch_size: 2, threads: 1}}
evaluation: {{base: false, max_new_tokens: 2}}
output: {folder}/run
"""


#: Faults that only the loaded model tells of.
LATE = ("method.targets=[nosuch]", "training.packing=true")


def make(folder: Path) -> Path:
    """A tiny model, examples and a recipe in ``folder``."""
    import torch
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE({c: i for i, c in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    torch.manual_seed(0)
    sizes = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
    LlamaForCausalLM(LlamaConfig(vocab_size=257, max_position_embeddings=256, **sizes)).save_pretrained(folder / "m")
    PreTrainedTokenizerFast(tokenizer_object=raw, eos_token="<end>").save_pretrained(folder / "m")
    rows = [{"prompt": f"Title: mug {i}", "completion": f"Mug {i}."} for i in range(40)]
    (folder / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    (folder / "recipe.yaml").write_text(RECIPE.format(model=folder / "m", folder=folder))
    return folder


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return make(tmp_path_factory.mktemp("finetune"))


def call(*arguments: Any) -> Any:
    return CliRunner().invoke(app, ["finetune", *map(str, arguments)])


@pytest.mark.parametrize(
    ("changes", "told"),
    [
        (["data.train=nosuch.jsonl"], "nosuch.jsonl: no such file"),
        (["data.train={bad}"], "line 2: no 'completion'"),
        (["data.max_tokens=20", "data.too_long=drop"], "every example is too long"),
        (["data.max_tokens=20", "data.too_long=refuse"], "is longer than 20 tokens"),
        (["data.max_tokens=20"], "line 1 cannot be cut to data.max_tokens: a prompt of 30 tokens"),
        (["data.max_tokens=9999"], "data.max_tokens: 9999, but the model takes 256"),
        (["model=starter:nosuch"], "nosuch"),
        (["model={empty}"], "{empty}"),
        (["model={file}"], "{file}"),
        (["output={file}"], "{file}"),
        (["output=/proc/nosuch/run"], "/proc/nosuch/run"),
        (["precision=fp16"], "precision fp16"),
        (["device=cuda:99"], "cuda:99"),
        (["training.batchsize=3"], "did you mean 'batch_size'?"),
        (["method.targets=[nosuch]"], "the model has no layer nosuch"),
        (["training.packing=true"], "wants a GPU with flash-attn"),
    ],
)
def test_bad_input(place: Path, tmp_path: Path, changes: list[str], told: str) -> None:
    known = {name: str(tmp_path / name) for name in ("bad", "empty", "file")}
    (tmp_path / "bad").write_text('{"prompt": "a", "completion": "b"}\n{"prompt": "a"}\n')
    (tmp_path / "empty").mkdir()
    (tmp_path / "file").write_text("a file")
    run = tmp_path / "run"
    sets = [part for c in [f"output={run}", *changes] for part in ("--set", c.format(**known))]
    result = call(place / "recipe.yaml", *sets)
    assert result.exit_code == 2, (result.exit_code, result.output, result.exception)
    assert told.format(**known) in result.stderr
    assert "next: " in result.stderr and "Traceback" not in result.output
    assert not list(tmp_path.rglob("*.partial"))
    assert not (run / "adapter").exists()
    assert (tmp_path / "file").read_text() == "a file"
    # what only the loaded model can tell comes after the run's folder was begun; a second try may use it
    assert not (run / "checkpoints").exists() or changes[0] in LATE


def test_a_run_its_curves_and_its_next(place: Path, tmp_path: Path) -> None:
    output = ("--set", f"output={tmp_path}/run")
    done = call(place / "recipe.yaml", *output, "--json")
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["folder"] == f"{tmp_path}/run/adapter" and not told["interrupted"]
    assert done.stderr == ""  # nobody is watching
    again = call(place / "recipe.yaml", *output)
    assert again.exit_code == 2 and "holds a training that was begun" in again.stderr
    other = call(place / "recipe.yaml", *output, "--resume", "--set", "training.seed=7")
    assert other.exit_code == 2 and "another training.seed" in other.stderr


def test_ctrl_c_keeps_the_work(place: Path, tmp_path: Path) -> None:
    sets = ["--set", f"output={tmp_path}/run", "--set", "training.epochs=400", "--set", "training.log_every=1"]
    command = [sys.executable, "-m", "llmrec", "finetune", str(place / "recipe.yaml"), *sets]
    path = f"{Path.cwd()}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True, env=os.environ | {"PYTHONPATH": path})
    try:
        log = tmp_path / "run" / "log.csv"
        deadline = time.monotonic() + 200
        while process.poll() is None and not (log.is_file() and len(log.read_text().splitlines()) > 3):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=100)
    finally:
        process.kill()
    assert process.returncode == 130, errors
    assert "a checkpoint is kept in" in errors and "--resume" in errors and "Traceback" not in errors
    assert list((tmp_path / "run" / "checkpoints").glob("checkpoint-*/manifest.json"))


def test_recipes_list_copy_check(tmp_path: Path) -> None:
    invoke = CliRunner().invoke
    listed = invoke(app, ["recipes", "list", "--json"])
    names = {entry["name"] for entry in json.loads(listed.stdout)["recipes"]}
    assert "summarize-lora-cpu" in names
    target = tmp_path / "mine.yaml"
    assert invoke(app, ["recipes", "copy", "summarize-lora-cpu", "-o", str(target)]).exit_code == 0
    assert "# the adapter's size grows with it" in target.read_text()
    twice = invoke(app, ["recipes", "copy", "summarize-lora-cpu", "-o", str(target)])
    assert twice.exit_code == 2 and "exists already" in twice.stderr
    assert invoke(app, ["recipes", "copy", "nosuch", "-o", str(tmp_path / "x.yaml")]).exit_code == 2
    assert not (tmp_path / "x.yaml").exists()
    checked = invoke(app, ["recipes", "check", str(target), "--set", "method.rank=8", "--json"])
    assert json.loads(checked.stdout)["method"]["rank"] == 8
    target.write_text("task: embed\nmodle: x\n")
    wrong = invoke(app, ["recipes", "check", str(target)])
    assert wrong.exit_code == 2
    assert "line 2: modle: unknown key; did you mean 'model'?" in wrong.stderr
