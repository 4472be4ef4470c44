"""The blend of two judges: as scikit-learn's logistic regression, no judge counted against itself."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.prompting.pair_blend import Blend, best_f1


def judges(seed: int = 0) -> tuple[dict[str, np.ndarray], np.ndarray]:
    rng = np.random.default_rng(seed)
    labels = rng.random(600) < 0.2
    return {"model": rng.normal(size=600) + 2 * labels, "features": 3 * rng.normal(size=600) + 4 * labels - 2}, labels


def test_weights_are_those_of_scikit_learn() -> None:
    from sklearn.linear_model import LogisticRegression

    logits, labels = judges()
    blend = Blend.fit(logits, labels)
    wanted = LogisticRegression(C=1.0, tol=1e-8).fit(np.stack([logits["features"], logits["model"]], axis=1), labels)
    assert [blend.weights["features"], blend.weights["model"]] == pytest.approx(wanted.coef_[0], abs=1e-3)
    assert blend.bias == pytest.approx(wanted.intercept_[0], abs=2e-3)


def test_probabilities_are_as_often_right() -> None:
    logits, labels = judges()
    scores = Blend.fit(logits, labels).score(logits)
    assert scores.mean() == pytest.approx(labels.mean(), abs=1e-3)


def test_a_judge_that_errs_on_purpose_counts_nothing() -> None:
    logits, labels = judges()
    blend = Blend.fit({"model": logits["model"], "features": -logits["features"]}, labels)
    assert set(blend.weights) == {"model"}


def test_judges_that_are_never_wrong_stay_finite() -> None:
    labels = np.array([True] * 5 + [False] * 20)
    logits = {"model": np.where(labels, 40.0, -40.0), "features": np.where(labels, 9.0, -9.0)}
    scores = Blend.fit(logits, labels).score(logits)
    assert np.isfinite(scores).all()
    assert scores[labels].min() > 0.9 and scores[~labels].max() < 0.1


def test_what_is_saved_scores_the_same() -> None:
    logits, labels = judges()
    blend = Blend.fit(logits, labels)
    again = Blend.from_state(json.loads(json.dumps(blend.state())))
    assert again.score(logits).tolist() == blend.score(logits).tolist()
    assert (again.threshold, again.alone) == (blend.threshold, blend.alone)


def test_threshold_lies_between_two_scores() -> None:
    labels = np.array([True, False, True, False])
    # after one: F1 2/3, after two 1/2, after three 4/5, after all 2/3
    assert best_f1(np.array([0.9, 0.8, 0.7, 0.3]), labels) == pytest.approx(0.5)


@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=2, max_size=30))
def test_no_other_threshold_is_better(rows: list[tuple[int, bool]]) -> None:
    scores, labels = np.array([s / 5 for s, _ in rows]), np.array([label for _, label in rows])

    def f1(threshold: float) -> float:
        said = scores >= threshold
        return 2 * (said & labels).sum() / max(said.sum() + labels.sum(), 1)

    assert f1(best_f1(scores, labels)) == pytest.approx(max(f1(s) for s in scores))
