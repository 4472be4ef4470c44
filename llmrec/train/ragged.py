"""Rows of different lengths in one line of tokens: no padding, and what all of them begin with is computed once.

Three rows ``P P a b``, ``P P c`` and ``P P d e f`` become ``P P a b c d e f``. All of a transformer but attention works
on single tokens; attention looks from each row at the common beginning and at the row itself. Loss and gradients are
those of the padded batch but for rounding: a token never sees what stands after it. Virtual tokens are the beginning of
all rows too: those of a prompt stand in the line, those of a prefix are keys and values from before it.
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
        shared: Tokens of the common beginning, virtual ones included.
        past: Keys and values that stand before the line (prefix tuning).
        seen: Positions in the line from which a trained token is told, int64 ``[trained]``.
        labels: The trained tokens, int64 ``[trained]``.
    """

    input_ids: torch.Tensor
    position_ids: torch.Tensor
    sizes: list[int]
    shared: int
    seen: torch.Tensor
    labels: torch.Tensor
    past: int = 0
    _masks: dict[tuple[int, int], torch.Tensor] = field(default_factory=dict)

    def mask(self, length: int, before: int, like: torch.Tensor) -> torch.Tensor:
        """What ``length`` tokens may look at that all see the ``before`` ahead of them: additive ``[length, all]``."""
        import torch

        found = self._masks.get((length, before))
        if found is None:
            later = torch.ones(length, before + length, dtype=torch.bool, device=like.device).triu(before + 1)
            found = torch.zeros_like(later, dtype=like.dtype).masked_fill(later, float("-inf"))
            self._masks[length, before] = found
        return found


def in_one_line(inputs: dict[str, Any], *, share: bool = True, virtual: int = 0, past: int = 0) -> Ragged:
    """A padded batch to one line.

    Args:
        inputs: ``input_ids``, ``attention_mask`` and ``labels``, ``[n, longest]``, padded on the right.
        share: Whether the common beginning is computed once (with dropout it would be dropped alike in all rows).
        virtual: Tokens that are put before the line, the beginning of every row; ``input_ids`` does not hold them.
        past: Tokens whose keys and values stand before the line.
    """
    import torch

    ids, labels = inputs["input_ids"], inputs["labels"]
    lengths = inputs["attention_mask"].sum(1).tolist()
    shared = _shared(ids, labels, lengths) if share else 0
    if shared + virtual < LEAST_SHARED:
        shared = 0
    device = ids.device
    parts, seen, trained = [ids[0, :shared]], [], []
    positions, sizes = [torch.arange(virtual + shared, device=device)], []
    if virtual + shared:
        sizes.append(virtual + shared)
    start = virtual + shared
    for row, length in enumerate(lengths):
        parts.append(ids[row, shared:length])
        positions.append(virtual + torch.arange(shared, length, device=device))
        told = torch.nonzero(labels[row, 1:length] != IGNORED)[:, 0]  # from here the next token is told
        trained.append(labels[row, told + 1])
        # what is told from the end of the common beginning stands there, the rest in the row
        seen.append(torch.where(told < shared, told + virtual, told - shared + start))
        sizes.append(length - shared)
        start += length - shared
    places = torch.cat(positions)[None] + past
    shared += virtual
    return Ragged(torch.cat(parts)[None], places, sizes, shared, torch.cat(seen), torch.cat(trained), past)


def _shared(ids: torch.Tensor, labels: torch.Tensor, lengths: list[int]) -> int:
    """Tokens that all rows begin with, none of them trained and none the last of its row."""
    if len(lengths) < 2:
        return 0
    most = min(lengths) - 1
    same = (ids[:, :most] == ids[:1, :most]).all(0) & (labels[:, :most] == IGNORED).all(0)
    return int(same.long().cumprod(0).sum())


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
    queries = query.split(rows.sizes, dim=2)
    keys, values = (each.split([rows.past, *rows.sizes], dim=2) for each in (key, value))
    found = []
    for i, size in enumerate(rows.sizes):
        ahead = [0] * bool(rows.past) + [1] * bool(rows.shared and i)
        if not ahead:
            found.append(attend(queries[i], keys[i + 1], values[i + 1], is_causal=True, **same))
            continue
        before = rows.past + (rows.shared if i else 0)
        known, told = (torch.cat([each[j] for j in (*ahead, i + 1)], dim=2) for each in (keys, values))
        found.append(attend(queries[i], known, told, attn_mask=rows.mask(size, before, query), **same))
    return torch.cat(found, dim=2).transpose(1, 2).contiguous(), None


def register() -> None:
    """Make the attention known to transformers; masks are made as for its own."""
    from transformers.masking_utils import AttentionMaskInterface, sdpa_mask
    from transformers.modeling_utils import AttentionInterface

    AttentionInterface.register(ATTENTION, rows_attention)
    AttentionMaskInterface.register(ATTENTION, sdpa_mask)
