"""Files whose end, middle or index is missing, by what each format says of itself; and limits."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.video import Watcher, WatchSettings
from llmrec.video.coverage import Coverage
from llmrec.video.ends import CHECKS, cut_line, cut_reason
from llmrec.video.settings import with_limits
from tests.video.clips import picture, tone, write_clip

QUIET = WatchSettings(speech="none", screen_text=False)
SCENES = [(2.0, picture(seed=1)), (2.0, picture(seed=2))]
FORMATS = {
    "a.mp4": {"options": {"movflags": "faststart"}},
    "a.mkv": {},
    "a.webm": {"codec": "libvpx"},
    "a.avi": {"codec": "mpeg4"},
    "a.ts": {},
    "a.flv": {"codec": "flv1"},
    "a.gif": {"codec": "gif"},
}


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    folder = tmp_path_factory.mktemp("clips")
    return {name: write_clip(folder / name, SCENES, **how) for name, how in FORMATS.items()}


@pytest.mark.parametrize("name", FORMATS)
@pytest.mark.parametrize("share", [0.35, 0.8, 0.97])
def test_a_missing_end_is_told_and_a_whole_file_is_not_doubted(
    tmp_path: Path, clips: dict[str, Path], name: str, share: float
) -> None:
    data = clips[name].read_bytes()
    assert Watcher(QUIET).examine(clips[name]).problems == ()
    cut = tmp_path / name
    cut.write_bytes(data[: int(share * len(data)) | 1])
    try:
        assert Watcher(QUIET).examine(cut).problems, "silently short"
    except InputError as error:  # not even the first picture is there
        assert "nothing in it can be decoded (video: 100% could not be read" in error.message


@pytest.mark.parametrize("name", ["a.mkv", "a.avi", "a.mp4"])
def test_the_share_that_is_missing_is_that_of_the_declared_bytes(
    tmp_path: Path, clips: dict[str, Path], name: str
) -> None:
    data = clips[name].read_bytes()
    cut = tmp_path / name
    cut.write_bytes(data[: len(data) // 4])
    kind = {"a.mkv": "matroska,webm", "a.avi": "avi", "a.mp4": "mov,mp4,m4a,3gp,3g2,mj2"}[name]
    assert cut_line(cut, kind) == f"the file ends early: 75% of its declared {len(data):,} bytes are missing"
    assert cut_line(clips[name], kind) == ""


def test_an_mp4_without_its_index_says_so(tmp_path: Path) -> None:
    data = write_clip(tmp_path / "a.mp4", SCENES).read_bytes()
    cut = tmp_path / "cut.mp4"
    cut.write_bytes(data[: len(data) // 2])
    at = data.find(b"mdat") - 4
    missing = at + struct.unpack(">I", data[at : at + 4])[0] - len(data) // 2
    words = f"the 'moov' box, often at the end) is missing; at least {missing:,} bytes are missing"
    with pytest.raises(InputError, match=re.escape(words)):
        Watcher(QUIET).watch(cut)
    assert cut_reason(tmp_path / "a.mp4") == ""


def test_sound_alone_that_is_cut_is_told(tmp_path: Path) -> None:
    class Ears:
        def listen(self, blocks):
            from llmrec.video.speech import Transcript

            assert sum(len(block.samples) for block in blocks)
            return Transcript([], "")

    for name in ("a.m4a", "a.ogg"):
        data = write_clip(tmp_path / name, sound=tone(4)).read_bytes()
        cut = tmp_path / f"cut-{name}"
        if name == "a.m4a":  # the index first
            data = write_clip(tmp_path / name, sound=tone(4), options={"movflags": "faststart"}).read_bytes()
        cut.write_bytes(data[: len(data) * 3 // 4])
        listening = Watcher(WatchSettings(screen_text=False), speech_reader=Ears())
        assert listening.examine(tmp_path / name).problems == ()
        (problem,) = listening.examine(cut).problems
        assert problem.startswith("audio: ")


def test_a_stream_whose_header_is_lost_is_told(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.avi", SCENES, sound=tone(4), codec="mpeg4")
    assert Watcher(QUIET).examine(clip).problems == ()
    data = clip.read_bytes()
    at = data.rfind(b"strh", 0, 20_000)
    (tmp_path / "b.avi").write_bytes(data[: at - 20] + bytes(200) + data[at + 180 :])
    assert cut_line(tmp_path / "b.avi", "avi") == "its header is damaged: 1 of 2 streams are described"
    assert Watcher(QUIET).examine(tmp_path / "b.avi").problems


def test_a_stream_whose_header_was_pushed_away_is_told(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.avi", SCENES, sound=tone(4), codec="mpeg4")
    data = clip.read_bytes()
    at = data.find(b"strl") + 400  # in the padding of the first stream's header
    (tmp_path / "b.avi").write_bytes(data[:at] + bytes(range(1, 201)) * 150 + data[at:])
    assert cut_line(tmp_path / "b.avi", "avi") == "its header is damaged: 1 of 2 streams are described"
    assert cut_line(clip, "avi") == ""


def test_sound_that_changes_into_what_cannot_be_is_counted(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    import av

    from llmrec.video import sound
    from llmrec.video.source import audio_stream, open_container

    clip = write_clip(tmp_path / "a.m4a", sound=tone(2))

    class Refusing:
        """Takes five frames, as after a header that was damaged on the way."""

        taken = 0

        def resample(self, frame):
            if frame is None or Refusing.taken == 5:
                raise av.error.ArgumentError(22, "Invalid argument")
            Refusing.taken += 1
            return []

    monkeypatch.setattr(sound, "_resampler", Refusing)
    with open_container(clip, QUIET) as container:
        stream, coverage = audio_stream(container), Coverage("audio")
        assert stream is not None
        for block in sound.sound_blocks(container, stream, QUIET, coverage):
            assert not block.samples.any()  # silence where the frames were
    assert coverage.bad == coverage.decoded - 5 > 0


def test_a_hole_in_the_middle_is_a_loss() -> None:
    coverage = Coverage("video", expected=10.0, step=0.1)
    for start in [*range(40), *range(60, 100)]:
        coverage.packets += 1
        coverage.meet(start / 10, start / 10 + 0.1, start * 1000, 900)
    assert coverage.holes == pytest.approx(2.0) and coverage.lost == pytest.approx(0.2)
    assert coverage.problem() == "video: 20% could not be read (up to 10.0 of 10.0 s, nothing from 4.0 to 6.0 s)"


def test_a_pause_is_no_hole_for_its_bytes_are_there() -> None:
    pictures, sound = Coverage("video", expected=10.0, step=0.1), Coverage("audio", expected=10.0, step=0.1)
    place = 0
    for start in range(100):
        for coverage in (pictures, sound):
            if coverage is pictures and 40 <= start < 60:
                continue  # the picture stands still; the sound goes on
            coverage.packets += 1
            coverage.meet(start / 10, start / 10 + 0.1, place, 500)
            place += 500
    assert pictures.problem() == sound.problem() == ""
    silent = Coverage("audio", expected=10.0, step=0.1)
    for start in [*range(40), *range(60, 100)]:
        silent.packets += 1
        silent.meet(start / 10, start / 10 + 0.1, start, 1)
    assert silent.problem().startswith("audio: 20%")


def test_a_hole_after_the_first_picture_is_a_loss_too() -> None:
    coverage = Coverage("video", expected=6.0, step=0.04, rate=17_000)
    coverage.packets = 1
    coverage.meet(0.0, 0.04, 700, 14_000)
    coverage.packets = 2
    coverage.meet(5.0, 5.04, 108_000, 500)
    assert coverage.problem() == "video: 99% could not be read (up to 5.0 of 6.0 s, nothing from 0.0 to 5.0 s)"


def test_slow_slides_are_no_holes() -> None:
    coverage = Coverage("video", step=5.0)
    for start in range(0, 60, 5):
        coverage.packets += 1
        coverage.meet(start, start)
    assert coverage.problem() == ""


def test_a_wild_time_stamp_does_not_pass_for_the_end() -> None:
    coverage = Coverage("video", expected=10.0, packets=5)
    coverage.meet(0.0, 4.0)
    coverage.meet(90_000.0, 90_000.1)
    assert coverage.reached == 4.0 and coverage.torn == 1


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(kind=st.sampled_from(sorted(CHECKS)), data=st.binary(max_size=600), start=st.sampled_from([0, 13, 40, 200]))
def test_any_bytes_have_an_end(tmp_path: Path, clips: dict[str, Path], kind: str, data: bytes, start: int) -> None:
    like = {"mp4": "a.mp4", "matroska": "a.mkv", "mpegts": "a.ts"}.get(kind, f"a.{kind}")
    head = clips[like].read_bytes()[:start] if like in clips else b""
    path = tmp_path / "any"
    path.write_bytes(head + data)
    assert isinstance(cut_line(path, kind), str)
    assert isinstance(cut_reason(path), str)


def test_limits_on_tracks_frames_and_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    clip = write_clip(tmp_path / "a.mp4", SCENES, sound=tone(4))
    for limit, words in (
        ({"max_tracks": 1}, r"a\.mp4: has more than 1 tracks"),
        ({"max_decoded": 20}, r"a\.mp4: has more than 20 frames"),
        ({"max_wall_seconds": 1e-9}, r"a\.mp4: reading it took longer than"),
    ):
        with pytest.raises(InputError, match=words) as caught:
            Watcher(WatchSettings(speech="none", screen_text=False, **limit)).watch(clip)
        assert next(iter(limit)) in caught.value.next_step


def test_limits_on_the_command_line() -> None:
    settings = with_limits(QUIET, ["max_seconds=20.5", "max_tracks=3"])
    assert (settings.max_seconds, settings.max_tracks, settings.speech) == (20.5, 3, "none")
    for wrong in ("max_seconds", "max_seconds=long", "max_frames=3", "speech=none", "max_tracks=-1", "max_tracks=0"):
        with pytest.raises(InputError):
            with_limits(QUIET, [wrong])


def test_how_long_a_file_may_take() -> None:
    by_length = WatchSettings()
    assert by_length.wall_limit(100.0, 1 << 30) == 120 + 5 * 100
    # ten kilobytes are not four hours
    assert by_length.wall_limit(4 * 3600.0, 10_000) == 120 + 5 * 20
    assert WatchSettings(max_wall_seconds=7).wall_limit(100.0, 1 << 30) == 7


def test_animations_are_seen_as_videos(tmp_path: Path) -> None:
    shown = [picture("ONE", seed=1), picture("TWO", seed=2)]
    for name in ("a.webp", "a.png"):
        shown[0].save(tmp_path / name, save_all=True, append_images=shown[1:], duration=1000)
        seen = Watcher(QUIET, frames_dir=tmp_path / "frames").examine(tmp_path / name)
        assert (seen.content.kind, [frame.time for frame in seen.content.keyframes]) == ("video", [0.0, 1.0])
        assert seen.problems == ()
    shown[0].save(tmp_path / "photo.webp")
    assert Watcher(QUIET).watch(tmp_path / "photo.webp").kind == "post"
    whole = (tmp_path / "a.webp").read_bytes()
    (tmp_path / "cut.webp").write_bytes(whole[:-500])
    with pytest.raises(InputError, match=r"cut\.webp"):  # Pillow gives nothing of a cut one
        Watcher(QUIET).watch(tmp_path / "cut.webp")
    with pytest.raises(InputError, match="over the limit"):
        Watcher(WatchSettings(speech="none", max_pixels=100)).watch(tmp_path / "a.webp")
