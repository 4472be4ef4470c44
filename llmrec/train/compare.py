"""The untrained model beside the trained one, on the same examples: values with intervals, and their difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec
import numpy as np

from llmrec.evaluate.intervals import bootstrap_means, paired_test
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
    for metric, value in tuned.whole.items():
        found[metric] = {"tuned": {"value": value}}
        if base is not None and metric in base.whole:
            found[metric]["base"] = {"value": base.whole[metric]}
    return found


def _estimate(values: Sequence[float]) -> dict[str, Any]:
    return dict(msgspec.to_builtins(bootstrap_means(np.array(values, dtype=float)[:, None])[0]))
