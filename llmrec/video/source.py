"""Opening a file that somebody else made.

A file is judged by its first bytes and by FFmpeg's own probing, never by its name: an ``upload.mp4`` that holds
``ffconcat version 1.0`` or ``#EXTM3U`` would make FFmpeg open other local files, so text is refused outright and only
demuxers that read one self-contained file are allowed (``format_whitelist``), over the ``file`` protocol alone.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from llmrec.errors import InputError
from llmrec.video.settings import WatchSettings, need_video_extra

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

#: Demuxers that never open a second file. Left out on purpose: concat, hls, dash, sdp, image2 and all playlists.
DEMUXERS = (
    "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,gif,mp3,aac,wav,flac,ogg",
    "file",
)

#: Endings by which a folder's media are told from its other files; a file named outright may have any.
VIDEO_ENDINGS = frozenset(
    f".{ending}"
    for kinds in ("mp4 m4v mov mkv webm avi ts m2ts mts mpg mpeg flv wmv 3gp gif", "mp3 m4a aac wav flac ogg opus")
    for ending in kinds.split()
)
IMAGE_ENDINGS = frozenset((".jpg", ".jpeg", ".png", ".webp", ".bmp"))

SCRIPTS = {
    b"ffconcat": "an FFmpeg concat script",
    b"file ": "an FFmpeg concat script",
    b"#extm3u": "an HLS playlist",
    b"[playlist]": "a playlist",
    b"<?xml": "XML",
    b"<mpd": "a DASH manifest",
    b"<svg": "an SVG drawing",
    b"<!doctype html": "a web page",
    b"<html": "a web page",
    b"v=0": "an SDP session description",
}
CONVERT = "Convert it first, for example: ffmpeg -i INPUT -c:v libx264 -c:a aac clip.mp4"


def check_file(path: str | Path, settings: WatchSettings) -> Path:
    """Check that a path names a readable file of acceptable size.

    Raises:
        InputError: A URL, no such file, a device, an empty or too large file.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/{1,2}", str(path)):
        step = "Download it first; live sources come in a later version."
        raise InputError(f"{path}: only local files are read, the network is off", next_step=step)
    path = Path(path)
    try:
        status = path.stat()
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", next_step="Check the path.") from error
    if not stat.S_ISREG(status.st_mode):
        raise InputError(f"{path}: is not a file", next_step="Give a media file or a folder of them.")
    if status.st_size == 0:
        raise InputError(f"{path}: is empty", next_step="Fetch the file again.")
    if status.st_size > settings.max_bytes:
        limit = f"{settings.max_bytes / 2**30:.3g} GiB"
        raise InputError(f"{path}: larger than {limit}", next_step="Cut the file, or raise max_bytes.")
    return path


def media_type(path: Path) -> Literal["image", "container"]:
    """Tell a still picture from a container of streams by the first bytes.

    Raises:
        InputError: The file is text (a playlist, a script, a page) or cannot be read.
    """
    try:
        with path.open("rb") as file:
            head = file.read(4096)
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", next_step="Check its permissions.") from error
    if head.startswith((b"\x89PNG\r\n", b"\xff\xd8\xff", b"BM")) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP"):
        return "image"
    if _is_text(head):
        start = head.removeprefix(b"\xef\xbb\xbf").lstrip().lower()
        what = next((name for mark, name in SCRIPTS.items() if start.startswith(mark)), "text")
        step = "Give the media file itself; scripts and playlists are refused because they can name other files."
        raise InputError(f"{path}: is {what}, not a media file", next_step=step)
    return "container"


def _is_text(head: bytes) -> bool:
    if any(byte < 9 or 13 < byte < 32 for byte in head):
        return False
    try:
        head.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(head) - 3  # a character cut by the end of the head
    return True


@contextmanager
def open_container(path: Path, settings: WatchSettings) -> Iterator[InputContainer]:
    """Open a container with the whitelists set.

    Raises:
        InputError: Not one of the allowed formats, or damaged beyond opening; names the file.
        MissingExtraError: PyAV is not installed.
    """
    need_video_extra()
    import av

    options = {"format_whitelist": DEMUXERS[0], "protocol_whitelist": DEMUXERS[1]}
    options["max_pixels"] = str(settings.max_pixels)
    try:
        # 'file:' keeps a name with a colon from being read as a protocol
        container = av.open(f"file:{path.absolute()}", options=options, metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        step = f"If it plays elsewhere, it may be incomplete or of an unknown format. {CONVERT}"
        raise InputError(f"{path}: cannot be opened as media ({reason})", next_step=step) from error
    with container:
        yield container


def start_of(container: InputContainer) -> float:
    """Seconds by which the container's clock is ahead: 0 for most, about 1.4 for a transport stream."""
    return (container.start_time or 0) / 1e6


def length_of(container: InputContainer) -> float:
    """Declared duration in seconds, 0 if the file does not say."""
    return max(0.0, (container.duration or 0) / 1e6)


def is_cut_gif(path: Path, container: InputContainer) -> bool:
    """Whether a GIF lacks its last byte: the format declares no length by which a cut one could be told."""
    if container.format.name != "gif":
        return False
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - 64))
        return not file.read().rstrip(b"\0").endswith(b";")


def stream_length(stream: Stream) -> float:
    """Declared duration of one stream in seconds, 0 if the file does not say."""
    return max(0.0, float((stream.duration or 0) * (stream.time_base or 0)))


def video_stream(container: InputContainer) -> VideoStream | None:
    """The stream of moving pictures (a cover picture of a song is none)."""
    import av

    cover = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if s.codec_context is not None and not s.disposition & cover]
    best = container.streams.best("video")
    return next((stream for stream in streams if best is not None and stream.index == best.index), None) or next(
        iter(streams), None
    )


def audio_stream(container: InputContainer) -> AudioStream | None:
    """The main sound track."""
    best = container.streams.best("audio")
    streams = [s for s in container.streams.audio if s.codec_context is not None]
    return next((s for s in streams if best is not None and s.index == best.index), None) or next(iter(streams), None)
