"""Trees over the features of pairs are scikit-learn's own, and know a rule when there is one."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest

from llmrec.errors import ArtefactError, InputError
from llmrec.prompting.pair_matcher import PairMatcher, probabilities
from llmrec.train.pair_files import LabelledPair
from llmrec.train.pair_trees import FORESTS, SETTINGS, grow_trees, out_of_fold, train_pair_matcher

ROWS = np.random.default_rng(0).random((200, 4)).astype(np.float32)
LABELS = list(ROWS[:, 2] > 0.7)


def test_trees_say_what_the_library_says() -> None:
    from sklearn.ensemble import HistGradientBoostingClassifier

    trees = grow_trees(ROWS, LABELS, seed=1)
    unseen = np.random.default_rng(1).random((100, 4)).astype(np.float32)
    forests = [
        HistGradientBoostingClassifier(**SETTINGS, random_state=FORESTS + i).fit(ROWS, LABELS) for i in range(FORESTS)
    ]
    wanted = np.mean([forest.decision_function(unseen) for forest in forests], axis=0)
    assert trees.logits(unseen) == pytest.approx(wanted, abs=1e-9)
    assert np.mean((trees.logits(unseen) > 0) == (unseen[:, 2] > 0.7)) > 0.95


def test_out_of_fold_rows_are_judged_by_trees_that_have_not_seen_them() -> None:
    # labels without a rule: seen they are learned by heart, unseen they are a guess
    chance = list(np.random.default_rng(2).random(200) > 0.5)
    seen = np.mean((grow_trees(ROWS, chance).logits(ROWS) > 0) == chance)
    unseen = np.mean((out_of_fold(ROWS, chance, folds=2) > 0) == chance)
    assert seen > 0.9 > 0.65 > unseen


def test_one_label_is_refused() -> None:
    with pytest.raises(InputError, match="every one matches"):
        grow_trees(ROWS, [True] * 200)
    with pytest.raises(InputError, match="every one does not match"):
        grow_trees(ROWS, [False] * 200)


def test_probabilities() -> None:
    assert probabilities(np.array([0.0, np.log(3), -1e4, 1e4])).tolist() == pytest.approx([0.5, 0.75, 0, 1])


def test_a_matcher_learns_that_model_numbers_decide(tmp_path: Path) -> None:
    models = [f"ab{i}{i * 7 % 10}x" for i in range(10, 70)]
    train = [LabelledPair(f"acme camera {m} black", f"{m} acme", True, i) for i, m in enumerate(models)]
    train += [
        LabelledPair(f"acme camera {m} black", f"{other} acme", False, i)
        for i, (m, other) in enumerate(pairwise(models))
    ]
    matcher = train_pair_matcher(train, train[:5] + train[-5:])
    pairs = [("acme zz-9000 camera", "zz9000 acme"), ("acme zz-9000 camera", "zz8000 acme")]
    scores = matcher.score(pairs)
    assert scores[0] >= matcher.threshold > scores[1]
    assert np.array_equal(matcher.score([(right, left) for left, right in pairs]), scores)

    matcher.save(tmp_path / "matcher")
    again = PairMatcher.load(tmp_path / "matcher")
    assert again.threshold == matcher.threshold
    assert np.array_equal(again.score(pairs), scores)
    (tmp_path / "matcher" / "features.json").write_text("{}")
    with pytest.raises(ArtefactError, match="damaged"):
        PairMatcher.load(tmp_path / "matcher")
