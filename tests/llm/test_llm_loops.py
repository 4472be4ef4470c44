"""Loops are seen when a phrase is said again at once, and not when words merely come twice."""

from __future__ import annotations

from llmrec.llm.loops import LoopGuard, in_loop


def test_a_phrase_said_twice_is_a_loop() -> None:
    phrase = [5, 6, 7, 8, 9, 10, 11, 12, 13]
    assert in_loop([1, 2, *phrase, *phrase])
    assert not in_loop([1, 2, *phrase, *phrase[:-1]])
    assert not in_loop([*phrase, 99, *phrase])


def test_a_short_phrase_must_be_said_more_often() -> None:
    # one token: eight repeats of it, nine in all
    assert not in_loop([1, *[4] * 8])
    assert in_loop([1, *[4] * 9])
    # two tokens: eight repeated ones, five times in all
    assert not in_loop([3, 4] * 4)
    assert in_loop([3, 4] * 5)
    assert not in_loop([])


def test_longer_phrases_than_the_bound_are_not_looked_for() -> None:
    phrase = list(range(40))
    assert not in_loop(phrase * 2)
    assert in_loop(phrase * 2, longest=40)


def test_the_guard_ends_the_line_then_gives_up() -> None:
    guard = LoopGuard(newline=0, patience=1)
    tokens = [4] * 9
    assert guard.correct(tokens) == 0
    tokens.append(0)
    # what was before the break counts no more
    assert guard.correct(tokens) is None
    assert not guard.hopeless
    tokens += [4] * 8
    assert guard.correct(tokens) is None
    assert guard.correct([*tokens, 4]) == 0
    assert guard.hopeless


def test_without_a_line_break_a_looping_row_ends() -> None:
    guard = LoopGuard(newline=None)
    assert guard.correct([4] * 9) is None
    assert guard.hopeless
