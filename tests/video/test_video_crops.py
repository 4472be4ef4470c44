"""Which pictures of a folder are looked at."""

from __future__ import annotations

from PIL import Image

from llmrec.video.crops import MOST, choose_pictures
from llmrec.video.images import image_candidate


def stills(count: int, size: tuple[int, int]) -> list:
    return [image_candidate(Image.new("RGB", size, (40 * (i % 6), 99, 20)), float(i)) for i in range(count)]


def test_all_crops_are_looked_at_even_alike_ones() -> None:
    runs = choose_pictures(iter([*stills(3, (60, 80)), *stills(3, (60, 80))]), 4)
    assert len(runs) == 6
    assert [(run.start, run.end) for run in runs][:2] == [(0.0, 1.0), (1.0, 2.0)]


def test_of_full_frames_and_of_many_crops_the_budget_is_kept() -> None:
    assert len(choose_pictures(iter(stills(6, (640, 480))), 4)) == 4
    assert len(choose_pictures(iter(stills(MOST + 2, (60, 80))), 4)) == 4
    assert len(choose_pictures(iter([*stills(2, (60, 80)), *stills(4, (640, 480))]), 3)) == 3
