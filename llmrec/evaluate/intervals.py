"""How sure a number is: bootstrap intervals over queries, a paired randomisation test, Holm's correction.

::

    bootstrap_means(values, seed=0)        # [n, m] -> m estimates with 95% intervals (BCa)
    paired_test(differences, seed=0)       # [n] -> two-sided p of the mean difference

Sources: Efron 1987 (BCa); Smucker, Allan and Carterette 2007 (randomisation test for retrieval); Holm 1979.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

from llmrec.evaluate.results import Estimate

Floats = NDArray[np.float64]

#: Numbers held at once while resampling (times 8 bytes).
BUDGET = 4_000_000
RESAMPLES = 2_000
PERMUTATIONS = 10_000


def resample_weights(n: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Blocks ``[b, n]`` of how often each item was drawn in each resample of ``n`` out of ``n``."""
    rng = np.random.default_rng(seed)
    block = max(1, BUDGET // max(n, 1))
    for start in range(0, resamples, block):
        size = min(block, resamples - start)
        drawn = rng.integers(0, n, size=(size, n)) + np.arange(size)[:, None] * n
        yield np.bincount(drawn.ravel(), minlength=size * n).reshape(size, n).astype(np.float64)


def bootstrap_means(
    values: Floats, *, confidence: float = 0.95, resamples: int = RESAMPLES, seed: int = 0
) -> list[Estimate]:
    """Mean of each column with a bias-corrected and accelerated interval over the rows.

    Args:
        values: ``[n, m]``: a row per query, a column per metric; the columns are resampled together.
        confidence: Coverage of the interval.

    Returns:
        One estimate a column; no interval (None) when fewer than two rows are given.
    """
    n = values.shape[0]
    means = values.mean(axis=0)
    if n < 2:
        return [Estimate(float(mean), None, None, n) for mean in means]
    draws = np.concatenate([weights @ values / n for weights in resample_weights(n, resamples, seed)])
    return [
        Estimate(float(means[i]), *_bca(draws[:, i], means[i], values[:, i], confidence), n) for i in range(len(means))
    ]


def bootstrap(
    statistic: Callable[[Floats], Floats],
    n: int,
    names: Sequence[str],
    *,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> dict[str, Estimate]:
    """Percentile intervals of statistics that are not means (F1, AUROC).

    Args:
        statistic: From weights ``[b, n]`` to values ``[b, len(names)]``, NaN where undefined.

    Returns:
        The statistics that are defined on the whole sample; an interval wants 90% of the resamples defined.
    """
    whole = statistic(np.ones((1, n)))[0]
    draws = np.concatenate([statistic(weights) for weights in resample_weights(n, resamples, seed)])
    tail = (1 - confidence) / 2
    result = {}
    for i, name in enumerate(names):
        if np.isnan(whole[i]):
            continue
        usable = draws[~np.isnan(draws[:, i]), i]
        low, high = np.quantile(usable, [tail, 1 - tail]) if len(usable) >= 0.9 * resamples and n > 1 else (None, None)
        result[name] = Estimate(
            float(whole[i]), None if low is None else float(low), None if high is None else float(high), n
        )
    return result


def paired_test(differences: Floats, *, permutations: int = PERMUTATIONS, seed: int = 0) -> float:
    """Two-sided p-value of a mean difference: how often random signs give one as far from 0.

    All sign patterns are tried where there are no more than ``permutations``; else they are drawn.

    Args:
        differences: ``[n]``: one run's value less the other's, per query.
    """
    moved = differences[differences != 0]
    n = len(moved)
    if n == 0:
        return 1.0
    observed = abs(moved.sum()) - 1e-12 * np.abs(moved).sum()
    if n < 31 and 2**n <= permutations:
        signs = ((np.arange(2**n)[:, None] >> np.arange(n)) & 1) * 2.0 - 1.0
        return float((np.abs(signs @ moved) >= observed).mean())
    rng = np.random.default_rng(seed)
    block = max(1, BUDGET // n)
    extreme = 0
    for start in range(0, permutations, block):
        size = min(block, permutations - start)
        bits = np.unpackbits(np.frombuffer(rng.bytes((size * n + 7) // 8), dtype=np.uint8), count=size * n)
        sums = (bits.reshape(size, n) * 2.0 - 1.0) @ moved
        extreme += int((np.abs(sums) >= observed).sum())
    return (extreme + 1) / (permutations + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm's step-down adjustment for several tests at once, in input order."""
    order = sorted(range(len(p_values)), key=lambda i: p_values[i])
    adjusted = [0.0] * len(p_values)
    highest = 0.0
    for step, i in enumerate(order):
        highest = max(highest, min(1.0, p_values[i] * (len(p_values) - step)))
        adjusted[i] = highest
    return adjusted


def _bca(draws: Floats, mean: float, values: Floats, confidence: float) -> tuple[float, float]:
    """Efron's BCa interval of a mean; the jackknife of a mean is known in closed form."""
    deviations = values - mean
    spread = float((deviations**2).sum())
    tolerance = 1e-12 * max(1.0, abs(mean))
    if spread <= tolerance:
        return float(mean), float(mean)
    normal = NormalDist()
    below = ((draws < mean - tolerance).mean() + (draws <= mean + tolerance).mean()) / 2
    below = min(max(float(below), 1 / (len(draws) + 1)), len(draws) / (len(draws) + 1))
    bias = normal.inv_cdf(below)
    acceleration = float((deviations**3).sum()) / (6 * spread**1.5)
    ends = []
    for tail in ((1 - confidence) / 2, (1 + confidence) / 2):
        shift = bias + normal.inv_cdf(tail)
        ends.append(normal.cdf(bias + shift / (1 - acceleration * shift)))
    low, high = np.quantile(draws, ends)
    return float(low), float(high)
