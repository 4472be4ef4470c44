"""Which frames are kept."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from llmrec.video.choosing import SAME, choose, difference
from llmrec.video.frames import Candidate, laplacian_variance


def candidate(time: float, level: int, sharpness: float = 1.0, half: int | None = None) -> Candidate:
    """A frame of one grey level on the left and another on the right, so that it is not blank."""
    small = np.full((27, 48, 3), level, np.uint8)
    small[:, 24:] = 255 - level if half is None else half
    return Candidate(time, small, sharpness, None)


def test_difference_is_half_the_mean_and_half_the_most_changed_part() -> None:
    one, other = np.zeros((27, 48, 3), np.uint8), np.zeros((27, 48, 3), np.uint8)
    other[0, :32, 1] = 100  # 32 of 1296 pixels; the most changed twentieth is 64 pixels
    assert difference(one, other) == (32 * 100 / 1296 + 32 * 100 / 64) / 2
    assert difference(one, one) == 0


def test_a_still_shot_gives_one_run_with_its_sharpest_frame() -> None:
    runs = choose([candidate(t, 50, sharpness) for t, sharpness in enumerate([1.0, 5.0, 2.0])], budget=12)
    assert [(run.start, run.end, run.best.time, run.shot) for run in runs] == [(0, 2, 1, 0)]


def test_scenes_are_runs_and_cuts_are_shots() -> None:
    frames = [candidate(t, level) for t, level in enumerate([20, 20, 120, 120, 240, 240])]
    runs = choose(frames, budget=12)
    assert [(run.start, run.end, run.shot) for run in runs] == [(0, 2, 0), (2, 4, 1), (4, 5, 2)]


def test_what_comes_again_is_kept_once() -> None:
    runs = choose([candidate(t, level) for t, level in enumerate([20, 120, 20, 120, 20])], budget=12)
    assert len(runs) == 2


def test_over_budget_the_blurrier_of_the_most_alike_goes() -> None:
    # 20 and 30 are the most alike (difference 10); 30 is sharper
    frames = [candidate(0, 20, 1.0), candidate(1, 30, 2.0), candidate(2, 80, 1.0), candidate(3, 120, 1.0)]
    runs = choose(frames, budget=3)
    assert [run.best.time for run in runs] == [1, 2, 3]
    assert (runs[0].start, runs[0].end) == (0, 2)  # it stands for the time of both


def test_blank_frames_are_kept_only_if_there_is_nothing_else() -> None:
    black = Candidate(0, np.zeros((27, 48, 3), np.uint8), 0.0, None)
    assert [run.best.time for run in choose([black, candidate(1, 90)], 12)] == [1]
    assert [run.best.time for run in choose([candidate(0, 90), black._replace(time=1)], 12)] == [0]
    assert len(choose([black], 12)) == 1
    assert choose([], 12) == []


@given(st.lists(st.integers(0, 255), max_size=60), st.integers(1, 6))
def test_any_clip_keeps_to_the_budget_in_order_and_without_likes(levels: list[int], budget: int) -> None:
    runs = choose([candidate(t, level, half=level // 2) for t, level in enumerate(levels)], budget)
    times = [run.best.time for run in runs]
    assert times == sorted(times) and len(runs) <= budget and bool(runs) == bool(levels)
    assert all(run.start <= run.best.time <= run.end for run in runs)
    pairs = [(a, b) for i, a in enumerate(runs) for b in runs[:i]]
    assert all(difference(a.best.small, b.best.small) >= SAME for a, b in pairs)


def test_laplacian_variance_by_hand() -> None:
    grey = np.zeros((3, 4), np.uint8)
    grey[1, 1] = 10  # the two inner pixels see -40 and 10: mean -15, variance 625
    assert laplacian_variance(grey) == 625.0
