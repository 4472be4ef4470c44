"""Boosted trees as arrays: scored with numpy alone, stored without pickle.

::

    trees = PairTrees.load("matcher/trees.npz")
    trees.logits(features.rows(pairs))            # float64[n]; above 0: rather the same product than not

``llmrec.train.pair_matcher`` grows them with scikit-learn, whose own files are pickles and tied to its version.
"""

from __future__ import annotations

from pathlib import Path
from zipfile import BadZipFile

import msgspec
import numpy as np
import numpy.typing as npt

from llmrec.errors import ArtefactError
from llmrec.storage import atomic_file

VERSION = 1

#: Rows scored at a time: bounds the memory, rows x trees x 8 bytes.
CHUNK = 512
_INTS, _FLOATS = ("feature", "left", "right"), ("threshold", "value")


class PairTrees(msgspec.Struct, frozen=True):
    """Trees as tables of nodes, all [trees, nodes]; a leaf has itself as both children, and is the only one to count.

    Attributes:
        feature: The column that a node looks at, int32.
        threshold: Values up to this one go left, float64.
        left, right: The nodes below, int32.
        value: What a leaf adds to the logit, float64.
        base: The logit before any tree.
        columns: How many features a row has.
    """

    feature: npt.NDArray[np.int32]
    threshold: npt.NDArray[np.float64]
    left: npt.NDArray[np.int32]
    right: npt.NDArray[np.int32]
    value: npt.NDArray[np.float64]
    base: float
    columns: int

    def logits(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        """The logit of each row, float64[n].

        Raises:
            ValueError: The rows have not the features that the trees were grown on.
        """
        if rows.ndim != 2 or rows.shape[1] != self.columns:
            raise ValueError(f"rows of shape {rows.shape}; the trees were grown on {self.columns} features")
        parts = [self._logits(rows[start : start + CHUNK]) for start in range(0, len(rows), CHUNK)]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _logits(self, rows: npt.NDArray[np.float32]) -> npt.NDArray[np.float64]:
        trees = np.arange(len(self.feature))[None, :]
        at = np.zeros((len(rows), len(self.feature)), dtype=np.int32)
        which = np.arange(len(rows))[:, None]
        while True:
            lower = rows[which, self.feature[trees, at]] <= self.threshold[trees, at]
            below = np.where(lower, self.left[trees, at], self.right[trees, at])
            if np.array_equal(below, at):
                return self.base + self.value[trees, at].sum(axis=1)  # type: ignore[no-any-return]
            at = below

    def save(self, path: str | Path) -> None:
        """Write one ``.npz``, whole or not at all."""
        arrays = {name: getattr(self, name) for name in (*_INTS, *_FLOATS)}
        with atomic_file(path) as file:
            np.savez_compressed(file, version=VERSION, base=self.base, columns=self.columns, **arrays)

    @classmethod
    def load(cls, path: str | Path) -> PairTrees:
        """Read trees back.

        Raises:
            ArtefactError: Missing, damaged, or of another version.
        """
        step = "Train the matcher again."
        try:
            with np.load(path, allow_pickle=False) as file:
                if int(file["version"]) != VERSION:
                    raise ArtefactError(
                        f"{path}: trees of version {int(file['version'])}, not {VERSION}", next_step=step
                    )
                arrays = {
                    name: file[name].astype(np.int32 if name in _INTS else np.float64) for name in _INTS + _FLOATS
                }
                trees = cls(**arrays, base=float(file["base"]), columns=int(file["columns"]))
        except (OSError, KeyError, ValueError, EOFError, BadZipFile) as error:
            raise ArtefactError(f"{path}: holds no trees ({error})", next_step=step) from error
        trees._check(path, step)
        return trees

    def _check(self, path: str | Path, step: str) -> None:
        """A damaged file must not send a row round in circles, or out of the tables."""
        shape = self.feature.shape
        whole = len(shape) == 2 and all(getattr(self, name).shape == shape for name in (*_INTS, *_FLOATS))
        if whole and 0 not in shape:
            nodes = np.arange(shape[1])
            leaf = (self.left == nodes) & (self.right == nodes)
            down = (self.left > nodes) & (self.right > nodes) & (np.maximum(self.left, self.right) < shape[1])
            known = (self.feature >= 0) & (self.feature < self.columns)
            if (leaf | down).all() and known.all():
                return
        raise ArtefactError(f"{path}: the trees are damaged", next_step=step)
