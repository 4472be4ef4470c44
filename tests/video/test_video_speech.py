"""Speech: windows and times by hand, nothing invented on silence, a real sentence by the real model."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import ModelError
from llmrec.records import TimedText
from llmrec.video.coverage import Coverage
from llmrec.video.doubts import believable, is_loop, is_phantom, without_echoes
from llmrec.video.settings import WatchSettings
from llmrec.video.sound import RATE, Block, sound_blocks
from llmrec.video.source import audio_stream, open_container
from llmrec.video.speech import Span, WhisperReader, speech_blocks, unpacked, windows
from tests.video.clips import tone, write_clip

SPOKEN = Path(__file__).parent / "data" / "spoken.ogg"


def blocks_of(path: Path, seconds: float = 120.0) -> list[Block]:
    settings = WatchSettings()
    with open_container(path, settings) as container:
        stream = audio_stream(container)
        assert stream is not None
        return list(sound_blocks(container, stream, settings, Coverage("audio"), seconds))


def spans(*seconds: tuple[float, float]) -> list[Span]:
    return [Span(round(a * RATE), round(b * RATE)) for a, b in seconds]


def test_spans_are_packed_into_windows_and_long_ones_cut() -> None:
    packed = list(windows(spans((0, 10), (15, 30), (40, 48), (50, 115)), seconds=30))
    assert packed == [
        spans((0, 10), (15, 30)),
        spans((40, 48)),
        spans((50, 80)),
        spans((80, 110)),
        spans((110, 115)),
    ]


def test_times_within_a_window_go_back_to_the_block() -> None:
    window = spans((2, 4), (10, 13))
    assert [unpacked(t, window) for t in (0, 1.5, 2, 2.5, 5, 9)] == [2, 3.5, 4, 10.5, 13, 13]


@given(st.lists(st.tuples(st.integers(1, 10**6), st.integers(1, 10**6)), min_size=1, max_size=9))
def test_windows_hold_all_speech_in_order(steps: list[tuple[int, int]]) -> None:
    edges = np.cumsum(steps).tolist()  # gap, length, gap, length …
    given_spans = [Span(edges[2 * i], edges[2 * i + 1]) for i in range(len(steps))]
    packed = list(windows(given_spans, seconds=30))
    assert all(sum(s.end - s.start for s in window) <= 30 * RATE for window in packed)
    inside = [(s.start, s.end) for window in packed for s in window]
    joined: list[tuple[int, int]] = []
    for start, end in inside:
        if joined and joined[-1][1] == start:
            joined[-1] = (joined[-1][0], end)
        else:
            joined.append((start, end))
    assert joined == [(s.start, s.end) for s in given_spans]


def test_loops_are_told_from_speech() -> None:
    assert is_loop("Beep beep beep beep beep beep")
    assert is_loop("1-2-3-4-4-4-4-4-4-4-4-4-4-4-4-4")
    assert is_loop("the second time I've seen it, but it's " * 5)
    assert is_loop("谢谢观看谢谢观看谢谢观看谢谢观看谢谢观看")
    assert not is_loop("It is very, very, very nice and costs 89 euros")
    assert not is_loop("no no no")
    assert not is_loop("")


def test_doubtful_segments_are_dropped() -> None:
    def segment(text: str = "a blue mug", no_speech: float = 0.1, log: float = -0.4, ratio: float = 1.2):
        return SimpleNamespace(text=text, no_speech_prob=no_speech, avg_logprob=log, compression_ratio=ratio)

    assert believable(segment())
    for doubtful in (
        segment(" ... "),
        segment(log=-1.1),
        segment(ratio=2.5),
        segment(no_speech=0.75, log=-0.67),
        segment("beep " * 9),
    ):
        assert not believable(doubtful)


def segment(text: str, log: float = -0.4, no_speech: float = 0.1, start: float = 0.0, end: float = 4.0):
    numbers = {"avg_logprob": log, "no_speech_prob": no_speech, "compression_ratio": 1.0}
    return SimpleNamespace(text=text, start=start, end=end, **numbers)


def test_what_whisper_makes_of_crowds_is_dropped() -> None:
    # as measured: six voices at once, twenty seconds
    assert is_phantom(segment(" Thank you very much.", -0.93, 0.53), 20.0)
    assert is_phantom(segment("Untertitel im Auftrag des ZDF für funk, 2017", -0.2), 4.0)
    assert is_phantom(segment("谢谢观看", -0.6), 3.0)
    assert is_phantom(segment("We make a new part", -0.6), 20.0)  # five words in twenty seconds
    assert not is_phantom(segment("Thank you.", -0.2), 1.0)
    assert not is_phantom(segment("We make a new part", -0.6), 4.0)
    assert not is_phantom(segment("这是我们今天要介绍的新款蓝色保温杯", -0.6), 5.0)


class FakeWhisper:
    """Hears one sentence in each window; tells the language by the mean of what is not silence."""

    languages = {1: ("de", 0.97), 2: ("en", 0.95), 3: ("nn", 0.3), 15: ("en", 0.6)}

    def __init__(self) -> None:
        self.asked: list[str | None] = []
        self.detected = 0

    def language(self, samples: np.ndarray) -> tuple[str, float]:
        mean = float(samples[samples != 0].mean()) * 10
        return self.languages[round(mean) if abs(mean - round(mean)) < 0.1 else 15]

    def transcribe(self, samples: np.ndarray, language: str | None = None, **options: object):
        self.asked.append(language)
        found, sure = self.language(samples)
        info = SimpleNamespace(language=language or found, language_probability=1.0 if language else sure)
        return iter([segment(f"in {info.language} cup number {len(self.asked)}")]), info

    def detect_language(self, samples: np.ndarray):
        self.detected += 1
        return (*self.language(samples), [])


def reader_of(model: FakeWhisper, found: list, monkeypatch: pytest.MonkeyPatch) -> WhisperReader:
    from llmrec.video import speech

    reader = WhisperReader.__new__(WhisperReader)
    reader.language, reader._model = "", model
    monkeypatch.setattr(speech, "speech_blocks", lambda _blocks: iter(found))
    return reader


def test_a_window_of_two_languages_is_cut_where_they_change(monkeypatch: pytest.MonkeyPatch) -> None:
    model = FakeWhisper()
    samples = np.full(24 * RATE, 0.1, np.float32)
    samples[12 * RATE :] = 0.2  # German, then English; the last four seconds are unsure
    samples[20 * RATE :] = 0.3
    found = [(100.0, samples, spans((0, 4), (5, 9), (12, 16), (16.5, 19.5), (20, 24)))]
    heard = reader_of(model, found, monkeypatch).listen([])
    assert model.asked == [None, "de", "en"] and model.detected == 5
    assert [(piece.start, piece.text[:5]) for piece in heard.pieces] == [(100.0, "in de"), (112.0, "in en")]
    assert heard.language == "en"


def test_languages_may_change_and_an_unsure_window_takes_the_likeliest(monkeypatch: pytest.MonkeyPatch) -> None:
    model = FakeWhisper()
    values = [0.1, 0.3, 0.2, 0.2, 0.3]  # de, unsure, en, en, unsure
    blocks = [Block(30.0 * i, np.full(20 * RATE, value, np.float32)) for i, value in enumerate(values)]
    found = [(block.start, block.samples, [Span(0, 20 * RATE)]) for block in blocks]
    reader = reader_of(model, found, monkeypatch)
    heard = reader.listen(blocks)
    assert model.asked == [None, None, "de", None, None, None, "en"]
    assert [piece.text.split()[1] for piece in heard.pieces] == ["de", "de", "en", "en", "en"]
    assert [piece.start for piece in heard.pieces] == [0.0, 30.0, 60.0, 90.0, 120.0]
    assert heard.language == "en"


def test_echoes_over_segments_are_dropped() -> None:
    said = [TimedText(i, i + 1, text, "speech") for i, text in enumerate(["hi", "so", "so", "so", "so", "bye"])]
    assert [piece.text for piece in without_echoes(said)] == ["hi", "so", "so", "bye"]


def chord(seconds: float) -> np.ndarray:
    pulse = (np.arange(round(seconds * RATE)) % (RATE // 2) < RATE // 3).astype(np.float32)
    return pulse * sum(tone(seconds, hertz) for hertz in (262, 330, 392, 523)) / 3


def brown(seconds: float) -> np.ndarray:
    """Rumble: traffic, wind, a fan."""
    steps = np.cumsum(np.random.default_rng(0).normal(0, 1, round(seconds * RATE)))
    slow = np.convolve(steps, np.ones(801) / 801, "same")
    return (0.4 * (steps - slow) / np.abs(steps - slow).max()).astype(np.float32)


def applause(seconds: float) -> np.ndarray:
    chance, out = np.random.default_rng(0), np.zeros(round(seconds * RATE) + 800)
    for at in chance.integers(0, len(out) - 800, round(75 * seconds)):
        out[at : at + 800] += chance.normal(0, 1, 800) * np.exp(-np.arange(800) / 90) * chance.uniform(0.1, 0.5)
    return (0.5 * out[:-800] / np.abs(out).max()).astype(np.float32)


@pytest.mark.parametrize(
    "samples",
    [
        np.zeros(8 * RATE, np.float32),
        tone(8),
        chord(8),
        np.random.default_rng(0).normal(0, 0.1, 8 * RATE).astype(np.float32),
        brown(8),
        applause(8),
    ],
    ids=["silence", "tone", "chord", "noise", "rumble", "applause"],
)
def test_where_nobody_speaks_nothing_is_transcribed(samples: np.ndarray) -> None:
    assert list(speech_blocks([Block(0.0, samples)])) == []


def test_speech_over_the_end_of_a_block_is_carried_on() -> None:
    (block,) = blocks_of(SPOKEN)
    quiet = np.zeros(58 * RATE, np.float32)
    half = 3 * RATE
    blocks = [
        Block(0.0, np.concatenate([quiet, block.samples[:half]])),
        Block(61.0, np.concatenate([block.samples[half:], quiet])),
    ]
    found = list(speech_blocks(blocks))
    assert len(found) == 1
    start, _, (first, *_) = found[0]
    assert 58.5 < start + first.start / RATE < 59.3  # the voice sets in at 59 s


def test_sound_comes_in_blocks_of_the_asked_length(tmp_path: Path) -> None:
    clip = write_clip(tmp_path / "a.m4a", sound=tone(5))
    blocks = blocks_of(clip, seconds=2.0)
    assert [round(block.start) for block in blocks] == [0, 2, 4]
    assert sum(len(block.samples) for block in blocks) == pytest.approx(5 * RATE, abs=0.1 * RATE)
    rms = np.sqrt(np.mean(np.concatenate([block.samples for block in blocks])[: 5 * RATE] ** 2))
    assert rms == pytest.approx(0.2 / np.sqrt(2), rel=0.03)


def test_a_folder_without_a_speech_model_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="starter:nothing"):
        WhisperReader(WatchSettings(speech="starter:nothing"))


@pytest.fixture(scope="module")
def whisper() -> WhisperReader:
    from llmrec.models import resolve

    try:
        resolve("starter:whisper-base", offline=True)
    except ModelError:
        pytest.skip("starter:whisper-base is not in the cache: llmrec models pull starter:whisper-base")
    return WhisperReader(WatchSettings(threads=1))


def test_a_crowd_says_nothing(whisper: WhisperReader) -> None:
    """One sentence over itself eight times, backwards: all voices, no words."""
    voice = blocks_of(SPOKEN)[0].samples[::-1]
    crowd = sum(np.roll(voice, shift * 7919) for shift in range(8)) / 8
    heard = whisper.listen([Block(0.0, crowd.astype(np.float32))])
    assert heard.pieces == []


def test_a_sentence_is_heard_with_its_times(whisper: WhisperReader) -> None:
    blocks = blocks_of(SPOKEN)
    late = [Block(0.0, np.zeros(20 * RATE, np.float32)), Block(20.0, blocks[0].samples)]
    heard = whisper.listen(late)
    text = " ".join(piece.text for piece in heard.pieces).lower()
    for word in ("blue", "coffee", "grinder", "steel handle", "glass jar"):
        assert word in text
    assert heard.language == "en"
    assert all(piece.source == "speech" and 0 < piece.confidence <= 1 for piece in heard.pieces)
    assert 20.5 < heard.pieces[0].start < 21.3  # a second of silence stands before the voice
    assert 24.5 < heard.pieces[-1].end < 26.9
