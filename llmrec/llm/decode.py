"""Answers for a batch of prompts: what all begin with is read once, then the rest, then a token for all at a time.

Against ``model.generate`` this saves what counts on a processor: what all prompts begin with (instruction and worked
example) is computed once and not for each of them, prompts are padded to their neighbours' length and not to the
longest's, keys and values are not copied for each token, and a row that has ended leaves the batch. The numbers are
the same: attention masks and positions are those of left padding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from llmrec.llm.batching import common_prefix
from llmrec.llm.cache import merged, repeated, roomy_cache

if TYPE_CHECKING:
    import torch

    from llmrec.llm.sampling import Chooser

#: Shorter beginnings than this are not worth a pass of their own.
SHORTEST_PREFIX = 24
#: Prompts that are read in one pass: more are hardly quicker a token, and need more padding.
READ_TOGETHER = 6


class Prefix:
    """The model's state after tokens that many prompts begin with; the last one is kept from call to call."""

    def __init__(self) -> None:
        self.tokens: list[int] = []
        self.state: Any = None

    def prepare(self, model: Any, prompts: Sequence[Sequence[int]]) -> int:
        """Have the state for what all ``prompts`` begin with; returns its length, 0 when it is not worth having."""
        import torch

        length = common_prefix(prompts)
        if length < SHORTEST_PREFIX or len(prompts) < 2:
            # a lone prompt may still begin with what the last ones did
            known = len(self.tokens)
            return known if known and len(prompts[0]) > known and list(prompts[0][:known]) == self.tokens else 0
        if list(prompts[0][:length]) != self.tokens:
            self.tokens = list(prompts[0][:length])
            ids = torch.tensor([self.tokens], device=model.device)
            self.state = model(input_ids=ids, use_cache=True, logits_to_keep=1).past_key_values
        return length


def decode_batch(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    chooser: Chooser,
    max_new_tokens: int,
    end: Callable[[int, list[int]], bool],
    prefix: Prefix,
    pad: int,
) -> list[list[int]]:
    """Answer prompts with a causal language model.

    Args:
        model: A transformers model with a dynamic key-value cache.
        prompts: Token ids of each prompt.
        chooser: Chooses the next token of each row.
        max_new_tokens: Most tokens of an answer.
        end: Whether a row's answer so far is complete; called with the row and its tokens after each token.
        prefix: State that may be shared with other batches.
        pad: A token id to pad with; it is masked.

    Returns:
        The new tokens of each prompt, the one that ended it included.
    """
    import torch

    answers: list[list[int]] = [[] for _ in prompts]
    rows = sorted(range(len(prompts)), key=lambda row: -len(prompts[row]))
    state, mask, logits = _read(model, [prompts[row] for row in rows], prefix, pad)
    positions = mask.sum(dim=1, keepdim=True)
    while True:
        tokens = chooser.choose(logits, rows)
        kept = []
        for place, (row, token) in enumerate(zip(rows, tokens.tolist(), strict=True)):
            answers[row].append(token)
            if len(answers[row]) < max_new_tokens and not end(row, answers[row]):
                kept.append(place)
        if not kept:
            return answers
        if len(kept) < len(rows):
            places = torch.tensor(kept, device=model.device)
            state.batch_select_indices(places)
            mask, positions, tokens = mask[places], positions[places], tokens[places]
            rows = [rows[place] for place in kept]
        mask = torch.cat([mask, mask.new_ones((len(rows), 1))], dim=1)
        logits = _forward(model, tokens.unsqueeze(1), mask, positions, state)
        positions = positions + 1


def _read(
    model: Any, prompts: Sequence[Sequence[int]], prefix: Prefix, pad: int
) -> tuple[Any, torch.Tensor, torch.Tensor]:
    """Read the prompts, longest first: the state after them, their attention mask, and the next token's logits."""
    import torch

    shared = prefix.prepare(model, prompts)
    width = len(prompts[0])
    masks, logits, states = [], [], []
    for first in range(0, len(prompts), READ_TOGETHER):
        group = [prompt[shared:] for prompt in prompts[first : first + READ_TOGETHER]]
        longest = len(group[0])
        ids = torch.tensor([[pad] * (longest - len(own)) + list(own) for own in group], device=model.device)
        mask = torch.tensor(
            [[1] * shared + [0] * (longest - len(own)) + [1] * len(own) for own in group], device=model.device
        )
        positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, shared:]
        state = repeated(prefix.state, model.config, len(group)) if shared else roomy_cache(model.config)
        logits.append(_forward(model, ids, mask, positions, state))
        states.append(state)
        # the gap to the longest prompt of all lies between what is shared and what is the prompt's own
        gap = mask.new_zeros((len(group), width - shared - longest))
        masks.append(torch.cat([mask[:, :shared], gap, mask[:, shared:]], dim=1))
    state = states[0] if len(states) == 1 else merged(states, model.config, shared, width)
    return state, torch.cat(masks), torch.cat(logits)


def _forward(model: Any, ids: torch.Tensor, mask: torch.Tensor, positions: torch.Tensor, state: Any) -> torch.Tensor:
    out = model(
        input_ids=ids,
        attention_mask=mask,
        position_ids=positions,
        past_key_values=state,
        use_cache=True,
        logits_to_keep=1,
    )
    return out.logits[:, -1]


def can_decode(model: Any) -> bool:
    """Whether ``decode_batch`` is right for a model: full attention in every layer, and no learned prompt."""
    import inspect

    from transformers import DynamicCache
    from transformers.cache_utils import DynamicLayer

    if getattr(model, "active_peft_config", None) is not None:
        return False
    taken = inspect.signature(model.forward).parameters
    if not {"position_ids", "past_key_values", "logits_to_keep"} <= set(taken):
        return False
    return all(type(layer) is DynamicLayer for layer in DynamicCache(config=model.config).layers)
