"""A second look: which lists get one, in which order and for how long, how scores mix, and what an artefact keeps."""

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
from llmrec.errors import ArtefactError, InputError, ModelError
from llmrec.index import Index
from llmrec.llm.next_word import MOST, word_odds
from llmrec.match import Calibration, Matcher, MatchSettings, Reranking, calibrate, load_scorer, open_reranking
from llmrec.match.budget import Clock, in_turn
from llmrec.match.mixing import Candidates, Mix, fit_mix, order_of, standard
from llmrec.match.reranking import falling, lead, looked_at, reordered
from llmrec.match.scorers import Scorer, of_generator, of_reranker
from llmrec.prompting.pair_features import PairFeatures
from llmrec.prompting.pair_matcher import PairMatcher
from llmrec.prompting.pair_question import pair_conversation
from llmrec.records import Content, Hit, Match, Product, Query
from llmrec.storage import read_records, write_records
from llmrec.train import pair_trees
from llmrec.train.pair_trees import grow_trees
from tests.fakes import FakeEncoder, FakeGenerator, FakeReranker

SCORES = np.array([5.0, 4.0, 3.0, 2.0])


def hits(*scores: float) -> list[Hit]:
    return [Hit(f"p{i}", score, "match") for i, score in enumerate(scores)]


def product(id: str) -> Product:
    return Product(id, f"title of {id}")


def scorer(ask: Any, probable: bool = True) -> Scorer:
    return Scorer("fake", "fake-digest", probable, ask)


def test_the_clock_stops_before_the_time_is_over() -> None:
    now = [0.0]

    def spend(count: int, each: float) -> None:
        now[0] += count * each

    clock = Clock(lambda: now[0])
    parts = []
    for part in clock.chunks(range(1000), 2.0):
        parts.append(len(part))
        spend(len(part), 0.01)
    # 8 to learn from, then chunks of 64, then what is left of 200 pairs
    assert parts == [8, 64, 64, 64] and now[0] <= 2.0 + 1e-9
    assert list(clock.chunks(range(10), 0.005)) == []
    assert sum(map(len, clock.chunks(range(1000), None))) == 1000


def test_a_slow_moment_does_not_end_all_looking() -> None:
    now = [0.0]
    clock = Clock(lambda: now[0])
    for _ in clock.chunks(range(8), 1.0):
        now[0] += 80.0
    looks = []
    for _ in range(20):
        for part in clock.chunks(range(8), 1.0):
            looks.append(len(part))
            now[0] += 0.01 * len(part)
    assert looks and looks[-1] == 8


def test_the_best_placed_of_the_most_doubtful_come_first() -> None:
    turn = in_turn([0.9, 0.1], [7, 6])
    assert turn[:5] == [(1, place) for place in range(5)]
    assert turn[5:10] == [(0, place) for place in range(5)]
    assert turn[10:] == [(1, 5), (0, 5), (0, 6)]


@given(st.lists(st.tuples(st.floats(0, 1), st.integers(0, 40)), max_size=6))
def test_every_candidate_has_its_turn_once(lists: list[tuple[float, int]]) -> None:
    turn = in_turn([doubt for doubt, _ in lists], [depth for _, depth in lists])
    assert sorted(turn) == [(i, place) for i, (_, depth) in enumerate(lists) for place in range(depth)]


def test_what_was_not_looked_at_keeps_its_place_behind() -> None:
    logits = np.array([-3.0, 2.0, np.nan, np.nan])
    second = reordered([*hits(5, 4, 3, 2, 1)], logits, 4, Mix(0.5, 1.0))
    assert [hit.product_id for hit in second.hits] == ["p1", "p0", "p2", "p3", "p4"]
    # the scores stay where they are, so that they fall with the rank
    assert [hit.score for hit in second.hits] == [5, 4, 3, 2, 1]
    assert second.logits[:2].tolist() == [2.0, -3.0] and second.order.tolist() == [1, 0, 2, 3]
    assert (second.about.looked, second.about.of) == (2, 4)
    # z of 5, 4, 3, 2 are ±1.342 and ±.447
    np.testing.assert_allclose(second.mixed[:2], [2 + 0.5 * 0.4472, -3 + 0.5 * 1.3416], atol=1e-3)
    assert np.isnan(second.mixed[2:]).all()


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=30), st.data())
def test_a_new_order_is_told_by_rank_and_by_score(scores: list[float], data: st.DataObject) -> None:
    ranked = hits(*sorted(scores, reverse=True))
    size = data.draw(st.integers(0, len(ranked)))
    logits = np.array(data.draw(st.lists(st.floats(-12, 12) | st.just(math.nan), min_size=size, max_size=size)))
    second = reordered(ranked, logits, size, Mix(1.0, 1.0))
    assert sorted(hit.product_id for hit in second.hits) == sorted(hit.product_id for hit in ranked)
    assert second.hits[size:] == ranked[size:] or falling([h.score for h in ranked]) != [h.score for h in ranked]
    if second.order.tolist() != list(range(size)):
        assert all(a.score > b.score for a, b in zip(second.hits, second.hits[1:], strict=False))


