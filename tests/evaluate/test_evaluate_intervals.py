"""Intervals and p-values: by hand where small, against scipy where not."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec.evaluate.intervals import bootstrap, bootstrap_means, holm, paired_test, resample_weights


def test_exact_randomisation_by_hand() -> None:
    assert paired_test(np.array([1.0, 1.0, 1.0])) == 2 / 8  # +++ and --- of eight sign patterns
    assert paired_test(np.array([3.0, 1.0, -1.0, 0.0])) == 6 / 8  # |±3±1±1| is 5, 3, 3, 1 and again; 3 or more: six
    assert paired_test(np.array([0.0, 0.0])) == 1.0
    assert paired_test(np.array([1.0, -1.0])) == 1.0


def test_exact_randomisation_counts_as_scipy_does() -> None:
    differences = np.random.default_rng(3).normal(0.4, 1.0, 11)
    stats = pytest.importorskip("scipy.stats")
    theirs = stats.permutation_test((differences,), np.sum, permutation_type="samples", n_resamples=np.inf)
    assert paired_test(differences) == pytest.approx(theirs.pvalue)


def test_drawn_signs_are_near_the_exact_value() -> None:
    differences = np.random.default_rng(4).normal(0.5, 1.0, 13)
    exact = paired_test(differences, permutations=2**13)
    drawn = paired_test(differences, permutations=8000, seed=1)
    assert drawn == pytest.approx(exact, abs=0.01)
    assert drawn == paired_test(differences, permutations=8000, seed=1)
    many = np.full(2000, 0.1)
    assert paired_test(many, permutations=999) == 1 / 1000


def test_holm_by_hand() -> None:
    assert holm([0.01, 0.04, 0.03]) == pytest.approx([0.03, 0.06, 0.06])
    assert holm([0.9, 0.8]) == [1.0, 1.0]
    assert holm([]) == []


def test_weights_are_resamples() -> None:
    weights = np.concatenate(list(resample_weights(7, 50, seed=0)))
    assert weights.shape == (50, 7)
    assert (weights.sum(axis=1) == 7).all()
    np.testing.assert_array_equal(weights, np.concatenate(list(resample_weights(7, 50, seed=0))))


def test_bca_is_as_scipys() -> None:
    stats = pytest.importorskip("scipy.stats")
    rng = np.random.default_rng(5)
    for values in (rng.exponential(1.0, 40), rng.beta(8, 1, 120)):
        ours = bootstrap_means(values[:, None], resamples=20_000)[0]
        theirs = stats.bootstrap(
            (values,), np.mean, method="BCa", n_resamples=20_000, rng=np.random.default_rng(0)
        ).confidence_interval
        assert ours.value == pytest.approx(values.mean())
        width = theirs.high - theirs.low
        assert ours.low == pytest.approx(theirs.low, abs=0.03 * width)
        assert ours.high == pytest.approx(theirs.high, abs=0.03 * width)


def test_interval_covers_the_truth_about_as_often_as_it_says() -> None:
    rng = np.random.default_rng(6)
    samples = (rng.random((50, 300)) < 0.85).astype(float)  # 300 test sets of 50 queries, true hit rate .85
    estimates = bootstrap_means(samples, resamples=1000)
    covered = np.mean([e.low <= 0.85 <= e.high for e in estimates if e.low is not None and e.high is not None])
    assert 0.91 <= covered <= 0.99


def test_degenerate_samples() -> None:
    same, one = bootstrap_means(np.ones((5, 1)))[0], bootstrap_means(np.array([[0.25]]))[0]
    assert (same.value, same.low, same.high) == (1.0, 1.0, 1.0)
    assert (one.value, one.low, one.high, one.n) == (0.25, None, None, 1)


def test_percentile_bootstrap_leaves_undefined_values_out() -> None:
    def statistic(weights: np.ndarray) -> np.ndarray:
        mean = weights @ np.array([0.0, 1.0, 2.0, 3.0]) / 4
        return np.stack([mean, np.full(len(weights), np.nan)], axis=1)

    found = bootstrap(statistic, 4, ["mean", "never"])
    assert list(found) == ["mean"]
    assert found["mean"].value == 1.5
    low, high = found["mean"].low, found["mean"].high
    assert low is not None and high is not None and 0 <= low < 1.5 < high <= 3
