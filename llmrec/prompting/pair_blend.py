"""Several judges of a pair as one probability: a logistic regression on their logits, fitted on dev pairs.

The judges are a cross-encoder (``model``) and trees over features (``features``). With two or three numbers to fit, a
few hundred dev pairs are enough, and what comes out is a probability and not only an order (Platt 1999).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

#: What a saved matcher says of itself, and the folder of its trees.
SETTINGS, FEATURES = "llmrec_pairs.json", "features"
#: Logits beyond this say no more than that they are sure.
MOST = 12.0
#: Penalty on the weights, in pairs: a judge that was never wrong on a small dev set is not infinitely sure.
RIDGE = 1.0
STEPS = 50


class Blend:
    """Weights of the judges.

    Args:
        weights: Judge to weight, none below 0.
        bias: Added to the weighted logits.
        threshold: The probability from which on a pair is held to match.
        alone: The best threshold of each judge by itself.
    """

    def __init__(self, weights: Mapping[str, float], bias: float, threshold: float, alone: Mapping[str, float]) -> None:
        self.weights, self.bias, self.threshold, self.alone = dict(weights), bias, threshold, dict(alone)

    @classmethod
    def fit(cls, logits: Mapping[str, Floats], labels: NDArray[np.bool_]) -> Blend:
        """Fit on dev pairs; a judge that would count against itself counts nothing.

        Args:
            logits: Judge to float64 ``[n]``.
            labels: Bool ``[n]``, of both kinds.
        """
        names = sorted(logits)
        fitted = _logistic(_columns(logits, names), labels)
        while len(names) > 1 and (fitted[:-1] < 0).any():
            names.pop(int(np.argmin(fitted[:-1])))
            fitted = _logistic(_columns(logits, names), labels)
        weights = dict(zip(names, map(float, fitted[:-1]), strict=True))
        blend = cls(weights, float(fitted[-1]), 0.5, {})
        blend.threshold = best_f1(blend.score(logits), labels)
        blend.alone = {name: best_f1(_squashed(given), labels) for name, given in logits.items()}
        return blend

    def score(self, logits: Mapping[str, Floats]) -> Floats:
        """The probability that each pair matches, float64 ``[n]``."""
        total = self.bias + sum(weight * np.clip(logits[name], -MOST, MOST) for name, weight in self.weights.items())
        return _squashed(np.asarray(total, dtype=np.float64))

    def state(self) -> dict[str, Any]:
        """For ``from_state``."""
        return {"weights": self.weights, "bias": self.bias, "threshold": self.threshold, "alone": self.alone}

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Blend:
        """A blend from what was saved.

        Raises:
            KeyError, TypeError, ValueError: Not a state.
        """
        weights = {str(k): float(v) for k, v in state["weights"].items()}
        return cls(weights, float(state["bias"]), float(state["threshold"]), dict(state.get("alone", {})))


def best_f1(scores: Floats, labels: NDArray[np.bool_]) -> float:
    """The threshold with the best F1: halfway to the next score below, so that it does not hang on one pair."""
    order = np.argsort(-scores, kind="stable")
    ranked, truth = scores[order], labels[order]
    hits = truth.cumsum()
    f1 = 2 * hits / (np.arange(1, len(truth) + 1) + truth.sum())
    ends = np.append(ranked[1:] < ranked[:-1], True)
    best = int(np.argmax(np.where(ends, f1, -1)))
    below = ranked[best + 1] if best + 1 < len(ranked) else ranked[best]
    return float((ranked[best] + below) / 2)


def _columns(logits: Mapping[str, Floats], names: list[str]) -> Floats:
    return np.stack([np.clip(logits[name], -MOST, MOST) for name in names] + [np.ones(len(logits[names[0]]))], axis=1)


def _logistic(columns: Floats, labels: NDArray[np.bool_]) -> Floats:
    """Logistic regression by Newton's method, the last column unpenalised."""
    weights = np.zeros(columns.shape[1])
    ridge = np.diag([RIDGE] * (columns.shape[1] - 1) + [1e-6])
    for _ in range(STEPS):
        said = _squashed(columns @ weights)
        gradient = columns.T @ (said - labels) + ridge @ weights
        curve = columns.T @ (columns * (said * (1 - said))[:, None]) + ridge
        step = np.linalg.solve(curve, gradient)
        # a full step may leap over the minimum when the judges are very sure
        weights -= step * min(1.0, 2.0 / max(np.abs(step).max(), 1e-12))
        if np.abs(step).max() < 1e-8:
            break
    return weights


def _squashed(logits: Floats) -> Floats:
    return 0.5 * (1 + np.tanh(logits / 2))
