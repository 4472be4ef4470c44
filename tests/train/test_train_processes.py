"""Two processes learn what one learns with twice the accumulation; they stop, save and go on together."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from killed import start_two
from tiny_trainings import SAME, Place

#: Two micro-batches of two in each of two processes; alone, four.
CHANGES = ["training.batch_size=8", "training.log_every=1", "training.epochs=2"]
LOSSES = (SAME.index("loss"), SAME.index("eval_loss"))


def losses(place: Place) -> list[tuple[float, ...]]:
    return [tuple(float(row[i] or 0) for i in LOSSES) for row in place.log()]


def test_two_processes_learn_what_one_does(tiny: Path, tmp_path: Path) -> None:
    one, two = (Place(tmp_path / name, tiny) for name in ("one", "two"))
    one.train(CHANGES)
    (two.run.parent / "recipe.yaml").write_text(two.text)
    launch = "-m accelerate.commands.launch --cpu --num_processes 2 --num_machines 1 --mixed_precision no"
    command = [sys.executable, *launch.split(), "--dynamo_backend", "no"]
    command += ["-m", "llmrec", "finetune", "recipe.yaml", "--json"]
    path = f"{Path.cwd()}{os.pathsep}{os.environ.get('PYTHONPATH', '')}"
    done = subprocess.run(
        [*command, *(part for change in CHANGES for part in ("--set", change))],
        cwd=two.run.parent,
        env=os.environ | {"PYTHONPATH": path},
        capture_output=True,
        text=True,
        timeout=200,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count('"folder"') == 1  # only one of them tells
    assert len(losses(one)) == 8
    for alone, together in zip(losses(one), losses(two), strict=True):
        assert together == pytest.approx(alone, abs=1e-4)


def test_two_processes_stop_together_and_go_on(tiny: Path, tmp_path: Path) -> None:
    one, two = (Place(tmp_path / name, tiny) for name in ("one", "two"))
    one.train(CHANGES)
    # one of them hears the signal: both stop after the same step, in the middle of the second epoch
    both = (two.text, CHANGES, False)
    assert start_two((*both, "never", 0, 0), (*both, "step", 4, signal.SIGTERM)) == [130, 130]
    assert {path.name for path in (two.run / "checkpoints").glob("c*-*")} == {"checkpoint-3", "checkpoint-5"}
    assert start_two(*[(two.text, CHANGES, True, "never", 0, 0)] * 2) == [0, 0]
    # examples in another order would change the losses by far more
    assert [row[0] for row in two.log()] == [row[0] for row in one.log()]
    for alone, together in zip(losses(one), losses(two), strict=True):
        assert together == pytest.approx(alone, abs=1e-4)
