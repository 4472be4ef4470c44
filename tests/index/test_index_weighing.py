"""What an encoder counts in the hybrid: chosen on queries whose products are known, kept with the index."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.errors import InputError
from llmrec.index import Index
from llmrec.index.fusion import Weights, weights_of, zscore
from llmrec.index.weighing import FEWEST, grid, weigh
from llmrec.records import Product, Query
from tests.fakes import FakeEncoder

COUNT = 40
#: Words, not model numbers, which have rules of their own.
NAMES = [f"{'bcdfg'[n // 8]}o{'klmnprst'[n % 8]}ing" for n in range(COUNT)]
PRODUCTS = [Product(id=f"p{n:02}", title=f"thing {NAMES[n]}") for n in range(COUNT)]


class Seer(FakeEncoder):
    """Knows which product a query is for ("boking for 20"), where its word names another one; not by a large lead."""

    reference, digest, dimension = "fake:seer", "fake-seer", COUNT

    def __init__(self, fusion: dict[str, float] | None = None) -> None:
        if fusion is not None:
            self.fusion = fusion

    def encode(self, inputs: Sequence[str], *, kind: str = "document") -> np.ndarray:
        vectors = np.zeros((len(inputs), COUNT), dtype=np.float32)
        for row, text in enumerate(inputs):
            number = int(text.split()[-1]) if kind == "query" else NAMES.index(text.split()[-1])
            if kind == "document":
                vectors[row, number] = 1
            else:
                vectors[row] = (COUNT - (np.arange(COUNT) - number) % COUNT) / COUNT
        return vectors / np.linalg.norm(vectors, axis=1, keepdims=True)


#: They make the vectors decide alone.
STRONG = {"dense": 30.0, "lead_power": 0.0, "known": 4.0}


def asked(count: int = COUNT) -> tuple[list[Query], list[list[str]]]:
    """Queries with the word of another product than the one that they are for."""
    queries = [Query(f"{NAMES[(n + 20) % COUNT]} for {n}") for n in range(count)]
    return queries, [[f"p{n:02}"] for n in range(count)]


def build(folder: Path, encoder: Seer) -> Index:
    return Index.build(folder / "index", PRODUCTS, encoder)


def test_an_encoder_that_knows_better_than_words_is_given_more_weight(tmp_path: Path) -> None:
    index = build(tmp_path, Seer())
    found = weigh(index, *asked())
    assert found.weights["dense"] > 1
    assert found.after["recall@1"] > found.before["recall@1"] and found.after["mrr@10"] > found.before["mrr@10"]
    assert found.queries == 40
    told = found.as_dict()
    assert told["weights"] == found.weights
    assert told["measured"]["recall@1"] == [round(v["recall@1"], 4) for v in (found.before, found.after)]


def test_the_default_stays_where_nothing_is_surely_better(tmp_path: Path) -> None:
    index = build(tmp_path, Seer())
    queries, right = asked()
    assert weigh(index, queries[: FEWEST - 1], right[: FEWEST - 1]).weights == {}  # too few to tell
    own = [[f"p{(n + 20) % COUNT:02}"] for n in range(COUNT)]  # words are right already
    assert weigh(index, queries, own).weights == {}
    assert weigh(index, [], []).before == {"recall@1": 0.0, "mrr@10": 0.0}


def test_a_gain_within_its_error_is_no_gain(tmp_path: Path) -> None:
    """Of 20 queries n gain alike: the mean is sqrt(19 n / (20 - n)) standard errors, 1.8 for 3 and 2.2 for 4."""
    queries, right = asked(20)
    index = build(tmp_path, Seer())
    # either is right for the others, so that they find what is right first whatever the weights
    either = [[f"p{n:02}", f"p{(n + 20) % COUNT:02}"] for n in range(20)]
    assert weigh(index, queries, [*right[:3], *either[3:]], [STRONG]).weights == {}
    assert weigh(index, queries, [*right[:4], *either[4:]], [STRONG]).weights == STRONG
    # of two that gain alike, the one nearer to the default
    assert weigh(index, queries, right, [{**STRONG, "dense": 60.0}, STRONG]).weights == STRONG


def test_the_grid_holds_the_default_and_names_only_what_differs() -> None:
    tried = grid()
    assert {} in tried and {"dense": 2.0} in tried and {"dense": 2.0, "lead_power": 0.0} in tried
    assert len({json.dumps(named, sort_keys=True) for named in tried}) == len(tried)
    assert weights_of({}) == Weights()
    assert weights_of({"dense": 2.0}) == Weights(dense=2.0)


@pytest.mark.parametrize("named", [{"dens": 1.0}, {"dense": -1.0}, {"dense": float("nan")}, {"dense": float("inf")}])
def test_weights_that_are_none_are_refused(tmp_path: Path, named: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="dens"):
        weights_of(named)
    with pytest.raises(InputError, match=r"the encoder's fusion weights: .*dens"):
        build(tmp_path, Seer(named))


def test_an_index_keeps_the_weights_of_its_encoder(tmp_path: Path) -> None:
    queries, right = asked()
    plain = build(tmp_path / "plain", Seer())
    assert plain.settings.weights == {}
    index = build(tmp_path / "own", Seer(STRONG))
    firsts = [hits[0].product_id for hits in index.search(queries, 1)]
    assert firsts == [ids[0] for ids in right]
    assert [hits[0].product_id for hits in plain.search(queries, 1)] != firsts
    # opened again, with the encoder or with its twin that has lost the weights
    for encoder in (Seer({"dense": 30.0}), Seer()):
        again = Index.open(tmp_path / "own" / "index", encoder)
        assert again.settings.weights == STRONG
        assert [hits[0].product_id for hits in again.search(queries, 1)] == firsts
        assert again.info()["settings"]["weights"]["dense"] == 30.0
    # the parts and the other fusions know no weights
    for retriever in ("bm25", "dense", "dense:title"):
        ours, theirs = (i.search_by(retriever, queries, 3) for i in (index, plain))
        assert [[h.product_id for h in hits] for hits in ours] == [[h.product_id for h in hits] for hits in theirs]
    shown = CliRunner().invoke(app, ["index", "info", str(tmp_path / "own" / "index")]).stdout
    assert "fusion: zscore, dense 30, lead_power 0, known 4 (measured for this encoder)" in shown
    assert Index.build(tmp_path / "words", PRODUCTS, Seer({"dense": 30.0}), dense="none").settings.weights == {}


def test_scored_and_ranked_are_what_the_search_does(tmp_path: Path) -> None:
    index = build(tmp_path, Seer())
    queries, _ = asked(3)
    for (rows, scored), hits in zip(index.scored(queries), index.search(queries, 5), strict=True):
        order = index.ranked(rows, zscore(scored))[:5]
        assert [index.ids[rows[i]] for i in order] == [hit.product_id for hit in hits]
        assert np.all(np.diff([hit.score for hit in hits]) <= 0)
