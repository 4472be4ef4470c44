"""Speech to timed text with faster-whisper, and nothing where nobody speaks.

Whisper invents words on silence and music (whisper-base hears "1-2-3-4-4-4-4…" in a clip of room noise). So a voice
activity detector (Silero, shipped with faster-whisper) decides what is transcribed at all, and what comes out is held
against the model's own doubts and against loops.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from llmrec.errors import MissingExtraError, ModelError
from llmrec.records import TimedText
from llmrec.video.settings import WatchSettings
from llmrec.video.sound import RATE, Block

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

#: Whisper sees windows of this length; speech is packed into them.
WINDOW_SECONDS = 30.0
#: A language is believed from this probability on.
SURE_LANGUAGE = 0.5
#: What Whisper writes of music, noise and crowds.
PHANTOMS = frozenset(
    (
        *(
            "you",
            "bye",
            "bye bye",
            "so",
            "the",
            "oh",
            "thank you",
            "thank you very much",
            "thank you so much",
            "thanks",
        ),
        *("thanks for watching", "thank you for watching", "please subscribe", "see you next time", "i m sorry"),
        *("vielen dank", "danke", "tschüss", "merci", "merci d avoir regardé", "gracias", "gracias por ver el video"),
        *(
            "obrigado",
            "grazie",
            "ご視聴ありがとうございました",
            "谢谢观看",
            "谢谢大家",
            "продолжение следует",
            "시청해주셔서 감사합니다",
        ),
    )
)
CREDITS = re.compile(
    r"amara org|untertitel (?:im auftrag|der)|sous titr|subtitles by|субтитры (?:сделал|создавал)|字幕"
)


class Transcript(NamedTuple):
    """What was said, and in which language (empty: nobody spoke, or unsure)."""

    pieces: list[TimedText]
    language: str


class SpeechReader(Protocol):
    """Anything that turns sound into timed text."""

    def listen(self, blocks: Iterable[Block]) -> Transcript:
        """Transcribe a sound track given in blocks, in order of time."""
        ...


class Span(NamedTuple):
    """Samples ``[start, end)`` of a block in which somebody speaks."""

    start: int
    end: int


class WhisperReader:
    """A CTranslate2 Whisper model, int8 on the CPU, deterministic.

    Args:
        settings: ``speech`` names the model; language and threads.

    Raises:
        ModelError: No such model, or its folder cannot be loaded.
        MissingExtraError: faster-whisper is not installed.
    """

    def __init__(self, settings: WatchSettings) -> None:
        try:
            import faster_whisper  # noqa: F401
        except ImportError as error:
            raise MissingExtraError("recognising speech", "video") from error
        from llmrec.models import resolve

        self.folder = resolve(settings.speech)
        if not (self.folder.path / "model.bin").is_file():
            step = "Give a CTranslate2 Whisper model, such as starter:whisper-base or Systran/faster-whisper-small."
            raise ModelError(f"{settings.speech}: is not a CTranslate2 speech model", next_step=step)
        self.language, self.threads = settings.language, settings.thread_count()
        self._model: WhisperModel | None = None

    def listen(self, blocks: Iterable[Block]) -> Transcript:
        """Transcribe a sound track; the model is loaded when the first speech is met."""
        pieces: list[TimedText] = []
        languages: Counter[str] = Counter()
        for start, samples, spans in speech_blocks(blocks):
            for window in windows(spans):
                likely = languages.most_common(1)[0][0] if languages else ""
                heard, language = self._transcribe(samples, window, start, likely)
                pieces += heard
                if heard and language:
                    languages[language] += sum(span.end - span.start for span in window)
        return Transcript(without_echoes(pieces), languages.most_common(1)[0][0] if languages else "")

    def _transcribe(
        self, samples: NDArray[np.float32], window: list[Span], start: float, likely: str = ""
    ) -> tuple[list[TimedText], str]:
        """What is said in a window, and in which language; an unsure window is taken to be in the ``likely`` one."""
        packed = np.concatenate([samples[span.start : span.end] for span in window])
        length = len(packed) / RATE
        # filled up to the window, language detection and transcription see the same input and encode it once
        packed = np.pad(packed, (0, max(0, int(WINDOW_SECONDS * RATE) - len(packed))))
        options: dict[str, Any] = {"beam_size": 5, "temperature": 0.0, "condition_on_previous_text": False}
        segments, info = self._loaded().transcribe(packed, language=self.language or None, **options)
        if likely and not self.language and info.language_probability < SURE_LANGUAGE:
            # nothing has been decoded yet, and the window is not encoded again
            segments, _ = self._loaded().transcribe(packed, language=likely, **options)
        pieces = []
        for segment in segments:
            heard_for = min(segment.end, length) - segment.start
            if segment.start >= length - 0.05 or not believable(segment) or is_phantom(segment, heard_for):
                continue
            begin, end = (start + unpacked(t, window) for t in (segment.start, min(segment.end, length)))
            confidence = round(math.exp(min(0.0, segment.avg_logprob)), 3)
            text = " ".join(segment.text.split())
            pieces.append(TimedText(round(begin, 2), round(max(begin, end), 2), text, "speech", confidence))
        return pieces, info.language if info.language_probability >= SURE_LANGUAGE else ""

    def _loaded(self) -> WhisperModel:
        if self._model is None:
            try:
                self._model = _whisper_class()(
                    str(self.folder.path), device="cpu", compute_type="int8", cpu_threads=self.threads
                )
            except (RuntimeError, ValueError, OSError) as error:
                step = "Fetch the model again, or use another with --speech."
                raise ModelError(f"{self.folder.reference}: cannot be loaded ({error})", next_step=step) from error
        return self._model


def _whisper_class() -> type[WhisperModel]:
    from faster_whisper import WhisperModel

    class OnceEncoded(WhisperModel):
        """Encodes a window once where faster-whisper would for the language and again for the words."""

        _last: tuple[NDArray[np.float32], Any] | None = None

        def encode(self, features: NDArray[np.float32]) -> Any:
            if self._last is None or not np.array_equal(self._last[0], features):
                self._last = (features, super().encode(features))
            return self._last[1]

    return OnceEncoded


def speech_blocks(blocks: Iterable[Block]) -> Iterator[tuple[float, NDArray[np.float32], list[Span]]]:
    """Find where somebody speaks; speech that runs over the end of a block is carried into the next.

    Yields:
        Start in seconds, samples, and the spans of speech within them; only where there is speech.
    """
    from faster_whisper.vad import VadOptions, get_speech_timestamps

    options = VadOptions(
        min_speech_duration_ms=250,
        min_silence_duration_ms=600,
        max_speech_duration_s=WINDOW_SECONDS - 1,
        speech_pad_ms=200,
    )
    carried: Block | None = None
    for block in blocks:
        if carried is not None:
            joined = abs(carried.start + len(carried.samples) / RATE - block.start) < 0.5
            if joined:
                block = Block(carried.start, np.concatenate([carried.samples, block.samples]))
            else:
                yield carried.start, carried.samples, [Span(0, len(carried.samples))]
            carried = None
        found = get_speech_timestamps(block.samples, options)
        spans = [Span(one["start"], min(one["end"], len(block.samples))) for one in found]
        full = len(block.samples) >= 2 * WINDOW_SECONDS * RATE
        if spans and full and spans[-1].end >= len(block.samples) - RATE:
            cut = spans.pop().start
            carried = Block(block.start + cut / RATE, block.samples[cut:])
        if spans:
            yield block.start, block.samples, spans
    if carried is not None:
        yield carried.start, carried.samples, [Span(0, len(carried.samples))]


def windows(spans: Iterable[Span], seconds: float = WINDOW_SECONDS) -> Iterator[list[Span]]:
    """Pack spans of speech, in order, into windows of at most ``seconds``; a longer span is cut."""
    room = int(seconds * RATE)
    window: list[Span] = []
    held = 0
    for span in spans:
        for start in range(span.start, span.end, room):
            part = Span(start, min(span.end, start + room))
            if window and held + part.end - part.start > room:
                yield window
                window, held = [], 0
            window.append(part)
            held += part.end - part.start
    if window:
        yield window


def unpacked(seconds: float, window: list[Span]) -> float:
    """Seconds within a packed window to seconds within its block; a boundary belongs to the earlier span."""
    left = round(seconds * RATE)
    for span in window:
        if left <= span.end - span.start:
            return (span.start + left) / RATE
        left -= span.end - span.start
    return window[-1].end / RATE


def believable(segment: Any) -> bool:
    """Whether a Whisper segment is speech by the model's own measures (thresholds of the Whisper paper, 2022)."""
    if not any(map(str.isalnum, segment.text)):
        return False
    if segment.avg_logprob < -1.0 or segment.compression_ratio > 2.4:
        return False
    if segment.no_speech_prob > 0.6 and segment.avg_logprob < -0.5:
        return False
    return not is_loop(segment.text)


