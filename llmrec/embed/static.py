"""A static encoder (model2vec): the mean of one vector a token, looked up; needs no torch."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmrec.errors import ModelError

if TYPE_CHECKING:
    from numpy.typing import NDArray


class StaticEmbedding:
    """The ``StaticEmbedding`` module of sentence-transformers: ``model.safetensors`` and ``tokenizer.json``."""

    pooling = "static"
    max_length: int | None = None

    def __init__(self, folder: Path) -> None:
        from safetensors import SafetensorError
        from safetensors.numpy import load_file
        from tokenizers import Tokenizer

        try:
            weights = load_file(folder / "model.safetensors")
            self._tokenizer = Tokenizer.from_file(str(folder / "tokenizer.json"))
            self._table = weights["embeddings" if "embeddings" in weights else "embedding.weight"].astype(np.float32)
        except (SafetensorError, KeyError, Exception) as error:  # tokenizers raises bare Exception
            step = "Give a folder of a static sentence-transformers or model2vec model."
            raise ModelError(f"{folder}: cannot be loaded as a static encoder ({error})", next_step=step) from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()
        self.dimension = int(self._table.shape[1])

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """A stand-in for token counts (characters): nothing is cut and batches need no padding."""
        return [len(text) for text in texts]

    def embed(self, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
        """Encode one batch, float32 ``[n, dimension]``; a text without known tokens gives zeros."""
        vectors = np.zeros((len(texts), self.dimension), dtype=np.float32)
        for row, encoding in enumerate(self._tokenizer.encode_batch(list(texts), add_special_tokens=False)):
            if encoding.ids:
                vectors[row] = self._table[encoding.ids].mean(axis=0)
        return vectors
