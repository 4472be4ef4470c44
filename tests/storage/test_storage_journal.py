"""The journal: what was acknowledged is read whole, through kills, full disks and damage."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from llmrec.errors import ArtefactError, InputError, StorageError
from llmrec.storage.journal import Journal, JournalTail

entries = st.lists(st.binary(max_size=40), max_size=4)


def read(path: Path) -> list[bytes]:
    tail = JournalTail(path)
    try:
        return tail.read()
    finally:
        tail.close()


class Journals(RuleBasedStateMachine):
    """One file, writers that come and go or die in the middle of an entry, and a reader that looks now and then."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "log"
        self.journal: Journal | None = None
        self.tail = JournalTail(self.path)
        self.written: list[bytes] = []
        self.seen: list[bytes] = []

    @rule(added=entries)
    def append(self, added: list[bytes]) -> None:
        if self.journal is None:
            self.journal = Journal.open(self.path)
        self.journal.append(added)
        self.written += added

    @rule(garbage=st.binary(min_size=1, max_size=60))
    def die_in_an_entry(self, garbage: bytes) -> None:
        if self.journal is not None:
            self.journal.close()
            self.journal = None
        with self.path.open("ab") as file:
            file.write(garbage)

    @rule()
    def look(self) -> None:
        self.seen += self.tail.read()
        assert self.seen == self.written

    @rule()
    def look_from_the_start(self) -> None:
        assert read(self.path) == self.written

    @invariant()
    def nothing_is_seen_that_was_not_written(self) -> None:
        assert self.seen == self.written[: len(self.seen)]

    def teardown(self) -> None:
        if self.journal is not None:
            self.journal.close()
        self.tail.close()
        self.folder.cleanup()


Journals.TestCase.settings = settings(max_examples=40, stateful_step_count=15, deadline=None)
TestJournals = Journals.TestCase


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with Journal.open(path) as journal:
        journal.append([b"a"])
        with pytest.raises(InputError, match="another process is writing"):
            Journal.open(path)
        assert read(path) == [b"a"]  # readers are not kept off
    with Journal.open(path) as journal:
        journal.append([b"b"])
    assert read(path) == [b"a", b"b"]


def test_nothing_there_is_nothing_to_read(tmp_path: Path) -> None:
    assert read(tmp_path / "log") == []


@settings(deadline=None, max_examples=80)
@given(st.lists(st.binary(max_size=30), min_size=1, max_size=6), st.data())
def test_any_changed_or_missing_byte_is_told(written: list[bytes], data: st.DataObject) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "log"
        with Journal.open(path) as journal:
            journal.append(written)
        target = data.draw(st.sampled_from([path, path.with_name("log.ack")]))
        whole = target.read_bytes()
        place = data.draw(st.integers(0, len(whole) - 1))
        if data.draw(st.booleans()):
            broken = whole[:place]
        else:
            broken = whole[:place] + bytes([whole[place] ^ data.draw(st.integers(1, 255))]) + whole[place + 1 :]
        target.write_bytes(broken)
        with pytest.raises(ArtefactError, match="is damaged"):
            read(path)


def test_a_file_that_is_gone_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log"
    with Journal.open(path) as journal:
        journal.append([b"a"])
    path.unlink()
    with pytest.raises(ArtefactError, match="cannot be read"):
        read(path)
    with pytest.raises(ArtefactError, match="is damaged"):
        Journal.open(path)


WRITER = """
import sys
from llmrec.storage.journal import Journal
with Journal.open(sys.argv[1]) as journal:
    number = int(sys.argv[2])
    while True:
        journal.append([b"%d " % number * 40, b"%d" % number])
        sys.stdout.write(f"{number}\\n")
        sys.stdout.flush()
        number += 1
"""


def test_what_was_acknowledged_survives_kills(tmp_path: Path) -> None:
    path, told = tmp_path / "log", 0
    rng = random.Random(0)
    for _ in range(12):
        command = [sys.executable, "-c", WRITER, str(path), str(told)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        process.stdout.readline()
        time.sleep(rng.random() * 0.05)
        process.send_signal(signal.SIGKILL)
        lines = process.stdout.read().split()
        process.wait()
        last = max(map(int, lines), default=told)
        found = read(path)
        numbers = [int(entry) for entry in found[1::2]]
        # all that was told is there, in order, each once; at most one more was written and not told
        assert numbers == list(range(len(numbers)))
        assert last <= numbers[-1] <= last + 1
        assert found[0::2] == [b"%d " % number * 40 for number in numbers]
        told = numbers[-1] + 1


def test_a_writer_that_died_before_its_first_mark_does_no_harm(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"half an entry")
    assert read(path) == []
    with Journal.open(path) as journal:
        journal.append([b"a"])
    assert read(path) == [b"a"]


def test_a_full_disk_leaves_what_was_there(tiny_disk: Callable[[str], Path]) -> None:
    path = tiny_disk("64k") / "log"
    journal = Journal.open(path)
    journal.append([b"first"])
    count = 1
    with pytest.raises(StorageError, match="no space left"):
        while True:
            journal.append([os.urandom(3000)])
            count += 1
    assert len(read(path)) == count
    journal.close()
    with Journal.open(path):
        assert len(read(path)) == count
