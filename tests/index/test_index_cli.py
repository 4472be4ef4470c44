"""``llmrec index`` as a user calls it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from llmrec.cli import app
from llmrec.embed import load_encoder
from llmrec.errors import ArtefactError
from llmrec.index import Index
from llmrec.match.opening import open_index
from llmrec.models.pull import known
from llmrec.records import Query

CATALOG = """id,title,description
a,Acme trail shoe,light
b,Wool hat,warm
,no id,lost
"""


def run(*arguments: object, input: str | None = None) -> Result:
    return CliRunner().invoke(app, ["index", *map(str, arguments)], input=input)


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    path = tmp_path / "products.csv"
    path.write_text(CATALOG, encoding="utf-8")
    return path


@pytest.fixture
def built(catalog: Path, tmp_path: Path) -> Path:
    path = tmp_path / "shop.index"
    assert run("build", catalog, "-o", path, "--encoder", "none").exit_code == 0
    return path


def test_build_tells_what_it_built_and_what_was_rejected(catalog: Path, tmp_path: Path) -> None:
    result = run("build", catalog, "-o", tmp_path / "index", "--encoder", "none")
    assert result.exit_code == 0
    assert "2 products, version 0001" in result.stdout
    assert "rows rejected: 1" in result.stdout
    assert "vectors: none" in result.stdout


def test_build_prints_one_object(catalog: Path, tmp_path: Path) -> None:
    result = run("build", catalog, "-o", tmp_path / "index", "--encoder", "none", "--json")
    told = json.loads(result.stdout)
    assert told["counts"]["products"] == 2
    assert told["catalog"]["read"] == 3
    assert sum(told["catalog"]["rejected"].values()) == 1


def test_build_refuses_to_overwrite_unless_told(catalog: Path, built: Path) -> None:
    result = run("build", catalog, "-o", built, "--encoder", "none")
    assert (result.exit_code, result.stdout) == (2, "")
    assert "holds an index already" in result.stderr
    assert run("build", catalog, "-o", built, "--encoder", "none", "--replace").exit_code == 0


def test_build_takes_summaries(catalog: Path, tmp_path: Path) -> None:
    summaries = tmp_path / "summaries.jsonl"
    summaries.write_text(json.dumps({"product_id": "b", "headline": "Beanie", "summary": "Cosy."}) + "\n")
    path = tmp_path / "index"
    run("build", catalog, "-o", path, "--encoder", "none", "--summaries", summaries)
    assert "Wool hat" in run("search", path, "cosy beanie").stdout
    assert "text: both (1 products summarized)" in run("info", path).stdout


def test_search_prints_a_table_or_one_object(built: Path) -> None:
    result = run("search", built, "a warm hat", "-k", "1")
    assert result.stdout.splitlines()[-1].split()[0::2] == ["1", "b", "hat"]
    told = json.loads(run("search", built, "hat", "--json").stdout)
    assert [hit["product_id"] for hit in told["results"][0]["hits"]] == ["b"]
    assert told["results"][0]["hits"][0]["title"] == "Wool hat"
    assert run("search", built, "zebra").stdout == "nothing found\n"


def test_search_keeps_to_a_filter(built: Path) -> None:
    found = run("search", built, "warm trail hat", "--json", "--where", 'title contains "SHOE"')
    assert [hit["product_id"] for hit in json.loads(found.stdout)["results"][0]["hits"]] == ["a"]
    refused = run("search", built, "hat", "--where", "titel == 'x'")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert "Did you mean 'title'?" in refused.stderr


def test_search_reads_queries_from_standard_input(built: Path) -> None:
    result = run("search", built, "-", "--json", input="hat\n\nshoe\n")
    told = json.loads(result.stdout)["results"]
    assert [(row["query"], row["hits"][0]["product_id"]) for row in told] == [("hat", "b"), ("shoe", "a")]


def test_info(built: Path) -> None:
    assert "shop.index: 2 products" in run("info", built).stdout
    assert json.loads(run("info", built, "--json").stdout)["retrievers"][-1] == "hybrid"


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("search", "INDEX", ""), "nothing to look for"),
        (("search", "INDEX", "-"), "nothing to look for"),
        (("search", "ABSENT", "hat"), "no such index"),
        (("search", "INDEX", "hat", "--retriever", "dense"), "no retriever 'dense'"),
        (("info", "ABSENT"), "no such index"),
        (("build", "ABSENT", "-o", "NEW"), "No such file"),
        (("build", "CATALOG", "-o", "NEW", "--encoder", "none", "--dense", "ivv"), "dense='ivv'"),
        (("build", "CATALOG", "-o", "NEW", "--encoder", "none", "--fusion", "max"), "fusion='max'"),
        (("build", "CATALOG", "-o", "NEW", "--encoder", "starter:nothing"), "starter:nothing"),
        (("build", "CATALOG", "-o", "NEW", "--encoder", "none", "--map", "title"), "has no '='"),
        (("build", "CATALOG", "-o", "NEW", "--encoder", "none", "--summaries", "ABSENT"), "absent"),
    ],
)
def test_bad_calls_leave_with_2_and_nothing_written(
    arguments: tuple[str, ...], message: str, catalog: Path, built: Path, tmp_path: Path
) -> None:
    places = {"INDEX": built, "ABSENT": tmp_path / "absent", "NEW": tmp_path / "new", "CATALOG": catalog}
    result = run(*(places.get(argument, argument) for argument in arguments), input="\n")
    assert result.exit_code == 2, result.output
    assert message in result.stderr
    assert "next:" in result.stderr
    assert result.stdout == ""
    assert not (tmp_path / "new").exists()


def test_with_the_starter_encoder(catalog: Path, tmp_path: Path) -> None:
    if known("starter:minilm") is None:
        pytest.skip("starter:minilm is not in the cache (llmrec models pull)")
    path = tmp_path / "index"
    assert "starter:minilm, 384 dimensions, exact" in run("build", catalog, "-o", path).stdout
    told = json.loads(run("search", path, "something for cold ears", "--json").stdout)
    assert told["results"][0]["hits"][0]["product_id"] == "b"


def test_an_index_of_shorter_vectors_knows_their_length(catalog: Path, tmp_path: Path) -> None:
    if known("starter:minilm") is None:
        pytest.skip("starter:minilm is not in the cache (llmrec models pull)")
    path = tmp_path / "index"
    assert "starter:minilm, 128 dimensions, exact" in run("build", catalog, "-o", path, "--dimension", 128).stdout
    told = json.loads(run("search", path, "something for cold ears", "--json").stdout)
    assert told["results"][0]["hits"][0]["product_id"] == "b"
    opened = open_index(path)
    assert opened.search_by("dense", [Query(text="something for cold ears")], 1)[0][0].product_id == "b"
    with pytest.raises(ArtefactError, match="length of texts or vectors"):
        Index.open(path, load_encoder("starter:minilm"))
    refused = run("build", catalog, "-o", path, "--dimension", 385, "--replace")
    assert refused.exit_code == 2 and "have 384 numbers" in refused.stderr
    refused = run("build", catalog, "-o", path, "--encoder", "none", "--dimension", 8, "--replace")
    assert refused.exit_code == 2 and "no vectors to cut" in refused.stderr
