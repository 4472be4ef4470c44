"""Sets of answers: their scores by hand, their coverage on draws, and what a match says of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.errors import ArtefactError, InputError
from llmrec.index import Index
from llmrec.match import Calibration, Matcher, MatchSettings, calibrate
from llmrec.match.conformal import PENALTY, WIDTH, Answer, Masses, fit_sets, masses, members, utilities_of
from llmrec.records import Content, Match, Product
from llmrec.storage import read_records, write_records


def test_scores_of_answers_by_hand() -> None:
    # .25 is left for the second and the third, two parts to one
    found = masses(0.6, 0.15, np.log([9.0, 2.0, 1.0]))
    np.testing.assert_allclose(found.products, [0.0, 0.6, 0.6 + 0.5 / 3 + 0.15 + PENALTY])
    assert found.none == pytest.approx(0.6 + 0.5 / 3)
    assert members(found, 0.0) == (1, False)
    assert members(found, 0.7) == (2, False)
    assert members(found, 0.8) == (2, True)
    assert members(found, 1.0) == (3, True)
    # what is likelier than the first product stands before it
    unlikely = masses(0.1, 0.8, np.zeros(2))
    assert unlikely.none == 0.0 and unlikely.products[0] == pytest.approx(0.8)
    assert members(masses(0.0, 1.0, np.zeros(0)), 0.0) == (0, True)


@given(st.floats(0, 1), st.floats(0, 1), st.lists(st.floats(-50, 50), min_size=1, max_size=30), st.floats(0, 1.2))
def test_sets_are_beginnings_of_lists_and_never_empty(
    right: float, absent: float, utilities: list[float], bar: float
) -> None:
    found = masses(right, min(absent, 1 - right), np.array(utilities))
    assert len(found.products) == min(len(utilities), WIDTH)
    assert (np.diff(found.products) >= -1e-12).all() and np.isfinite(found.products).all()
    count, none = members(found, bar)
    assert count or none
    wider, still = members(found, bar + 0.1)
    assert wider >= count and still >= none


def test_a_list_that_was_not_looked_at_as_a_whole_speaks_by_its_first_scores() -> None:
    scores, mixed = np.array([3.0, 1.0]), np.array([2.0, -1.0])
    assert utilities_of(scores, mixed, 2.0).tolist() == [2.0, -1.0]
    assert utilities_of(scores, np.array([2.0, np.nan]), 2.0).tolist() == [2.0, -2.0]
    assert utilities_of(scores, None, 2.0).tolist() == [2.0, -2.0]


def drawn(count: int, rng: np.random.Generator) -> list[tuple[Masses, int]]:
    """Lists of eight products and their right answers, 8 for "no match"; the probabilities are not quite true."""
    found = []
    for _ in range(count):
        logits = rng.normal(size=9) * 2
        truth = int(rng.choice(9, p=np.exp(logits) / np.exp(logits).sum()))
        logits[:8] = -np.sort(-logits[:8]) if truth == 8 else logits[:8]
        order = np.argsort(-logits[:8])
        said = np.exp(0.7 * logits) / np.exp(0.7 * logits).sum()
        place = truth if truth == 8 else int(np.flatnonzero(order == truth)[0])
        found.append((masses(float(said[order[0]]), float(said[8]), 0.7 * logits[order]), place))
    return found


def answer(scores: Masses, place: int) -> Answer:
    return Answer(scores.none, 1, 1.0) if place == 8 else Answer(float(scores.products[place]), 0, 1.0)


@pytest.mark.parametrize("alpha", [0.05, 0.2])
def test_sets_hold_the_right_answer_as_often_as_asked(alpha: float) -> None:
    rng = np.random.default_rng(0)
    covered, sizes = [], []
    for _ in range(30):
        sets = fit_sets([answer(*one) for one in drawn(200, rng)], 1.0, held_out=True)
        bar = sets.bar(alpha)
        for scores, place in drawn(100, rng):
            count, none = members(scores, bar)
            covered.append(none if place == 8 else place < count)
            sizes.append(count + none)
    # 3,000 answers over 30 bars: the mean lies within about .02 of what is asked, and sets are not needlessly long
    assert 1 - alpha - 0.015 <= np.mean(covered) <= 1 - alpha + 0.035
    assert np.mean(sizes) < 6.0


def test_what_cannot_be_reached_is_refused() -> None:
    answers = [Answer(0.1 if i else math.inf, 0, 1.0) for i in range(19)]
    sets = fit_sets(answers, 1.0, held_out=False)
    # 18 of 19 and one to come: .9
    assert sets.bar(0.1) == pytest.approx(0.1)
    with pytest.raises(InputError, match="do not hold the right one that often") as caught:
        sets.bar(0.05)
    assert "Ask for 0.1 at least" in str(caught.value.next_step)
    for wrong in (0.0, 1.0):
        with pytest.raises(InputError, match="a share"):
            sets.bar(wrong)
    with pytest.raises(InputError):
        fit_sets([], 1.0, held_out=False).bar(0.5)


def test_kinds_are_weighed_by_how_common_they_are() -> None:
    there = [Answer(i / 100, 0, 0.8) for i in range(100)]
    gone = [Answer(0.5 + i / 200, 1, 0.2) for i in range(100)]
    sets = fit_sets([*there, *gone], 1.0, held_out=False)
    assert sets.share == pytest.approx(0.2)
    bar = sets.bar(0.3)
    reached = 0.8 * sum(own.score <= bar for own in there) / 101 + 0.2 * sum(own.score <= bar for own in gone) / 101
    assert reached == pytest.approx(0.7, abs=0.01)


KINDS, COLOURS = ("kettle", "lamp", "drill", "rug", "tent", "mug", "chair", "clock"), ("red", "blue", "green", "black")
PRODUCTS = [
    Product(f"{kind}-{colour}-{size}", f"{colour} {kind} {size} litre")
    for kind in KINDS
    for colour in COLOURS
    for size in (1, 2, 5)
]


def asked(seed: int, count: int) -> tuple[list[Content], dict[str, dict[str, int]]]:
    rng = np.random.default_rng(seed)
    contents, qrels = [], {}
    for number in range(count):
        own = PRODUCTS[rng.integers(len(PRODUCTS))]
        kind, colour, size = own.id.split("-")
        # of half of them the size is not told: three products fit
        text = f"{colour} {kind} {size} litre" if rng.random() < 0.5 else f"{colour} {kind}"
        contents.append(Content(f"q{number}", "search", title=text))
        qrels[f"q{number}"] = {own.id: 1}
    return contents, qrels


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.match.decision.STRENGTHS", (0.1,))


def test_a_match_is_cut_to_its_set(tmp_path: Path) -> None:
    index = Index.build(tmp_path / "index", PRODUCTS, None)
    contents, qrels = asked(1, 150)
    made = calibrate(Matcher(index), contents, qrels, absent=0.2, hold_out=0.4)
    assert made.sets is not None and made.sets.held_out
    assert 40 <= len(made.sets.scores[0]) <= 80
    made.save(tmp_path / "c")
    opened = Calibration.load(tmp_path / "c")
    assert opened.sets == made.sets
    later, right = asked(2, 100)
    matches = list(Matcher(index, calibration=opened, alpha=0.2, settings=MatchSettings(evidence=0)).match(later))
    held = [any(own.product_id in right[m.content_id] for own in m.products) for m in matches]
    # of a fifth of what it was made for the catalog has no product: here it has all
    assert np.mean(held) >= 0.75
    sizes = np.array([len(m.products) for m in matches])
    told = np.array(["litre" in content.title for content in later])
    assert sizes[told].mean() < sizes[~told].mean() <= 6
    assert all(m.no_match.possible is not None for m in matches)
    assert {m.no_match.possible for m in Matcher(index, calibration=opened).match(later[:3])} == {None}
    with pytest.raises(InputError, match="sets are asked for without a calibration"):
        Matcher(index, alpha=0.1)
    with pytest.raises(InputError, match="k=3: sets may hold 10"):
        Matcher(index, calibration=opened, alpha=0.1, settings=MatchSettings(k=3))
    with pytest.raises(InputError, match="hold_out=1"):
        calibrate(Matcher(index), contents, qrels, hold_out=1.0)
    opened.sets = None
    with pytest.raises(ArtefactError, match="before there were sets"):
        Matcher(index, calibration=opened, alpha=0.1)


def test_on_the_command_line(tmp_path: Path) -> None:
    Index.build(tmp_path / "index", PRODUCTS, None)
    contents, qrels = asked(1, 100)
    write_records(tmp_path / "dev.jsonl", contents, Content)
    rows = [f"{content}\t{own}\n" for content, right in qrels.items() for own in right]
    (tmp_path / "qrels.tsv").write_text("content_id\tproduct_id\n" + "".join(rows))
    common = [str(tmp_path / "dev.jsonl"), "--index", str(tmp_path / "index")]

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, list(arguments))

    folder = str(tmp_path / "c")
    done = run("calibrate", *common, "--qrels", str(tmp_path / "qrels.tsv"), "-o", folder, "--absent", "0.2")
    assert done.exit_code == 0, done.output
    out = str(tmp_path / "m.jsonl")
    matched = run("match", *common, "-o", out, "--calibration", folder, "--alpha", "0.2", "--json")
    assert matched.exit_code == 0, matched.output
    told = json.loads(matched.stdout)["sets"]
    records = list(read_records(out, Match))
    assert told["products"] == sum(len(record.products) for record in records) < 1000
    assert told["no_match_possible"] == sum(record.no_match.possible is True for record in records)
    lone = run("match", *common, "-o", str(tmp_path / "n.jsonl"), "--alpha", "0.2")
    assert lone.exit_code == 2 and "--alpha wants a calibration" in lone.output
