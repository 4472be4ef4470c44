"""The parts of live watching, with numbers worked out by hand: clock, pace, windows, the desk, the log."""

from __future__ import annotations

import threading
import time
from collections import deque
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError, StorageError
from llmrec.records import Content, TimedText
from llmrec.storage import read_records
from llmrec.video.choosing import Chooser
from llmrec.video.frames import Candidate
from llmrec.video.live import Remembering, _Desk, spread
from llmrec.video.live_bytes import GrowingFile, Pipe, Wait
from llmrec.video.live_clock import Pace, StreamClock
from llmrec.video.live_log import LiveLog
from llmrec.video.live_settings import LiveSettings
from llmrec.video.live_windows import Rolling, Window
from llmrec.video.screen import Reading
from tests.video.clips import picture


def test_the_clock_begins_at_nought_and_survives_jumps() -> None:
    clock = StreamClock()
    assert clock.seconds(1000.5, wall=50.0, origin=1000.0) == 0.5
    assert clock.seconds(1002.0, wall=51.5) == 2.0
    assert clock.seconds(1001.5, wall=51.5) == 1.5, "sound may come after pictures"
    # the encoder is restarted: its clock begins anew, ours goes on
    assert clock.seconds(3.0, wall=52.0) == 2.0
    assert clock.seconds(4.0, wall=53.0) == 3.0
    # a day's jump forward is no day of silence, but a minute that took a minute is
    assert clock.seconds(90_000.0, wall=54.0) == 3.0
    assert clock.seconds(90_060.0, wall=114.0) == 63.0


def test_the_clock_of_a_new_connection_goes_on_by_the_time_of_day() -> None:
    clock = StreamClock()
    clock.seconds(10.0, wall=100.0)
    clock.seconds(15.0, wall=105.0)
    clock.reconnected(wall=108.0)
    assert clock.seconds(777.0, wall=108.2) == 8.0  # 5 s were seen, 3 s passed
    assert clock.seconds(778.0, wall=109.2) == 9.0


@given(st.lists(st.tuples(st.floats(-1e9, 1e9), st.floats(0, 100)), min_size=1, max_size=50))
def test_the_clock_never_runs_away(packets: list[tuple[float, float]]) -> None:
    clock, wall = StreamClock(), 1.0
    for second, passed in packets:
        before = clock.now
        wall += passed
        assert 0 <= clock.seconds(second, wall) <= before + 10 + passed + 1e-6


def test_lag_is_told_from_the_live_edge() -> None:
    pace = Pace(hop=15, begun=100.0)
    assert pace.lag(20.0, wall=110.0) == -10.0  # 20 s of stream in 10 s: a file that was there already
    pace.at_edge(50.0, wall=130.0)
    assert pace.lag(50.0, wall=130.0) == 0.0
    assert pace.lag(50.0, wall=133.5) == 3.5


def test_a_late_window_has_less_time() -> None:
    pace = Pace(hop=10, begun=0.0)
    assert pace.room(lag=0.0) == 9.0
    assert pace.room(lag=4.0) == 5.0
    assert pace.room(lag=-20.0) == 29.0
    assert pace.room(lag=0.0, streams=2) == 4.5


@given(st.integers(0, 40))
def test_pictures_are_read_far_apart_first(count: int) -> None:
    assert sorted(spread(count)) == list(range(count))
    assert spread(5) == [0, 4, 2, 1, 3]


def still(second: float, seed: int) -> Candidate:
    image = picture(seed=seed, size=(48, 27))
    return Candidate(second, np.asarray(image), 1.0 + seed, SimpleNamespace(to_image=lambda: image))


