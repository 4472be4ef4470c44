"""What a stream may be, and how it is told to people: ``https://shop.example/live.m3u8?…`` for an address with secrets.

=====================================  ==============================================================================
``recording.ts``, ``.mkv``, ``.flv``   a file that is still being written (fragmented MP4 as well)
``live.m3u8``                          a playlist on disk, with segments beside it
``-``                                  a stream on standard input
``https://…``, ``http://…``            an HLS playlist, or media without end
``rtsp(s)://…``, ``rtmp(s)://…``       FFmpeg's own protocols
=====================================  ==============================================================================
"""

from __future__ import annotations

import re
import stat
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from llmrec.errors import InputError
from llmrec.video.source import VIDEO_ENDINGS, media_type, public_address

#: For each scheme that FFmpeg itself may open: the protocols that it may use for it, and no others.
PROTOCOLS = {
    "rtsp": "rtsp,rtp,udp,tcp",
    "rtsps": "rtsps,rtsp,rtp,udp,tcp,tls",
    "rtmp": "rtmp,tcp",
    "rtmps": "rtmps,tls,tcp",
}
#: Demuxers of those schemes.
FORMATS = {"rtsp": "rtsp,rtp,mpegts", "rtsps": "rtsp,rtp,mpegts", "rtmp": "flv,live_flv", "rtmps": "flv,live_flv"}
PLAYLISTS = (".m3u8", ".m3u")

Kind = Literal["file", "pipe", "playlist", "http", "ffmpeg"]


class LiveSource(NamedTuple):
    """A stream that was asked for.

    Attributes:
        address: What is opened; may hold a password: never shown.
        shown: The address as people may see it.
        name: Of the contents, before the ``@``.
        kind: How its bytes come: ``ffmpeg`` leaves the connection to FFmpeg.
    """

    address: str
    shown: str
    name: str
    kind: Kind

    @property
    def waits(self) -> bool:
        """Whether what is not read now can be read a little later."""
        return self.kind != "ffmpeg"


def live_source(given: str | Path) -> LiveSource:
    """Tell what kind of stream an argument names.

    Raises:
        InputError: An unknown scheme, no such file, or not something that can be a stream.
    """
    address = str(given)
    if address == "-":
        return LiveSource("-", "standard input", "stdin", "pipe")
    if re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", address) and not Path(address).exists():
        return _remote(address)
    path = Path(given)
    try:
        mode = path.stat().st_mode
    except OSError as error:
        raise InputError(f"{path}: {error.strerror or error}", next_step="Check the path.") from error
    name = path.stem if path.suffix.lower() in VIDEO_ENDINGS | set(PLAYLISTS) else path.name
    if stat.S_ISFIFO(mode):
        return LiveSource(str(path), str(path), name, "pipe")
    if not stat.S_ISREG(mode):
        raise InputError(f"{path}: is not a file", next_step="Give a file that is being written, or an address.")
    if path.suffix.lower() in PLAYLISTS:
        return LiveSource(str(path), str(path), name, "playlist")
    if path.stat().st_size and media_type(path) == "image":
        raise InputError(f"{path}: is a picture, not a stream", next_step="Leave out --live.")
    return LiveSource(str(path), str(path), name, "file")


def _remote(address: str) -> LiveSource:
    try:
        parts = urlsplit(address)
        host, _ = parts.hostname, parts.port  # the port is read to be checked
    except ValueError as error:
        step = "Write what is special in a user or a password as %2F, %3A, %40 and so on."
        raise InputError(f"{public_address(address)}: the address cannot be read", next_step=step) from error
    scheme = parts.scheme.lower()
    if scheme not in ("http", "https", *PROTOCOLS):
        step = f"Give a file, '-', or an address of http, https, {', '.join(PROTOCOLS)}."
        raise InputError(f"streams of '{scheme}:' are not read", next_step=step)
    if not host:
        raise InputError(f"{scheme}: an address without a host", next_step="Check the address.")
    stem = Path(parts.path.rstrip("/")).stem
    if stem in ("", "index", "playlist", "live", "master", "stream"):  # says nothing
        stem = f"{host}-{stem}"
    name = re.sub(r"[^\w.-]+", "_", stem).strip("_-") or "live"
    return LiveSource(address, public_address(address), name, "http" if scheme in ("http", "https") else "ffmpeg")


def live_sources(given: Sequence[str | Path | LiveSource]) -> list[LiveSource]:
    """Several streams, with names that differ.

    Raises:
        InputError: See ``live_source``; or one stream is named twice.
    """
    found: list[LiveSource] = []
    for one in given:
        source = one if isinstance(one, LiveSource) else live_source(one)
        if any(source.address == other.address for other in found):
            raise InputError(f"{source.shown}: is named twice", next_step="Name every stream once.")
        taken = {other.name for other in found}
        found.append(source._replace(name=free_name(source.name, taken)))
    return found


def free_name(name: str, taken: set[str]) -> str:
    """The name, or the first of ``name.2``, ``name.3``, … that is not taken."""
    number = 1
    free = name
    while free in taken:
        number += 1
        free = f"{name}.{number}"
    return free
