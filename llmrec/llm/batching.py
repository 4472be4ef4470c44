"""Which prompts run together: of like length, under a budget of tokens; and what all of them begin with."""

from __future__ import annotations

from collections.abc import Sequence


def plan_batches(
    lengths: Sequence[int], new_tokens: int, budget: int, *, most: int = 64, padded: bool = True
) -> list[list[int]]:
    """Group prompts of like length, longest first, so that little is padding and a lack of memory shows at once.

    Args:
        lengths: Tokens of each prompt.
        new_tokens: Tokens that each answer may take.
        budget: Most tokens of a batch, padding and answers included; a prompt above it goes alone.
        most: Most prompts of a batch.
        padded: Whether prompts of unlike length may run together.

    Returns:
        The positions of the prompts, batch by batch; each position once.
    """
    batches: list[list[int]] = []
    width = 0
    for position in sorted(range(len(lengths)), key=lambda i: (-lengths[i], i)):
        full = not batches or len(batches[-1]) >= most or (len(batches[-1]) + 1) * width > budget
        if full or (not padded and lengths[position] + new_tokens != width):
            batches.append([])
            width = lengths[position] + new_tokens
        batches[-1].append(position)
    return batches


def common_prefix(prompts: Sequence[Sequence[int]]) -> int:
    """Tokens that all prompts begin with, leaving each at least one of its own."""
    if not prompts:
        return 0
    first, last = min(prompts, key=list), max(prompts, key=list)
    limit = min(len(prompt) for prompt in prompts) - 1
    length = 0
    while length < limit and first[length] == last[length]:
        length += 1
    return length
