"""What a training did, step by step: ``log.csv``, ``curves.png``, a line on stderr."""

from __future__ import annotations

import csv
import signal
import sys
import time
from pathlib import Path
from types import FrameType
from typing import Any

#: Columns of ``log.csv``; metrics of the task follow.
COLUMNS = ("step", "epoch", "loss", "learning_rate", "grad_norm", "tokens_per_second", "eval_loss")


def callbacks(folder: Path, *, main: bool, quiet: bool, progress: Any = None) -> list[Any]:
    """The callbacks of a training (their base class is imported with transformers).

    Args:
        folder: Where ``log.csv`` is written.
        main: Whether this process writes.
        quiet: Whether nothing is told on stderr.
        progress: Called with ``(step, steps, values)`` at each line of the log.
    """
    from transformers import TrainerCallback

    class Log(TrainerCallback):  # type: ignore[misc]
        """Writes every line of the log as it comes: what was learned is known even after a crash."""

        def __init__(self) -> None:
            self.rows: list[dict[str, Any]] = []
            self.path = folder / "log.csv"

        def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if main and state.global_step and self.path.is_file():
                with open(self.path, newline="", encoding="utf-8") as file:
                    self.rows = [row for row in csv.DictReader(file) if int(row["step"]) <= state.global_step]

        def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **kwargs: Any) -> None:
            if not main or not logs or "train_runtime" in logs:
                return
            kept = {k: v for k, v in logs.items() if not k.endswith(("_runtime", "_per_second", "_preparation_time"))}
            self.rows.append({"step": state.global_step, **kept})
            names = list(dict.fromkeys([*COLUMNS, *(name for row in self.rows for name in row)]))
            with open(self.path, "w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, names, restval="")
                writer.writeheader()
                writer.writerows(self.rows)
            if progress is not None:
                progress(state.global_step, state.max_steps, kept)
            elif not quiet:
                shown = "  ".join(f"{k} {v:.4g}" for k, v in kept.items() if isinstance(v, float) and k != "epoch")
                print(f"step {state.global_step}/{state.max_steps}  {shown}", file=sys.stderr)

    return [Log(), Interrupt().callback()]


class Interrupt:
    """Ctrl-C (or a scheduler's SIGTERM) saves a checkpoint at the end of the step; a second one ends at once."""

    def __init__(self) -> None:
        self.asked = 0.0
        self.before: dict[int, Any] = {}

    def callback(self) -> Any:
        """The callback that asks the trainer to save and stop."""
        from transformers import TrainerCallback

        outer = self

        class Stop(TrainerCallback):  # type: ignore[misc]
            interrupted = False

            def on_train_begin(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                outer.listen()

            def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                if outer.asked:
                    self.interrupted = True
                    control.should_save = control.should_training_stop = True
                    control.should_evaluate = False

            def on_train_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
                outer.restore()

        return Stop()

    def listen(self) -> None:
        """Take the signals, where this is the main thread of its process."""
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self.before[number] = signal.signal(number, self._heard)
            except ValueError:  # not the main thread: the caller's business
                return

    def restore(self) -> None:
        """Give the signals back."""
        for number, handler in self.before.items():
            signal.signal(number, handler)
        self.before = {}

    def _heard(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = time.time()
        print("stopping after this step; again to stop at once", file=sys.stderr)


def draw_curves(log: Path, target: Path, metric: str) -> None:
    """Draw loss and the dev metric over the steps; nothing where the log has no loss."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    if not log.is_file():
        return
    with open(log, newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file))

    def series(name: str) -> tuple[list[int], list[float]]:
        pairs = [(int(row["step"]), float(row[name])) for row in rows if row.get(name)]
        return [step for step, _ in pairs], [value for _, value in pairs]

    figure = Figure(figsize=(7, 3.2), layout="constrained")
    axes = figure.subplots(1, 2)
    for name, label in (("loss", "training"), ("eval_loss", "dev")):
        steps, values = series(name)
        if steps:
            axes[0].plot(steps, values, marker="." if name == "eval_loss" else "", label=label)
    axes[0].set(xlabel="step", ylabel="loss")
    axes[0].legend()
    steps, values = series(f"eval_{metric}")
    axes[1].plot(steps, values, marker=".")
    axes[1].set(xlabel="step", ylabel=f"dev {metric}")
    figure.savefig(target, dpi=110)