def test_windows_overlap_and_close_in_order() -> None:
    rolling = Rolling(window=20, hop=15, budget=10)
    for second in range(50):
        rolling.frame(still(float(second), seed=1 + second // 10))
    first, second = rolling.close(35.0)
    assert (first.start, first.end, second.start, second.end) == (0, 20, 15, 35)
    assert [(run.start, run.end) for run in first.chooser.finish()] == [(0, 10), (10, 19)]
    assert [(run.start, run.end) for run in second.chooser.finish()] == [(15, 20), (20, 30), (30, 34)]
    (third,) = rolling.finish()
    assert (third.start, third.end) == (30, 49), "45-65 s would add nothing to it"
    assert rolling.finish() == []


def test_a_gap_opens_no_windows() -> None:
    rolling = Rolling(window=20, hop=15, budget=10)
    rolling.frame(still(1.0, 1))
    rolling.frame(still(7201.0, 2))
    assert [(window.start, window.end) for window in rolling.close(8000.0)] == [(0, 20), (7185, 7205), (7200, 7220)]


def test_what_comes_late_opens_no_window_again() -> None:
    rolling = Rolling(window=2, hop=2, budget=10)
    rolling.frame(still(3.0, 1))
    assert len(rolling.close(4.0)) == 1
    rolling.frame(still(3.9, 2))
    rolling.sound(1.0, np.zeros(1600, np.int16))
    assert rolling.close(4.0) == [] and rolling.finish() == []


def test_memory_does_not_grow_with_the_stream() -> None:
    """Ten minutes in which every frame is another picture: never more is held than twice the budget of each window."""
    rolling = Rolling(window=20, hop=15, budget=4)
    stills = [still(0.0, seed) for seed in range(1, 30)]
    most = 0
    for number in range(600):
        rolling.frame(stills[number % 29]._replace(time=float(number)))
        rolling.sound(float(number), np.zeros(16_000, np.int16))
        rolling.close(float(number))
        held = sum(len(window.chooser._kept.runs) + 1 for window in rolling._open.values())
        seconds = sum(len(window.sound) for window in rolling._open.values())
        most = max(most, held)
        assert len(rolling._open) <= 2 and seconds <= 42
    assert most <= 2 * (2 * 4 + 1)


def test_sound_is_laid_out_by_its_times() -> None:
    window = Window(0, 20, Chooser(4))
    assert window.block() is None
    ones = np.full(16_000, 16384, np.int16)
    window.sound += [(1.0, ones), (2.05, ones), (5.0, ones)]
    block = window.block()
    assert block is not None and block.start == 1.0
    # one second, one second (50 ms are no gap), silence up to 5 s, one second
    assert len(block.samples) == 5 * 16_000
    assert block.samples[31_999] == 0.5 and block.samples[32_000] == 0 and block.samples[64_000] == 0.5


def test_a_clock_that_stands_still_does_not_fill_the_memory() -> None:
    rolling = Rolling(window=2, hop=2, budget=4)
    for _ in range(1000):
        rolling.sound(1.0, np.zeros(1600, np.int16))
    (window,) = rolling.finish()
    assert len(window.sound) == 40  # four seconds


def test_captions_fall_into_the_windows_that_show_them() -> None:
    rolling = Rolling(window=20, hop=15, budget=4)
    rolling.caption(TimedText(16.0, 18.0, "hello", "caption"))
    first, second = rolling.close(35.0)
    assert first.captions == second.captions and first.captions[0].text == "hello"


def intake(waits: bool, lag: float) -> SimpleNamespace:
    return SimpleNamespace(source=SimpleNamespace(waits=waits), pace=SimpleNamespace(lag=lambda second, wall: lag))


class Hashable(SimpleNamespace):
    __hash__ = object.__hash__
    __eq__ = object.__eq__


@pytest.mark.parametrize(("waits", "lag"), [(False, 0.0), (True, 16.0)])
def test_a_stream_that_runs_away_loses_windows_not_memory(waits: bool, lag: float) -> None:
    """RTSP does not wait; a file does, but not when it is already late by more than a hop."""
    desk = _Desk(LiveSettings(window=20, hop=15))
    one = Hashable(**vars(intake(waits, lag)))
    desk.queues = {one: deque()}
    for number in range(5):
        desk.post(one, Window(15.0 * number, 15.0 * number + 20, Chooser(4)))
    taken = [desk.take()[1] for _ in range(2)]
    assert [window.start for window in taken] == [45, 60]
    lost = "s were left out: watching is slower than the stream"
    assert sorted(taken[0].problems + taken[1].problems) == [f"0-20 {lost}", f"15-35 {lost}", f"30-50 {lost}"]


def test_a_source_that_can_wait_is_held_back() -> None:
    desk = _Desk(LiveSettings(window=20, hop=15))
    one = Hashable(**vars(intake(True, -5.0)))
    desk.queues = {one: deque()}
    windows = [Window(15.0 * number, 15.0 * number + 20, Chooser(4)) for number in range(4)]
    thread = threading.Thread(target=lambda: [desk.post(one, window) for window in [*windows, None]])
    thread.start()
    time.sleep(0.3)
    assert len(desk.queues[one]) == 2 and thread.is_alive()
    taken = [desk.take()[1] for _ in range(5)]
    thread.join(2)
    assert taken == [*windows, None] and desk.take() is None


def test_a_picture_is_read_once() -> None:
    class Reader:
        count = 0

        def read(self, image) -> list[Reading]:
            self.count += 1
            return [Reading(str(self.count), 0.9)]

    reader = Reader()
    remembering = Remembering(reader)
    one, same, other = picture("a"), picture("a"), picture("b")
    assert [remembering.read(image)[0].text for image in (one, same, other, one)] == ["1", "1", "2", "1"]
    for seed in range(1, 70):
        remembering.read(picture(seed=seed, size=(32, 32)))
    assert len(remembering._known) == 64


def test_a_growing_file_is_waited_for_until_it_is_idle(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"one")
    wait = Wait(0.5, threading.Event())
    file = GrowingFile(path, wait)
    assert file.read(10) == b"one" and wait.waited == 0
    with path.open("ab") as more:
        threading.Timer(0.25, lambda: (more.write(b"two"), more.flush())).start()
        assert file.read(10) == b"two" and wait.waited > 0
    begun = time.monotonic()
    assert file.read(10) == b"" and time.monotonic() - begun >= 0.5
    assert file.read(10) == b"" and time.monotonic() - begun < 1.0, "what is over is not waited for again"
    assert wait.over == "nothing came for 0.5 s"


def test_a_named_pipe_waits_for_its_writer(tmp_path: Path) -> None:
    import os

    path = tmp_path / "pipe"
    os.mkfifo(path)
    pipe = Pipe(os.open(path, os.O_RDONLY | os.O_NONBLOCK), Wait(2.0, threading.Event()), own=True)
    threading.Timer(0.3, lambda: path.write_bytes(b"data")).start()
    assert pipe.read(10) == b"data" and pipe.read(10) == b""
    pipe.close()


def test_settings_are_checked() -> None:
    for wrong in ({"window": 0.5}, {"hop": 25.0}, {"hop": 2.0}, {"duration": -1.0}, {"idle": 0.0}):
        with pytest.raises(InputError, match=next(iter(wrong))):
            LiveSettings(**wrong)


def content(id: str) -> Content:
    return Content(id, "live", timed_text=(TimedText(0, 1, "tea", "speech"),))


def test_the_log_grows_and_mends_a_torn_line(tmp_path: Path) -> None:
    path = tmp_path / "new" / "log.jsonl"
    with LiveLog(path) as log:
        assert log.names == set()
        log.add(content("shop@000000"))
        assert [one.id for one in read_records(path, Content)] == ["shop@000000"], "each line is there at once"
        log.add(content("shop@000015"))
    with path.open("ab") as file:
        file.write(b'{"id":"shop@000030","ki')  # killed while writing
    with LiveLog(path) as log:
        assert (log.names, log.torn) == ({"shop"}, 23)
        log.add(content("shop.2@000000"))
    assert [one.id for one in read_records(path, Content)] == ["shop@000000", "shop@000015", "shop.2@000000"]


def test_the_log_never_spoils_another_file(tmp_path: Path) -> None:
    for name, text in (("notes.jsonl", "my notes"), ("a.jsonl", '{"title":"x"}\n'), ("b.jsonl", '{"id":"x"}\nwords')):
        (tmp_path / name).write_text(text)
        with pytest.raises(InputError, match="is not a content"), LiveLog(tmp_path / name):
            pass
        assert (tmp_path / name).read_text() == text
    (tmp_path / "whole.jsonl").write_text('{"id":"x","kind":"live"}')
    with LiveLog(tmp_path / "whole.jsonl") as log:
        log.add(content("y"))
    assert [one.id for one in read_records(tmp_path / "whole.jsonl", Content)] == ["x", "y"]
    with pytest.raises(InputError, match="line by line"):
        LiveLog(tmp_path / "a.parquet")
    with LiveLog(tmp_path / "empty.jsonl"):
        pass
    assert not (tmp_path / "empty.jsonl").exists()


def test_a_full_disk_leaves_whole_lines(tiny_disk) -> None:
    path = tiny_disk("64k") / "log.jsonl"
    with LiveLog(path) as log, pytest.raises(StorageError, match="no space left"):
        for number in range(10_000):
            log.add(content(f"shop@{number:06d}"))
    assert path.read_bytes().endswith(b"}\n") and len(list(read_records(path, Content))) > 100
