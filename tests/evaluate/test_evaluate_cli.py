"""``llmrec evaluate …``: one JSON object on stdout, messages on stderr, exit codes, nothing half-written."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from llmrec.cli import app
from llmrec.evaluate import read_run
from llmrec.records import Content, Match, Product, RankedProduct
from llmrec.storage import write_records


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write_records(tmp_path / "m.jsonl", [
        Match("c1", (RankedProduct("p1", 1, 2.0), RankedProduct("p0", 2, 2.0))),
        Match("c2", (RankedProduct("p9", 1, 3.0), RankedProduct("p2", 2, 1.0))),
    ], Match)  # fmt: skip
    (tmp_path / "base.run").write_text("c1 Q0 p1 1 1.0 base\n")
    (tmp_path / "q.txt").write_text("c1 0 p1 1\nc2 0 p2 1\nc3 0 - 0\n")
    write_records(tmp_path / "contents.jsonl", [Content("c2", "search", title="find me")], Content)
    write_records(tmp_path / "catalog.parquet", [Product("p2", "The right one"), Product("p9", "A wrong one")], Product)
    (tmp_path / "s.jsonl").write_text('{"id": "p1", "text": "red shoe"}\n')
    (tmp_path / "r.jsonl").write_text('{"id": "p1", "references": ["red shoe", "blue shoe"]}\n')
    (tmp_path / "pairs.csv").write_text("id_a,id_b,label,score\na,x,1,0.9\nb,x,0,0.2\n")
    return tmp_path


def call(folder: Path, *arguments: str, input: str | bytes | None = None) -> Result:
    full = [str(folder / a) if re.fullmatch(r"[\w.]+\.[a-z]+", a) else a for a in arguments]
    return CliRunner().invoke(app, ["evaluate", *full], input=input)


def test_matches(folder: Path) -> None:
    done = call(
        folder, "matches", "m.jsonl", "--qrels", "q.txt", "--baseline", "base.run", "--contents", "contents.jsonl",
        "--catalog", "catalog.parquet", "--k", "1,2", "--report", "r.html", "--write-run", "out.run", "--per-query",
        "q.out.jsonl", "--resamples", "200", "--seed", "3", "--json",
    )  # fmt: skip
    assert done.exit_code == 0, done.stderr
    result = json.loads(done.stdout)
    assert result["kind"] == "matches"
    # p0 and p1 tie, and p0 is the smaller id
    assert result["metrics"]["recall@1"]["value"] == 0.0
    assert result["metrics"]["recall@2"]["value"] == 1.0
    assert result["settings"]["seed"] == 3 and "per_query" not in result
    assert "r.html" in done.stderr
    page = (folder / "r.html").read_text(encoding="utf-8")
    assert "find me" in page and "The right one" in page and "A wrong one" in page
    first = (folder / "out.run").read_text().splitlines()[:2]
    assert [line.split()[2] for line in first] == ["p0", "p1"] and first[0].split()[4] > first[1].split()[4]
    assert read_run(folder / "out.run").keys() == {"c1", "c2"}
    rows = [json.loads(line) for line in (folder / "q.out.jsonl").read_text().splitlines()]
    assert rows[1]["content_id"] == "c2" and rows[1]["metrics"]["mrr@2"] == 0.5


def test_text_and_warnings(folder: Path) -> None:
    done = call(folder, "matches", "base.run", "--qrels", "q.txt", "--metric", "hit@1")
    assert done.exit_code == 0
    assert "hit@1   0.5000" in done.stdout
    assert "warning: 2 judged contents are missing" in done.stderr
    assert "no match (detector: top score)" in done.stdout


def test_stdin(folder: Path) -> None:
    script = [sys.executable, "-m", "llmrec", "evaluate", "matches", "-", "--qrels", str(folder / "q.txt"), "--json"]
    done = subprocess.run(script, input=(folder / "m.jsonl").read_bytes(), capture_output=True, check=True)
    assert json.loads(done.stdout)["run"] == "standard input"
    assert done.stderr.decode().startswith("warning: 1 judged") or not done.stderr


def test_summaries_pairs_and_a_common_report(folder: Path) -> None:
    summed = call(folder, "summaries", "s.jsonl", "--references", "r.jsonl", "--json")
    assert json.loads(summed.stdout)["rouge"]["rouge1"]["value"] == 0.75
    assert json.loads(call(folder, "summaries", "s.jsonl", "--json").stdout)["records"]["words"]["value"] == 2.0
    paired = call(folder, "pairs", "pairs.csv", "--threshold", "0.5", "--json")
    assert json.loads(paired.stdout)["metrics"]["f1"]["value"] == 1.0
    (folder / "a.json").write_text(summed.stdout)
    (folder / "b.json").write_text(paired.stdout)
    done = call(folder, "report", "a.json", "b.json", "-o", "all.html", "--title", "Both", "--json")
    assert done.exit_code == 0 and json.loads(done.stdout)["results"] == 2
    page = (folder / "all.html").read_text(encoding="utf-8")
    assert "ROUGE-L" in page and "Wrong pairs" in page and "<h1" in page


def test_text_forms(folder: Path) -> None:
    assert "rougeL" in call(folder, "summaries", "s.jsonl", "--references", "r.jsonl").stdout
    flattering = call(folder, "pairs", "pairs.csv")
    assert flattering.exit_code == 0 and "--dev" in flattering.stderr and "2 pairs, 1 matches" in flattering.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["matches", "none.jsonl", "--qrels", "q.txt"], "No such file"),
        (["matches", "m.jsonl", "--qrels", "m.jsonl"], "is not an id"),
        (["matches", "m.jsonl", "--qrels", "q.txt", "--k", "0"], "not a list of cutoffs"),
        (["matches", "m.jsonl", "--qrels", "q.txt", "--metric", "speed"], "no such metric"),
        (["matches", "-", "--qrels", "-"], "more than once"),
        (["matches", "m.jsonl", "--qrels", "q.txt", "--catalog", "q.txt"], "q.txt, line 1"),
        (["summaries", "s.jsonl", "--baseline", "s.jsonl"], "--references"),
        (["summaries", "s.jsonl", "--over", "best"], "--over best"),
        (["pairs", "pairs.csv", "--dev", "pairs.csv", "--threshold", "1"], "exclude each other"),
        (["report", "q.txt", "-o", "x.html"], "not an evaluation"),
    ],
)
def test_wrong_calls_leave_with_2_and_nothing_written(folder: Path, arguments: list[str], message: str) -> None:
    before = sorted(folder.iterdir())
    done = call(folder, *arguments, *(["--report", "page.html"] if arguments[0] != "report" else []))
    assert done.exit_code == 2
    assert message in done.stderr and "next:" in done.stderr
    assert done.stdout == "" and sorted(folder.iterdir()) == before


def test_full_disk_leaves_nothing(folder: Path, tiny_disk: Callable[[str], Path]) -> None:
    disk = tiny_disk("8k")
    page = str(disk / "page.html")
    done = call(folder, "matches", "m.jsonl", "--qrels", "q.txt", "--report", page)
    assert done.exit_code == 2 and "no space left" in done.stderr and done.stdout == ""
    assert list(disk.iterdir()) == []


def test_no_torch_and_no_matplotlib_without_a_report(folder: Path) -> None:
    code = (
        "import sys; from typer.testing import CliRunner; from llmrec.cli import app\n"
        f"done = CliRunner().invoke(app, ['evaluate', 'matches', {str(folder / 'm.jsonl')!r}, '--qrels', "
        f"{str(folder / 'q.txt')!r}])\n"
        "assert done.exit_code == 0, done.output\n"
        "print(sorted({'torch', 'transformers', 'matplotlib', 'rouge_score', 'nltk'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
