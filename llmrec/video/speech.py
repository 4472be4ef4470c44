"""Speech to timed text with faster-whisper, and nothing where nobody speaks.

Whisper invents words on silence and music (whisper-base hears "1-2-3-4-4-4-4…" in a clip of room noise). So a voice
activity detector (Silero, shipped with faster-whisper) decides what is transcribed at all, and what comes out is held
against the model's own doubts and against loops.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
from numpy.typing import NDArray

from llmrec.errors import MissingExtraError, ModelError
from llmrec.records import TimedText
from llmrec.video.doubts import believable, is_phantom, without_echoes
from llmrec.video.settings import WatchSettings
from llmrec.video.sound import RATE, Block

if TYPE_CHECKING:
    from faster_whisper import WhisperModel

#: Whisper sees windows of this length; speech is packed into them.
WINDOW_SECONDS = 30.0
#: A language is believed from this probability on; below the second, a window may hold more than one language
#: (measured: .965 and more on clips of one, .63 on one half German and half English).
SURE_LANGUAGE, ONE_LANGUAGE = 0.5, 0.9
#: Seconds of speech by which the language within a mixed window is told, and the probability from which on it changes.
STRETCH_SECONDS, SURE_CHANGE = 6.0, 0.7
#: Greedy but for the beam: the same words each time.
DECODING: dict[str, Any] = {"beam_size": 5, "temperature": 0.0, "condition_on_previous_text": False}


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
                for part, heard, language in self._transcribe(samples, window, start, likely):
                    pieces += heard
                    if heard and language:
                        languages[language] += sum(span.end - span.start for span in part)
        return Transcript(without_echoes(pieces), languages.most_common(1)[0][0] if languages else "")

    def _transcribe(
        self, samples: NDArray[np.float32], window: list[Span], start: float, likely: str = ""
    ) -> Iterator[tuple[list[Span], list[TimedText], str]]:
        """What is said in a window, by language: Whisper would translate the one into the other.

        A window whose language is unsure is taken to be in the ``likely`` one.
        """
        packed = _packed(samples, window)
        segments, info = self._loaded().transcribe(packed, language=self.language or None, **DECODING)
        sure = self.language or info.language_probability >= SURE_LANGUAGE
        # nothing has been decoded yet
        if not self.language and info.language_probability < ONE_LANGUAGE:
            parts = self._by_language(samples, window)
            if len(parts) > 1:
                for part, language in parts:
                    segments, _ = self._loaded().transcribe(_packed(samples, part), language=language, **DECODING)
                    yield part, _pieces(segments, part, start), language
                return
            if likely and not sure:
                segments, _ = self._loaded().transcribe(packed, language=likely, **DECODING)
        yield window, _pieces(segments, window, start), info.language if sure else ""

    def _by_language(self, samples: NDArray[np.float32], window: list[Span]) -> list[tuple[list[Span], str]]:
        """A window cut where its language changes; a stretch that is unsure goes with the one before it."""
        parts: list[tuple[list[Span], str]] = []
        for stretch in windows(window, STRETCH_SECONDS) if len(window) > 1 else ():
            language, probability, _ = self._loaded().detect_language(_packed(samples, stretch))
            if parts and (probability < SURE_CHANGE or parts[-1][1] == language):
                parts[-1][0].extend(stretch)
            else:
                parts.append((list(stretch), language if probability >= SURE_CHANGE else ""))
        if len(parts) > 1 and not parts[0][1]:  # an unsure beginning goes with what comes after it
            parts[:2] = [(parts[0][0] + parts[1][0], parts[1][1])]
        return parts

    def load(self) -> None:
        """Load the model now rather than at the first speech.

        Raises:
            ModelError: It cannot be loaded.
        """
        self._loaded()

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


def _packed(samples: NDArray[np.float32], window: list[Span]) -> NDArray[np.float32]:
    """The speech of a window, filled up, so that language detection and transcription see and encode the same."""
    speech = np.concatenate([samples[span.start : span.end] for span in window])
    return np.pad(speech, (0, max(0, int(WINDOW_SECONDS * RATE) - len(speech))))


def _pieces(segments: Iterable[Any], window: list[Span], start: float) -> list[TimedText]:
    """The segments of a window that are believed, at their times in a block that starts at ``start``."""
    length = sum(span.end - span.start for span in window) / RATE
    pieces = []
    for segment in segments:
        heard_for = min(segment.end, length) - segment.start
        if segment.start >= length - 0.05 or not believable(segment) or is_phantom(segment, heard_for):
            continue
        begin, end = (start + unpacked(t, window) for t in (segment.start, min(segment.end, length)))
        confidence = round(math.exp(min(0.0, segment.avg_logprob)), 3)
        text = " ".join(segment.text.split())
        pieces.append(TimedText(round(begin, 2), round(max(begin, end), 2), text, "speech", confidence))
    return pieces


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
