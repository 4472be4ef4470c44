"""A trained matcher of pairs, ready to use: what ``llmrec finetune`` with ``task: rerank`` leaves behind.

::

    reranker = PairReranker.load("runs/pairs/model")
    reranker.score([("Denon DVD3800BDCI black", "denon dvd-3800bdci")])      # float32[1], a probability
    reranker.threshold                                                       # at or above: the same product
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec.errors import ArtefactError, ModelError
from llmrec.models import resolve
from llmrec.models.pair_encoder import load_pair_encoder
from llmrec.prompting.pair_blend import FEATURES, SETTINGS, Blend
from llmrec.prompting.pair_matcher import PairMatcher
from llmrec.prompting.pairs import VERSION, Offer, pair_texts

_REMEDY = "Train the matcher again: llmrec finetune, task rerank."


class PairReranker:
    """A cross-encoder, trees over features where it has them, and their blend; a ``seams.Reranker``.

    Args:
        encoder: A sentence-transformers ``CrossEncoder`` with one score.
        blend: How its logit and that of the trees become a probability.
        matcher: The trees, or None.
        hints: Whether it was trained with hints.
    """

    def __init__(self, encoder: Any, blend: Blend, matcher: PairMatcher | None, *, hints: bool) -> None:
        self.encoder, self.blend, self.matcher, self.hints = encoder, blend, matcher, hints
        self.threshold = blend.threshold

    @classmethod
    def load(cls, reference: str | Path, *, device: str | None = None) -> PairReranker:
        """Load a matcher.

        Args:
            reference: A folder that ``task: rerank`` made (a whole model or an adapter), ``adapter:NAME`` or a hub id.
            device: ``cpu``, ``cuda`` …; None: the library's choice.

        Raises:
            ArtefactError: Not a matcher of pairs, damaged, or of another version.
        """
        try:
            found = resolve(str(reference))
        except ModelError as error:
            raise ArtefactError(error.message, next_step=error.next_step) from error
        folder = found.path
        try:
            settings = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
            blend, hints = Blend.from_state(settings), bool(settings["hints"])
            version = int(settings["version"])
        except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
            raise ArtefactError(f"{folder}: not a matcher of pairs ({error})", next_step=_REMEDY) from error
        if version != VERSION:
            raise ArtefactError(f"{folder}: reads pairs as version {version}, not {VERSION}", next_step=_REMEDY)
        matcher = PairMatcher.load(folder / FEATURES) if (folder / FEATURES).is_dir() else None
        try:
            encoder = load_pair_encoder(found, max_length=settings.get("max_length"), device=device)
        except ModelError as error:
            raise ArtefactError(error.message, next_step=error.next_step) from error
        return cls(encoder, blend, matcher, hints=hints)

    def score(self, pairs: Sequence[tuple[Offer, Offer]]) -> NDArray[np.float32]:
        """The probability that each pair is of one product, float32 ``[n]``, in input order."""
        return self.probability(pairs).astype(np.float32)

    def probability(self, pairs: Sequence[tuple[Offer, Offer]]) -> NDArray[np.float64]:
        """The same in double precision, float64 ``[n]``, between 0 and 1 and neither."""
        if not pairs:
            return np.zeros(0)
        logits = {"model": self.logits(pairs)}
        if self.matcher is not None:
            logits["features"] = self.matcher.logits(pairs)
        return np.clip(self.blend.score(logits), 1e-12, 1 - 1e-12)

    def logits(self, pairs: Sequence[tuple[Offer, Offer]]) -> NDArray[np.float64]:
        """What the cross-encoder alone says of each pair, float64 ``[n]``, in input order."""
        texts = [tuple(pair_texts(left, right, hints=self.hints)) for left, right in pairs]
        said = self.encoder.predict(texts, batch_size=32, show_progress_bar=False)
        return np.asarray(said, dtype=np.float64).reshape(-1)
