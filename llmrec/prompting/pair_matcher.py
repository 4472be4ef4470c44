"""A matcher of pairs that needs no neural model: features and boosted trees, in one small folder.

::

    matcher = PairMatcher.load("my-matcher")
    matcher.score([("Denon DVD3800BDCI", {"title": "denon dvd-3800bdci black", "price": 1999})])   # float32[1]
    matcher.threshold                                                       # at or above: the same product

``llmrec.train.pair_trees.train_pair_matcher`` makes one.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from llmrec.errors import ArtefactError
from llmrec.prompting.pair_features import PairFeatures
from llmrec.prompting.pair_trees import PairTrees
from llmrec.prompting.pairs import Offer
from llmrec.storage import atomic_folder, read_manifest, write_manifest

KIND, FORMAT = "pair matcher", 1
_FEATURES, _TREES = "features.json", "trees.npz"
_REMEDY = "Train the matcher again."


class PairMatcher:
    """Tells how likely two offers are of one product; each pair is judged by itself.

    Args:
        features: Counted on the training offers.
        trees: Grown on the training pairs.
        threshold: The probability from which on a pair is held to match.
    """

    def __init__(self, features: PairFeatures, trees: PairTrees, threshold: float) -> None:
        self.features, self.trees, self.threshold = features, trees, threshold

    def score(self, pairs: Sequence[tuple[Offer, Offer]]) -> npt.NDArray[np.float32]:
        """The probability that each pair is of one product, float32[n]; the order of the sides does not count."""
        return probabilities(self.logits(pairs))

    def logits(self, pairs: Sequence[tuple[Offer, Offer]]) -> npt.NDArray[np.float64]:
        """The logit of that probability, float64[n]."""
        return self.trees.logits(self.features.rows(pairs))

    def save(self, folder: str | Path, *, replace: bool = False) -> None:
        """Write the matcher as a folder, whole or not at all.

        Raises:
            FileExistsError: The folder is there, and ``replace`` is false.
        """
        with atomic_folder(folder, replace=replace) as scratch:
            text = json.dumps(self.features.state(), ensure_ascii=False)
            (scratch / _FEATURES).write_text(text, encoding="utf-8")
            self.trees.save(scratch / _TREES)
            write_manifest(scratch, kind=KIND, format_version=FORMAT, settings={"threshold": self.threshold})

    @classmethod
    def load(cls, folder: str | Path) -> PairMatcher:
        """Read a matcher back.

        Raises:
            ArtefactError: Not a matcher, damaged, or of another version.
        """
        folder = Path(folder)
        manifest = read_manifest(folder, kind=KIND, format_version=FORMAT, remedy=_REMEDY)
        try:
            threshold = float(manifest["settings"]["threshold"])
            features = PairFeatures.from_state(json.loads((folder / _FEATURES).read_text(encoding="utf-8")))
        except (OSError, KeyError, TypeError, ValueError) as error:
            raise ArtefactError(f"{folder}: cannot be used ({error})", next_step=_REMEDY) from error
        trees = PairTrees.load(folder / _TREES)
        if trees.columns != len(features.names):
            raise ArtefactError(f"{folder}: its trees were grown on other features", next_step=_REMEDY)
        return cls(features, trees, threshold)


def probabilities(logits: npt.NDArray[np.float64]) -> npt.NDArray[np.float32]:
    """The logistic function, without overflow."""
    return (0.5 * (1 + np.tanh(logits / 2))).astype(np.float32)
