"""Many files: ids, the ledger, and the command."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.errors import InputError
from llmrec.records import Content
from llmrec.storage import Ledger, read_records
from llmrec.video import Watched, Watcher, WatchSettings, media_files, watch_batch
from llmrec.video.batch import content_ids, passed_over, settings_digest
from tests.video.clips import picture, write_clip

QUIET = WatchSettings(speech="none", screen_text=False)
runner = CliRunner()


@pytest.fixture
def clips(tmp_path: Path) -> Path:
    folder = tmp_path / "clips"
    folder.mkdir()
    for number in (1, 2):
        write_clip(folder / f"c{number}.mp4", [(1, picture(seed=number))])
    return folder


def run(*arguments: str | Path):
    return runner.invoke(app, ["watch", "--no-ocr", "--speech", "none", *map(str, arguments)])


def test_ids_are_short_where_they_can_be() -> None:
    paths = [Path("a/clip.mp4"), Path("b/clip.mp4"), Path("b/clip.mov"), Path("b/other.webm"), Path("b/v1.2")]
    assert content_ids(paths) == ["a/clip.mp4", "b/clip.mp4", "clip.mov", "other", "v1.2"]
    with pytest.raises(InputError, match="named twice"):
        content_ids([Path("a.mp4"), Path("./a.mp4")])


def test_folders_of_videos_and_of_frames(tmp_path: Path) -> None:
    for name in ("v/b.mp4", "v/a.webm", "v/notes.txt", "v/photo.jpg", "f/2.png", "f/10.png", "n/notes.txt"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).touch()
    found = media_files([tmp_path / "v", tmp_path / "f", "single.mp4"])
    names = [path.as_posix().removeprefix(f"{tmp_path.as_posix()}/") for path in found]
    assert names == ["v/a.webm", "v/b.mp4", "v/photo.jpg", "f", "single.mp4"]
    with pytest.raises(InputError, match="holds no media"):
        media_files([tmp_path / "n"])


def test_folders_within_folders_are_told(tmp_path: Path) -> None:
    for name in ("v/b.mp4", "v/frames/1.png", "v/notes/notes.txt", "v/.hidden/2.png", "w/deep/c.mp4"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    assert media_files([tmp_path / "v"]) == [tmp_path / "v" / "b.mp4"]
    assert passed_over([tmp_path / "v", "https://example.org/a.mp4"]) == [tmp_path / "v" / "frames"]
    assert passed_over([tmp_path / "v", tmp_path / "v" / "frames"]) == []
    with pytest.raises(InputError, match=r"holds no media(.|\n)*such as .*deep"):
        media_files([tmp_path / "w"])


def test_watched_files_are_not_watched_again(tmp_path: Path, clips: Path) -> None:
    out, frames = tmp_path / "contents.jsonl", tmp_path / "frames"

    def reused(settings: WatchSettings = QUIET) -> list[bool]:
        with Ledger(out, Watched, settings_digest(settings, frames)) as ledger:
            watcher = Watcher(settings, frames_dir=frames)
            outcomes = list(watch_batch(watcher, media_files([clips]), ledger=ledger))
            assert all(outcome.watched for outcome in outcomes)
            return [outcome.reused for outcome in outcomes]

    assert reused() == [False, False]
    assert reused() == [True, True]
    write_clip(clips / "c3.mp4", [(1, picture(seed=3))])
    assert reused() == [True, True, False]
    os.utime(clips / "c1.mp4", (1, 1))
    (clips / "c2.srt").write_text("1\n00:00:00,000 --> 00:00:01,000\nnew\n")
    assert reused() == [False, False, True]
    next((frames / "c3").iterdir()).unlink()
    assert reused() == [True, True, False]
    assert reused(WatchSettings(speech="none", screen_text=False, max_frames=5)) == [False, False, False]


def test_the_command_writes_contents_and_frames(tmp_path: Path, clips: Path) -> None:
    out = tmp_path / "out" / "contents.jsonl"
    result = run(clips, "-o", out, "--json")
    assert result.exit_code == 0, result.output
    said = json.loads(result.stdout)
    assert (said["contents"], said["reused"], said["failed"]) == (2, 0, [])
    contents = list(read_records(out, Content))
    assert [content.id for content in contents] == ["c1", "c2"]
    for content in contents:
        assert (out.parent / content.media).is_file()
        assert all((out.parent / frame.path).is_file() for frame in content.keyframes) and content.keyframes
        assert content.keyframes[0].path.startswith("contents.jsonl.frames/")
    assert json.loads(run(clips, "-o", out, "--json").stdout)["reused"] == 2


def test_a_bad_file_among_several_is_reported(tmp_path: Path, clips: Path) -> None:
    (clips / "fake.mp4").write_text("ffconcat version 1.0\n")
    out = tmp_path / "contents.jsonl"
    result = run(clips, "-o", out)
    assert result.exit_code == 1
    assert "fake.mp4: is an FFmpeg concat script" in result.stderr
    assert len(list(read_records(out, Content))) == 2


def test_only_bad_files_are_an_input_error(tmp_path: Path) -> None:
    (tmp_path / "a.mp4").write_text("ffconcat version 1.0\n")
    (tmp_path / "b.mp4").write_text("#EXTM3U\n")
    for names in (["a.mp4"], ["a.mp4", "b.mp4"], ["https://example.com/a.mp4"], ["missing.mp4"]):
        out = tmp_path / "contents.jsonl"
        files = [name if "://" in name else tmp_path / name for name in names]
        result = run(*files, "-o", out)
        assert result.exit_code == 2 and "next:" in result.stderr
        assert not [path for path in tmp_path.iterdir() if "contents" in path.name]


def test_contents_to_stdout(clips: Path) -> None:
    result = run(clips / "c1.mp4", "-o", "-")
    assert result.exit_code == 0
    assert json.loads(result.stdout)["id"] == "c1" and "keyframes" not in json.loads(result.stdout)
    assert run(clips, "-o", "-", "--json").exit_code == 2


def test_names_from_stdin(tmp_path: Path, clips: Path) -> None:
    arguments = ["watch", "--no-ocr", "--speech", "none", "-", "-o", str(tmp_path / "c.jsonl"), "--json"]
    result = runner.invoke(app, arguments, input=f"{clips / 'c1.mp4'}\n{clips / 'c2.mp4'}\n")
    assert json.loads(result.stdout)["contents"] == 2


def test_an_unknown_speech_model_stops_before_any_work(tmp_path: Path, clips: Path) -> None:
    arguments = ["watch", "--speech", "starter:nothing", str(clips), "-o", str(tmp_path / "c.jsonl")]
    result = runner.invoke(app, arguments)
    assert result.exit_code == 2 and "starter:nothing" in result.stderr
    assert not (tmp_path / "c.jsonl").exists()
