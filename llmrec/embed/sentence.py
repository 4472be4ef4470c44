"""Any other sentence-transformers folder, by that library: dense layers, routers, its own poolings."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from llmrec.embed.hardware import choose_device, choose_dtype
from llmrec.errors import ModelError
from llmrec.models.quiet import quiet

if TYPE_CHECKING:
    from numpy.typing import NDArray


class SentenceTransformerModel:
    """A ``SentenceTransformer`` loaded from a local folder, without remote code or pickled weights."""

    pooling = "own"

    def __init__(self, folder: Path, *, max_length: int | None, device: str | None, dtype: str) -> None:
        from sentence_transformers import SentenceTransformer

        where = choose_device(device)
        size = sum(path.stat().st_size for path in folder.rglob("*.safetensors")) // 2
        try:
            with quiet():
                self._model = SentenceTransformer(
                    str(folder),
                    device=str(where),
                    local_files_only=True,
                    trust_remote_code=False,
                    model_kwargs={"use_safetensors": True, "dtype": choose_dtype(dtype, where, size)},
                )
        except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
            step = "Check that sentence-transformers alone can load the folder."
            raise ModelError(f"{folder}: cannot be loaded as an encoder ({error})", next_step=step) from error
        if max_length is not None:
            self._model.max_seq_length = max_length
        limit = self._model.max_seq_length
        self.max_length: int | None = int(limit) if limit and limit < 1e9 else None
        self.dimension = int(self._model.get_embedding_dimension() or 0)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before anything is cut; characters where the model has no such tokenizer."""
        tokenizer = self._model.tokenizer
        if not callable(tokenizer):
            return [len(text) for text in texts]
        return [len(ids) for ids in tokenizer(list(texts), truncation=False, verbose=False)["input_ids"]]

    def embed(self, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
        """Encode one batch, float32 ``[n, dimension]``."""
        bare = [text.removeprefix(prompt) for text in texts]
        # the library is told the prompt, since some poolings leave its tokens out
        vectors = self._model.encode(bare, prompt=prompt, batch_size=len(bare), show_progress_bar=False)
        return np.asarray(vectors, dtype=np.float32)