def test_standard_scores() -> None:
    assert standard(np.array([3.0, 3.0])).tolist() == [0.0, 0.0]
    assert standard(np.array([1.0, 3.0])).tolist() == [-1.0, 1.0]
    assert lead(hits(3, 1)) == 2.0 and lead(hits(3)) == math.inf


def drawn(count: int, told: float, seed: int) -> list[Candidates]:
    """Lists of ten of which the first stage and the reranker each know something."""
    rng = np.random.default_rng(seed)
    lists = []
    for _ in range(count):
        right = np.arange(10) == rng.integers(10)
        scores = rng.normal(size=10) + 2.0 * right
        logits = rng.normal(size=10) + told * right
        order = np.argsort(-scores)
        lists.append(Candidates(scores[order], logits[order], right[order]))
    return lists


def test_a_reranker_that_knows_something_helps() -> None:
    lists = drawn(400, 3.0, 1)
    mix, gain = fit_mix(lists, [str(i) for i in range(400)])
    assert gain.helps and mix.first > 0 and mix.second > mix.first
    assert gain.measured["recall@1 reranked"] > gain.measured["recall@1 first"] + 0.2
    other = drawn(2000, 3.0, 2)
    before = np.mean([own.right[0] for own in other])
    after = np.mean([own.right[order_of(mix.scores(own.scores, own.logits))[0]] for own in other])
    assert after == pytest.approx(gain.measured["recall@1 reranked"], abs=0.04) and after > before + 0.2


@pytest.mark.parametrize("told", [0.0, -2.0])
def test_a_reranker_that_knows_nothing_is_left_out(told: float) -> None:
    found = [fit_mix(drawn(300, told, seed), [str(i) for i in range(300)]) for seed in range(10)]
    # by luck it may seem to help a little: a gain of more than its standard error, as one in six has
    assert sum(gain.helps for _, gain in found) <= (0 if told else 3)
    assert all(mix.second < 0.2 * mix.first for mix, _ in found)


def test_the_scale_of_a_reranker_does_not_matter() -> None:
    lists = drawn(300, 2.0, 4)
    groups = [str(i) for i in range(300)]
    plain = fit_mix(lists, groups)[1].measured
    for scale in (1e-3, 50.0):
        own = fit_mix([one._replace(logits=one.logits * scale + 7) for one in lists], groups)[1].measured
        assert own["mrr@10 reranked"] == pytest.approx(plain["mrr@10 reranked"])


def test_where_the_first_stage_is_sure_nothing_is_asked() -> None:
    asked = []

    def ask(pairs: Any) -> Any:
        asked.extend(own.id for _, own in pairs)
        return np.arange(len(pairs), dtype=float)

    again = Reranking(scorer(ask), depth=3)
    # leads of two and of no standard deviations
    lists = [(hits(9, 1, 0.9, 0.8), Query("a")), (hits(3, 2.9, 1), Query("b")), (hits(1), Query("c")), ([], Query("d"))]
    seconds = again(lists, product)
    assert asked == ["p0", "p1", "p2"]
    assert [(s.about.looked, s.about.of) for s in seconds] == [(0, 0), (3, 3), (0, 0), (0, 0)]
    # three times z, which is 0.76, 0.65 and -1.41, and what it said in deviations: -1.22, 0 and 1.22
    assert [hit.product_id for hit in seconds[1].hits] == ["p1", "p0", "p2"]
    assert (again.told.contents, again.told.sure, again.told.pairs) == (4, 3, 3)
    asked.clear()
    again(lists, product, probabilities=[0.2, 0.95, 0.5, 0.0], sure=0.9)
    assert asked == ["p0", "p1", "p2"]
    asked.clear()
    again(lists[:2], product, probabilities=[0.99, 1.0])
    assert len(asked) == 6


