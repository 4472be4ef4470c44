"""``llmrec index add | update | remove | compact`` as a user calls them."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from llmrec.cli import app
from llmrec.index import Index


def run(*arguments: object, input: str | None = None) -> Result:
    return CliRunner().invoke(app, ["index", *map(str, arguments)], input=input)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "old.csv").write_text("id,title,price\na,trail shoe,10\nb,wool hat,20\n")
    (tmp_path / "new.csv").write_text("id,title,price\nb,wool hat,20\nc,tin robot,5\n,lost,1\n")
    assert run("build", tmp_path / "old.csv", "-o", tmp_path / "i", "--encoder", "none").exit_code == 0
    return tmp_path / "i"


def test_products_come_change_and_go(shop: Path) -> None:
    new = shop.with_name("new.csv")
    told = json.loads(run("add", shop, new, "--json").stdout)
    assert (told["added"], told["replaced"], told["unchanged"], told["products"]) == (1, 0, 1, 3)
    assert sum(told["catalog"]["rejected"].values()) == 1
    new.write_text("id,title,price\nc,tin robot,7\n")
    refused = run("add", shop, new)
    assert refused.exit_code == 2 and "another product 'c' already" in refused.output
    assert "1 replaced" in run("update", shop, new).output
    assert "since then: 2 added or replaced, 1 gone" in run("info", shop).output
    assert "tin robot" in run("search", shop, "robot", "--where", "price > 6", "--retriever", "bm25").output
    assert "3 products (2 added or replaced, 1 gone" in run("compact", shop).output
    assert json.loads(run("verify", shop, "--json").stdout)["products"] == 3
    new.write_text("id,title\nd,glass jar\n")
    assert run("update", shop, new).exit_code == 2
    assert "1 added" in run("update", shop, new, "--new").output
    assert "1 removed" in run("remove", shop, "d").output
    assert "2 removed" in run("remove", shop, "--where", "price < 15").output
    assert Index.open(shop).ids == ["b"]


def test_what_is_to_go_has_to_be_there(shop: Path) -> None:
    for arguments, message in (
        (("a", "x"), "no product 'x'"),
        ((), "say which products"),
        (("a", "--where", "price > 1"), "say which products"),
        (("--where", "prize > 1"), "prize"),
    ):
        told = run("remove", shop, *arguments)
        assert told.exit_code == 2 and message in told.output
    assert Index.open(shop).ids == ["a", "b"]
    assert "1 removed" in run("remove", shop, "-", "--missing-ok", input="a\nx\n\n").output


def test_no_index_is_told(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,title\na,shoe\n")
    for call in (
        ("add", tmp_path / "i", tmp_path / "a.csv"),
        ("remove", tmp_path / "i", "a"),
        ("compact", tmp_path / "i"),
    ):
        told = run(*call)
        assert told.exit_code == 2 and "no such index" in told.output
