"""The encoder that all backends share: prompts, order, batches, unit length, and a count of what was cut."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Protocol

import numpy as np

from llmrec.errors import InputError, ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

KINDS = ("document", "query")


class Backend(Protocol):
    """A loaded model: counts tokens and encodes one batch."""

    dimension: int
    #: Tokens that the model sees of a text, special tokens included; None: all of them.
    max_length: int | None

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before anything is cut, special tokens included."""
        ...

    def embed(self, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
        """Encode one batch, float32 ``[n, dimension]`` of any length; ``texts`` carry the prompt already."""
        ...


class TextEncoder:
    """Encodes texts in batches of like length; see ``load_encoder``.

    Attributes:
        reference: The model reference, as it stands in manifests.
        digest: Digest of the weights and of all that changes the vectors but precision and device.
        dimension: Length of the vectors.
        cut_to: The same, where they are the first numbers of longer ones; None: they are whole.
        prompts: What is put before a text, by kind.
        pooling: How token vectors become one (``mean``, ``last``, ``cls``, ``static``, or the model's own).
        fusion: Weights of the hybrid that were measured for it, by name; an index that is built with it takes them.
        max_length: Tokens of a text that are seen; None: all.
        truncated: How many texts were longer than that so far.
    """

    def __init__(
        self,
        backend: Backend,
        *,
        reference: str,
        fusion: dict[str, float] | None = None,
        digest: str,
        prompts: dict[str, str],
        pooling: str,
        batch_size: int = 32,
        cut_to: int | None = None,
    ) -> None:
        self._backend = backend
        self.reference = reference
        self.fusion = fusion or {}
        self.digest = digest
        self.dimension = cut_to or backend.dimension
        self.cut_to = cut_to
        self.prompts = prompts
        self.pooling = pooling
        self.max_length = backend.max_length
        self.batch_size = batch_size
        self.truncated = 0
        self._warned = False

    def encode(self, inputs: Sequence[str], *, kind: str = "document") -> NDArray[np.float32]:
        """Encode texts into float32 ``[n, dimension]``, unit length, in input order.

        Args:
            inputs: The texts. One that holds nothing the model knows gets the vector of equal components.
            kind: ``"document"`` or ``"query"``: chooses the prompt.

        Raises:
            InputError: Another ``kind``, or a string in place of a sequence of strings.
            ModelError: The model gave something that is not a number.
        """
        if kind not in KINDS:
            raise InputError(f"kind={kind!r} is not known", next_step="Give kind='document' or kind='query'.")
        if isinstance(inputs, str):
            raise InputError("encode() takes a list of texts, not one text", next_step="Write encode([text]).")
        prompt = self.prompts[kind]
        texts = [prompt + text for text in inputs]
        vectors = np.empty((len(texts), self.dimension), dtype=np.float32)
        if not texts:
            return vectors
        counts = self._backend.token_counts(texts)
        self._note_truncation(counts)
        order = sorted(range(len(texts)), key=lambda i: -counts[i])  # longest first: memory runs out at once or never
        for start in range(0, len(order), self.batch_size):
            rows = order[start : start + self.batch_size]
            vectors[rows] = self._backend.embed([texts[i] for i in rows], prompt)[:, : self.dimension]
        return unit(vectors, self.reference)

    def _note_truncation(self, counts: list[int]) -> None:
        limit = self._backend.max_length
        cut = sum(count > limit for count in counts) if limit else 0
        self.truncated += cut
        if cut and not self._warned:
            self._warned = True
            logger.warning(
                "%s: %d of %d texts are longer than %d tokens and were cut (the longest has %d); "
                "a larger max_length sees more where the model allows it",
                self.reference, cut, len(counts), limit, max(counts),
            )  # fmt: skip


def unit(vectors: NDArray[np.float32], reference: str) -> NDArray[np.float32]:
    """Scale rows to unit length in place; rows of zeros get equal components.

    Raises:
        ModelError: A vector is not finite.
    """
    bad = int((~np.isfinite(vectors).all(axis=1)).sum())
    if bad:
        step = "Load it with dtype='float32'; if that does not help, the weights are damaged."
        raise ModelError(f"{reference}: {bad} of {len(vectors)} vectors are not numbers", next_step=step)
    norms = np.linalg.norm(vectors, axis=1, keepdims=True)
    vectors[norms[:, 0] == 0] = 1.0
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    return vectors
