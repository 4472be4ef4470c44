"""The untrained model beside the trained one, on the same examples: values with intervals, and their difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from llmrec.evaluate.detection import DECISION_NAMES, SCORE_NAMES, decision_statistic, score_statistic
from llmrec.evaluate.intervals import bootstrap, bootstrap_means, paired_test
from llmrec.evaluate.results import Estimate
from llmrec.train.task import Measured, Splits


def compared(base: dict[str, Measured], tuned: dict[str, Measured], splits: Splits) -> dict[str, Any]:
    """``{"dev": {metric: {"base", "tuned", "difference", "p_value"}}, "test": …}``, values with 95% intervals.

    Intervals are BCa bootstraps over the examples (Efron 1987), p-values of a paired randomisation test.
    """
    sizes: dict[str, Sequence[Any]] = {"dev": splits.dev, "test": splits.test}
    return {name: _split(base.get(name), after, len(sizes[name])) for name, after in tuned.items()}


def _split(base: Measured | None, tuned: Measured, n: int) -> dict[str, Any]:
    found: dict[str, Any] = {"examples": n}
    for metric, values in tuned.values.items():
        found[metric] = {"tuned": _estimate(values)}
        if base is not None and metric in base.values:
            difference = np.array(values) - np.array(base.values[metric])
            found[metric] |= {
                "base": _estimate(base.values[metric]),
                "difference": _estimate(difference.tolist()),
                "p_value": paired_test(difference),
            }
    if tuned.scores:
        found |= _pairs(base, tuned)
        if tuned.parts:
            found["parts"] = {name: _part(tuned.labels, *part) for name, part in tuned.parts.items()}
    return found


def _pairs(base: Measured | None, tuned: Measured) -> dict[str, Any]:
    """Scored pairs: percentile intervals over pairs, those of the difference from the same resamples of both."""
    runs = [tuned] if base is None else [tuned, base]
    truth = np.array(tuned.labels, dtype=bool)
    names = (*DECISION_NAMES, *SCORE_NAMES)
    statistics = []
    for run in runs:
        scores = np.array(run.scores)
        statistics += [decision_statistic(truth, scores >= run.threshold), score_statistic(truth, scores)]

    def all_of_them(weights: Any) -> Any:
        values = np.concatenate([statistic(weights) for statistic in statistics], axis=1)
        if base is None:
            return values
        return np.concatenate([values, values[:, : len(names)] - values[:, len(names) :]], axis=1)

    parts = ("tuned",) if base is None else ("tuned", "base", "difference")
    keys = [f"{part} {name}" for part in parts for name in names]
    estimates = bootstrap(all_of_them, len(truth), keys)
    return {
        name: {
            part: msgspec.to_builtins(estimates[f"{part} {name}"]) for part in parts if f"{part} {name}" in estimates
        }
        for name in names
    }


def _part(labels: Sequence[bool], scores: Sequence[float], threshold: float) -> dict[str, Any]:
    """One part of a matcher alone, at its own threshold."""
    truth = np.array(labels, dtype=bool)
    statistic = decision_statistic(truth, np.array(scores) >= threshold)
    found = bootstrap(statistic, len(truth), list(DECISION_NAMES))
    return {name: msgspec.to_builtins(found[name]) for name in ("precision", "recall", "f1") if name in found}


def _estimate(values: Sequence[float]) -> dict[str, Any]:
    return dict(msgspec.to_builtins(bootstrap_means(np.array(values, dtype=float)[:, None])[0]))


def told(split: dict[str, Any]) -> list[tuple[str, str, str, str]]:
    """What ``compared`` found of a split, as text: metric, untrained, trained, difference; ``-`` for nothing."""
    rows = [
        (name, _cell(values.get("base")), _cell(values["tuned"]), _cell(values.get("difference")))
        for name, values in split.items()
        if isinstance(values, dict) and "tuned" in values
    ]
    return rows + [(f"f1, {name}", "-", _cell(part["f1"]), "-") for name, part in split.get("parts", {}).items()]


def _cell(estimate: dict[str, Any] | None) -> str:
    return str(msgspec.convert(estimate, Estimate)) if estimate else "-"