def test_a_budget_is_kept_and_told() -> None:
    now = [0.0]

    def ask(pairs: Any) -> Any:
        now[0] += 0.1 * len(pairs)
        return np.zeros(len(pairs))

    again = Reranking(scorer(ask), depth=10, budget=1.0, clock=Clock(lambda: now[0]))
    lists = [(hits(*np.linspace(3, 1, 12)), Query(str(i))) for i in range(4)]
    seconds = again(lists, product, probabilities=[0.5, 0.4, 0.3, 0.2])
    # a tenth of a second for a pair, four seconds for all: 5 of each first, then the most doubtful ones' others
    assert [second.about.looked for second in seconds] == [5, 5, 10, 10] or sum(s.about.looked for s in seconds) <= 40
    assert again.told.short >= 1 and again.told.seconds <= 4.0 + 1e-9
    assert seconds[3].about.looked >= seconds[0].about.looked
    for wrong in ({"budget": 0.0}, {"depth": 1}):
        with pytest.raises(InputError):
            Reranking(scorer(ask), **wrong)


def test_scores_that_are_none() -> None:
    pairs = [("a", "b"), ("a", "c")]
    for said in (np.array([1.0]), np.array([1.0, np.nan]), np.zeros((2, 2))):
        with pytest.raises(ModelError, match="one number for each pair"):
            scorer(lambda _, said=said: said).logits(pairs)
    assert scorer(lambda _: np.array([99.0, -99.0])).logits(pairs).tolist() == [12.0, -12.0]
    assert scorer(lambda _: np.array([99.0, 0.0]), probable=False).logits(pairs).tolist() == [99.0, 0.0]
    assert scorer(lambda _: 1 / 0).logits([]).shape == (0,)


def test_a_language_model_says_yes_or_no() -> None:
    generator = FakeGenerator(lambda text: "Yes." if "blue mug" in text.split("Offer B")[1] else "no")
    said = of_generator(generator).logits([("blue mug", "blue mug"), ("blue mug", "red pot")])
    assert said.tolist() == [MOST, -MOST]
    assert generator.asked[0] == pair_conversation("blue mug", "blue mug")
    assert word_odds(FakeGenerator("perhaps"), generator.asked[:1]).tolist() == [0.0]
    assert word_odds(generator, []).shape == (0,)


KINDS, COLOURS = ("kettle", "lamp", "drill", "rug", "tent", "mug", "chair", "clock"), ("red", "blue", "green", "black")
PRODUCTS = [
    Product(f"{kind}-{colour}-{size}", f"{colour} {kind} {size} litre", f"not the {colour} {kind} {3 - size % 3} litre")
    for kind in KINDS
    for colour in COLOURS
    for size in (1, 2, 5)
]


SIZES = {"1": "single", "2": "double", "5": "family"}


def asked_for(seed: int, count: int) -> tuple[list[Content], dict[str, dict[str, int]]]:
    rng = np.random.default_rng(seed)
    contents, qrels = [], {}
    for number in range(count):
        own = PRODUCTS[rng.integers(len(PRODUCTS))]
        kind, colour, size = own.id.split("-")
        # the size may be told as the catalog does not: words alone do not find it, a reranker that knows does
        text = f"{colour} {kind} {size} litre" if rng.random() < 0.5 else f"{colour} {kind} {SIZES[size]}"
        contents.append(Content(f"q{number}", "search", title=text))
        qrels[f"q{number}"] = {own.id: 1}
    return contents, qrels


