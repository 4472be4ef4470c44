"""What a training did, step by step: ``log.csv``, ``curves.png``, and what a person sees meanwhile."""

from __future__ import annotations

import csv
import logging
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

from llmrec.train.events import Listener

logger = logging.getLogger(__name__)

#: Columns of ``log.csv``; metrics of the task follow.
COLUMNS = ("step", "epoch", "loss", "learning_rate", "grad_norm", "tokens_per_second", "eval_loss")
#: Times are known otherwise; trl counts tokens from the start of a process, which need not be that of the run.
NOT_KEPT = ("_runtime", "_per_second", "_preparation_time", "num_tokens")
Progress = Callable[[int, int, dict[str, Any]], None]


class Log(Listener):
    """Writes every line as it comes: what was learned is known even after a crash.

    Lines are appended; only a line with a column that was not there before has the whole table written anew.

    Args:
        folder: Where ``log.csv`` is written.
        main: Whether this process writes.
        step: Lines of an earlier part of the run are kept up to this step.
        progress: Called with ``(step, steps, values)`` at each line.
    """

    def __init__(self, folder: Path, *, main: bool, step: int = 0, progress: Progress | None = None) -> None:
        self.path, self.main, self.progress = folder / "log.csv", main, progress
        self._names: list[str] | None = None
        if main and step and self.path.is_file():
            names, rows = read_log(self.path)
            self._write(names, [row for row in rows if int(row["step"]) <= step])

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        if not self.main or not logs or "train_runtime" in logs:
            return
        kept = {k: v for k, v in logs.items() if k in COLUMNS or not k.endswith(NOT_KEPT)}
        self._add({"step": state.global_step, **kept})
        if self.progress is not None:
            self.progress(state.global_step, state.max_steps, kept)
        shown = "  ".join(f"{k} {v:.4g}" for k, v in kept.items() if isinstance(v, float) and k != "epoch")
        logger.info("step %d/%d  %s", state.global_step, state.max_steps, shown)

    def _add(self, row: dict[str, Any]) -> None:
        if self._names is None:
            self._write(COLUMNS, [])
        known = self._names or []
        if any(name not in known for name in row):
            self._write([*known, *row], read_log(self.path)[1])
        with open(self.path, "a", newline="", encoding="utf-8") as file:
            csv.DictWriter(file, self._names or [], restval="").writerow(row)

    def _write(self, names: Iterable[str], rows: Iterable[dict[str, Any]]) -> None:
        """Write the whole table; ``names`` may come twice."""
        self._names = list(dict.fromkeys([*COLUMNS, *names]))
        # beside and renamed: a process that is killed meanwhile leaves the table of before
        beside = self.path.with_suffix(".csv.partial")
        with open(beside, "w", newline="", encoding="utf-8") as file:
            writer = csv.DictWriter(file, self._names, restval="")
            writer.writeheader()
            writer.writerows(rows)
        beside.replace(self.path)


def read_log(path: Path) -> tuple[list[str], list[dict[str, str]]]:
    """Columns and lines of a ``log.csv``, without a last line that a killed process or a full disk has cut."""
    with open(path, newline="", encoding="utf-8") as file:
        text = file.read()
    reader = csv.DictReader(text[: text.rfind("\n") + 1].splitlines())
    return list(reader.fieldnames or ()), list(reader)


class Bar(Listener):
    """A bar on stderr for a person who is watching: step, loss, tokens a second, time that is left, dev metric."""

    def __init__(self, metric: str) -> None:
        self.metric = metric
        self.shown: dict[str, str] = {}
        self.bar: Any = None
        self.task: Any = None

    def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        from rich.console import Console
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (BarColumn(24), MofNCompleteColumn(), TimeRemainingColumn(), TextColumn("{task.description}"))
        self.bar = Progress(*columns, console=Console(stderr=True), transient=True)
        self.bar.start()
        self.task = self.bar.add_task("", total=state.max_steps, completed=state.global_step)

    def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
        self.bar.update(self.task, completed=state.global_step)

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
        names = {
            "loss": ("loss", ".4f"),
            "tokens_per_second": ("tokens/s", ".0f"),
            f"eval_{self.metric}": (f"dev {self.metric}", ".4f"),
        }
        for key, (name, form) in names.items():
            if logs and key in logs:
                self.shown[name] = f"{name} {logs[key]:{form}}"
        if self.bar is not None:
            self.bar.update(self.task, description="  ".join(self.shown.values()))

    def close(self) -> None:
        """Take the bar away, however the training ended."""
        if self.bar is not None:
            self.bar.stop()
            self.bar = None


def watched() -> bool:
    """Whether a person is watching stderr."""
    return sys.stderr.isatty()


def draw_curves(log: Path, target: Path, metric: str) -> None:
    """Draw loss and the dev metric over the steps; nothing where the log has no loss."""
    if not log.is_file():
        return
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    _, rows = read_log(log)

    def series(name: str) -> tuple[list[int], list[float]]:
        pairs = [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]
        return [step for step, _ in pairs], [value for _, value in pairs]

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, 2)
    for name, label in (("loss", "training"), ("eval_loss", "dev")):
        steps, values = series(name)
        if steps:
            axes[0].plot(steps, values, marker="." if name == "eval_loss" else "", label=label)
    axes[0].set(xlabel="step", ylabel="loss")
    if axes[0].lines:
        axes[0].legend()
    steps, values = series(f"eval_{metric}")
    axes[1].plot(steps, values, marker=".")
    axes[1].set(xlabel="step", ylabel=f"dev {metric}")
    figure.savefig(target, dpi=110)
