"""Which examples go into which batch: of like length, in an order that only the seed and the epoch decide.

Several answers to one prompt stand together: what a batch begins with alike is computed once (``ragged``).

The order is computed anew for every epoch and never drawn from torch's generator, so that a training that goes on in
the middle of an epoch sees the very batches that the unbroken one would have seen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

#: Batches whose examples are sorted together: more of them pad less, and mix less.
POOL = 32


def epoch_order(
    lengths: Sequence[int],
    batch: int,
    *,
    seed: int,
    epoch: int,
    grouped: bool,
    prompts: Sequence[int] = (),
    pool: int = POOL,
) -> list[int]:
    """Order of the examples in one epoch.

    Args:
        lengths: Tokens of each example.
        batch: Examples that are padded together.
        grouped: Whether examples of like length come together.
        prompts: Number of each example's prompt, where some have several answers; grouped, those stand together.
        pool: Batches that are sorted together.

    Returns:
        Every index once. Grouped, each stretch of ``batch`` holds like lengths and the stretches are shuffled; the
        longest stands first in the first epoch, so that memory that is too small is known at once.
    """
    rng = np.random.default_rng([seed, epoch])
    order = rng.permutation(len(lengths))
    if not grouped or len(order) <= batch:
        return order.tolist()
    sizes = np.asarray(lengths)
    if len(prompts):
        order, sizes = _by_prompt(order, sizes, np.asarray(prompts))
    width = batch * pool
    pools = [order[i : i + width] for i in range(0, len(order), width)]
    ranked = [part[np.argsort(-sizes[part], kind="stable")] for part in pools]
    batches = [part[i : i + batch] for part in ranked for i in range(0, len(part), batch)]
    # a short batch stays last: anywhere else it would shift the others out of step
    whole = [part for part in batches if len(part) == batch]
    rest = [part for part in batches if len(part) < batch]
    whole = [whole[i] for i in rng.permutation(len(whole))]
    if epoch == 0 and whole:
        longest = max(range(len(whole)), key=lambda i: int(sizes[whole[i]].max()))
        whole[0], whole[longest] = whole[longest], whole[0]
    return np.concatenate([*whole, *rest]).tolist()


def _by_prompt(
    order: NDArray[np.int64], sizes: NDArray[np.int64], prompts: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The order with each prompt's examples where its first one was, and for each example its prompt's longest."""
    place = np.full(prompts.max() + 1, len(order))
    np.minimum.at(place, prompts[order], np.arange(len(order)))
    longest = np.zeros_like(place)
    np.maximum.at(longest, prompts, sizes)
    return order[np.argsort(place[prompts[order]], kind="stable")], longest[prompts]


def padded(lengths: Sequence[int], batch: Sequence[int]) -> int:
    """Tokens of a batch with its padding."""
    return max(lengths[i] for i in batch) * len(batch)


class EpochSampler:
    """A sampler of indices for a ``DataLoader``; ``set_epoch`` (called by accelerate) turns to another order."""

    def __init__(
        self, lengths: Sequence[int], batch: int, *, seed: int, grouped: bool, prompts: Sequence[int] = ()
    ) -> None:
        self.lengths, self.batch, self.seed, self.grouped = list(lengths), batch, seed, grouped
        self.prompts = list(prompts)
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Turn to the order of that epoch."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[int]:
        order = epoch_order(
            self.lengths, self.batch, seed=self.seed, epoch=self.epoch, grouped=self.grouped, prompts=self.prompts
        )
        return iter(order)

    def __len__(self) -> int:
        return len(self.lengths)
