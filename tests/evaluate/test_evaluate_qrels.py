"""Qrels in every form that they come in."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.evaluate import read_qrels, write_qrels

DATA = os.environ.get("LLMREC_DATA")
EXPECTED = {"206": {"216": 1}, "60": {"46": 1}}


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.txt", "206 0 216 1\n60 0 46 1\n"),
        ("q", "206\t0\t216\t1\n60\t0\t46\t1\n"),
        ("q.tsv", "206\t0\t216\t1\n60\t0\t46\t1\n"),  # MS MARCO: TREC columns in a .tsv
        ("gt.csv", "D1|D2\n206|216\n60|46\n"),
        ("gt.csv", "D1#D2\n206#216\n60#46\n"),
        ("gt", "D1#D2\n206#216\n60#46"),
        ("q.csv", "206,216\n60,46\n"),
        ("q.csv", "\ufeffidAbt,idBuy\r\n206,216\r\n60,46\r\n"),
        ("q.csv", 'product_id;content_id;relevance\n"216";"206";1\n46;60;1\n'),
        ("q.csv", "asin,content_id,label\n216,206,1\n46,60,1\n"),
        ("q.tsv", "query-id\tcorpus-id\tscore\n206\t216\t1\n60\t46\t1\n"),  # BEIR
        ("q.jsonl", '{"content_id": 206, "product_id": "216"}\n{"content_id": "60", "product_ids": ["46"]}\n'),
        ("q.jsonl", '{"query_id": "206", "relevant": {"216": 1}}\n{"qid": "60", "docid": "46", "label": true}\n'),
    ],
)
def test_forms(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text, encoding="utf-8")
    assert read_qrels(tmp_path / name) == EXPECTED


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("q.txt", "a 0 p 2\na 0 r 0\nb 0 - 0\n"),
        ("q.csv", "content_id,product_id,grade\na,p,2\na,r,0\nb,,\n".replace("b,,", "b,,0")),
        ("q.jsonl", '{"content_id":"a","products":{"p":2,"r":0}}\n{"content_id":"b","product_id":null}\n'),
        ("q.jsonl", '{"content_id":"a","products":{"p":2,"r":0}}\n{"content_id":"b","product_ids":[]}\n'),
    ],
)
def test_grades_and_contents_without_a_product(tmp_path: Path, name: str, text: str) -> None:
    (tmp_path / name).write_text(text)
    assert read_qrels(tmp_path / name) == {"a": {"p": 2, "r": 0}, "b": {}}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("q.txt", "", "holds no qrels"),
        ("q.txt", "a 0 p 1\na 0 p\n", "line 2: 3 columns"),
        ("q.txt", "a 0 p 1\na 0 r x\n", "line 2: the grade 'x'"),
        ("q.txt", "a 0 p 1\na 0 p 2\n", "line 2: .*grades 1 and 2"),
        ("q.txt", "a 0 B#7\n", "line 1: 3 columns"),
        ("q.csv", "content_id,product_id\na,p\nb\n", "line 3: 1 cells where the first row has 2"),
        ("q.csv", 'content_id,product_id\na,"p\n', "line 2: "),
        ("q.csv", "content_id\na\n", "line 1: 1 columns"),
        ("q.csv", "content_id,product_id,relevance\na,p,0.5\n", "line 2: the grade '0.5'"),
        ("q.csv", "content_id,product_id\n,p\n", "line 2: the content id is empty"),
        ("q.csv", "content_id,product_id\n", "holds no qrels"),
        ("q.csv", "content_id,asin,sku\na,p,s\n", "line 1: no product_id"),
        ("q.jsonl", '{"content_id": "a"}', "line 1: has no product_id"),
        ("q.jsonl", '{"product_id": "a"}', "line 1: has no content_id"),
        ("q.jsonl", '{"content_id": "a", "product_id": 1.5}', "line 1: 1.5 is not an id"),
        ("q.jsonl", "[1]", "line 1: is not a JSON object"),
        ("q.jsonl", "{", "line 1: is not JSON"),
    ],
)
def test_faults_name_the_line(tmp_path: Path, name: str, text: str, message: str) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_qrels(tmp_path / name)


trec_ids = st.text("abc-7#|.", min_size=1, max_size=4).filter(lambda t: t != "-")
grades = st.dictionaries(trec_ids, st.integers(-2, 5), max_size=4)


@given(st.dictionaries(trec_ids, grades, min_size=1, max_size=4))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_round_trip(tmp_path: Path, qrels: dict) -> None:
    for name in ("q.txt", "q.txt.gz"):
        write_qrels(tmp_path / name, qrels)
        assert read_qrels(tmp_path / name) == qrels


@given(st.binary(max_size=120), st.sampled_from(["f.csv", "f.jsonl", "f.tsv", "f"]))
@settings(deadline=None, max_examples=80, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_bytes_give_qrels_or_an_input_error(tmp_path: Path, raw: bytes, name: str) -> None:
    (tmp_path / name).write_bytes(raw)
    try:
        assert read_qrels(tmp_path / name)
    except InputError as error:
        assert name in str(error)


@pytest.mark.skipif(not DATA, reason="LLMREC_DATA is not set")
@pytest.mark.parametrize(("table", "pairs", "contents"), [("abt_buy", 1076, 1076), ("amazon_google", 1103, 1103)])
def test_real_pairs(table: str, pairs: int, contents: int) -> None:
    path = Path(str(DATA)) / "er_products" / table / "gt.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    qrels = read_qrels(path)
    assert (sum(map(len, qrels.values())), len(qrels)) == (pairs, contents)
