"""Batches in which no product stands twice: its second example would be a negative of the first.

As in ``batches``, lengths are alike and the order follows from the seed and the epoch alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from llmrec.train.batches import epoch_order


def product_batches(
    lengths: Sequence[int], products: Sequence[str], batch: int, *, seed: int, epoch: int, grouped: bool
) -> list[list[int]]:
    """The batches of one epoch.

    Args:
        lengths: Tokens of each example.
        products: Product (or group) of each example.
        batch: Most examples of a batch.
        grouped: Whether examples of like length come together.

    Returns:
        Every index once; as many batches in every epoch: ``ceil(n / batch)``, or as many as the commonest product has
        examples if that is more.
    """
    order = epoch_order(lengths, batch, seed=seed, epoch=epoch, grouped=grouped)
    count = max(-(-len(order) // batch), max(Counter(products).values(), default=0))
    found: list[list[int]] = [[] for _ in range(count)]
    held: list[dict[str, int]] = [{} for _ in range(count)]
    first = 0
    for index in order:
        while len(found[first]) >= batch:
            first += 1
        product = products[index]
        place = next((b for b in range(first, count) if product not in held[b] and len(found[b]) < batch), None)
        if place is None:
            # every batch with room has this product: a full one takes it, and gives one that fits where there is room
            place = next(b for b in range(count) if product not in held[b])
            room = next(b for b in range(first, count) if len(found[b]) < batch)
            other = next(name for name in held[place] if name not in held[room])
            moved = held[place].pop(other)
            found[place].remove(moved)
            found[room].append(moved)
            held[room][other] = moved
        found[place].append(index)
        held[place][product] = index
    return found


class ProductBatches:
    """A batch sampler for a ``DataLoader``; ``set_epoch`` (called by transformers) turns to another order."""

    drop_last = False

    def __init__(
        self, lengths: Sequence[int], products: Sequence[str], batch: int, *, seed: int, grouped: bool
    ) -> None:
        self.lengths, self.products = list(lengths), list(products)
        self.batch_size, self.seed, self.grouped = batch, seed, grouped
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Turn to the order of that epoch."""
        self.epoch = epoch

    def _batches(self) -> list[list[int]]:
        return product_batches(
            self.lengths, self.products, self.batch_size, seed=self.seed, epoch=self.epoch, grouped=self.grouped
        )

    def __iter__(self) -> Iterator[list[int]]:
        return iter(self._batches())

    def __len__(self) -> int:
        return max(-(-len(self.lengths) // self.batch_size), max(Counter(self.products).values(), default=0))
