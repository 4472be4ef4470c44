"""Whether a file is all there, by what its own structure says of its length.

FFmpeg plays a cut file to its last byte and says nothing. But an AVI or Matroska file declares its bytes, an MP4 names
the place of every sample, a transport stream is made of packets of one size, a GIF has a last byte:
``cut_line(Path("half.mkv"))`` is ``the file ends early: 50% of its declared 104,448 bytes are missing``.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable
from pathlib import Path
from typing import IO, TYPE_CHECKING, NamedTuple

from llmrec.video.transport import grid_of, lost_packets

if TYPE_CHECKING:
    from llmrec.video.coverage import Coverage

#: Boxes, elements or blocks that are looked at; more are not believed.
MOST = 2_000_000
#: Pixels of a GIF (frames × width × height) that are looked through for damage: a few seconds on one core.
CHECKED_PIXELS = 500_000_000
ASF_PROPERTIES = bytes.fromhex("a1dcab8c47a9cf118ee400c00c205365")


class End(NamedTuple):
    """What a file's structure says: its declared size in bytes (0: does not say), a fault in words, and how many of
    its streams begin anew where files were joined.
    """

    declared: int = 0
    fault: str = ""
    anew: int = 0


def cut_line(path: Path, kind: str) -> str:
    """One line on the end that is missing, empty if it is there or the format cannot tell.

    Args:
        path: A file that could be opened.
        kind: FFmpeg's name of its format.
    """
    size = path.stat().st_size
    end = _end_of(path, kind, size)
    if end.declared > size:
        missing = (end.declared - size) / end.declared
        share = f"{missing:.0%}" if missing >= 0.01 else "under 1%"
        return f"the file ends early: {share} of its declared {end.declared:,} bytes are missing"
    return end.fault


def note_cut(coverage: Coverage, path: Path, kind: str) -> None:
    """Write a missing end into the coverage of a stream that has been read and shows no loss of its own.

    FFmpeg takes the joint of two transport streams for damage; it is none.
    """
    if coverage.torn and "mpegts" in kind.split(","):
        end = _end_of(path, kind, path.stat().st_size)
        if coverage.torn <= end.anew and not end.fault:
            coverage.torn = 0
    if not coverage.lost and not coverage.stopped:
        coverage.stopped = cut_line(path, kind) or (_broken_gif(path) if kind == "gif" else "")


def _end_of(path: Path, kind: str, size: int) -> End:
    check = next((check for name, check in CHECKS.items() if name in kind.split(",")), None)
    if check is None:
        return End()
    try:
        with path.open("rb") as file:
            return check(file, size)
    except (OSError, struct.error, IndexError, ValueError):
        return End()


def cut_reason(path: Path) -> str:
    """Why an MP4 that cannot be opened cannot; empty if unknown."""
    try:
        with path.open("rb") as file:
            size = os.fstat(file.fileno()).st_size
            if file.read(8)[4:] not in {b"ftyp", b"moov", b"mdat", b"wide", b"free"}:
                return ""
            kinds, end = _boxes(file, size)
    except OSError:
        return ""
    if b"moov" in kinds and end <= size:
        return ""
    if b"moov" in kinds:
        return f"its index is damaged or cut; {end - size:,} bytes are missing at the end"
    missing = f"; at least {end - size:,} bytes are missing" if end > size else ""
    return f"its index (the 'moov' box, often at the end) is missing{missing}, so that nothing of it can be read"


def _boxes(file: IO[bytes], size: int) -> tuple[set[bytes], int]:
    """Kinds of the outermost boxes of an MP4, and where they say that the file ends."""
    kinds: set[bytes] = set()
    at = 0
    for _ in range(MOST):
        file.seek(at)
        head = file.read(16)
        if len(head) < 8:
            return kinds, max(at, at + 8 if head else at)
        length, kind = struct.unpack(">I4s", head[:8])
        if length == 1 and len(head) == 16:
            length = struct.unpack(">Q", head[8:])[0]
        elif length == 0:  # to the end of the file
            return kinds | {kind}, size
        if length < 8:
            return kinds, at
        kinds.add(kind)
        at += length
        if at >= size:
            break
    return kinds, at


def _mp4(file: IO[bytes], size: int) -> End:
    return End(_boxes(file, size)[1])


def _riff(file: IO[bytes], size: int) -> End:
    """RIFF chunks one after the other: an AVI over 1 GiB has several."""
    at = 0
    for _ in range(MOST):
        file.seek(at)
        head = file.read(8)
        if head[:4] not in {b"RIFF", b"RF64"} or len(head) < 8:
            return End(0, "" if at else "its header is damaged")
        length = struct.unpack("<I", head[4:])[0]
        if length in (0, 0xFFFFFFFF):  # a recorder that was never stopped, or a length of 64 bits elsewhere
            return End(0, "the file was never closed: whether its end is missing cannot be told")
        at += 8 + length + length % 2
        if at - 1 > size:
            return End(at)
        if at >= size:
            break
    return End()


def _avi(file: IO[bytes], size: int) -> End:
    """As RIFF; and the header says how many streams it describes."""
    said, count = _avi_streams(file)
    end = _riff(file, size)
    if said < count and not end.fault and end.declared <= size:
        return End(0, f"its header is damaged: {said} of {count} streams are described")
    return end


def _avi_streams(file: IO[bytes]) -> tuple[int, int]:
    """Streams that the header describes as one reads it, list by list, and those that it says there are."""
    head = file.read(1 << 20)
    if head[12:16] != b"LIST" or head[20:24] != b"hdrl":
        return 0, 0
    at, end = 24, min(len(head), 20 + struct.unpack_from("<I", head, 16)[0])
    said = count = 0
    while at + 12 <= end:
        name, length = struct.unpack_from("<4sI", head, at)
        if name == b"avih" and length >= 28:
            count = struct.unpack_from("<I", head, at + 32)[0]
        said += name == b"LIST" and head[at + 8 : at + 16] == b"strlstrh"
        at += 8 + length + length % 2
    return said, count


def _matroska(file: IO[bytes], size: int) -> End:
    at = 0
    for _ in range(64):
        file.seek(at)
        head = file.read(12)
        if len(head) < 5:
            return End()
        id_bytes = 9 - head[0].bit_length()
        if id_bytes > 4:
            return End(0, "its header is damaged")
        first = head[id_bytes]
        bytes_ = 9 - first.bit_length()
        if bytes_ > 8:
            return End(0, "its header is damaged")
        value = int.from_bytes(head[id_bytes : id_bytes + bytes_], "big") & ((1 << 7 * bytes_) - 1)
        unknown = value == (1 << 7 * bytes_) - 1
        at += id_bytes + bytes_
        if head[:4] == b"\x18\x53\x80\x67":  # the segment: all the rest
            if not unknown and at + value < size:
                return End(0, "the file goes on after its declared end: files were joined, or it is damaged")
            return End() if unknown else End(at + value)
        if unknown:
            return End()
        at += value
    return End()


def _mpegts(file: IO[bytes], size: int) -> End:
    grid = grid_of(file.read(4096), size)
    if grid is None:
        return End(0, "its first packets are damaged; how much is missing cannot be told")
    if (size - grid.start) % grid.step:
        return End(0, "the file does not end with a whole packet; how much is missing cannot be told")
    lost, count, anew = lost_packets(file, grid)
    fault = f"of its {count:,} packets at least {lost:,} are damaged or missing inside" if lost else ""
    return End(0, fault, anew)


def _gif(file: IO[bytes], size: int) -> End:
    """Walk the blocks of a GIF to its last byte."""
    head = file.read(13)
    if len(head) < 13:
        return End(0, "the file ends in its header")
    inside = End(0, "the file is damaged inside; how much is missing cannot be told")
    if head[10] & 0x80:
        file.seek(3 << (head[10] & 7) + 1, os.SEEK_CUR)
    for _ in range(MOST):
        mark = file.read(1)
        if mark == b";":
            # players may pad with zeros
            return End() if not file.read(4096).rstrip(b"\0") else inside
        if mark == b"!":
            file.seek(1, os.SEEK_CUR)
        elif mark == b",":
            place = file.read(9)
            if len(place) == 9 and place[8] & 0x80:
                file.seek(3 << (place[8] & 7) + 1, os.SEEK_CUR)
            file.seek(1, os.SEEK_CUR)
        elif mark:
            return inside
        while mark and (length := file.read(1)) and length != b"\0":
            file.seek(length[0], os.SEEK_CUR)
        if not mark or file.tell() > size:
            return End(0, "the file ends in the middle; how much is missing cannot be told")
    return inside


def _broken_gif(path: Path) -> str:
    """What Pillow, stricter than FFmpeg, says of a GIF whose blocks look whole: a joint of two may do so."""
    from PIL import Image

    seen = 0
    try:
        with Image.open(path, formats=("GIF",)) as image:
            for number in range(MOST):
                image.seek(number)
                seen += max(image.width * image.height, CHECKED_PIXELS // 20_000)  # small pictures cost too
                if seen > CHECKED_PIXELS:
                    break
                image.load()
    except EOFError:
        pass
    except (OSError, SyntaxError, ValueError, LookupError, TypeError, struct.error, Image.DecompressionBombError):
        return "the file is damaged inside; how much is missing cannot be told"
    return ""


def _flv(file: IO[bytes], size: int) -> End:
    """The metadata may name the size, and every tag is followed by its own length."""
    head = file.read(4096)
    at = head.find(b"\0\x08filesize\0")
    if at >= 0:
        return End(int(struct.unpack_from(">d", head, at + 11)[0]))
    file.seek(size - 4)
    length = struct.unpack(">I", file.read(4))[0]
    file.seek(max(0, size - 4 - length))
    tag = file.read(4)
    if 11 <= length <= size - 4 and tag[0] & 0x1F in (8, 9, 18) and int.from_bytes(tag[1:], "big") + 11 == length:
        return End()
    return End(0, "the file does not end with a whole tag; how much is missing cannot be told")


def _asf(file: IO[bytes], size: int) -> End:
    head = file.read(65536)
    at = head.find(ASF_PROPERTIES)
    return End(struct.unpack_from("<Q", head, at + 40)[0]) if at >= 0 else End()


def _ogg(file: IO[bytes], size: int) -> End:
    """The last page says that it is the last."""
    file.seek(max(0, size - 66_000))
    tail = file.read()
    at = tail.rfind(b"OggS")
    if at < 0 or len(tail) < at + 27:
        return End(0, "the file ends in the middle of a page; how much is missing cannot be told")
    segments = tail[at + 27 : at + 27 + tail[at + 26]]
    if at + 27 + tail[at + 26] + sum(segments) > len(tail):
        return End(0, "the file ends in the middle of a page; how much is missing cannot be told")
    return End() if tail[at + 5] & 4 else End(0, "its last page is missing; how much is missing cannot be told")


CHECKS: dict[str, Callable[[IO[bytes], int], End]] = {
    "mp4": _mp4,
    "avi": _avi,
    "wav": _riff,
    "matroska": _matroska,
    "mpegts": _mpegts,
    "gif": _gif,
    "flv": _flv,
    "asf": _asf,
    "ogg": _ogg,
}
