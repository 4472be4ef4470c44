"""Calibrated decisions: what is promised comes true on contents that were not fitted on, and the artefact keeps it."""

from __future__ import annotations

import json
import random
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.errors import ArtefactError, InputError
from llmrec.index import Index
from llmrec.index.standing import Standing
from llmrec.match import Calibration, Matcher, MatchSettings, calibrate
from llmrec.match.decision import Bar, bars, calibration_error, fit_decider, reliability
from llmrec.match.signals import names_of, signals
from llmrec.records import Content, Hit, Match, Product, TimedText
from llmrec.storage import read_records, write_records
from tests.fakes import FakeEncoder

NAMES = ("lead", "noise")


def drawn(count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Lists of which the first product is right the more often, the larger its lead."""
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(count, 2))
    return rows, rng.random(count) < 1 / (1 + np.exp(-3 * rows[:, 0] - 0.5))


def fitted(count: int = 600):
    rows, right = drawn(count, 1)
    return fit_decider(rows, right, ~right, [str(i) for i in range(count)], NAMES).decider


def test_what_is_promised_comes_true_elsewhere() -> None:
    decider = fitted()
    rows, right = drawn(4000, 2)
    probability = decider.right.probability(rows)
    assert calibration_error(probability, right) < 0.03
    shown = probability >= decider.bar(0.9)
    assert right[shown].mean() > 0.87
    assert shown.mean() == pytest.approx(next(b.coverage for b in decider.bars if b.precision == 0.9), abs=0.06)
    np.testing.assert_allclose(decider.absent.probability(rows), 1 - probability, atol=0.05)


def test_a_higher_precision_shows_less() -> None:
    decider = fitted()
    assert [bar.probability for bar in decider.bars] == sorted(bar.probability for bar in decider.bars)
    with pytest.raises(InputError, match="never reached"):
        decider.bar(0.9999)


def test_a_signal_that_was_never_seen_does_not_decide_alone() -> None:
    decider = fitted()
    probability = decider.right.probability(np.array([[1e9, 0.0], [-1e9, 0.0], [5.0, 0.0]]))
    assert np.isfinite(probability).all()
    assert probability[0] == pytest.approx(decider.right.probability(np.array([[50.0, 0.0]]))[0])


def test_noise_is_not_taken_for_knowledge() -> None:
    rng = np.random.default_rng(0)
    right = rng.random(300) < 0.6
    names = [str(i) for i in range(300)]
    found = fit_decider(rng.normal(size=(300, 20)), right, ~right, names, names[:20])
    assert found.probability.std() < 0.1
    assert not [bar for bar in found.decider.bars if bar.coverage > 0.2]


@pytest.mark.parametrize(("count", "right"), [(40, 20), (100, 3), (100, 97)])
def test_too_little_is_refused(count: int, right: int) -> None:
    answers = [i < right for i in range(count)]
    with pytest.raises(InputError, match="too little to calibrate on"):
        fit_decider(np.zeros((count, 2)), answers, [not a for a in answers], [str(i) for i in range(count)], NAMES)


@given(st.lists(st.tuples(st.floats(0, 1), st.booleans()), min_size=1, max_size=60))
def test_bars_keep_their_word_on_what_they_were_chosen_on(pairs: list[tuple[float, bool]]) -> None:
    probability, truth = np.array([p for p, _ in pairs]), np.array([t for _, t in pairs])
    for bar in bars(probability, truth, np.ones(len(pairs))):
        shown = probability >= bar.probability
        assert truth[shown].mean() >= bar.precision
        assert shown.mean() == pytest.approx(bar.coverage)
    assert 0 <= calibration_error(probability, truth) <= 1
    assert sum(count for _, _, count in reliability(probability, truth)) == len(pairs)


def test_few_contents_promise_little() -> None:
    probability, truth = np.linspace(1, 0, 40), np.arange(40) < 38
    found = {bar.precision: bar for bar in bars(probability, truth, np.ones(40))}
    assert found[0.9] == Bar(0.9, float(probability[-1]), 1.0)
    assert found[0.98].coverage == pytest.approx(38 / 40)  # 38 of 38: the truth may be .982
    assert 0.99 not in found
    many = {bar.precision: bar for bar in bars(np.linspace(1, 0, 4000), np.arange(4000) < 3800, np.ones(4000))}
    assert many[0.95].coverage > 0.99 and many[0.99].coverage > 0.95


def test_signals_of_a_list() -> None:
    hits = [Hit("a", 5.0, "x"), Hit("b", 3.0, "x"), Hit("c", 1.0, "x")]
    z = np.array([[4.0, 1.0], [2.0, 3.0], [0.0, 0.0]], dtype=np.float32)
    standing = Standing(z, z / 10, ("bm25:title", "dense:title"), 0.75, True, np.array([True, False, False]))
    own = dict(zip(names_of(standing.parts, pairs=False), signals(hits, standing), strict=True))
    assert (own["score"], own["lead"], own["lead over ten"], own["products"]) == (5.0, 2.0, 3.0, 3.0)
    assert (own["known words"], own["names a model number"], own["another model number"]) == (0.75, 1.0, 1.0)
    assert (own["bm25:title z lead"], own["bm25:title rank"]) == (2.0, 0.0)
    assert (own["dense:title z lead"], own["dense:title rank"]) == (-2.0, 1.0)
    alone = signals(hits[:1], standing._replace(z=z[:1], raw=z[:1], other=standing.other[:1]))
    assert np.isfinite(alone).all()


KINDS, COLOURS = ("kettle", "lamp", "drill", "rug", "tent", "mug", "chair", "clock"), ("red", "blue", "green", "black")
PRODUCTS = [
    Product(f"{kind}-{colour}-{size}", f"{colour} {kind} {size} litre", description=f"a {kind} for the {colour} house")
    for kind in KINDS
    for colour in COLOURS
    for size in (1, 2, 5)
]


def asked(seed: int, count: int) -> tuple[list[Content], dict[str, dict[str, int]]]:
    """Queries for products of the catalog, some of them so short that several fit."""
    rng = random.Random(seed)
    contents, qrels = [], {}
    for number in range(count):
        product = rng.choice(PRODUCTS)
        kind, colour, size = product.id.split("-")
        text = rng.choice([f"{colour} {kind} {size} litre", f"{kind} {colour}", f"{kind}", f"{colour} {kind} {size}"])
        contents.append(Content(f"q{number}", "search", title=text))
        qrels[f"q{number}"] = {product.id: 1}
    return contents, qrels


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return Index.build(tmp_path_factory.mktemp("decision") / "index", PRODUCTS, FakeEncoder())


def test_a_calibration_is_kept_and_decides(index: Index, tmp_path: Path) -> None:
    contents, qrels = asked(1, 160)
    calibrate(Matcher(index), contents, qrels).save(tmp_path / "c")
    assert {path.name for path in (tmp_path / "c").iterdir()} == {
        "decider.json", "pairs.json", "reliability.png", "sets.json", "manifest.json",
    }  # fmt: skip
    made = Calibration.load(tmp_path / "c")
    later, right = asked(2, 160)
    later += [Content(f"none{i}", "search", title=f"{word} bicycle pump") for i, word in enumerate(COLOURS * 5)]
    matches = list(Matcher(index, calibration=made, min_precision=0.9).match(later))
    shown = [match for match in matches if match.no_match.decision is False]
    good = [m.products[0].product_id in right.get(m.content_id, {}) for m in shown]
    assert np.mean(good) >= 0.8 and len(shown) >= 30
    assert not [match for match in shown if match.content_id.startswith("none")]
    for match in matches:
        first, *rest = match.products
        assert first.probability is not None and match.no_match.probability is not None
        assert 0 <= first.probability + match.no_match.probability <= 1 + 1e-9
        assert all(product.probability is None for product in rest)
    # without a precision there are probabilities and no decision, and the products are the same
    undecided = list(Matcher(index, calibration=made).match(later[:5]))
    assert [m.no_match.decision for m in undecided] == [None] * 5
    assert [m.products for m in undecided] == [m.products for m in matches[:5]]


def test_the_catalog_that_it_was_made_for(index: Index, tmp_path: Path) -> None:
    contents, qrels = asked(1, 120)
    made = calibrate(Matcher(index), contents, qrels, absent=0.3)
    words = Index.build(tmp_path / "words", PRODUCTS, None)
    with pytest.raises(ArtefactError, match="another encoder"):
        Matcher(words, calibration=made)
    with pytest.raises(InputError, match="without a calibration"):
        Matcher(index, min_precision=0.9)
    with pytest.raises(InputError, match="absent=1"):
        calibrate(Matcher(index), contents, qrels, absent=1.0)
    made.save(tmp_path / "c")
    (tmp_path / "c" / "decider.json").write_text("{}")
    with pytest.raises(ArtefactError):
        Calibration.load(tmp_path / "c")


def test_contents_without_text_and_filters_do_not_break_it(index: Index) -> None:
    contents, qrels = asked(1, 120)
    # misread text alone: nothing is asked by words or vectors, and something is found by pieces of words
    unread = [Content(f"u{i}", "video", timed_text=(TimedText(0, 1, "keftle rcd", "screen", 0.3),)) for i in range(3)]
    qrels |= {content.id: {"kettle-red-1": 1} for content in unread}
    where = MatchSettings(where='not (title contains "rug" or title contains "clock")')
    made = calibrate(Matcher(index, settings=where), contents + unread, qrels)
    found = list(Matcher(index, settings=where, calibration=made, min_precision=0.8).match(contents + unread))
    assert all(m.products[0].probability is not None for m in found if m.products)
    rugs = [m for m in found if m.content_id in qrels and any("rug" in id for id in qrels[m.content_id])]
    # a product that the filter leaves out is one that the catalog does not have
    assert rugs and np.mean([m.no_match.probability or 0 for m in rugs]) > 0.5
    ghost = Content("media", "video", media="clip.mp4")
    with pytest.raises(InputError, match=r"media"):
        calibrate(Matcher(index), [*contents, ghost], {**qrels, "media": {"kettle-red-1": 1}})


def test_the_share_of_contents_without_a_product_is_kept(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    told: dict[str, float] = {}

    def spy(rows, right, absent, groups, names, *, weights, seed):
        told["share"] = weights[np.array(absent)].sum() / weights.sum()
        raise InputError("enough", next_step="Stop.")

    monkeypatch.setattr("llmrec.match.calibration.fit_decider", spy)
    contents, qrels = asked(1, 100)
    none = [Content(f"none{i}", "search", title=f"{COLOURS[i % 4]} bicycle pump") for i in range(60)]
    for extra in (none, none[:5], []):
        with pytest.raises(InputError, match="enough"):
            judged = {**qrels, **{content.id: {} for content in extra}}
            calibrate(Matcher(index), contents + extra, judged, absent=0.2)
        assert told["share"] == pytest.approx(0.2)


def test_contents_without_a_product_tell_their_share(index: Index) -> None:
    contents, qrels = asked(1, 100)
    none = [Content(f"none{i}", "search", title=f"{COLOURS[i % 4]} bicycle pump") for i in range(30)]
    made = calibrate(Matcher(index), contents + none, {**qrels, **{content.id: {} for content in none}})
    assert made.decider.measured["contents"] == 130
    before = calibrate(Matcher(index), contents, qrels)
    assert before.decider.measured["contents"] == 100


def test_on_the_command_line(tmp_path: Path) -> None:
    Index.build(tmp_path / "index", PRODUCTS, None)
    contents, qrels = asked(1, 120)
    write_records(tmp_path / "dev.jsonl", contents, Content)
    rows = [f"{content}\t{product}\n" for content, own in qrels.items() for product in own]
    (tmp_path / "qrels.tsv").write_text("content_id\tproduct_id\n" + "".join(rows))
    folder = str(tmp_path / "c")

    def run(*arguments: str):
        return CliRunner().invoke(app, list(arguments))

    common = ["--index", str(tmp_path / "index")]
    command = ["calibrate", str(tmp_path / "dev.jsonl"), *common, "--qrels", str(tmp_path / "qrels.tsv"), "-o", folder]
    done = run(*command, "--json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["contents"] == 120
    again = run(*command)
    assert again.exit_code == 2 and "Add --replace" in again.output
    assert "--min-precision" in run(*command, "--replace").stdout
    out = ["-o", str(tmp_path / "m.jsonl"), "--calibration", folder]
    matched = run("match", str(tmp_path / "dev.jsonl"), *common, *out, "--min-precision", "0.8")
    assert matched.exit_code == 0, matched.output
    assert "have no match in the catalog" in matched.stdout
    records = list(read_records(tmp_path / "m.jsonl", Match))
    assert {record.no_match.decision for record in records} == {True, False}
    lone = run("match", str(tmp_path / "dev.jsonl"), *common, "-o", str(tmp_path / "n.jsonl"), "--min-precision", "0.9")
    assert lone.exit_code == 2 and "wants a calibration" in lone.output
    both = run("match", "-", *common, "-o", "-", "--calibration", folder, "--merge")
    assert both.exit_code == 2 and "a calibration says nothing" in both.output
    (tmp_path / "other.tsv").write_text("content_id\tproduct_id\nx\ty\n")
    command[command.index("--qrels") + 1] = str(tmp_path / "other.tsv")
    wrong = run(*command[:-1], str(tmp_path / "d"))
    assert wrong.exit_code == 2 and "says nothing of the contents" in wrong.output
    assert not (tmp_path / "d").exists()
