"""A stream as an open container, with the whitelists of its kind set."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from llmrec.errors import InputError
from llmrec.video.live_bytes import Broken, GrowingFile, Pipe, Wait
from llmrec.video.live_reach import PATIENCE, Reach, no_reach
from llmrec.video.live_settings import LiveSettings
from llmrec.video.live_source import FORMATS, PROTOCOLS, LiveSource
from llmrec.video.settings import WatchSettings, need_video_extra
from llmrec.video.source import DEMUXERS, media_type

if TYPE_CHECKING:
    from av.container import InputContainer

#: Segments of a playlist: what a file may be, and captions.
SEGMENTS = f"hls,{DEMUXERS},webvtt,ac3,eac3"
#: A whitelist that allows no protocol: bytes come from us alone.
NOTHING = "none"
#: Microseconds of a stream that are read to learn what is in it, before anything else is done with them.
PROBE = "2000000"
#: Times that FFmpeg asks for a playlist anew without giving up: ``Reach`` decides when a stream is over.
ALWAYS = str(1 << 30)

WRITE = "Record as MPEG-TS, Matroska, FLV or fragmented MP4: a plain MP4 can only be read when it is finished."


@contextmanager
def open_live(source: LiveSource, settings: WatchSettings, live: LiveSettings, wait: Wait) -> Iterator[InputContainer]:
    """Open a stream.

    Raises:
        InputError: It is not media, or names what it may not.
        Broken: The connection failed.
        Over: Nothing came for too long.
        MissingExtraError: PyAV is not installed.
    """
    need_video_extra()
    import av

    options = {"max_pixels": str(settings.max_pixels), "analyzeduration": PROBE}
    arguments: dict[str, Any] = {"metadata_errors": "replace", "io_open": no_reach}
    with ExitStack() as stack:
        file: Any
        if source.kind == "file":
            file = stack.enter_context(closing(_growing(source, wait)))
        elif source.kind == "pipe":
            file = stack.enter_context(closing(_pipe(source, wait)))
        elif source.kind == "ffmpeg":
            file = source.address
            arguments["timeout"] = (PATIENCE, min(PATIENCE, live.idle))
            del arguments["io_open"]
        else:
            reach = stack.enter_context(Reach(source, live.allow_hosts, wait))
            file, is_playlist = reach.first()
            arguments["io_open"] = reach.open
            if is_playlist:
                arguments["format"] = "hls"
                options |= {"http_persistent": "0", "allowed_extensions": "ALL", "extension_picky": "0"}
                options |= {"live_start_index": "-1", "max_reload": ALWAYS, "m3u8_hold_counters": ALWAYS}
        scheme = source.address.partition(":")[0].lower()
        options["format_whitelist"] = FORMATS.get(scheme, SEGMENTS if "format" in arguments else DEMUXERS)
        options["protocol_whitelist"] = PROTOCOLS.get(scheme, NOTHING)
        if source.kind == "ffmpeg":
            options["rtsp_transport"] = "tcp"
        elif "format" in arguments:
            options["protocol_whitelist"] = "http,https" if source.kind == "http" else "file"
        try:
            container = av.open(file, options=options, **arguments)
        except (av.error.FFmpegError, OSError, ValueError) as error:
            raise _unopened(source, error, wait) from error
        with container:
            yield container


def _unopened(source: LiveSource, error: Exception, wait: Wait) -> Exception:
    """What is wrong with a stream that cannot be opened; FFmpeg's own words may hold the address."""
    if wait.fault is not None:
        return wait.fault
    reason = wait.over or getattr(error, "strerror", None) or type(error).__name__
    if source.kind == "ffmpeg":
        return Broken(reason)
    return InputError(f"{source.shown}: cannot be opened as a stream ({reason})", next_step=WRITE)


def _growing(source: LiveSource, wait: Wait) -> GrowingFile:
    path = Path(source.address)
    if path.stat().st_size:
        media_type(path)  # refuses scripts in plain words
    return GrowingFile(path, wait)


def _pipe(source: LiveSource, wait: Wait) -> Pipe:
    if source.address == "-":
        return Pipe(sys.stdin.fileno(), wait, own=False)
    return Pipe(os.open(source.address, os.O_RDONLY | os.O_NONBLOCK), wait, own=True)
