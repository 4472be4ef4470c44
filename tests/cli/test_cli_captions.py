"""``llmrec watch --caption-model``, with a server in a process of its own."""

from __future__ import annotations

from pathlib import Path

from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.records import Content
from llmrec.storage import read_records
from tests.llm.conftest import serve  # noqa: F401
from tests.video.clips import picture, write_clip

runner = CliRunner()


def watch(*arguments: object):
    options = ["--no-ocr", "--speech", "none", "--no-isolate", "--max-frames", "2"]
    return runner.invoke(app, ["watch", *map(str, arguments), *options])


def test_keyframes_get_captions(tmp_path: Path, serve) -> None:  # noqa: F811
    clip = write_clip(tmp_path / "a.mp4", [(1, picture(seed=1)), (1, picture(seed=2))])
    server, output = serve(), tmp_path / "out" / "contents.jsonl"
    result = watch(clip, "-o", output, "--caption-model", f"openai:vlm@{server.url}")
    assert result.exit_code == 0, result.output
    (content,) = read_records(output, Content)
    assert len(content.keyframes) == 2
    (piece,) = content.timed_text  # the server says the same of both
    assert (piece.source, piece.start, piece.end) == ("vision", content.keyframes[0].time, content.keyframes[1].time)
    assert piece.text.startswith("echo: Name the product")
    assert watch(clip, "-o", output, "--caption-model", f"openai:vlm@{server.url}").exit_code == 0
    assert len(server.requests) == 2  # the second run asked nothing
    assert next(read_records(output, Content)).timed_text == (piece,)
    assert watch(clip, "-o", output).exit_code == 0
    assert next(read_records(output, Content)).timed_text == ()


def test_what_cannot_work_is_said_before_the_work(tmp_path: Path, serve) -> None:  # noqa: F811
    clip = write_clip(tmp_path / "a.mp4", [(1, picture(seed=1))])
    server = serve(400)
    nowhere = watch(clip, "-o", "-", "--caption-model", f"openai:vlm@{server.url}")
    assert nowhere.exit_code == 2 and "none are saved" in nowhere.output and "--frames" in nowhere.output
    assert server.requests == []
    refused = watch(clip, "-o", tmp_path / "c.jsonl", "--caption-model", f"openai:vlm@{server.url}")
    assert refused.exit_code == 1 and "status 400" in refused.output
    assert not (tmp_path / "c.jsonl").exists()
    unknown = watch(clip, "-o", tmp_path / "c.jsonl", "--caption-model", "starter:nothing")
    assert unknown.exit_code == 2
