"""The plot of a calibration: what was promised beside what came true, and what a precision costs in coverage."""

from __future__ import annotations

from pathlib import Path

from llmrec.match.decision import Decider


def draw_reliability(decider: Decider, target: Path) -> None:
    """Draw a reliability diagram and the curve of precision and coverage as PNG; all of it out of fold."""
    import matplotlib

    matplotlib.use("Agg")
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    said, came, counts = zip(*decider.curve, strict=True) if decider.curve else ((), (), ())
    left.plot([0, 1], [0, 1], color="0.7", linewidth=1)
    left.plot(said, came, marker="o", markersize=4)
    error = decider.measured.get("calibration_error", float("nan"))
    left.set(xlabel="probability told", ylabel="share right", xlim=(0, 1), ylim=(0, 1))
    left.set_title(f"{sum(counts)} lists, calibration error {error:.3f}", fontsize=10)
    shown, precision = [bar.coverage for bar in decider.bars], [bar.precision for bar in decider.bars]
    right.plot(shown, precision, marker="o", markersize=4)
    right.set(xlabel="share of contents answered", ylabel="share of answers right", xlim=(0, 1))
    right.set_title("contents it was not fitted on", fontsize=10)
    figure.savefig(target, dpi=100)
