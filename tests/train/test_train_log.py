"""The table of a training: appended line by line, whole after a kill, cut back to where a run goes on from."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from llmrec.train.log import Log, read_log

#: A training of four steps that is evaluated after the second and the fourth, and has a column of its own then.
LINES: list[tuple[int, dict[str, Any]]] = [
    (1, {"loss": 2.5, "epoch": 0.25}),
    (2, {"loss": 2.25, "epoch": 0.5}),
    (2, {"eval_loss": 2.0, "eval_rougeL": 0.125, "eval_runtime": 9.0}),
    (3, {"loss": 2.0, "epoch": 0.75}),
    (4, {"loss": 1.75, "epoch": 1.0}),
    (4, {"eval_loss": 1.5, "eval_rougeL": 0.25}),
]


def write(log: Log, first: int = 1) -> None:
    for step, logs in LINES:
        if step >= first:
            log.on_log(None, SimpleNamespace(global_step=step, max_steps=4), None, logs)


@pytest.fixture
def whole(tmp_path: Path) -> str:
    (tmp_path / "whole").mkdir()
    write(Log(tmp_path / "whole", main=True))
    return (tmp_path / "whole" / "log.csv").read_text(encoding="utf-8")


def test_lines_and_columns(whole: str) -> None:
    head, *lines = whole.splitlines()
    assert head == "step,epoch,loss,learning_rate,grad_norm,tokens_per_second,eval_loss,eval_rougeL"
    assert lines[0] == "1,0.25,2.5,,,,,"
    assert lines[2] == "2,,,,,,2.0,0.125"
    assert len(lines) == 6


def test_a_line_is_appended_and_a_new_column_alone_writes_all_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    times = []
    inner = Log._write
    monkeypatch.setattr(Log, "_write", lambda self, *parts: (times.append(1), inner(self, *parts)))
    log = Log(tmp_path, main=True)
    write(log)
    for step in range(5, 205):
        log.on_log(None, SimpleNamespace(global_step=step, max_steps=204), None, {"loss": 1.0})
    assert len(times) == 2  # the first line, and the first evaluation
    assert len(read_log(tmp_path / "log.csv")[1]) == 206


@pytest.mark.parametrize("torn", ["", "4,1.0,1.7", "4,1.0,1.75,,,,,\r", "4"])
@pytest.mark.parametrize("step", [1, 2, 3])
def test_what_goes_on_has_the_text_of_the_unbroken_run(tmp_path: Path, whole: str, step: int, torn: str) -> None:
    lines = whole.splitlines(keepends=True)
    path = tmp_path / "log.csv"
    with open(path, "w", newline="", encoding="utf-8") as file:
        file.write("".join(line.replace("\n", "\r\n") for line in lines[:5]) + torn)
    log = Log(tmp_path, main=True, step=step)
    assert [row["step"] for row in read_log(path)[1]] == [str(s) for s, _ in LINES[:4] if s <= step]
    write(log, first=step + 1)
    assert path.read_text(encoding="utf-8") == whole
    assert not list(tmp_path.glob("*.partial"))


def test_a_run_that_begins_anew_leaves_nothing_of_the_one_before(tmp_path: Path, whole: str) -> None:
    (tmp_path / "log.csv").write_text("step,other\n7,7\n", encoding="utf-8")
    write(Log(tmp_path, main=True))
    assert (tmp_path / "log.csv").read_text(encoding="utf-8") == whole


def test_other_processes_write_nothing(tmp_path: Path) -> None:
    write(Log(tmp_path, main=False))
    assert not (tmp_path / "log.csv").exists()
