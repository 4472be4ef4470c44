"""Plots of an evaluation as inline SVG whose colours are the page's own, so that they follow light and dark.

matplotlib draws with stand-in colours, which are then replaced by the page's CSS variables.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from llmrec.evaluate.results import CurvePoint, Estimate, TopScores

#: CSS variable to the colour that stands for it while drawing.
_COLOURS = {
    name: f"#0102{index:02x}"
    for index, name in enumerate(("ink", "muted", "grid", "run", "base", "good", "bad", "none"), start=16)
}
INK, MUTED, GRID, RUN, BASE, GOOD, BAD, NONE = _COLOURS.values()
_STYLE: Any = {
    "font.size": 10,
    "svg.fonttype": "none",
    "text.parse_math": False,
    "text.color": INK,
    "axes.edgecolor": GRID,
    "axes.labelcolor": MUTED,
    "axes.grid": True,
    "axes.axisbelow": True,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "grid.color": GRID,
    "grid.linewidth": 0.7,
    "xtick.color": MUTED,
    "ytick.color": MUTED,
    "legend.frameon": False,
    "figure.constrained_layout.use": True,
}


def recall_curve(points: Sequence[CurvePoint], both: bool) -> str:
    """Recall at k with its band, of the run and, if ``both``, of the baseline."""
    with _axes("curve") as (figure, axes):
        series = [(RUN, "this run", "-", [point.run for point in points])]
        if both:
            series.append((BASE, "baseline", "--", [p.baseline for p in points if p.baseline]))
        for colour, label, line, estimates in series:
            ks = [point.k for point in points]
            axes.plot(ks, [e.value for e in estimates], line, color=colour, marker="o", markersize=3, label=label)
            low, high = zip(*(_ends(e) for e in estimates), strict=True)
            axes.fill_between(ks, low, high, color=colour, alpha=0.16, linewidth=0)
        if points[-1].k > 20:
            axes.set_xscale("log")
        ticks = [point.k for point in points if point.k in (1, 2, 3, 5, 10, 20, 50, 100)]
        axes.set_xticks(ticks, [str(k) for k in ticks])
        axes.minorticks_off()
        axes.set_xlabel("k")
        axes.set_ylabel("recall@k")
        lowest = min(_ends(e)[0] for _, _, _, estimates in series for e in estimates)
        axes.set_ylim(max(0.0, lowest - 0.05), 1.01)
        axes.legend(loc="lower right")
    return _svg(figure, "curve")


def metric_bars(metrics: dict[str, Estimate], baseline: dict[str, Estimate]) -> str:
    """A bar for each metric, its interval as a whisker, the baseline below it."""
    with _axes("bars", height=0.5 + 0.42 * len(metrics) * (1.5 if baseline else 1)) as (figure, axes):
        groups = [(RUN, "this run", metrics)] + ([(BASE, "baseline", baseline)] if baseline else [])
        thick = 0.68 / len(groups)
        for index, (colour, label, estimates) in enumerate(groups):
            places = [row + index * thick for row in range(len(metrics))]
            values = [estimates[name].value for name in metrics]
            axes.barh(places, values, height=thick * 0.92, color=colour, alpha=0.85, label=label)
            for place, name in zip(places, metrics, strict=True):
                low, high = _ends(estimates[name])
                axes.plot([low, high], [place, place], color=INK, linewidth=1.2)
        axes.set_yticks([row + thick * (len(groups) - 1) / 2 for row in range(len(metrics))], list(metrics))
        axes.invert_yaxis()
        axes.grid(axis="y", visible=False)
        axes.set_xlim(0, max(1.0, max(_ends(e)[1] for e in metrics.values())))
        if baseline:
            figure.legend(loc="outside lower right", ncols=2)
    return _svg(figure, "bars")


def score_histogram(scores: TopScores) -> str:
    """The first product's score where it was right, where it was wrong, and where nothing would have been right."""
    with _axes("scores") as (figure, axes):
        widths = [high - low for low, high in zip(scores.edges, scores.edges[1:], strict=False)]
        below = [0] * len(widths)
        groups = [(GOOD, "right", scores.right), (BAD, "wrong", scores.wrong), (NONE, "no match", scores.no_match)]
        for colour, label, counts in groups:
            if any(counts):
                axes.bar(scores.edges[:-1], counts, widths, bottom=below, align="edge", color=colour, label=label)
                below = [a + b for a, b in zip(below, counts, strict=True)]
        axes.set_xlabel("score of the first product")
        axes.set_ylabel("contents")
        axes.grid(axis="x", visible=False)
        axes.yaxis.get_major_locator().set_params(integer=True)
        axes.legend()
    return _svg(figure, "scores")


def line_plot(points: Sequence[tuple[float, float]], x: str, y: str, *, chance: bool = False) -> str:
    """A curve in the unit square; ``chance`` adds the diagonal."""
    with _axes(f"{x}-{y}") as (figure, axes):
        if chance:
            axes.plot([0, 1], [0, 1], ":", color=MUTED, linewidth=1)
        axes.plot([a for a, _ in points], [b for _, b in points], color=RUN)
        axes.set_xlim(-0.01, 1.01)
        axes.set_ylim(-0.01, 1.02)
        axes.set_xlabel(x)
        axes.set_ylabel(y)
    return _svg(figure, f"{x}-{y}")


def _ends(estimate: Estimate) -> tuple[float, float]:
    low = estimate.value if estimate.low is None else estimate.low
    return low, estimate.value if estimate.high is None else estimate.high


@contextmanager
def _axes(name: str, height: float = 2.9) -> Iterator[tuple[Any, Any]]:
    import matplotlib
    from matplotlib.figure import Figure

    # the salt keeps the ids within one plot apart from those of the next on the page
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure = Figure(figsize=(5.2, height))
        yield figure, figure.subplots()


def _svg(figure: Any, name: str) -> str:
    import matplotlib

    text = io.StringIO()
    with matplotlib.rc_context({**_STYLE, "svg.hashsalt": name}):
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    svg = text.getvalue()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg[svg.index("<svg") :], flags=re.DOTALL)
    for variable, colour in _COLOURS.items():
        svg = svg.replace(colour, f"var(--{variable})")
    # groups are called figure_1, axes_1 … in every plot; an id may stand only once on a page
    return re.sub(r' id="(?:figure|axes|patch|line2d|text|xtick|ytick|legend|matplotlib)[\w.]*"', "", svg)
