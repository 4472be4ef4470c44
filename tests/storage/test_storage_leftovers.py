"""What a killed process left half-written goes when its place is written again; what is in the making stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from llmrec.storage import atomic_file, atomic_folder
from llmrec.storage.leftovers import STALE, clear_leftovers, owned_prefix

pytestmark = pytest.mark.skipif(os.name != "posix", reason="asks the system for processes")

KILLED = """
import sys, time
from llmrec.storage import atomic_file, atomic_folder
with atomic_file(sys.argv[1]) as file, atomic_folder(sys.argv[2]) as folder:
    file.write(b"half")
    (folder / "half").write_text("half")
    print("ready", flush=True)
    time.sleep(60)
"""


def hidden(folder: Path) -> list[str]:
    return sorted(name for name in os.listdir(folder) if name.startswith("."))


def test_what_a_killed_process_left_goes_with_the_next_write(tmp_path: Path) -> None:
    out, index = tmp_path / "out.jsonl", tmp_path / "index"
    process = subprocess.Popen([sys.executable, "-c", KILLED, str(out), str(index)], stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    assert len(hidden(tmp_path)) == 2
    with atomic_file(out) as file:  # while the other lives, its files are left alone
        file.write(b"mine")
    assert len(hidden(tmp_path)) == 2
    process.send_signal(signal.SIGKILL)
    process.wait()
    process.stdout.close()
    assert len(hidden(tmp_path)) == 2
    with atomic_file(out) as file:
        file.write(b"whole")
    assert len(hidden(tmp_path)) == 1  # that of the folder: another output
    with atomic_folder(index):
        pass
    assert sorted(os.listdir(tmp_path)) == ["index", "out.jsonl"]


def test_one_at_work_in_this_process_is_left_alone(tmp_path: Path) -> None:
    with atomic_file(tmp_path / "out", mode="w") as slow:
        with atomic_file(tmp_path / "out", mode="w") as fast:
            fast.write("fast")
        slow.write("slow")
    assert (tmp_path / "out").read_text() == "slow"
    assert os.listdir(tmp_path) == ["out"]


@pytest.mark.parametrize("name", [".out.abcd_123.partial", ".out.00000000-1-abcd_123.partial"])
def test_without_a_known_owner_a_day_must_pass(tmp_path: Path, name: str) -> None:
    leftover = tmp_path / name
    leftover.mkdir()
    inner = leftover / "inner"
    inner.write_text("half")
    now = time.time()
    os.utime(leftover, (now - STALE - 60,) * 2)
    os.utime(inner, (now - STALE + 60,) * 2)
    clear_leftovers(tmp_path / "out")
    assert inner.exists()  # something in it changed within the day
    os.utime(inner, (now - STALE - 60,) * 2)
    clear_leftovers(tmp_path / "out")
    assert not leftover.exists()


def test_files_of_other_outputs_stay(tmp_path: Path) -> None:
    dead = owned_prefix(Path("x")).split(".")[2].replace(f"-{os.getpid()}-", "-4194999-")  # beyond the largest process
    stay = [f".out.b.{dead}abcd1234.partial", f".ou.{dead}abcd1234.partial", f"out.{dead}abcd1234.partial",
            ".out.progress", f".out.{dead}abcd1234.partial.gz"]  # fmt: skip
    for name in [*stay, f".out.{dead}abcd1234.partial"]:
        (tmp_path / name).touch()
    clear_leftovers(tmp_path / "out")
    assert sorted(os.listdir(tmp_path)) == sorted(stay)


def test_the_last_whole_folder_is_never_removed(tmp_path: Path) -> None:
    dead = owned_prefix(Path("x")).split(".")[2].replace(f"-{os.getpid()}-", "-4194999-")
    old = tmp_path / f".index.{dead}abcd1234.old"
    (old / "replaced").mkdir(parents=True)
    clear_leftovers(tmp_path / "index")
    assert old.exists()
    (tmp_path / "index").mkdir()
    clear_leftovers(tmp_path / "index")
    assert not old.exists()
