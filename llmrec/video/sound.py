"""The sound track as 16 kHz mono samples, in blocks, so that two hours of sound never lie in memory at once."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from llmrec.video.coverage import Coverage
from llmrec.video.demuxing import demuxed
from llmrec.video.settings import WatchSettings
from llmrec.video.source import start_of

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.container import InputContainer

RATE = 16_000
BLOCK_SECONDS = 120.0
#: A gap in the time stamps longer than this many seconds is filled with silence, to keep later times right.
GAP = 0.3


class Block(NamedTuple):
    """Sound from ``start`` seconds on: float32 samples in -1 to 1 at 16 kHz."""

    start: float
    samples: NDArray[np.float32]


def sound_blocks(
    container: InputContainer,
    stream: AudioStream,
    settings: WatchSettings,
    coverage: Coverage,
    seconds: float = BLOCK_SECONDS,
) -> Iterator[Block]:
    """Decode a sound track once, front to back; damaged packets are counted and passed over.

    Args:
        container: Freshly opened.
        stream: One of its audio streams.
        settings: The limit on length.
        coverage: Filled on the way.
        seconds: Length of a block; the last is shorter.
    """
    resampler = _resampler()
    stream.codec_context.thread_count = 1
    start: float | None = None
    parts: list[NDArray[np.int16]] = []
    held = 0
    for frame, time in _decoded(container, stream, settings, coverage):
        if time is not None and time > settings.max_seconds:
            coverage.stopped = f"longer than {settings.max_seconds:g} s"
            break
        if start is None:
            start = time or 0.0
        missing = (time - (start + held / RATE)) if time is not None else 0.0
        if missing > GAP:
            silence = np.zeros(int(min(missing, seconds) * RATE), np.int16)
            parts, held = [*parts, silence], held + len(silence)
            if missing > seconds:  # a long gap: begin a new block after it
                yield Block(start, _joined(parts))
                assert time is not None
                start, parts, held = time, [], 0
        frame.pts = None
        pieces, resampler = _resampled(frame, resampler, coverage)
        for piece in pieces:
            array = _samples(piece)
            parts.append(array)
            held += len(array)
        coverage.reached = max(coverage.reached, start + held / RATE)
        if held >= seconds * RATE:
            yield Block(start, _joined(parts))
            start, parts, held = start + held / RATE, [], 0
    parts += [_samples(piece) for piece in _flushed(resampler)]
    if parts:
        yield Block(start or 0.0, _joined(parts))


def _decoded(
    container: InputContainer, stream: AudioStream, settings: WatchSettings, coverage: Coverage
) -> Iterator[tuple[AudioFrame, float | None]]:
    import av

    origin = start_of(container)
    for packet in demuxed(container, stream, settings, coverage):
        try:
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError):
            coverage.bad += 1
            continue
        for frame in frames:
            coverage.decoded += 1
            yield frame, None if frame.time is None else max(0.0, frame.time - origin)


def _resampled(
    frame: AudioFrame, resampler: AudioResampler, coverage: Coverage
) -> tuple[list[AudioFrame], AudioResampler]:
    """A frame at our rate; where the sound changes its rate or its channels on the way, with another resampler."""
    import av

    try:
        return resampler.resample(frame), resampler
    except (av.error.FFmpegError, ValueError):
        pieces, resampler = _flushed(resampler), _resampler()
    try:
        return pieces + resampler.resample(frame), resampler
    except (av.error.FFmpegError, ValueError):  # a damaged frame of a rate or a layout that cannot be
        coverage.bad += 1
        return pieces, _resampler()


def _flushed(resampler: AudioResampler) -> list[AudioFrame]:
    import av

    try:
        return resampler.resample(None)
    except (av.error.FFmpegError, ValueError):
        return []


def _resampler() -> AudioResampler:
    from av.audio.resampler import AudioResampler

    return AudioResampler(format="s16", layout="mono", rate=RATE)


def _samples(frame: AudioFrame) -> NDArray[np.int16]:
    return np.asarray(frame.to_ndarray(), np.int16).reshape(-1)


def _joined(parts: list[NDArray[np.int16]]) -> NDArray[np.float32]:
    return np.concatenate(parts).astype(np.float32) / 32768.0
