"""Files watched in child processes: what kills a child costs one file."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmrec.errors import InputError, LlmrecError, ModelError
from llmrec.storage import Ledger
from llmrec.video import IsolatedWatcher, Watched, Watcher, WatchFailure, WatchSettings, watch_batch
from llmrec.video.child import worker_count
from tests.video.clips import picture, tone, write_clip

MORTAL = "tests.video.mortal:make"
QUIET = WatchSettings(speech="none", screen_text=False)
BRIEF = WatchSettings(speech="none", screen_text=False, max_wall_seconds=3, max_memory=500 << 20)


def files(folder: Path, *words: str) -> list[Path]:
    paths = [folder / f"{number:02d} {word}.mp4" for number, word in enumerate(words)]
    for path, word in zip(paths, words, strict=True):
        path.write_text(word)
    return paths


def told(result: Watched | WatchFailure) -> str:
    return result.message if isinstance(result, WatchFailure) else "watched"


def test_what_kills_the_child_costs_one_file(tmp_path: Path) -> None:
    words = ["fine", "abort", "fine", "crash", "exit", "bad", "fine", "hang", "eat", "fine"]
    paths = files(tmp_path, *words)
    with IsolatedWatcher(BRIEF, make=MORTAL) as watcher:
        begun = time.monotonic()
        outcomes = list(watch_batch(watcher, paths))
        assert time.monotonic() - begun < 30
    results = [outcome.watched or outcome.failure for outcome in outcomes]
    expected = ["watched", "SIGABRT", "watched", "SIGSEGV", "exit code 3", "is bad", "watched"]
    expected += ["took longer than 3 s", "memory", "watched"]
    for path, result, words_of_it in zip(paths, results, expected, strict=True):
        assert words_of_it in told(result), (path, result)
        if isinstance(result, WatchFailure):
            assert result.message.startswith(f"{path}: ") and result.next_step
    # a child lives until it is killed, and its watcher with it
    said = [result.content.title.split() for result in results if isinstance(result, Watched)]
    assert [count for _, count in said] == ["1", "1", "1", "1"] and len({pid for pid, _ in said}) == 4


def test_a_child_is_kept_from_file_to_file(tmp_path: Path) -> None:
    with IsolatedWatcher(BRIEF, make=MORTAL) as watcher:
        said = [
            watcher.watch(path).title.split()
            for path in files(tmp_path, "fine", "bad ", "fine")
            if "bad" not in path.name
        ]
    assert [count for _, count in said] == ["1", "2"] and len({pid for pid, _ in said}) == 1


def test_two_children_keep_the_order_and_the_ledger(tmp_path: Path) -> None:
    paths = files(tmp_path, "slow", "fine", "abort", "fine", "slow", "fine")
    with Ledger(tmp_path / "out.jsonl", Watched, "x") as ledger, IsolatedWatcher(BRIEF, make=MORTAL, workers=2) as two:
        outcomes = list(watch_batch(two, paths, ledger=ledger, workers=2))
        assert [outcome.path for outcome in outcomes] == paths
        assert [outcome.watched is not None for outcome in outcomes] == [True, True, False, True, True, True]
        assert len(ledger.done) == 5
        again = list(watch_batch(two, paths, ledger=ledger, workers=2))
    assert [outcome.reused for outcome in again] == [True, True, False, True, True, True]


def test_contents_are_those_of_the_process_itself(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.mp4", [(1, picture(seed=1)), (1, picture(seed=2))], sound=tone(2))
    cut = tmp_path / "cut.mkv"
    cut.write_bytes(write_clip(tmp_path / "b.mkv", [(3, picture(seed=3))]).read_bytes()[:-700])
    here = Watcher(QUIET, frames_dir=tmp_path / "here")
    with IsolatedWatcher(QUIET, frames_dir=tmp_path / "here") as there:
        for path in (clip, cut):
            one, other = here.examine(path), there.attempt(path)
            assert isinstance(other, Watched) and (one.content, one.problems) == (other.content, other.problems)
        assert one.problems and one.content.keyframes


def test_errors_of_the_child_are_raised_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asks, bad = files(tmp_path, "ask the network", "bad")
    with IsolatedWatcher(BRIEF, make=MORTAL) as watcher:
        with pytest.raises(ModelError, match="no such model"):
            watcher.attempt(asks)
        with pytest.raises(InputError, match="is bad"):
            watcher.watch(bad)
        watcher.prepare()
    monkeypatch.setenv("MORTAL", "no-model")
    with IsolatedWatcher(BRIEF, make=MORTAL) as watcher, pytest.raises(ModelError, match="no such model"):
        watcher.prepare()
    with IsolatedWatcher(BRIEF, make=MORTAL, options={"broken": True}) as watcher:
        with pytest.raises(LlmrecError, match=r"does not start.*exit code 7"):
            watcher.prepare()
    with pytest.raises(LlmrecError, match="closed"):
        watcher.attempt(asks)


def test_the_working_folder_cannot_put_code_into_the_child(tmp_path: Path) -> None:
    (tmp_path / "msgspec.py").write_text("raise SystemExit('taken over')")
    clip = write_clip(tmp_path / "a.mp4", [(1, picture(seed=1))])
    program = (
        "import sys; from llmrec.video import IsolatedWatcher, WatchSettings\n"
        f"with IsolatedWatcher(WatchSettings(speech='none', screen_text=False)) as w: print(w.watch({str(clip)!r}).id)"
    )
    # a script without 'if __name__': the child must not run it again
    script = tmp_path / "elsewhere" / "script.py"
    script.parent.mkdir()
    script.write_text(program)
    root = str(Path(__file__).parents[2])
    environment = {**os.environ, "PYTHONPATH": root}
    done = subprocess.run([sys.executable, script], cwd=tmp_path, env=environment, capture_output=True, text=True)
    assert (done.returncode, done.stdout) == (0, "a\n"), done.stderr


def test_children_end_with_the_parent(tmp_path: Path) -> None:
    (hang,) = files(tmp_path, "hang")
    program = (
        "import os\nfrom llmrec.video import IsolatedWatcher, WatchSettings\n"
        f"w = IsolatedWatcher(WatchSettings(speech='none'), make={MORTAL!r})\nw.prepare()\n"
        "print(next(iter(w._alive))._process.pid, flush=True)\n"
        f"w.attempt({str(hang)!r})"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])}
    parent = subprocess.Popen([sys.executable, "-c", program], env=environment, stdout=subprocess.PIPE, text=True)
    assert parent.stdout is not None
    with parent.stdout:
        child = int(parent.stdout.readline())
        time.sleep(0.2)
        parent.kill()
        parent.wait()
    for _ in range(50):
        if not Path(f"/proc/{child}").exists() or "Z" in Path(f"/proc/{child}/stat").read_text().split(") ")[1][:1]:
            return
        time.sleep(0.1)
    os.kill(child, 9)
    raise AssertionError("the child outlived its parent")


def test_as_many_children_as_pay() -> None:
    assert worker_count(1) == 1 and 1 <= worker_count(100) <= 4
