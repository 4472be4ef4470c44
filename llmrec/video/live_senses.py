"""Packets of a stream to frames, sound and captions: one demultiplexer feeds all decoders."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.errors import InputError
from llmrec.records import TimedText
from llmrec.video.frames import frame_candidate
from llmrec.video.live_clock import StreamClock
from llmrec.video.live_windows import Rolling
from llmrec.video.settings import WatchSettings
from llmrec.video.sound import RATE
from llmrec.video.source import audio_stream, video_stream
from llmrec.video.subtitles import MAX_CUE, cue_lines, subtitle_stream

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

#: Frames a second that are compared.
LOOKS = 3.0
#: Of renditions of several sizes one of more pixels than this is not taken if there is a smaller.
PIXELS = 1280 * 720
#: A stream that is decoded so many seconds late is decoded by its keyframes alone until it has caught up.
LATE, CAUGHT_UP = 3.0, 0.5
#: Seconds that a caption without a length is shown.
CAPTION_SECONDS = 4.0


class Senses:
    """Decodes the packets of one connection into windows.

    Args:
        container: Open.
        settings: Limits and threads.
        clock: Of the stream.
        rolling: Where frames, sound and captions go.
        hears: Whether sound is decoded.

    Attributes:
        bad: Packets that could not be decoded.
        passed: Packets of pictures that were passed over to catch up.
    """

    def __init__(
        self, container: InputContainer, settings: WatchSettings, clock: StreamClock, rolling: Rolling, *, hears: bool
    ) -> None:
        from av.audio.resampler import AudioResampler

        self._settings, self._clock, self._rolling = settings, clock, rolling
        self._origin = None if container.start_time is None else container.start_time / 1e6
        self._video, self._audio = rendition(container)
        self._audio = self._audio if hears else None
        self._captions = subtitle_stream(container, settings.language)
        self.streams: list[Stream] = [s for s in (self._video, self._audio, self._captions) if s is not None]
        _discard([stream for stream in container.streams if stream not in self.streams])
        if self._video is not None:
            self._video.codec_context.thread_count = settings.thread_count()
            self._video.codec_context.thread_type = "AUTO"
        self._new_resampler = lambda: AudioResampler(format="s16", layout="mono", rate=RATE)
        self._resampler = self._new_resampler()
        self._heard: dict[int, float] = {}
        self._due, self._skipping = -1.0, False
        self.bad = self.passed = 0

    @property
    def ready(self) -> float:
        """The second up to which all streams have come; one that is silent for long is not waited for."""
        latest = max(self._heard.values(), default=0.0)
        return max(min(self._heard.values(), default=0.0), latest - LATE)

    def take(self, packet: Packet, wall: float, lag: float) -> None:
        """Decode a packet that came at ``wall`` (monotonic), ``lag`` seconds after it could be had.

        Raises:
            InputError: The picture is larger than ``settings.max_pixels``.
        """
        import av

        index = packet.stream.index
        is_video = self._video is not None and index == self._video.index
        if is_video and packet.size and self._passes(packet, lag):
            return
        try:
            if self._captions is not None and index == self._captions.index:
                return self._caption(packet, wall)
            frames = packet.decode()
        except (av.error.FFmpegError, ValueError):
            self.bad += 1
            return
        take: Any = self._see if is_video else self._hear
        for frame in frames:
            take(frame, wall, index)

    def _passes(self, packet: Packet, lag: float) -> bool:
        if packet.is_keyframe:
            self._skipping = lag > CAUGHT_UP if self._skipping else lag > LATE
            return False  # keyframes are always decoded
        self._skipping = self._skipping or lag > LATE
        self.passed += self._skipping
        return self._skipping

    def _see(self, frame: VideoFrame, wall: float, index: int) -> None:
        if frame.width * frame.height > self._settings.max_pixels:
            step = "Scale the stream down, or raise max_pixels."
            raise InputError(f"frames of {frame.width} × {frame.height} pixels are over the limit", next_step=step)
        if frame.time is None:
            return
        second = self._heard[index] = self._clock.seconds(frame.time, wall, self._origin)
        if second < self._due <= second + 2 / LOOKS:
            return
        self._due = second + 1 / LOOKS - 0.01
        assert self._video is not None
        self._rolling.frame(frame_candidate(second, frame, float(self._video.sample_aspect_ratio or 1)))

    def _hear(self, frame: AudioFrame, wall: float, index: int) -> None:
        second = self._clock.now
        if frame.time is not None:
            second = self._clock.seconds(frame.time, wall, self._origin)
        self._heard[index] = second + frame.samples / (frame.sample_rate or RATE)
        frame.pts = None
        try:
            pieces = self._resampler.resample(frame)
        except ValueError:  # the format of the sound changed on the way
            self._resampler = self._new_resampler()
            pieces = self._resampler.resample(frame)
        for piece in pieces:
            self._rolling.sound(second, np.asarray(piece.to_ndarray(), np.int16).reshape(-1))

    def _caption(self, packet: Packet, wall: float) -> None:
        if packet.pts is None or packet.time_base is None or not 0 < packet.size <= MAX_CUE or self._captions is None:
            return
        second = self._clock.seconds(float(packet.pts * packet.time_base), wall, self._origin)
        length = float((packet.duration or 0) * packet.time_base) or CAPTION_SECONDS
        text = " ".join(cue_lines(bytes(packet), self._captions.codec_context.name))
        if text:
            end = second + min(length, self._rolling.window)
            self._rolling.caption(TimedText(round(second, 2), round(end, 2), text, "caption"))


def _discard(streams: list[Stream]) -> None:
    """Let the demultiplexer drop streams; of a playlist of playlists they are not even fetched."""
    try:
        from av.stream import Discard
    except ImportError:  # an older PyAV reads them in vain
        return
    for stream in streams:
        stream.discard = Discard.all


def rendition(container: InputContainer) -> tuple[VideoStream | None, AudioStream | None]:
    """The pictures and the sound to follow: of several sizes the largest up to 720p, and the sound beside it."""
    video, audio = video_stream(container), audio_stream(container)
    if container.format.name != "hls" or video is None:
        return video, audio
    sizes = [(s.codec_context.width * s.codec_context.height, s) for s in container.streams.video if s.codec_context]
    fitting = [one for one in sizes if one[0] <= PIXELS] or [min(sizes, key=lambda one: one[0])]
    video = max(fitting, key=lambda one: one[0])[1]
    sounds = [stream for stream in container.streams.audio if stream.codec_context]
    at = video.index
    return video, min(sounds, key=lambda s: (abs(s.index - at), s.index < at), default=None)
