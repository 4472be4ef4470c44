"""Subtitle streams inside a media file, as captions: ``mov_text`` in mp4, SubRip, SubStation Alpha, WebVTT in mkv.

Their packets are text already, so nothing is decoded; pictures of subtitles (DVD, Blu-ray) are left to the screen
reader, which meets them only where they were burnt in.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmrec.records import TimedText
from llmrec.video.captions import ass_words, plain
from llmrec.video.languages import same_language
from llmrec.video.settings import WatchSettings
from llmrec.video.source import open_container, start_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.stream import Stream

#: Names of codecs whose packets are text, as PyAV gives them.
TEXTS = frozenset(("mov_text", "srt", "subrip", "text", "ass", "ssa", "webvtt"))
#: Cues of a stream that are kept, and bytes of one.
MAX_CUES, MAX_CUE = 20_000, 20_000


def embedded_captions(path: Path, settings: WatchSettings) -> list[TimedText]:
    """The captions inside a media file; none where it has no stream of text.

    Raises:
        InputError: It cannot be opened.
    """
    with open_container(path, settings) as container:
        stream = subtitle_stream(container, settings.language)
        return read_subtitles(container, stream) if stream is not None else []


def subtitle_stream(container: InputContainer, language: str = "") -> Stream | None:
    """The text subtitles in the wanted language, else the default ones, else the first; None if there are none."""
    import av

    streams = [s for s in container.streams.subtitles if s.codec_context is not None and s.codec_context.name in TEXTS]

    def rank(stream: Stream) -> tuple[bool, bool, int]:
        wanted = same_language(stream.metadata.get("language") or "", language)
        return not wanted, not stream.disposition & av.stream.Disposition.default, stream.index

    return min(streams, key=rank, default=None)


def read_subtitles(container: InputContainer, stream: Stream) -> list[TimedText]:
    """All cues of a stream, in order; damaged ones are passed over, a damaged end ends them.

    Args:
        container: Freshly opened.
        stream: One of its streams, as ``subtitle_stream`` gives it.
    """
    import av

    origin, kind = start_of(container), stream.codec_context.name
    pieces: list[TimedText] = []
    packets = container.demux(stream)
    while len(pieces) < MAX_CUES:
        try:
            packet = next(packets)
        except (StopIteration, av.error.FFmpegError, IndexError):
            break
        if packet.pts is None or packet.time_base is None or not 0 < packet.size <= MAX_CUE:
            continue
        start = float(packet.pts * packet.time_base) - origin
        end = start + float((packet.duration or 0) * packet.time_base)
        text = " ".join(cue_lines(bytes(packet), kind))
        if text and end >= 0:
            begin = max(0.0, start)
            pieces.append(TimedText(round(begin, 3), round(max(begin, end), 3), text, "caption"))
    return sorted(pieces, key=lambda piece: (piece.start, piece.end))


def cue_lines(data: bytes, kind: str) -> list[str]:
    """The lines of one packet of subtitles; ``kind`` is FFmpeg's name of their codec."""
    if kind == "mov_text":  # a length, so many bytes of UTF-8, boxes of style
        data = data[2 : 2 + int.from_bytes(data[:2], "big")]
    text = data.decode("utf-8", errors="replace").replace("\ufffd", "").replace("\0", " ")
    if kind in ("ass", "ssa"):  # ReadOrder, Layer, Style, Name, three margins, Effect, Text
        fields = text.split(",", 8)
        return ass_words(fields[-1]) if len(fields) == 9 else []
    return [line for line in map(plain, text.splitlines()) if line]
