"""Transport streams that lost packets inside, by hand; whole ones of every make are not doubted."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.video import Watcher, WatchSettings
from llmrec.video.ends import cut_line
from llmrec.video.transport import Grid, grid_of, lost_packets
from tests.video.clips import picture, tone, write_clip

VIDEO, SOUND = 0x100, 0x101


def packet(pid: int, counter: int, *, begins: bool = False, time: int = 0, told: bool = False, bare: bool = False):
    """One packet of 188 bytes: a part of a picture, or the beginning of one; ``bare`` carries nothing."""
    extra = bytes([182 if bare else 1, 0x80 if told else 0]) if told or bare else b""
    kind = 2 if bare else 3 if extra else 1
    head = bytes([0x47, 0x40 * begins | pid >> 8, pid & 255, kind << 4 | counter % 16]) + extra
    if begins and pid:
        places = (0x21 | time >> 29 & 14, time >> 22 & 255, time >> 14 & 254 | 1, time >> 7 & 255, time << 1 & 255)
        stamp = bytes(places)
        head += b"\0\0\x01\xe0\0\0\x80\x80\x05" + stamp
    return (head + b"\xff" * 188)[:188]


def stream(counters: range | list[int], pid: int = VIDEO, start: int = 0) -> list[bytes]:
    """A list of the streams, and packets of one of them; every fourth begins a picture of a fifth of a second."""
    shown = [packet(pid, c, begins=n % 4 == 0, time=start + n * 4_500) for n, c in enumerate(counters)]
    return [packet(0, 0, begins=True), *shown]


def lost(packets: list[bytes]) -> tuple[int, int, int]:
    return lost_packets(io.BytesIO(b"".join(packets)), Grid(188, 0))


def test_counters_that_jump_are_lost_packets() -> None:
    whole = stream(range(5, 45))  # as of a stream that was joined on the way
    assert lost(whole) == (0, 41, 0)
    assert lost(whole[:11] + whole[14:]) == (3, 38, 0)
    assert lost(whole[:11] + whole[14:30] + whole[31:]) == (4, 37, 0)
    broken = [*whole[:20], bytes(188), *whole[21:]]
    assert lost(broken) == (1, 41, 0)
    flagged = [*whole[:20], whole[20][:1] + bytes([whole[20][1] | 0x80]) + whole[20][2:], *whole[21:]]
    assert lost(flagged) == (1, 41, 0)


def test_what_may_be_is_no_loss() -> None:
    whole = stream(range(40))
    assert lost([*whole[:9], whole[8], *whole[9:]]) == (0, 42, 0)  # sent twice
    assert lost([*whole[:9], packet(VIDEO, 7, bare=True), *whole[9:]]) == (0, 42, 0)
    # a jump that is told by the packet itself, or by one that carries nothing else
    assert lost([*whole[:9], packet(VIDEO, 13, told=True), *stream(range(14, 30))[1:]]) == (0, 26, 0)
    assert lost([*whole[:9], packet(VIDEO, 7, told=True, bare=True), *stream(range(12, 30))[1:]]) == (0, 28, 0)
    # without that it is one
    assert lost([*whole[:9], packet(VIDEO, 7, bare=True), *stream(range(12, 30))[1:]]) == (4, 28, 0)
    # neither titles of no pictures nor a counter that never counts
    text = [packet(0x200, c, begins=True).replace(b"\0\0\x01\xe0", b"\0\0\0\0") for c in (0, 5, 9)]
    assert lost([*whole, *text]) == (0, 44, 0)
    assert lost([packet(0, 0, begins=True), *(packet(VIDEO, 4 * n, begins=True) for n in range(30))]) == (0, 31, 0)


def test_recordings_that_were_joined_lack_nothing() -> None:
    first = stream(range(3, 45), start=900_000)
    assert lost(first) == (0, 43, 0)
    assert lost([*first, *stream(range(20), start=2_000_000)]) == (0, 64, 1)  # counts anew
    assert lost([*first, *stream(range(3, 20), start=2_000_000)]) == (0, 61, 1)  # from where the first began
    assert lost([*first, *stream(range(9, 20), start=0)]) == (0, 55, 1)  # an earlier time


def test_packets_of_every_size_are_found() -> None:
    packets = stream(range(12))
    for step, before, after in ((188, 0, 0), (192, 4, 0), (204, 0, 16)):
        data = b"".join(b"\x01" * before + one + b"\x02" * after for one in packets)
        grid = grid_of(data, len(data))
        assert grid == Grid(step, before) and grid.start == 0
        assert lost_packets(io.BytesIO(data), grid) == (0, 13, 0)
        short = data[: 4 * step] + data[6 * step :]
        assert lost_packets(io.BytesIO(short), grid) == (2, 11, 0)
    assert grid_of(bytes(4096), 4096) is None


def test_packets_over_blocks_are_counted_on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.video.transport.BLOCK", 7)
    whole = stream(range(5, 45))
    told = packet(VIDEO, 9, told=True, bare=True)  # the last of a block, with its jump in the next
    assert lost(whole) == (0, 41, 0)
    assert lost(whole[:11] + whole[14:]) == (3, 38, 0)
    assert lost([*whole[:6], told, *stream(range(14, 30))[1:]]) == (0, 23, 0)
    assert lost([*whole, *stream(range(5, 45))]) == (0, 82, 1)


def test_a_clip_that_lost_packets_says_so(tmp_path: Path) -> None:
    scenes = [(2.0, picture(seed=1)), (2.0, picture(seed=2))]
    clip = write_clip(tmp_path / "a.ts", scenes, sound=tone(4))
    assert cut_line(clip, "mpegts") == ""
    data = clip.read_bytes()
    count = len(data) // 188
    at = next(n for n in range(count // 2, count) if data[188 * n + 1 : 188 * n + 3] == b"\x01\x00")
    holed = tmp_path / "b.ts"
    holed.write_bytes(data[: 188 * at] + data[188 * (at + 1) :])
    line = f"of its {count - 1} packets at least 1 are damaged or missing inside"
    assert cut_line(holed, "mpegts") == line
    (problem, *_) = Watcher(WatchSettings(speech="none", screen_text=False)).examine(holed).problems
    assert problem.startswith("video: ")
    # a segment taken out of the middle of a stream, and two recordings one after the other
    begins = [n for n in range(count) if data[188 * n + 1 : 188 * n + 3] == b"\x40\x00"]
    (tmp_path / "c.ts").write_bytes(data[188 * begins[len(begins) // 2] :])
    (tmp_path / "d.ts").write_bytes(data + data)
    assert cut_line(tmp_path / "c.ts", "mpegts") == cut_line(tmp_path / "d.ts", "mpegts") == ""
    assert Watcher(WatchSettings(speech="none", screen_text=False)).examine(tmp_path / "d.ts").problems == ()


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=187, max_size=187), max_size=30))
def test_any_packets_are_counted(bodies: list[bytes]) -> None:
    missing, count, _ = lost([b"\x47" + body for body in bodies])
    assert count == len(bodies) and 0 <= missing <= 15 * count
