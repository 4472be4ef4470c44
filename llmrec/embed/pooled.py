"""A transformer whose token vectors are pooled into one: encoders (BERT, E5, GTE, BGE) and decoder language models.

Texts are padded on the right and masked, so that a text has the same vector alone and in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.embed.hardware import choose_device, choose_dtype
from llmrec.errors import InputError, ModelError
from llmrec.models.quiet import quiet

if TYPE_CHECKING:
    import torch
    from numpy.typing import NDArray

    from llmrec.embed.adapted import EncoderAdapter

POOLINGS = ("mean", "last", "cls")

#: Tokens of a text that are seen when neither the caller nor the model sets a lower limit.
DEFAULT_MAX_LENGTH = 512


class PooledTransformer:
    """A ``transformers`` model with its tokenizer; ``pooling`` None is the mean of the token vectors.

    ``own_length`` is the limit that the model's folder states, ``max_length`` the one that the caller wants;
    ``adapter`` is added into the weights in float32, before they are rounded to ``dtype``.
    """

    def __init__(
        self,
        folder: Path,
        *,
        pooling: str | None,
        max_length: int | None,
        own_length: int | None = None,
        lower_case: bool = False,
        device: str | None = None,
        dtype: str = "auto",
        adapter: EncoderAdapter | None = None,
    ) -> None:
        import torch
        from transformers import AutoConfig, AutoModel, AutoTokenizer

        # starter:smollm2-135m, untrained for this, on 300 Abt-Buy listings: R@1 .37 by the mean, .26 by the last token
        self.pooling = pooling or "mean"
        if self.pooling not in POOLINGS:
            raise InputError(f"pooling {pooling!r} is not known", next_step=f"Give one of: {', '.join(POOLINGS)}.")
        self._lower_case = lower_case
        self._device = choose_device(device)
        wanted = choose_dtype(dtype, self._device, _parameters(folder))
        try:
            config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            self._tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
            with quiet():
                model = AutoModel.from_pretrained(
                    folder,
                    config=config,
                    local_files_only=True,
                    trust_remote_code=False,
                    use_safetensors=True,
                    dtype=torch.float32 if adapter else wanted,
                )
        except (OSError, ValueError, KeyError, RuntimeError) as error:
            step = "Give a folder in transformers or sentence-transformers layout with safetensors weights."
            raise ModelError(
                f"{folder}: cannot be loaded as an encoder ({_first_line(error)})", next_step=step
            ) from error
        if adapter is not None:
            model = adapter.merged(model).to(wanted)
        if config.is_encoder_decoder:
            model = model.get_encoder()
        self._model = model.to(self._device).eval()
        self._tokenizer.padding_side = "right"
        self._tokenizer.truncation_side = "right"
        if self._tokenizer.pad_token_id is None:
            self._tokenizer.pad_token = self._tokenizer.eos_token or self._tokenizer.unk_token
        self.dimension = int(config.get_text_config().hidden_size)
        self.max_length: int | None = _max_length(max_length, own_length, config, self._tokenizer)

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        """Tokens of each text before anything is cut, special tokens included."""
        return [len(ids) for ids in self._tokenizer(self._cased(texts), truncation=False, verbose=False)["input_ids"]]

    def embed(self, texts: Sequence[str], prompt: str) -> NDArray[np.float32]:
        """Encode one batch, float32 ``[n, dimension]``."""
        import torch

        batch = self._tokenizer(
            self._cased(texts), padding=True, truncation=True, max_length=self.max_length, return_tensors="pt"
        ).to(self._device)
        if not batch["input_ids"].shape[1]:  # only empty texts, and a tokenizer without special tokens
            return np.zeros((len(texts), self.dimension), dtype=np.float32)
        with torch.inference_mode():
            hidden = self._model(**batch).last_hidden_state
            pooled = pool(hidden, batch["attention_mask"], self.pooling)
        return pooled.float().cpu().numpy()

    def _cased(self, texts: Sequence[str]) -> list[str]:
        return [text.lower() for text in texts] if self._lower_case else list(texts)


def pool(hidden: torch.Tensor, mask: torch.Tensor, pooling: str) -> torch.Tensor:
    """Token vectors ``[n, tokens, d]`` to ``[n, d]`` over the tokens that ``mask`` keeps; none kept gives zeros.

    ``last`` is the last token kept, wherever the padding is; ``cls`` the first.
    """
    import torch

    weights = mask.to(torch.float32)
    rows = torch.arange(len(hidden), device=hidden.device)
    if pooling == "mean":
        total = (hidden.float() * weights[:, :, None]).sum(dim=1)
        return total / weights.sum(dim=1, keepdim=True).clamp(min=1.0)
    positions = torch.arange(mask.shape[1], device=mask.device)
    chosen = (weights * positions).argmax(dim=1) if pooling == "last" else weights.argmax(dim=1)
    return hidden[rows, chosen].float() * (weights.sum(dim=1, keepdim=True) > 0)


def _max_length(asked: int | None, own: int | None, config: Any, tokenizer: Any) -> int:
    limits = [getattr(config.get_text_config(), "max_position_embeddings", None), tokenizer.model_max_length]
    limit = min([int(value) for value in limits if value and value > 0], default=DEFAULT_MAX_LENGTH)
    if asked is None:
        return min(limit, own or DEFAULT_MAX_LENGTH)
    if not 0 < asked <= limit:
        raise InputError(f"max_length={asked}: the model sees 1 to {limit} tokens", next_step="Give a number in there.")
    return asked


def _parameters(folder: Path) -> int:
    """About how many parameters the weights hold, counted as 16-bit numbers."""
    return sum(path.stat().st_size for path in folder.glob("*.safetensors")) // 2


def _first_line(error: Exception) -> str:
    return str(error).strip().split("\n", 1)[0][:200]
