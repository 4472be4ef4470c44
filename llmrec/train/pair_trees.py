"""Grow boosted trees over the features of pairs: the quick matcher, and the baseline that a tuned model has to beat.

::

    matcher = train_pair_matcher(read_labelled_pairs("train.txt"), read_labelled_pairs("valid.txt"))
    matcher.save("my-matcher")

A few thousand pairs take seconds.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from llmrec.errors import InputError, ModelError
from llmrec.evaluate.detection import best_threshold
from llmrec.prompting.pair_features import PairFeatures
from llmrec.prompting.pair_matcher import PairMatcher, probabilities
from llmrec.prompting.pair_trees import PairTrees
from llmrec.train.pair_files import LabelledPair

#: Forests grown with other seeds and averaged: a single one moves by a point of F1 with its seed.
FORESTS = 5
SETTINGS: dict[str, Any] = {
    "max_iter": 200,
    "learning_rate": 0.06,
    "max_leaf_nodes": 15,
    "min_samples_leaf": 15,
    "l2_regularization": 1.0,
    "max_features": 0.3,
    "early_stopping": False,
}


def train_pair_matcher(
    train: Sequence[LabelledPair], dev: Sequence[LabelledPair] = (), *, seed: int = 0
) -> PairMatcher:
    """Train a matcher on labelled pairs.

    Args:
        train: Pairs of both labels; some hundreds are enough.
        dev: Pairs on which the threshold with the best F1 is chosen, beside the training pairs as trees see them that
            were grown without them: small dev files alone are a matter of luck.
        seed: Of the trees.

    Raises:
        InputError: Only one of the two labels occurs.
    """
    features = PairFeatures.fit(offer for pair in train for offer in (pair.left, pair.right))
    rows = features.rows([(pair.left, pair.right) for pair in train])
    labels = [pair.label for pair in train]
    trees = grow_trees(rows, labels, seed=seed)
    logits = [out_of_fold(rows, labels, seed=seed)]
    if dev:
        logits.append(trees.logits(features.rows([(pair.left, pair.right) for pair in dev])))
    truth = np.array(labels + [pair.label for pair in dev])
    threshold = best_threshold(truth, np.asarray(probabilities(np.concatenate(logits)), dtype=float))
    return PairMatcher(features, trees, threshold)


def grow_trees(rows: npt.NDArray[np.float32], labels: Sequence[bool], *, seed: int = 0) -> PairTrees:
    """Grow trees on labelled rows.

    Args:
        rows: Features, float32 [pairs, features], finite.
        labels: Whether each pair is of one product.
        seed: Of the features that each split may look at.

    Returns:
        Trees whose logit is the mean of the forests'.

    Raises:
        InputError: Only one of the two labels occurs.
        ModelError: The trees as arrays do not say what scikit-learn's say: a version of it that we do not know.
    """
    from sklearn.ensemble import HistGradientBoostingClassifier

    truth = np.asarray(labels, dtype=bool)
    if truth.all() or not truth.any():
        found = "matches" if len(truth) and truth.all() else "does not match"
        raise InputError(f"training pairs: every one {found}", next_step="Give pairs of both labels.")
    forests = [
        HistGradientBoostingClassifier(**SETTINGS, random_state=seed * FORESTS + i).fit(rows, truth)
        for i in range(FORESTS)
    ]
    trees = _arrays(forests, rows.shape[1])
    wanted = np.mean([forest.decision_function(rows) for forest in forests], axis=0)
    if not np.allclose(trees.logits(rows), wanted, atol=1e-6):
        step = "Install the version of scikit-learn that llmrec was tested with."
        raise ModelError("scikit-learn's trees cannot be read", next_step=step)
    return trees


def out_of_fold(
    rows: npt.NDArray[np.float32], labels: Sequence[bool], *, folds: int = 5, seed: int = 0
) -> npt.NDArray[np.float64]:
    """The logit of each training row by trees that have not seen it, float64[n]: what a model is trained on top of."""
    truth = np.asarray(labels, dtype=bool)
    fold = np.empty(len(truth), dtype=int)
    shuffled = np.random.default_rng(seed)
    for label in (False, True):  # the same share of matches in each
        own = shuffled.permutation(np.flatnonzero(truth == label))
        fold[own] = np.arange(len(own)) % folds
    logits = np.empty(len(truth))
    for i in range(folds):
        logits[fold == i] = grow_trees(rows[fold != i], list(truth[fold != i]), seed=seed).logits(rows[fold == i])
    return logits


def _arrays(forests: Sequence[Any], columns: int) -> PairTrees:
    tables = [predictor.nodes for forest in forests for (predictor,) in forest._predictors]
    shape = len(tables), max(map(len, tables))
    itself = np.broadcast_to(np.arange(shape[1], dtype=np.int32), shape)
    feature, left, right = np.zeros(shape, dtype=np.int32), itself.copy(), itself.copy()
    threshold, value = np.zeros(shape), np.zeros(shape)
    for i, nodes in enumerate(tables):
        inner = nodes["is_leaf"] == 0
        at = np.flatnonzero(inner)
        feature[i, at], threshold[i, at] = nodes["feature_idx"][inner], nodes["num_threshold"][inner]
        left[i, at], right[i, at] = nodes["left"][inner], nodes["right"][inner]
        value[i, : len(nodes)] = np.where(inner, 0.0, nodes["value"]) / len(forests)
    base = float(np.mean([np.ravel(forest._baseline_prediction)[0] for forest in forests]))
    return PairTrees(feature, threshold, left, right, value, base, columns)
