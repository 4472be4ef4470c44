"""``llmrec summarize`` as a process, against a real chat server in another: files, exit codes, interruption."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVER = Path(__file__).parents[1] / "llm" / "scripted_server.py"
ANSWER = "Type: mat\nAttributes: weight = 9 kg\nHighlights: grippy mat\nSummary: A grippy mat."


@pytest.fixture
def serve(tmp_path: Path) -> Iterator:
    """Start a server; returns its address and a function that counts its requests."""
    processes = []

    def start(*script):
        (tmp_path / "script.json").write_text(json.dumps(script))
        log = tmp_path / "log.jsonl"
        log.write_text("")
        command = [sys.executable, str(SERVER), str(tmp_path / "script.json"), str(log)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        return f"http://127.0.0.1:{process.stdout.readline().strip()}/v1", lambda: len(log.read_text().splitlines())

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture
def catalog(tmp_path: Path) -> Path:
    """Eight products whose description makes the server answer with a summary."""
    path = tmp_path / "products.jsonl"
    rows = [{"id": f"p{i}", "title": f"Acme mat no {i}", "description": "Grippy mat."} for i in range(8)]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


@pytest.fixture
def prompt(tmp_path: Path) -> Path:
    """A prompt whose instruction makes the server say a fixed answer."""
    path = tmp_path / "mine.yaml"
    text = json.dumps("{% filter data %}{{ title }}{% endfilter %} say:" + ANSWER)
    path.write_text(
        "{name: mine, version: '7', task: summary, about: x, variables: {title: {}},"
        f" messages: [{{role: user, content: {text}}}]}}"
    )
    return path


def command(*arguments: object) -> list[str]:
    return [sys.executable, "-m", "llmrec", "summarize", *map(str, arguments)]


def run(*arguments: object, input: str = "") -> subprocess.CompletedProcess[str]:
    return subprocess.run(command(*arguments), capture_output=True, text=True, input=input, timeout=60)


def rows(path: Path) -> list[dict]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_a_catalog_is_summarized(serve, catalog: Path, prompt: Path, tmp_path: Path) -> None:
    url, _ = serve()
    out = tmp_path / "out.jsonl"
    done = run(catalog, "-o", out, "--model", f"openai:m@{url}", "--prompt", prompt, "--json")
    assert done.returncode == 0, done.stderr
    written = rows(out)
    assert [row["product_id"] for row in written] == [f"p{i}" for i in range(8)]
    assert written[3] == {
        "product_id": "p3",
        "headline": "mat",
        "summary": "A grippy mat.",
        "highlights": ["grippy mat"],
        "attributes": {},
        "support": [
            {"claim": "mat", "field": "title", "start": 5, "end": 8},
            {"claim": "grippy mat", "field": "description", "start": 0, "end": 10},
            {"claim": "A grippy mat.", "field": "description", "start": 0, "end": 10},
        ],
        "model": f"openai:m@{url}",
        "adapter": None,
        "prompt": {"name": "mine", "version": "7"},
        "problems": ["attributes: not in the product, dropped: weight = 9 kg"],
    }
    counts = json.loads(done.stdout)
    assert (counts["written"], counts["unreadable"], counts["ungrounded"], counts["resumed"]) == (8, 0, 8, 0)
    assert counts["usage"]["conversations"] == 8
    assert sorted(p.name for p in tmp_path.iterdir() if "out" in p.name) == ["out.jsonl"]


def test_pipes_and_limits(serve, catalog: Path, prompt: Path) -> None:
    url, requests = serve()
    done = run(
        "-", "-o", "-", "--model", "m", "--base-url", url, "--prompt", prompt, "--limit", 2, input=catalog.read_text()
    )
    assert done.returncode == 0, done.stderr
    assert [json.loads(line)["product_id"] for line in done.stdout.splitlines()] == ["p0", "p1"]
    assert "2 summaries by openai:m@" in done.stderr
    assert requests() == 2
    both = run(catalog, "-o", "-", "--json", "--model", "m", "--base-url", url)
    assert (both.returncode, both.stdout) == (2, "")


def test_candidates_are_asked_for_by_seeds_of_their_own(serve, catalog: Path, prompt: Path, tmp_path: Path) -> None:
    url, requests = serve()
    wanted = ["-o", tmp_path / "out.jsonl", "--model", "m", "--base-url", url, "--prompt", prompt, "--limit", 2]
    done = run(catalog, *wanted, "--candidates", 3, "--json")
    assert done.returncode == 0, done.stderr
    assert (json.loads(done.stdout)["candidates"], requests(), len(rows(tmp_path / "out.jsonl"))) == (3, 6, 2)
    bodies = [row["body"] for row in rows(tmp_path / "log.jsonl")]
    assert sorted(body["seed"] for body in bodies) == [0, 0, 1, 1, 2, 2]
    assert all(body["temperature"] > 0 for body in bodies)
    assert run(catalog, *wanted, "--candidates", 0).returncode == 2


def test_parquet(serve, catalog: Path, prompt: Path, tmp_path: Path) -> None:
    from llmrec.records import ProductSummary
    from llmrec.storage import read_records

    url, _ = serve()
    out = tmp_path / "out.parquet"
    assert run(catalog, "-o", out, "--model", "m", "--base-url", url, "--prompt", prompt).returncode == 0
    assert [s.product_id for s in read_records(out, ProductSummary)] == [f"p{i}" for i in range(8)]


def test_an_interruption_keeps_what_is_done(serve, catalog: Path, prompt: Path, tmp_path: Path) -> None:
    # the first four are quick, the rest take long
    url, requests = serve(*[200] * 4, *[{"status": 200, "wait": 20}] * 8)
    out = tmp_path / "out.jsonl"
    arguments = (catalog, "-o", out, "--model", "m", "--prompt", prompt, "--batch-size", 4)
    process = subprocess.Popen(command(*arguments, "--base-url", url), stderr=subprocess.PIPE, text=True)
    deadline = time.monotonic() + 40
    while requests() < 5 and time.monotonic() < deadline:
        time.sleep(0.05)
    interrupted = time.monotonic()
    process.send_signal(signal.SIGINT)
    _, said = process.communicate(timeout=30)
    assert time.monotonic() - interrupted < 10  # the slow answers are not waited for
    assert process.returncode == 130, said
    assert "4 summaries are kept; run the same command again to go on" in said
    assert not out.exists()

    assert [path.name for path in tmp_path.iterdir() if "out" in path.name] == [".out.jsonl.progress"]


def test_a_failing_server_keeps_what_is_done_and_the_same_command_goes_on(
    serve, catalog: Path, prompt: Path, tmp_path: Path
) -> None:
    url, _ = serve(*[200] * 4, 400, 400, 400, 400)
    out = tmp_path / "out.jsonl"
    arguments = (catalog, "-o", out, "--model", "m", "--base-url", url, "--prompt", prompt, "--batch-size", 4, "--json")
    failed = run(*arguments)
    assert failed.returncode == 1
    assert "status 400" in failed.stderr
    assert "4 summaries are kept" in failed.stderr
    assert not out.exists()
    done = run(*arguments)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["resumed"] == 4
    assert [row["product_id"] for row in rows(out)] == [f"p{i}" for i in range(8)]
    anew = run(*arguments, "--no-resume", "--limit", 1)
    assert (json.loads(anew.stdout)["written"], json.loads(anew.stdout)["resumed"]) == (1, 0)


def test_bad_calls_say_so_at_once(catalog: Path, tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    for arguments, said in (
        ((empty, "-o", out), "empty.jsonl"),
        ((tmp_path / "none.jsonl", "-o", out), "none.jsonl"),
        ((catalog, "-o", out, "--prompt", "poem"), "poem: no such prompt"),
        ((catalog, "-o", out, "--prompt", "shopping-intent", "--model", "openai:m@http://h/v1"), "task intent"),
        ((catalog, "-o", out, "--model", "starter:gpt9"), "gpt9"),
        ((catalog, "-o", out, "--model", "openai:m"), "no address of a server"),
    ):
        done = run(*arguments)
        assert done.returncode == 2, (arguments, done.stderr)
        assert said in done.stderr
        assert "Traceback" not in done.stderr
        assert "next:" in done.stderr
    assert not out.exists()
    assert os.listdir(tmp_path) == [p for p in os.listdir(tmp_path) if "out" not in p]


def test_an_adapter_whose_recipe_cannot_be_read_is_told(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    import numpy as np
    from safetensors.numpy import save_file

    from llmrec.cli.summarize import _trained_prompt

    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "starter:smollm2-135m"}')
    save_file({"a": np.zeros(1, dtype=np.float32)}, tmp_path / "adapter_model.safetensors")
    assert _trained_prompt(str(tmp_path)) is None and not capsys.readouterr().err
    (tmp_path / "recipe.yaml").write_text("task: summarize\nlearning_rate_of_another_tool: 1\n")
    assert _trained_prompt(str(tmp_path)) is None
    assert "recipe.yaml: cannot be read" in (told := capsys.readouterr().err) and "--prompt" in told
