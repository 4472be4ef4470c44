"""``llmrec watch --live`` and a ``match -`` behind it, as processes, on a stream that is being made meanwhile."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest

from llmrec.catalog import Catalog
from llmrec.index import Index
from tests.video.clips import picture
from tests.video.streams import Written, folder_handler, scenes, serving, write_stream, writing

ROOT = Path(__file__).parent.parent.parent
LLMREC = [sys.executable, "-m", "llmrec"]
CATALOG = "id,title\nK1,Santoku kitchen knife\nT2,Green tea with mint\nS3,Trail running shoe\n"


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("shop")
    (folder / "shop.csv").write_text(CATALOG)
    Index.build(folder / "shop.index", Catalog.read(folder / "shop.csv"))
    return folder / "shop.index"


def run(*arguments: str, **keywords) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*LLMREC, *arguments], capture_output=True, text=True, cwd=ROOT, timeout=120, **keywords)


def start(*arguments: str, **keywords) -> subprocess.Popen[str]:
    # nothing but flushing on purpose makes a line come early
    return subprocess.Popen([*LLMREC, *arguments], text=True, cwd=ROOT, stdout=subprocess.PIPE, **keywords)


def words(second: float):
    return picture("Santoku knife" if second < 7 else "Green tea", size=(480, 270), seed=1 if second < 7 else 2)


def test_matches_come_while_the_stream_goes_on(tmp_path: Path, index: Path) -> None:
    """The whole pipe: a recording that grows, read text (rapidocr), and an index that was open before the first."""
    pytest.importorskip("rapidocr")
    path = tmp_path / "show.ts"
    path.touch()
    shown = {True: words(0), False: words(9)}
    with writing(Written(path), "mpegts", 14, lambda second: shown[second < 7], size=(480, 270)) as writer:
        match = start("match", "-", "--index", str(index), "-o", "-", "-k", "1", stdin=subprocess.PIPE)
        watch = start("watch", "--live", str(path), "-o", "-", "--speech", "none", "--window", "3", "--hop", "3",
                      "--idle", "2", stderr=subprocess.PIPE)  # fmt: skip
        assert watch.stdout is not None and match.stdin is not None and match.stdout is not None

        def pass_on() -> None:
            for line in watch.stdout:
                match.stdin.write(line)
                match.stdin.flush()
            match.stdin.close()

        threading.Thread(target=pass_on, daemon=True).start()
        first = json.loads(match.stdout.readline())
        early = writer.is_alive()
        rest = [json.loads(line) for line in match.stdout]
    assert watch.wait(30) == 0 and match.wait(30) == 0
    assert early, "the first match was printed before the stream had ended"
    found = [first, *rest]
    assert [one["content_id"] for one in found] == [f"show@{second:06d}" for second in (0, 3, 6, 9, 12)]
    assert first["products"][0]["product_id"] == "K1" and found[-1]["products"][0]["product_id"] == "T2"
    evidence = found[-1]["products"][0]["evidence"][0]
    assert evidence["source"] == "screen" and 12 <= evidence["start"] <= evidence["end"] <= 14.1
    assert "ended: show: nothing came for 2 s" in watch.stderr.read()


def test_match_answers_each_line_before_the_next_comes(index: Path) -> None:
    match = start("match", "-", "--index", str(index), "-o", "-", "-k", "1", stdin=subprocess.PIPE)
    assert match.stdin is not None and match.stdout is not None
    for number, (title, product) in enumerate((("green tea", "T2"), ("a santoku", "K1"))):
        match.stdin.write(json.dumps({"id": f"a@{number}", "kind": "live", "title": title}) + "\n")
        match.stdin.flush()
        assert json.loads(match.stdout.readline())["products"][0]["product_id"] == product
    match.stdin.close()
    assert match.wait(30) == 0


def test_the_total_of_a_stream_is_told_after_each_window(index: Path) -> None:
    titles = ("a santoku knife", "green tea", "santoku")
    lines = [json.dumps({"id": f"a@{n:06d}", "kind": "live", "title": title}) + "\n" for n, title in enumerate(titles)]
    done = run("match", "-", "--index", str(index), "-o", "-", "--merge", input="".join(lines))
    assert done.returncode == 0, done.stderr
    totals = [json.loads(line) for line in done.stdout.splitlines()]
    assert [total["content_id"] for total in totals] == ["a"] * 3
    assert totals[0]["products"][0]["product_id"] == totals[2]["products"][0]["product_id"] == "K1"
    assert {product["product_id"] for product in totals[2]["products"][:2]} == {"K1", "T2"}
    assert run("match", "-", "--index", str(index), "-o", "x.jsonl", "--merge", input="").returncode == 2


def test_match_refuses_an_id_that_comes_twice_after_answering_the_first(index: Path) -> None:
    line = json.dumps({"id": "a", "kind": "live", "title": "tea"}) + "\n"
    done = run("match", "-", "--index", str(index), "-o", "-", input=line * 2)
    assert done.returncode == 2 and "two contents have the id 'a'" in done.stderr
    assert len(done.stdout.splitlines()) == 1


def test_an_interrupted_log_keeps_its_lines_and_grows_on(tmp_path: Path) -> None:
    path, log = tmp_path / "show.ts", tmp_path / "log.jsonl"
    path.touch()
    arguments = (
        "watch",
        "--live",
        str(path),
        "-o",
        str(log),
        "--speech",
        "none",
        "--no-ocr",
        "--window",
        "1",
        "--hop",
        "1",
    )
    with writing(Written(path), "mpegts", 20, scenes(20, (0, "RED"))):
        watch = start(*arguments, stderr=subprocess.PIPE)
        until = time.monotonic() + 20
        while not (log.exists() and log.read_text().count("\n") >= 2) and time.monotonic() < until:
            time.sleep(0.1)
        os.kill(watch.pid, signal.SIGINT)
        assert watch.wait(10) == 130
    assert "interrupted" in watch.stderr.read() and "contents," in watch.stdout.read()
    before = log.read_text()
    assert json.loads(before.splitlines()[1])["id"] == "show@000001"
    done = run(*arguments, "--idle", "0.5", "--duration", "2", "--json")
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert summary["contents"] == 2 and summary["ends"][0]["reason"] == "2 s were asked for"
    assert log.read_text().startswith(before)
    ids = [json.loads(line)["id"] for line in log.read_text().splitlines()]
    assert ids[-2:] == ["show.2@000000", "show.2@000001"] and len(set(ids)) == len(ids)


def test_keyframes_are_saved_if_asked(tmp_path: Path) -> None:
    write_stream(str(tmp_path / "show.ts"), "mpegts", 2, scenes(2, (0, "RED")), speed=100)
    log = tmp_path / "logs" / "log.jsonl"
    quiet = ("--speech", "none", "--no-ocr", "--idle", "0.3")
    frames = ("--frames", str(tmp_path / "frames"))
    done = run("watch", "--live", str(tmp_path / "show.ts"), "-o", str(log), *quiet, *frames)
    assert done.returncode == 0, done.stderr
    (frame,) = json.loads(log.read_text())["keyframes"]
    assert frame["path"].startswith("../frames/show/") and (log.parent / frame["path"]).is_file()


def test_a_stream_on_standard_input(tmp_path: Path) -> None:
    write_stream(str(tmp_path / "show.ts"), "mpegts", 2, scenes(2, (0, "RED")), speed=100)
    with (tmp_path / "show.ts").open("rb") as stdin:
        done = subprocess.run(
            [*LLMREC, "watch", "--live", "-", "-o", "-", "--speech", "none", "--no-ocr"],
            stdin=stdin, capture_output=True, text=True, cwd=ROOT, timeout=60,
        )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["id"] == "stdin@000000"


def test_the_network_is_off_without_live_and_errors_name_no_password(tmp_path: Path) -> None:
    asked: list[str] = []
    with serving(folder_handler(tmp_path, asked)) as address:
        secret = address.replace("//", "//me:s3cret@") + "/a.m3u8?token=s3cret"
        off = run("watch", secret, "-o", "-")
        assert (off.returncode, asked) == (2, []) and "the network is off" in off.stderr and "--live" in off.stderr
        on = run("watch", "--live", secret, "-o", "-", "--speech", "none", "--no-ocr")
        assert on.returncode == 2 and "answers 404" in on.stderr and asked == ["/a.m3u8?token=s3cret"]
    assert "s3cret" not in off.stderr + on.stderr


def test_wrong_calls(tmp_path: Path) -> None:
    for arguments, message in (
        (["nowhere.ts"], "nowhere.ts: No such file"),
        (["concat:a|b"], "streams of 'concat:' are not read"),
        (["nowhere.ts", "--hop", "99"], "hop is 99 s"),
    ):
        done = run("watch", "--live", *arguments, "-o", str(tmp_path / "a.jsonl"), "--speech", "none", "--no-ocr")
        assert done.returncode == 2 and message in done.stderr and "Traceback" not in done.stderr
        assert not (tmp_path / "a.jsonl").exists()