def is_phantom(segment: Any, seconds: float) -> bool:
    """Whether a Whisper segment is what the model writes of voices that say nothing, or of a crowd.

    Either a phrase that stands under many videos of its training (Barański and others, ICASSP 2025, list them), unless
    the model is sure of it; or far fewer words than a voice says in that time, by a model that doubts them.

    Args:
        segment: As faster-whisper gives it.
        seconds: How long the voice spoke.
    """
    bare = " ".join(re.findall(r"\w+", segment.text.casefold()))
    doubted = segment.avg_logprob < -0.5 or segment.no_speech_prob > 0.3
    if CREDITS.search(bare) or (doubted and bare in PHANTOMS):
        return True
    # of scripts without spaces about three letters are a word
    said = max(len(bare.split()), sum(not char.isascii() for char in bare) / 6)
    return doubted and seconds >= 5.0 and said < 0.5 * seconds


def is_loop(text: str) -> bool:
    """Whether most of a text is one phrase said four or more times on end ("beep beep beep beep")."""
    bare = re.sub(r"[\W_]+", " ", text.casefold()).strip()
    longest = max((len(m.group(0)) for m in re.finditer(r"(.{1,60}?)\1{3,}", bare + " ")), default=0)
    return longest > 0.5 * (len(bare) + 1) and len(bare) > 12


def without_echoes(pieces: list[TimedText]) -> list[TimedText]:
    """Drop the third and further of equal texts that follow one another: a loop over segments."""
    kept: list[TimedText] = []
    for piece in pieces:
        if [p.text for p in kept[-2:]] != [piece.text] * 2:
            kept.append(piece)
    return kept
