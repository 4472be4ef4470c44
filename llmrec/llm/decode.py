"""Answers for a batch of prompts: one pass over what all begin with, one over the rest, then a token for all at a time.

Against ``model.generate`` this saves two things that count on a processor: what all prompts begin with (instruction
and worked example) is computed once and not for each of them, and a row that has ended leaves the batch. The numbers
are the same: attention masks and positions are those of left padding.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from typing import TYPE_CHECKING, Any

from llmrec.llm.batching import common_prefix

if TYPE_CHECKING:
    from llmrec.llm.sampling import Chooser

#: Shorter beginnings than this are not worth a pass of their own.
SHORTEST_PREFIX = 24


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

    shared = prefix.prepare(model, prompts)
    width = max(len(prompt) for prompt in prompts) - shared
    ids = torch.full((len(prompts), width), pad)
    mask = torch.zeros((len(prompts), shared + width), dtype=torch.long)
    mask[:, :shared] = 1
    for row, prompt in enumerate(prompts):
        own = prompt[shared:]
        ids[row, width - len(own) :] = torch.tensor(own)
        mask[row, shared + width - len(own) :] = 1
    ids, mask = ids.to(model.device), mask.to(model.device)
    state = None
    if shared:
        state = deepcopy(prefix.state)
        state.batch_repeat_interleave(len(prompts))

    answers: list[list[int]] = [[] for _ in prompts]
    rows = list(range(len(prompts)))
    positions = (mask.cumsum(dim=1) - 1).clamp(min=0)[:, shared:]
    while True:
        out = model(
            input_ids=ids,
            attention_mask=mask,
            position_ids=positions,
            past_key_values=state,
            use_cache=True,
            logits_to_keep=1,
        )
        state = out.past_key_values
        tokens = chooser.choose(out.logits[:, -1], rows)
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
        ids = tokens.unsqueeze(1)
        mask = torch.cat([mask, mask.new_ones((len(rows), 1))], dim=1)
        positions = positions[:, -1:] + 1


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
