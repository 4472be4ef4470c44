"""The order of examples: each once, the same for the same seed and epoch, like lengths together."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmrec.train.batches import EpochSampler, epoch_order

LENGTHS = st.lists(st.integers(1, 500), min_size=1, max_size=200)


@given(LENGTHS, st.integers(1, 20), st.integers(0, 3), st.integers(0, 3), st.booleans())
def test_each_example_once_and_the_same_again(
    lengths: list[int], batch: int, seed: int, epoch: int, grouped: bool
) -> None:
    order = epoch_order(lengths, batch, seed=seed, epoch=epoch, grouped=grouped)
    assert sorted(order) == list(range(len(lengths)))
    assert order == epoch_order(lengths, batch, seed=seed, epoch=epoch, grouped=grouped)


@given(LENGTHS, st.integers(2, 20))
def test_like_lengths_stand_together(lengths: list[int], batch: int) -> None:
    order = epoch_order(lengths, batch, seed=0, epoch=1, grouped=True, pool=10**6)
    sizes = [lengths[i] for i in order]
    if len(lengths) > batch:
        # one pool: the batches are slices of the sorted lengths, the short one last
        whole = len(lengths) // batch
        slices = sorted(sorted(sizes[i * batch : (i + 1) * batch]) for i in range(whole))
        ranked = sorted(lengths, reverse=True)
        assert slices == sorted(sorted(ranked[i * batch : (i + 1) * batch]) for i in range(whole))


@given(LENGTHS, st.integers(1, 20))
def test_the_longest_comes_first_in_the_first_epoch(lengths: list[int], batch: int) -> None:
    order = epoch_order(lengths, batch, seed=0, epoch=0, grouped=True)
    whole = len(lengths) // batch * batch
    if len(lengths) > batch:
        assert max(lengths[i] for i in order[:batch]) == max(lengths[i] for i in order[:whole])


def test_epochs_and_seeds_differ() -> None:
    lengths = list(range(64))
    orders = [epoch_order(lengths, 4, seed=s, epoch=e, grouped=True) for s, e in ((0, 0), (0, 1), (1, 0))]
    assert len({tuple(order) for order in orders}) == 3
    sampler = EpochSampler(lengths, 4, seed=0, grouped=True)
    sampler.set_epoch(1)
    assert (list(sampler), len(sampler)) == (orders[1], 64)


def test_grouping_saves_padding() -> None:
    lengths = np.random.default_rng(0).geometric(0.02, 512).tolist()

    def padded(grouped: bool) -> int:
        order = epoch_order(lengths, 16, seed=0, epoch=1, grouped=grouped)
        return sum(16 * max(lengths[i] for i in order[start : start + 16]) for start in range(0, 512, 16))

    assert padded(True) < 1.2 * sum(lengths) < 2.5 * sum(lengths) < padded(False)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(1, 99)), min_size=1, max_size=60), st.integers(1, 9))
def test_with_prompts_too_each_example_once(rows: list[tuple[int, int]], batch: int) -> None:
    prompts, lengths = [prompt for prompt, _ in rows], [length for _, length in rows]
    order = epoch_order(lengths, batch, seed=0, epoch=1, grouped=True, prompts=prompts)
    assert sorted(order) == list(range(len(rows)))


def test_micro_batches_hold_whole_prompts() -> None:
    # ten prompts with three answers each, of lengths that would mix them
    prompts = [number for number in range(10) for _ in range(3)]
    lengths = [50 + (7 * i) % 13 for i in range(30)]
    for epoch in (0, 1):
        order = epoch_order(lengths, 6, seed=0, epoch=epoch, grouped=True, prompts=prompts)
        assert sorted(order) == list(range(30))
        assert all(len({prompts[i] for i in order[start : start + 3]}) == 1 for start in range(0, 30, 3))


@given(LENGTHS, st.integers(1, 20), st.integers(0, 2))
def test_prompts_with_one_answer_each_change_nothing(lengths: list[int], batch: int, epoch: int) -> None:
    same = {"seed": 0, "epoch": epoch, "grouped": True}
    assert epoch_order(lengths, batch, **same, prompts=range(len(lengths))) == epoch_order(lengths, batch, **same)
