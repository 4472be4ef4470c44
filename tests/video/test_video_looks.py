"""What is looked at of longer files: flashes, damage told, memory that stays flat."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from llmrec.video import WatchSettings
from llmrec.video.decoding import Stamps
from tests.video.clips import picture, write_clip
from tests.video.test_video_formats import encode, looks


def test_what_is_shown_for_half_a_second_between_keyframes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.video.decoding.CHEAP_PIXELS", 1)
    shelf, pack = picture(seed=1), picture("NEW TASTE", seed=2)
    both = shelf.copy()
    both.paste(pack.resize((160, 120)), (20, 20))
    for shown in (pack, both):  # as a cut, and as something laid over
        scenes = [(3.2, shelf), (0.5, shown), (4.3, shelf)]
        clip = write_clip(tmp_path / "a.mp4", scenes, rate=20, gap=250, codec="libx264")
        seen, coverage = looks(clip)
        assert any(3.2 <= look.time < 3.7 for look in seen)
        assert coverage.decoded < 120 and coverage.problem() == ""
    everything, coverage = looks(clip, WatchSettings(threads=1, all_frames=True))
    assert len(everything) == 32  # four a second


def test_frames_that_no_other_refers_to_are_decoded_where_there_are_few_others(tmp_path: Path) -> None:
    pictures = [np.asarray(picture(seed=1 + number // 50)) for number in range(150)]
    options = {"bf": "16", "b_strategy": "0", "x264-params": "b-pyramid=none:scenecut=0:keyint=250"}
    seen, coverage = looks(encode(tmp_path / "a.mp4", pictures, "libx264", "yuv420p", 25, options))
    # of 17 frames one is referred to, 0.68 s apart: after the first hole all are decoded
    assert coverage.decoded > 100
    assert max(np.diff([look.time for look in seen])[3:]) <= 0.29


def test_a_cut_to_which_the_encoder_gave_no_keyframe(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.video.decoding.CHEAP_PIXELS", 1)
    monkeypatch.setattr("llmrec.video.packets.FIRST", 4e6)  # far from enough to decode up to it
    monkeypatch.setattr("llmrec.video.packets.ALLOWANCE", 1e5)
    one, other = np.asarray(picture(seed=1)), np.asarray(picture(ground="navy", seed=2))
    pictures = [one] * 80 + [other] * 10 + [one] * 70
    options = {"g": "250", "sc_threshold": "0", "b": "1M"}
    seen, coverage = looks(encode(tmp_path / "a.mp4", pictures, "libx264", "yuv420p", 20, options))
    (flash,) = [look for look in seen if 4.0 <= look.time < 4.5]
    apart = np.abs(np.asarray(flash.picture()).astype(int) - other).mean()
    assert apart < 12 and coverage.decoded < 20, apart


def test_damage_is_told_where_only_some_packets_are_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.video.decoding.CHEAP_PIXELS", 1)
    clip = write_clip(tmp_path / "a.mp4", [(1, picture(seed=seed)) for seed in range(1, 13)], gap=10, codec="libx264")
    assert looks(clip)[1].problem() == ""
    data = bytearray(clip.read_bytes())
    start, end = round(len(data) * 0.4), round(len(data) * 0.8)
    data[start:end] = np.random.default_rng(0).integers(0, 256, end - start, np.uint8).tobytes()
    clip.write_bytes(data)
    seen, coverage = looks(clip)
    assert 0.2 <= coverage.lost <= 0.6, coverage
    assert len(seen) < 12


MEMORY = """
import resource, sys
from pathlib import Path
from llmrec.video.settings import WatchSettings
from llmrec.video.choosing import choose
from llmrec.video.coverage import Coverage
from llmrec.video.frames import candidates
from llmrec.video.source import open_container, video_stream
settings = WatchSettings(threads=1)
with open_container(Path(sys.argv[1]), settings) as container:
    runs = choose(candidates(container, video_stream(container), settings, Coverage("video")), 12)
print(len(runs), resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
"""


def test_two_hours_take_no_more_memory_than_a_minute(tmp_path: Path) -> None:
    import av

    minute = write_clip(
        tmp_path / "minute.mp4", [(6, picture(seed=seed)) for seed in range(1, 11)], rate=5, gap=30, codec="libx264"
    )
    hours = tmp_path / "hours.mp4"
    with av.open(str(hours), "w") as out, av.open(str(minute)) as first:
        stream = out.add_stream_from_template(first.streams.video[0])
        packets = [(p.pts, p.dts, bytes(p), p.is_keyframe) for p in first.demux(first.streams.video[0]) if p.size]
        length, base = first.streams.video[0].duration, first.streams.video[0].time_base
        for turn in range(120):
            for pts, dts, data, key in packets:
                packet = av.Packet(data)
                packet.pts, packet.dts, packet.time_base = pts + turn * length, dts + turn * length, base
                packet.is_keyframe = key
                packet.stream = stream
                out.mux(packet)
    peaks = []
    for path in (minute, hours):
        done = subprocess.run([sys.executable, "-c", MEMORY, str(path)], capture_output=True, text=True, check=True)
        count, peak = done.stdout.split()
        assert int(count) >= 10
        peaks.append(float(peak))
    assert peaks[1] < peaks[0] + 40  # MB: the index of 36,000 packets is a part of it


def test_which_time_stamp_is_believed() -> None:
    stamps = Stamps()
    given = [(0, 0), (4, 1), (2, 2), (1, 3), (3, 4), (8, 5), (6, None), (None, 6), (None, None)]
    # by the third frame one of three went back: from there those of decoding hold, where there is one
    assert [stamps.read(*one) for one in given] == [0, 4, 2, 3, 4, 5, 6, 6, None]
    stamps = Stamps()
    # one of forty early frames, or a clock set anew, is no disorder
    given = [(frame * 10 - 15 * (frame == 30), frame) for frame in range(40)] + [(0, 0)]
    assert [stamps.read(*one) for one in given] == [pts for pts, _ in given]


def test_frames_whose_times_to_be_shown_are_damaged_come_in_order(tmp_path: Path) -> None:
    shown = [picture(seed=1 + number // 4) for number in range(80)]
    clip = write_clip(tmp_path / "a.mp4", [(0.1, one) for one in shown], rate=10)
    right = [look.time for look in looks(clip)[0]]
    data = bytearray(clip.read_bytes())
    at = data.find(b"ctts") + 12
    data[at : at + 4] = (200).to_bytes(4, "big")  # how many frames its first entry stands for
    clip.write_bytes(data)
    seen, coverage = looks(clip)
    times = [look.time for look in seen]
    assert times == sorted(times) and len(times) >= 0.8 * len(right)
    assert abs(np.array(times)[:, None] - right).min(axis=0).max() <= 0.2 and coverage.problem() == ""