def knows(pairs: Any) -> Any:
    """Knows what a size is called."""
    sizes = [right.id.split("-")[2] for _, right in pairs]
    named = [{size, SIZES[size]} & set(left["title"].split()) for (left, _), size in zip(pairs, sizes, strict=True)]
    return np.array([4.0 if names else -4.0 for names in named])


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Fewer strengths are tried, and the trees are few and small."""
    monkeypatch.setattr("llmrec.match.decision.STRENGTHS", (0.1,))
    monkeypatch.setattr("llmrec.train.pair_trees.FORESTS", 1)
    monkeypatch.setitem(pair_trees.SETTINGS, "max_iter", 15)


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return Index.build(tmp_path_factory.mktemp("rerank") / "index", PRODUCTS, FakeEncoder())


@pytest.fixture
def made(index: Index) -> Calibration:
    contents, qrels = asked_for(1, 160)
    return calibrate(Matcher(index), contents, qrels, absent=0.2, rerank=scorer(knows), depth=8)


def recall(matches: list[Match], qrels: dict[str, dict[str, int]]) -> float:
    return float(np.mean([m.products[0].product_id in qrels[m.content_id] for m in matches]))


def test_a_calibration_learns_the_use_of_a_reranker(index: Index, made: Calibration, tmp_path: Path) -> None:
    assert made.second is not None and made.reranks and made.second.mix.second > 0
    assert made.final is made.second.decider and made.final is not made.decider
    made.save(tmp_path / "c")
    opened = Calibration.load(tmp_path / "c")
    assert opened.second == made.second
    later, qrels = asked_for(2, 120)
    how = MatchSettings(k=3, evidence=0)
    before = list(Matcher(index, settings=how).match(later))
    matcher = Matcher(index, settings=how, calibration=opened, rerank=Reranking(scorer(knows), depth=8))
    after = list(matcher.match(later))
    assert recall(after, qrels) > recall(before, qrels) + 0.1
    said = np.array([m.products[0].probability for m in after], dtype=float)
    good = np.array([m.products[0].product_id in qrels[m.content_id] for m in after])
    # a fifth of what it was made on had no product: where all have one, it says less than is so
    assert said.mean() == pytest.approx(good.mean(), abs=0.25) and np.isfinite(said).all()
    assert said[good].mean() > said[~good].mean() if (~good).any() else True
    for match in after:
        assert match.reranked is not None and match.reranked.of in (0, 8)
        assert match.products[0].probability + match.no_match.probability <= 1 + 1e-9
        scores = [own.score for own in match.products]
        assert scores == sorted(scores, reverse=True)
    counts = looked_at(after)
    assert counts["looked"] + counts["sure"] == 120 and counts["short"] == 0
    assert matcher.rerank is not None and matcher.rerank.told.pairs == counts["pairs"]


def test_only_the_reranker_that_it_was_made_with(index: Index, made: Calibration) -> None:
    other = Scorer("other", "other-digest", True, knows)
    with pytest.raises(ArtefactError, match="made with the reranker fake, not other"):
        Matcher(index, calibration=made, rerank=Reranking(other, depth=8))
    with pytest.raises(ArtefactError, match="depth of 8, not 20"):
        Matcher(index, calibration=made, rerank=Reranking(scorer(knows)))
    with pytest.raises(ArtefactError, match="made with the reranker fake"):
        Matcher(index, calibration=made)
    contents, qrels = asked_for(1, 100)
    without = calibrate(Matcher(index), contents, qrels, absent=0.2)
    with pytest.raises(ArtefactError, match="without a reranker"):
        Matcher(index, calibration=without, rerank=Reranking(scorer(knows)))


def test_a_reranker_that_does_not_help_is_kept_out(index: Index, tmp_path: Path) -> None:
    contents, qrels = asked_for(1, 120)
    blind = scorer(lambda pairs: np.zeros(len(pairs)))
    made = calibrate(Matcher(index), contents, qrels, absent=0.2, rerank=blind)
    assert made.second is not None and not made.reranks and made.final is made.decider
    made.save(tmp_path / "c")
    opened = Calibration.load(tmp_path / "c")
    matcher = Matcher(index, calibration=opened, rerank=Reranking(blind))
    assert matcher.rerank is None
    plain = Matcher(index, calibration=calibrate(Matcher(index), contents, qrels, absent=0.2))
    assert list(matcher.match(contents[:20])) == list(plain.match(contents[:20]))


def test_trees_are_grown_on_the_contents_themselves(index: Index, tmp_path: Path) -> None:
    contents, qrels = asked_for(1, 160)
    made = calibrate(Matcher(index), contents, qrels, absent=0.2, rerank=grow_trees, depth=6)
    assert made.reranks and made.trees is not None
    made.save(tmp_path / "c")
    opened = Calibration.load(tmp_path / "c")
    later, right = asked_for(2, 60)
    how = MatchSettings(k=3, evidence=0)
    after = list(Matcher(index, settings=how, calibration=opened).match(later))
    assert recall(after, right) > recall(list(Matcher(index, settings=how).match(later)), right)
    assert open_reranking(None, opened).scorer.digest == made.second.digest
    with pytest.raises(InputError, match="no calibration that has them"):
        open_reranking("trees")
    with pytest.raises(InputError, match="and no reranker"):
        open_reranking(None, budget=1.0)
    (tmp_path / "c" / "second.json").write_text("{}")
    with pytest.raises(ArtefactError):
        Calibration.load(tmp_path / "c")


def test_any_reranker_of_texts_without_a_calibration(index: Index) -> None:
    fake = of_reranker(FakeReranker(), "fake")
    content = Content("c", "search", title="red kettle 5 litre")
    matcher = Matcher(index, rerank=Reranking(fake, depth=5))
    (match,) = matcher.match([content])
    assert match.reranked is not None and match.products[0].probability is None
    assert fake.logits([({"title": "red mug"}, Product("m", "a red pot"))]).tolist() == [0.5]


def test_folders_that_are_rerankers_and_that_are_none(tmp_path: Path) -> None:
    pairs = [("red mug", "red mug 1"), ("red mug", "blue pot"), ("tent", "tent 2"), ("tent", "mug")] * 12
    features = PairFeatures.fit([offer for pair in pairs for offer in pair])
    trees = PairMatcher(features, grow_trees(features.rows(pairs), [True, False] * 24), 0.5)
    trees.save(tmp_path / "trees")
    opened = load_scorer(tmp_path / "trees")
    np.testing.assert_allclose(opened.logits(pairs[:4]), np.clip(trees.logits(pairs[:4]), -12, 12))
    with pytest.raises(ModelError):
        load_scorer(tmp_path / "nowhere")
    (tmp_path / "odd").mkdir()
    (tmp_path / "odd" / "manifest.json").write_text("[")
    with pytest.raises(ArtefactError, match="damaged manifest"):
        load_scorer(tmp_path / "odd")


def test_on_the_command_line(tmp_path: Path) -> None:
    Index.build(tmp_path / "index", PRODUCTS, None)
    contents, qrels = asked_for(1, 120)
    write_records(tmp_path / "dev.jsonl", contents, Content)
    rows = [f"{content}\t{own}\n" for content, right in qrels.items() for own in right]
    (tmp_path / "qrels.tsv").write_text("content_id\tproduct_id\n" + "".join(rows))
    folder = str(tmp_path / "c")
    common = [str(tmp_path / "dev.jsonl"), "--index", str(tmp_path / "index")]

    def run(*arguments: str) -> Any:
        return CliRunner().invoke(app, list(arguments))

    learned = ["calibrate", *common, "--qrels", str(tmp_path / "qrels.tsv"), "-o", folder, "--absent", "0.2"]
    done = run(*learned, "--rerank", "trees", "--rerank-depth", "6")
    assert done.exit_code == 0, done.output
    assert "reranked: first products right" in done.stdout
    made = Calibration.load(folder)
    assert made.second is not None and made.second.depth == 6
    assert made.second.measured["recall@1 reranked"] > made.second.measured["recall@1 first"]
    out = str(tmp_path / "m.jsonl")
    matched = run("match", *common, "-o", out, "--calibration", folder, "--rerank-budget", "5", "--json")
    assert matched.exit_code == 0, matched.output
    counts = json.loads(matched.stdout)["rerank"]
    assert counts["looked"] + counts["sure"] == 120
    assert all(record.reranked is not None for record in read_records(out, Match))
    lone = run("match", *common, "-o", str(tmp_path / "n.jsonl"), "--rerank-budget", "5")
    assert lone.exit_code == 2 and "and no reranker" in lone.output
    wrong = run("match", *common, "-o", str(tmp_path / "n.jsonl"), "--rerank", str(tmp_path / "index"))
    assert wrong.exit_code == 1 or wrong.exit_code == 2
