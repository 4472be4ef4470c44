"""Runs in and out: exact round trips, trec_eval's order, and faults named by line."""

from __future__ import annotations

import gzip
import warnings
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.evaluate import per_query, read_matches, read_run, run_from_matches, write_run
from llmrec.evaluate.ranking import ranked
from llmrec.records import Evidence, Match, NoMatch, RankedProduct
from llmrec.storage import write_records

RELAXED = settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
MATCHES = [
    Match("c1", (RankedProduct("p2", 1, 2.5, 0.9, (Evidence("speech", 1.0, 2.0, "the Trail two", "title"),)),)),
    Match("c2", (), NoMatch(True, 0.8)),
]


def test_trec_run(tmp_path: Path) -> None:
    path = tmp_path / "a.run"
    path.write_text("c1 Q0 p1 9 1.5 x\n\nc1\tQ0\tp2\t1\t2.5\tx\nc2 Q0 a 1 -3e-2 x\r\n")
    assert read_run(path) == {"c1": {"p2": 2.5, "p1": 1.5}, "c2": {"a": -0.03}}
    first = read_matches(path)[0]
    assert [(p.product_id, p.rank) for p in first.products] == [("p2", 1), ("p1", 2)]  # by score, whatever the ranks


@pytest.mark.parametrize("name", ["m.jsonl", "m.jsonl.gz", "m.parquet", "m.txt"])
def test_match_records(tmp_path: Path, name: str) -> None:
    write_records(tmp_path / name, MATCHES, Match)
    assert read_matches(tmp_path / name) == MATCHES
    assert read_run(tmp_path / name) == {"c1": {"p2": 2.5}, "c2": {}}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("c1 Q0 p1 1 0.5 x\nc1 Q0 p1\n", "a.run, line 2: 3 columns"),
        ("c1 Q0 p1 1 much x\n", "line 1: the score 'much'"),
        ("c1 Q0 p1 1 nan x\n", "line 1: the score 'nan'"),
        ("c1 Q0 p1 1 1 x\nc1 Q0 p1 2 0 x\n", "line 2: product 'p1' stands twice"),
        ("", "holds no run"),
        ("\x00\x01", "line 1: is binary"),
        ('{"content_id": 3}', "line 1: not as expected"),
        ('{"content_id": "c"}\n{"content_id": "c"}', "line 2: content 'c' stands twice"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "a.run").write_text(text)
    with pytest.raises(InputError, match=message):
        read_matches(tmp_path / "a.run")


def test_missing_and_damaged_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="No such file"):
        read_run(tmp_path / "none.run")
    with pytest.raises(InputError, match="directory"):
        read_run(tmp_path)
    (tmp_path / "cut.run.gz").write_bytes(gzip.compress(b"c1 Q0 p1 1 1 x\n" * 500)[:40])
    with pytest.raises(InputError, match=r"cut\.run\.gz"):
        read_run(tmp_path / "cut.run.gz")
    (tmp_path / "latin.run").write_bytes("c1 Q0 caf\xe9 1 1 x\n".encode("latin-1"))
    with pytest.raises(InputError, match="line 1: is not UTF-8"):
        read_run(tmp_path / "latin.run")


@given(st.binary(max_size=200))
@RELAXED
def test_any_bytes_give_a_run_or_an_input_error(tmp_path: Path, raw: bytes) -> None:
    (tmp_path / "fuzz").write_bytes(raw)
    try:
        assert read_matches(tmp_path / "fuzz")
    except InputError as error:
        assert "fuzz" in str(error)


trec_ids = st.text(st.characters(exclude_categories=["Cc", "Cs", "Z"]), min_size=1, max_size=4).filter(
    lambda t: t.split() == [t]
)
scores = st.floats(allow_nan=False, allow_infinity=False)


@given(st.dictionaries(trec_ids, st.dictionaries(trec_ids, scores, min_size=1, max_size=4), min_size=1, max_size=3))
@RELAXED
def test_round_trip_is_exact(tmp_path: Path, run: dict) -> None:
    if next(iter(run)).startswith(("{", "\ufeff")):  # a first id like this makes another format of the file
        return
    for name in ("r.run", "r.run.gz"):
        lines = write_run(tmp_path / name, run)
        assert lines == sum(map(len, run.values()))
        assert read_run(tmp_path / name) == run


@pytest.mark.parametrize("bad", [{"c 1": {"p": 1.0}}, {"c": {"": 1.0}}, {"c": {"p\u2003q": 1.0}}])
def test_ids_that_trec_cannot_hold(tmp_path: Path, bad: dict) -> None:
    with pytest.raises(InputError, match="cannot stand in a TREC file"):
        write_run(tmp_path / "r.run", bad)
    assert list(tmp_path.iterdir()) == []


ids = st.sampled_from([f"p{i}" for i in range(9)])
close = st.sampled_from([0.0, 1.0, 1.0 + 1e-9, 1.0 + 1e-7, -2.0, 1e38, 3e38, 1e300, -1e300])


@given(
    st.dictionaries(st.sampled_from("abc"), st.dictionaries(ids, close, min_size=1), min_size=1),
    st.dictionaries(st.sampled_from("abc"), st.dictionaries(ids, st.integers(1, 3), min_size=1), min_size=1),
)
@RELAXED
def test_trec_eval_agrees_on_untied_files(tmp_path: Path, run: dict, qrels: dict) -> None:
    import ir_measures

    path = tmp_path / "untied.run"
    write_run(path, run, untie=True)
    assert [(c, [p for p, _ in ranked(ps, c)]) for c, ps in read_run(path).items()] == [
        (c, [p for p, _ in ranked(ps, c)]) for c, ps in run.items()
    ]
    theirs = dict.fromkeys(qrels, 0.0)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for value in ir_measures.iter_calc([ir_measures.nDCG], qrels, ir_measures.read_trec_run(str(path))):
            theirs[value.query_id] = value.value
    ours = per_query(run, qrels, ["ndcg"])["ndcg"]
    np.testing.assert_allclose(ours, [theirs[q] for q in qrels], atol=1e-6)


def test_run_from_matches() -> None:
    assert run_from_matches(MATCHES) == {"c1": {"p2": 2.5}, "c2": {}}
