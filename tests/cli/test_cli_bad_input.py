"""Bad input through the whole command line: a clear message, exit code 2, no traceback, nothing half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.records import Content, Match, Product
from llmrec.storage import read_records, write_records

PRODUCTS = [Product(str(i), f"{colour} enamel mug") for i, colour in enumerate(["blue", "red", "green"])]


def llmrec(*arguments: str | Path, cwd: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "llmrec", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=os.environ | environment, timeout=240)


def refused(result: subprocess.CompletedProcess[str], *words: str) -> None:
    assert result.returncode == 2, (result.returncode, result.stderr)
    assert "Traceback" not in result.stderr
    assert "next: " in result.stderr
    for word in words:
        assert word in result.stderr, f"{word!r} not in: {result.stderr}"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("index")
    write_records(folder / "products.jsonl", PRODUCTS, Product)
    built = llmrec("index", "build", "products.jsonl", "-o", "shop.index", "--encoder", "none", cwd=folder)
    assert built.returncode == 0, built.stderr
    return folder / "shop.index"


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("empty.csv", b"", ["empty.csv"]),
        ("header.csv", b"id,title\n", ["header.csv"]),
        ("binary.csv", os.urandom(4000) + b"\x00" * 100, ["binary.csv"]),
        ("no_id.csv", b"colour,weight\nred,3\n", ["no_id.csv", "colour", "--map"]),
        ("line.jsonl", b'{"id":"1","title":"' + b"a" * 10_000_000 + b'"}', ["line.jsonl"]),
        ("nulls.csv", b"id,title,price\n,,\n", ["nulls.csv"]),
        ("broken.json", b'[{"id":"1"', ["broken.json"]),
        ("broken.parquet", b"PAR1 not really", ["broken.parquet"]),
    ],
)
def test_catalogs_that_cannot_be_used(tmp_path: Path, name: str, data: bytes, words: list[str]) -> None:
    (tmp_path / name).write_bytes(data)
    refused(llmrec("catalog", "import", name, "-o", "out.jsonl", cwd=tmp_path), *words)
    assert not (tmp_path / "out.jsonl").exists()


def test_mixed_encodings_keep_every_row(tmp_path: Path) -> None:
    (tmp_path / "mixed.csv").write_bytes("id,title\n1,crème\n".encode() + "2,café\n".encode("cp1252"))
    result = llmrec("catalog", "import", "mixed.csv", "-o", "out.jsonl", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    text = (tmp_path / "out.jsonl").read_text(encoding="utf-8")
    assert "crème" in text and "café" in text


def test_a_good_row_survives_a_row_of_nulls(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_bytes(b"id,title\n1,mug\n,\n")
    result = llmrec("catalog", "import", "a.csv", "-o", "out.jsonl", "--rejects", "rejects.jsonl", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "out.jsonl").read_text().count("\n") == 1
    assert '"row":2' in (tmp_path / "rejects.jsonl").read_text().replace(" ", "")


def test_a_content_whose_media_is_missing(tmp_path: Path, index: Path) -> None:
    write_records(tmp_path / "c.jsonl", [Content("clip", "video", media="gone.mp4")], Content)
    result = llmrec("match", "c.jsonl", "--index", index, "-o", "m.jsonl", cwd=tmp_path)
    refused(result, "c.jsonl", "'clip'", "gone.mp4")
    assert not (tmp_path / "m.jsonl").exists()


@pytest.mark.parametrize(
    "data", [b"", b"{}", b'{"id":"a","kind":"film"}', b"\x00\x01", b'{"id":"a","kind":"post"}\n' * 2]
)
def test_contents_that_cannot_be_used(tmp_path: Path, index: Path, data: bytes) -> None:
    (tmp_path / "c.jsonl").write_bytes(data)
    refused(llmrec("match", "c.jsonl", "--index", index, "-o", "m.jsonl", cwd=tmp_path), "c.jsonl")
    assert not (tmp_path / "m.jsonl").exists()


def test_a_folder_that_is_no_index(tmp_path: Path) -> None:
    write_records(tmp_path / "c.jsonl", [Content("q", "search", title="mug")], Content)
    refused(llmrec("match", "c.jsonl", "--index", ".", "-o", "m.jsonl", cwd=tmp_path), "index")


def test_an_unknown_model(tmp_path: Path) -> None:
    write_records(tmp_path / "p.jsonl", PRODUCTS, Product)
    result = llmrec("index", "build", "p.jsonl", "-o", "i", "--encoder", "starter:minilmm", cwd=tmp_path)
    refused(result, "starter:minilmm", "starter:minilm")
    assert not (tmp_path / "i").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["catalog", "import", "p.jsonl", "-o", "tiny/out.jsonl"],
        ["index", "build", "p.jsonl", "-o", "tiny/index", "--encoder", "none"],
    ],
)
def test_a_disk_with_no_space_left(tmp_path: Path, tiny_disk: Callable[[str], Path], arguments: list[str]) -> None:
    rows = (Product(str(i), os.urandom(300).hex()) for i in range(1000))
    write_records(tmp_path / "p.jsonl", rows, Product)
    folder = tiny_disk("64k")
    refused(llmrec(*[part.replace("tiny", str(folder)) for part in arguments], cwd=tmp_path), "no space left")
    assert os.listdir(folder) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["catalog", "import", "p.jsonl", "-o", "p.jsonl"],
        ["summarize", "p.jsonl", "-o", "p.jsonl"],
        ["match", "p.jsonl", "--index", ".", "-o", "p.jsonl"],
        ["watch", "p.jsonl", "-o", "p.jsonl"],
        ["evaluate", "matches", "m.run", "--qrels", "p.jsonl", "--report", "p.jsonl"],
    ],
)
def test_an_input_is_never_overwritten(tmp_path: Path, arguments: list[str]) -> None:
    write_records(tmp_path / "p.jsonl", PRODUCTS, Product)
    before = (tmp_path / "p.jsonl").read_bytes()
    refused(llmrec(*arguments, cwd=tmp_path), "p.jsonl: is an input and the output at once")
    assert (tmp_path / "p.jsonl").read_bytes() == before


@pytest.mark.parametrize(
    ("output", "words"), [("folder", "is a folder"), ("p.jsonl/out.jsonl", "nothing can be written")]
)
def test_an_output_that_cannot_be_is_refused_before_the_work(tmp_path: Path, output: str, words: str) -> None:
    write_records(tmp_path / "p.jsonl", PRODUCTS, Product)
    (tmp_path / "folder").mkdir()
    refused(llmrec("summarize", "p.jsonl", "-o", output, "--model", "no-such-model", cwd=tmp_path), words)


def test_one_bad_clip_costs_itself_alone(tmp_path: Path, index: Path) -> None:
    (tmp_path / "bad.mp4").write_bytes(b"\x00\x00\x00\x18ftypmp42" + os.urandom(500))
    contents = [Content("bad", "video", title="red mug", media="bad.mp4"), Content("q", "search", title="blue mug")]
    write_records(tmp_path / "c.jsonl", contents, Content)
    result = llmrec("match", "c.jsonl", "--index", index, "-o", "m.jsonl", "--speech", "none", "-k", "1", cwd=tmp_path)
    assert result.returncode == 1 and "bad.mp4" in result.stderr and "Traceback" not in result.stderr
    matches = list(read_records(tmp_path / "m.jsonl", Match))
    assert [(m.content_id, m.products[0].product_id) for m in matches] == [("bad", "1"), ("q", "0")]


def test_text_cannot_drive_the_terminal(tmp_path: Path) -> None:
    hostile = Product("1", "mug \x1b[31m\x07 red \u202e")
    write_records(tmp_path / "p.jsonl", [hostile, *PRODUCTS[1:]], Product)
    shown = llmrec("catalog", "show", "p.jsonl", cwd=tmp_path)
    assert "mug" in shown.stdout and not set("\x1b\x07\u202e") & set(shown.stdout)


def test_what_cannot_work_is_said_before_the_work(tmp_path: Path, index: Path) -> None:
    write_records(tmp_path / "c.jsonl", [Content("my clip", "search", title="mug")], Content)
    refused(llmrec("match", "c.jsonl", "--index", index, "-o", "m", "--run", "r", cwd=tmp_path), "'my clip'", "TREC")
    assert not (tmp_path / "m").exists()
    refused(llmrec("index", "search", index, "mug", "--encoder", "starter:minilm", cwd=tmp_path), "holds no vectors")
    (tmp_path / "p.csv").write_text("id,title\n1,mug\n")
    refused(llmrec("index", "build", "p.csv", "-o", "i", "--dense", "foo", cwd=tmp_path), "dense='foo'", "hnsw")


def test_times_that_run_backwards(tmp_path: Path, index: Path) -> None:
    line = '{"id":"a","kind":"live","timed_text":[{"start":3,"end":1,"text":"mug","source":"chat"}]}'
    (tmp_path / "c.jsonl").write_text(line + "\n")
    refused(llmrec("match", "c.jsonl", "--index", index, "-o", "m.jsonl", cwd=tmp_path), "c.jsonl", "start <= end")


def test_an_index_is_built_from_a_table_in_an_odd_form(tmp_path: Path) -> None:
    (tmp_path / "p.csv").write_bytes("title;price\nTasse à café;3\n".encode("cp1252"))
    options = ["--encoder", "none", "--delimiter", ";", "--encoding", "cp1252", "--currency", "EUR", "--id-from-row"]
    built = llmrec("index", "build", "p.csv", "-o", "i", *options, cwd=tmp_path)
    assert built.returncode == 0, built.stderr
    found = llmrec("index", "search", "i", "café", "--json", cwd=tmp_path)
    assert "Tasse à café" in found.stdout


def test_calls_of_watch_and_match_that_cannot_be(tmp_path: Path, index: Path) -> None:
    runner = CliRunner()
    clip, table = tmp_path / "clip.gif", tmp_path / "table"
    clip.write_bytes(b"GIF89a")
    table.write_text("not a folder")
    write_records(tmp_path / "c.jsonl", [Content("c", "search", title="mug")], Content)
    calls = [
        (["watch", clip, "-o", tmp_path / "o.csv"], "not as .csv"),
        (["match", tmp_path / "c.jsonl", "--index", index, "-o", tmp_path / "o.html"], "not as .html"),
        (["watch", clip, "-o", tmp_path / "o.jsonl", "--frames", table], "is not a folder"),
        (["watch", clip, "-o", tmp_path / "o.jsonl", "--language", "German"], "'de'"),
        (["watch", clip, "-o", tmp_path / "o.jsonl", "--window", "5"], "--live"),
        (["watch", clip, "-o", tmp_path / "o.jsonl", "--allow-host", "example.org"], "--live"),
    ]
    for call, words in calls:
        result = runner.invoke(app, [str(part) for part in call])
        assert (result.exit_code, words in result.stderr + str(result.exception)) == (2, True), (call, result.stderr)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["c.jsonl", "clip.gif", "table"]


def test_contents_that_found_nothing_are_named(tmp_path: Path, index: Path) -> None:
    write_records(tmp_path / "c.jsonl", [Content("a", "search", title="mug"), Content("b", "search")], Content)
    call = ["match", "c.jsonl", "--index", index, "-o", "m.jsonl"]
    assert "1 of them found nothing (b): m.jsonl" in llmrec(*call, cwd=tmp_path).stdout
    told = json.loads(llmrec(*call, "--json", cwd=tmp_path).stdout)
    assert (told["empty"], told["empty_ids"]) == (1, ["b"])
