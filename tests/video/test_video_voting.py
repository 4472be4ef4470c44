"""Votes over readings of one line."""

from __future__ import annotations

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.video.voting import SUREST, Reading, vote


def test_each_place_goes_to_the_character_with_most_confidence_behind_it() -> None:
    assert vote([Reading("CAMEEBODON", 0.6), Reading("CAMPRODOM", 0.6), Reading("CAMPRUDON", 0.6)]).text == "CAMPRODON"


def test_agreement_of_pictures_leaves_less_doubt_than_that_of_looks_at_one() -> None:
    weak = [Reading("HEEZ", 0.5), Reading("HEEZ", 0.5)]
    assert vote(weak) == Reading("HEEZ", 0.75)  # 1 - 0.5 * 0.5
    assert vote(weak, [3, 3]) == Reading("HEEZ", 0.5)


def test_a_lone_reading_stands_as_it_is() -> None:
    assert vote([Reading("SAVE $1.50", 0.7)]) == Reading("SAVE $1.50", 0.7)


def test_six_weak_readings_beat_one() -> None:
    chance = random.Random(0)
    name = "CHUNKY CHICKEN"

    def misread() -> Reading:
        return Reading("".join(chance.choice("AEHINORSTU") if chance.random() < 0.25 else c for c in name), 0.5)

    trials = [[misread() for _ in range(6)] for _ in range(50)]
    single = sum(readings[0].text == name for readings in trials)
    pooled = sum(vote(readings).text == name for readings in trials)
    assert single <= 5
    assert pooled >= 35


@given(st.lists(st.builds(Reading, st.text("abAB1 ", max_size=6), st.floats(0.05, 1)), min_size=1, max_size=8))
def test_confidence_stays_a_confidence(readings: list[Reading]) -> None:
    voted = vote(readings)
    assert 0 <= voted.confidence <= (SUREST if len(readings) > 1 else 1)
    assert len(voted.text) <= sum(len(reading.text) for reading in readings)
    if len({reading.text for reading in readings}) == 1:
        assert voted.text.split() == readings[0].text.split()


def test_no_confidence_is_no_fault() -> None:
    assert vote([Reading("A", 0.0), Reading("B", 0.0)]).confidence == pytest.approx(0.0)
