"""Boosted trees as arrays: scores by hand, files, damage."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import pytest

from llmrec.errors import ArtefactError
from llmrec.prompting.pair_trees import CHUNK, PairTrees

# the first tree: column 1 up to 0.5 gives -1, above it +2; the second is a single leaf of 0.25
TREES = PairTrees(
    feature=np.array([[1, 0, 0], [0, 0, 0]], dtype=np.int32),
    threshold=np.array([[0.5, 0, 0], [0, 0, 0]]),
    left=np.array([[1, 1, 2], [0, 1, 2]], dtype=np.int32),
    right=np.array([[2, 1, 2], [0, 1, 2]], dtype=np.int32),
    value=np.array([[0, -1, 2], [0.25, 0, 0]]),
    base=-0.5,
    columns=2,
)


def test_logits_by_hand() -> None:
    rows = np.array([[9, 0.5], [9, 0.6]], dtype=np.float32)
    assert TREES.logits(rows).tolist() == [-1.25, 1.75]
    many = np.tile(rows, (CHUNK, 1))
    assert TREES.logits(many).tolist() == [-1.25, 1.75] * CHUNK
    assert TREES.logits(rows[:0]).shape == (0,)
    with pytest.raises(ValueError, match="grown on 2 features"):
        TREES.logits(rows[:, :1])


def test_saved_and_read_back(tmp_path: Path) -> None:
    path = tmp_path / "trees.npz"
    TREES.save(path)
    rows = np.random.default_rng(0).random((20, 2)).astype(np.float32)
    assert np.array_equal(PairTrees.load(path).logits(rows), TREES.logits(rows))


def test_damaged_files_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "trees.npz"
    with pytest.raises(ArtefactError, match="holds no trees"):
        PairTrees.load(path)
    path.write_bytes(b"PK\x03\x04 no")
    with pytest.raises(ArtefactError, match="holds no trees"):
        PairTrees.load(path)
    np.savez(path, version=1)
    with pytest.raises(ArtefactError, match="holds no trees"):
        PairTrees.load(path)
    np.savez(path, version=2)
    with pytest.raises(ArtefactError, match="version 2"):
        PairTrees.load(path)
    # a circle, a child outside the table, a column that no row has
    for name, value in (("left", 0), ("right", 7), ("feature", 2)):
        damaged = getattr(TREES, name).copy()
        damaged[0, 0] = value
        msgspec.structs.replace(TREES, **{name: damaged}).save(path)
        with pytest.raises(ArtefactError, match="damaged"):
            PairTrees.load(path)
