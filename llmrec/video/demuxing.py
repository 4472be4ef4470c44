"""The packets of one stream, front to back: read once, with the limits watched and every loss noted.

A demuxer that stumbles over damage may stop, skip to what it knows next, or go on for ever: what it does is written
into the ``Coverage``, and ``max_wall_seconds`` and ``max_decoded`` end it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, TypeVar

from llmrec.errors import InputError
from llmrec.video.coverage import Coverage
from llmrec.video.settings import WatchSettings
from llmrec.video.source import length_of, start_of

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

Kind = TypeVar("Kind", bound="Stream")


def demuxed(
    container: InputContainer, stream: Kind, settings: WatchSettings, coverage: Coverage
) -> Iterator[Packet[Kind]]:
    """Demux one stream, ending with the empty packet that flushes its decoder.

    Args:
        container: Freshly opened.
        stream: One of its streams.
        settings: The limits.
        coverage: ``packets``, ``torn``, ``reached``, holes and ``stopped`` are filled here; ``bad`` and ``decoded`` by
            the caller.

    Raises:
        InputError: A limit on time or number of frames is passed; the message does not name the file.
    """
    import av

    origin = start_of(container)
    length, size = length_of(container), max(0, container.size)
    coverage.rate = size / length if length else 0.0
    limit = settings.wall_limit(length, size)
    ends = time.monotonic() + limit
    packets: Iterator[Packet[Kind]] = container.demux(stream)  # type: ignore[assignment]
    while True:
        if time.monotonic() > ends:
            step = "Cut or convert the file, or raise max_wall_seconds."
            raise InputError(f"reading it took longer than {limit:.0f} s", next_step=step)
        if coverage.decoded > settings.max_decoded:
            step = "Cut the file, or raise max_decoded."
            raise InputError(f"has more than {settings.max_decoded} frames", next_step=step)
        try:
            packet = next(packets)
        except StopIteration:
            return
        except av.error.FFmpegError as error:
            coverage.stopped = error.strerror or str(error)
            return
        except IndexError:  # PyAV meets a stream that the start of the file did not announce
            coverage.stopped = "its streams change on the way"
            return
        if packet.size > 0:
            coverage.packets += 1
            coverage.torn += packet.is_corrupt
            if packet.pts is not None and not packet.is_corrupt:
                start = float(packet.pts * packet.time_base) - origin
                end = start + float((packet.duration or 0) * packet.time_base)
                coverage.meet(start, end, packet.pos, packet.size)
        yield packet
