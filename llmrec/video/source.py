"""Opening a file that somebody else made.

A file is judged by its first bytes and by FFmpeg's own probing, never by its name: an ``upload.mp4`` that holds
``ffconcat version 1.0`` or ``#EXTM3U`` would make FFmpeg open other local files, so text is refused outright and only
demuxers that read one self-contained file are allowed (``format_whitelist``), over the ``file`` protocol alone.
"""

from __future__ import annotations

import re
import stat
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from llmrec.errors import InputError
from llmrec.video.ends import cut_reason
from llmrec.video.languages import same_language
from llmrec.video.settings import WatchSettings, need_video_extra

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.stream import Stream
    from av.video.stream import VideoStream

#: Demuxers that never open a second file. Left out on purpose: concat, hls, dash, sdp, image2 and all playlists.
DEMUXERS = "mov,mp4,m4a,3gp,3g2,mj2,matroska,webm,avi,mpegts,mpeg,flv,asf,gif,apng,mp3,aac,wav,flac,ogg"

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


def public_address(address: str) -> str:
    """A URL without what may be secret: user, password, query and fragment.

    A password may hold any sign, ``/`` and ``?`` too; where it is not clear, more is left out rather than less.
    """
    scheme, slashes, rest = re.match(r"([^/:]*:)?(/{0,2})(.*)", address, re.S).groups(default="")  # type: ignore[union-attr]
    mark = "//" if scheme and slashes else slashes  # pathlib makes one slash of two
    host = rest.partition("/")[0]
    if "@" in host:
        rest = rest[host.rindex("@") + 1 :]
    elif "@" in rest and not re.fullmatch(r"[^:]*(:\d+)?|\[[^]]*\](:\d+)?", host):
        rest = rest[rest.rindex("@") + 1 :]
    path, query, _ = rest.partition("?")
    return f"{scheme}{mark}{path.partition('#')[0]}{'?…' if query else ''}"


def check_file(path: str | Path, settings: WatchSettings) -> Path:
    """Check that a path names a readable file of acceptable size.

    Raises:
        InputError: A URL, no such file, a device, an empty or too large file.
    """
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:/{1,2}", str(path)):
        step = "Download it first, or watch it as a stream with --live."
        raise InputError(f"{public_address(str(path))}: only local files are read, the network is off", next_step=step)
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
    if head.startswith(b"\x89PNG") and 0 < head.find(b"acTL") < head.find(b"IDAT") % (len(head) + 1):
        return "container"  # an animation
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
def open_container(
    source: Path | str,
    settings: WatchSettings,
    *,
    formats: str = DEMUXERS,
    protocols: str = "file",
    options: Mapping[str, str] | None = None,
    timeout: float | tuple[float, float] | None = None,
) -> Iterator[InputContainer]:
    """Open a container with the whitelists set.

    Args:
        source: A file; a string is a URL and needs ``protocols`` of its own.
        settings: The limits.
        formats: Demuxers that may read it, FFmpeg's names.
        protocols: Protocols over which bytes may come, FFmpeg's names; ``file`` alone keeps the network off.
        options: More options of FFmpeg's; they cannot widen what ``formats`` and ``protocols`` allow.
        timeout: Seconds to wait for opening and for each read (of a stream that is live).

    Raises:
        InputError: Not one of the allowed formats, damaged beyond opening, or of too many tracks; names the source.
        MissingExtraError: PyAV is not installed.
    """
    need_video_extra()
    import av

    # 'file:' keeps a name with a colon from being read as a protocol
    name = f"file:{source.absolute()}" if isinstance(source, Path) else source
    guards = {
        "format_whitelist": formats,
        "protocol_whitelist": protocols,
        "max_pixels": str(settings.max_pixels),
        "max_streams": str(settings.max_tracks + 1),
        "enable_drefs": "0",  # a QuickTime file may name another file as the place of its samples
    }
    try:
        container = av.open(name, options={**(options or {}), **guards}, metadata_errors="replace", timeout=timeout)
    except (av.error.FFmpegError, ValueError) as error:
        raise _unopened(source, error) from error
    with container:
        if len(container.streams) > settings.max_tracks:
            step = "Take out the tracks that are not needed, or raise max_tracks."
            raise InputError(f"{source}: has more than {settings.max_tracks} tracks", next_step=step)
        yield container


def _unopened(source: Path | str, error: Exception) -> InputError:
    reason = getattr(error, "strerror", None) or str(error)
    if isinstance(source, Path) and (why := cut_reason(source)):
        return InputError(f"{source}: cannot be opened as media: {why}", next_step="Fetch or record the file again.")
    step = f"If it plays elsewhere, it may be incomplete or of an unknown format. {CONVERT}"
    return InputError(f"{source}: cannot be opened as media ({reason})", next_step=step)


def start_of(container: InputContainer) -> float:
    """Seconds by which the container's clock is ahead: 0 for most, about 1.4 for a transport stream."""
    return (container.start_time or 0) / 1e6


def length_of(container: InputContainer) -> float:
    """Declared duration in seconds, 0 if the file does not say."""
    length = max(0.0, (container.duration or 0) / 1e6)
    # what a Flash video declares is the time of its end
    early = start_of(container) if container.format.name == "flv" else 0.0
    return length - early if 0 < early < length else length


def stream_length(stream: Stream) -> float:
    """Declared duration of one stream in seconds, 0 if the file does not say."""
    if stream.duration:
        return max(0.0, float(stream.duration * (stream.time_base or 0)))
    # Matroska has it as a tag, '00:01:05.034000000'
    match = re.fullmatch(r"(\d+):(\d{2}):(\d{2}(?:\.\d+)?)", stream.metadata.get("DURATION", ""))
    return int(match[1]) * 3600 + int(match[2]) * 60 + float(match[3]) if match else 0.0


def video_stream(container: InputContainer) -> VideoStream | None:
    """The stream of moving pictures (a cover picture of a song is none)."""
    import av

    cover = av.stream.Disposition.attached_pic
    streams = [s for s in container.streams.video if s.codec_context is not None and not s.disposition & cover]
    best = container.streams.best("video")
    return next((stream for stream in streams if best is not None and stream.index == best.index), None) or next(
        iter(streams), None
    )


def audio_stream(container: InputContainer, language: str = "") -> AudioStream | None:
    """The main sound track; the first one in ``language`` (ISO 639) if one is tagged so."""
    best = container.streams.best("audio")
    streams = [s for s in container.streams.audio if s.codec_context is not None]
    tagged = [s for s in streams if same_language(s.metadata.get("language", ""), language)]
    if tagged and (best is None or best.index not in [s.index for s in tagged]):
        return tagged[0]
    return next((s for s in streams if best is not None and s.index == best.index), None) or next(iter(streams), None)
