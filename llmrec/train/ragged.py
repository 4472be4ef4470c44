"""Rows of different lengths in one line of tokens: no padding, and what all of them begin with is computed once.

Three rows ``P P a b``, ``P P c`` and ``P P d e f`` become ``P P a b c d e f``. All of a transformer but attention works
on single tokens; attention looks from each row at the common beginning and at the row itself. Loss and gradients are
those of the padded batch but for rounding: a token never sees what stands after it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from llmrec.train.tokens import IGNORED

if TYPE_CHECKING:
    import torch

#: Name under which transformers finds the attention below.
ATTENTION = "llmrec_rows"
#: A common beginning shorter than this is computed in every row: a row alone needs no mask.
LEAST_SHARED = 8


@dataclass
class Ragged:
    """Rows in one line.

    Attributes:
        input_ids: int64 ``[1, tokens]``.
        position_ids: int64 ``[1, tokens]``.
        sizes: Tokens of each part of the line: the common beginning first when there is one, then the rest of each row.
        shared: Tokens of the common beginning.
        seen: Positions in the line from which a trained token is told, int64 ``[trained]``.
        labels: The trained tokens, int64 ``[trained]``.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    sizes: list[int]
    shared: int
    seen: torch.Tensor
    labels: torch.Tensor
    _masks: dict[int, torch.Tensor] = field(default_factory=dict)

    def mask(self, length: int, like: torch.Tensor) -> torch.Tensor:
        """What a row of ``length`` tokens after the common beginning may look at: additive ``[length, all]``."""
        import torch

        found = self._masks.get(length)
        if found is None:
            later = torch.ones(length, self.shared + length, dtype=torch.bool, device=like.device)
            later = later.triu(self.shared + 1)
            found = torch.zeros_like(later, dtype=like.dtype).masked_fill(later, float("-inf"))
            self._masks[length] = found
        return found


def in_one_line(inputs: dict[str, Any], *, share: bool = True) -> Ragged:
    """A padded batch to one line.

    Args:
        inputs: ``input_ids``, ``attention_mask`` and ``labels``, ``[n, longest]``, padded on the right.
        share: Whether the common beginning is computed once (with dropout it would be dropped alike in all rows).
    """
    import torch

    ids, labels = inputs["input_ids"], inputs["labels"]
    lengths = inputs["attention_mask"].sum(1).tolist()
    shared = _shared(ids, labels, lengths) if share else 0
    device = ids.device
    parts, positions, seen, trained = [], [], [], []
    sizes = []
    if shared:
        parts.append(ids[0, :shared])
        positions.append(torch.arange(shared, device=device))
        sizes.append(shared)
    start = shared
    for row, length in enumerate(lengths):
        parts.append(ids[row, shared:length])
        positions.append(torch.arange(shared, length, device=device))
        told = torch.nonzero(labels[row, 1:length] != IGNORED)[:, 0]  # from here the next token is told
        trained.append(labels[row, told + 1])
        # what is told from the end of the common beginning stands there, the rest in the row
        seen.append(torch.where(told < shared, told, told - shared + start))
        sizes.append(length - shared)
        start += length - shared
    return Ragged(
        torch.cat(parts)[None], torch.cat(positions)[None], sizes, shared, torch.cat(seen), torch.cat(trained)
    )


def _shared(ids: torch.Tensor, labels: torch.Tensor, lengths: list[int]) -> int:
    """Tokens that all rows begin with, none of them trained and none the last of its row."""
    if len(lengths) < 2:
        return 0
    most = min(lengths) - 1
    same = (ids[:, :most] == ids[:1, :most]).all(0) & (labels[:, :most] == IGNORED).all(0)
    shared = int(same.long().cumprod(0).sum())
    return shared if shared >= LEAST_SHARED else 0


def rows_attention(
    module: Any,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    *,
    rows: Ragged | None = None,
    scaling: float | None = None,
    dropout: float = 0.0,
    **kwargs: Any,
) -> tuple[torch.Tensor, None]:
    """Causal attention within rows; without ``rows`` transformers' own.

    Args:
        query: ``[1, heads, tokens, width]``; key and value may have fewer heads.

    Returns:
        ``[1, tokens, heads, width]`` and None.
    """
    import torch
    from torch.nn.functional import scaled_dot_product_attention as attend
    from transformers.integrations.sdpa_attention import sdpa_attention_forward

    if rows is None:
        own = {"scaling": scaling, "dropout": dropout, **kwargs}
        return sdpa_attention_forward(module, query, key, value, attention_mask, **own)
    same: dict[str, Any] = {"dropout_p": dropout, "scale": scaling, "enable_gqa": key.shape[1] != query.shape[1]}
    queries, keys, values = (each.split(rows.sizes, dim=2) for each in (query, key, value))
    found = []
    for i, size in enumerate(rows.sizes):
        if not rows.shared or i == 0:
            found.append(attend(queries[i], keys[i], values[i], is_causal=True, **same))
            continue
        seen = torch.cat([keys[0], keys[i]], dim=2), torch.cat([values[0], values[i]], dim=2)
        found.append(attend(queries[i], *seen, attn_mask=rows.mask(size, query), **same))
    return torch.cat(found, dim=2).transpose(1, 2).contiguous(), None


def register() -> None:
    """Make the attention known to transformers; masks are made as for its own."""
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(ATTENTION, rows_attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
