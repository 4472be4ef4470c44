"""Batches under a budget of tokens, and what prompts share."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from llmrec.llm.batching import common_prefix, plan_batches


def test_longest_first_and_of_like_length() -> None:
    # width 30 + 10 = 40: two fit in 100; then 20 + 10 = 30: three
    assert plan_batches([10, 30, 20, 30, 20], 10, 100) == [[1, 3], [2, 4, 0]]


def test_a_prompt_above_the_budget_goes_alone() -> None:
    assert plan_batches([500, 5, 5], 10, 100) == [[0], [1, 2]]
    assert plan_batches([], 10, 100) == []
    assert plan_batches([1] * 5, 1, 1000, most=2) == [[0, 1], [2, 3], [4]]


def test_without_padding_only_equal_lengths_run_together() -> None:
    assert plan_batches([7, 9, 7, 9, 8], 10, 1000, padded=False) == [[1, 3], [4], [0, 2]]


@given(st.lists(st.integers(1, 400), max_size=60), st.integers(1, 100), st.integers(1, 2000))
def test_every_prompt_once_and_every_batch_within_the_budget(lengths, new, budget) -> None:
    batches = plan_batches(lengths, new, budget)
    assert sorted(i for batch in batches for i in batch) == list(range(len(lengths)))
    for batch in batches:
        assert len(batch) == 1 or len(batch) * (max(lengths[i] for i in batch) + new) <= budget


def test_common_prefix_leaves_each_a_token_of_its_own() -> None:
    assert common_prefix([[1, 2, 3], [1, 2, 4, 5]]) == 2
    assert common_prefix([[1, 2], [1, 2, 3]]) == 1
    assert common_prefix([[7, 8], [7, 8]]) == 1
    assert common_prefix([[1], [2]]) == 0
    assert common_prefix([]) == 0


@given(st.lists(st.lists(st.integers(0, 1), min_size=1, max_size=8), min_size=1, max_size=6))
def test_common_prefix_is_the_longest(prompts) -> None:
    length = common_prefix(prompts)
    limit = min(map(len, prompts)) - 1
    assert all(prompt[:length] == prompts[0][:length] for prompt in prompts)
    assert length == limit or len({prompt[length] for prompt in prompts}) > 1
