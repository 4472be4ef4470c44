"""Yes-or-no statistics: by hand, and as scikit-learn has them."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.evaluate.detection import (
    best_threshold,
    decision_statistic,
    pr_points,
    roc_points,
    score_statistic,
    thinned,
)


def test_decisions_by_hand() -> None:
    truth = np.array([True, True, True, False, False])
    said = np.array([True, True, False, True, False])
    precision, recall, f1, accuracy = decision_statistic(truth, said)(np.ones((1, 5)))[0]
    assert (precision, recall, f1, accuracy) == pytest.approx((2 / 3, 2 / 3, 2 / 3, 3 / 5))


def test_undefined_decisions() -> None:
    values = decision_statistic(np.array([False, False]), np.array([False, False]))(np.ones((1, 2)))[0]
    assert np.isnan(values[:3]).all() and values[3] == 1.0


def test_scores_by_hand() -> None:
    truth = np.array([True, False, True, False])
    auroc, average = score_statistic(truth, np.array([0.9, 0.8, 0.7, 0.1]))(np.ones((1, 4)))[0]
    assert auroc == 3 / 4  # of four pairs, (.7, .8) is in the wrong order
    assert average == pytest.approx((1 + 2 / 3) / 2)
    tied = score_statistic(truth, np.zeros(4))(np.ones((1, 4)))[0]
    assert tied.tolist() == [0.5, 0.5]


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 5), st.integers(0, 3)), min_size=2, max_size=30))
@settings(deadline=None, max_examples=50)
def test_as_scikit_learn(rows: list[tuple[bool, int, int]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, scores, weights = (np.array(column) for column in zip(*rows, strict=True))
    good, bad = weights[truth.astype(bool)].sum(), weights[~truth.astype(bool)].sum()
    found = score_statistic(truth.astype(bool), scores.astype(float))(weights[None, :].astype(float))[0]
    if good == 0 or bad == 0:
        assert np.isnan(found).all()
        return
    assert found[0] == pytest.approx(metrics.roc_auc_score(truth, scores, sample_weight=weights))
    assert found[1] == pytest.approx(metrics.average_precision_score(truth, scores, sample_weight=weights))


def test_curves() -> None:
    truth, scores = np.array([True, False, True]), np.array([3.0, 2.0, 1.0])
    assert roc_points(truth, scores) == [(0.0, 0.0), (0.0, 0.5), (1.0, 0.5), (1.0, 1.0)]
    assert pr_points(truth, scores) == [(0.5, 1.0), (0.5, 0.5), (1.0, pytest.approx(2 / 3))]
    assert roc_points(np.array([True]), np.array([1.0])) == []
    points = [(float(i), 0.0) for i in range(1000)]
    assert thinned(points, 10)[0] == (0.0, 0.0) and thinned(points, 10)[-1] == (999.0, 0.0)
    assert len(thinned(points, 10)) == 10


def test_best_threshold() -> None:
    # at .8: p 1, r 1/2, F1 2/3; at .6: p 2/3, r 1, F1 4/5, and .3 is the next score below
    truth, scores = np.array([True, False, True, False]), np.array([0.8, 0.7, 0.6, 0.3])
    assert best_threshold(truth, scores) == pytest.approx(0.45)
    assert best_threshold(np.array([False, True]), np.array([0.2, 0.2])) == 0.2
    assert best_threshold(np.array([True, False]), np.array([1.7e308, 1.5e308])) == pytest.approx(1.6e308)
