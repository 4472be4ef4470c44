"""Whole clips of our own, and what can be wrong with a file: for ``watch_fuzz``.

Clips are six seconds of a moving picture with a tone, in every container that is read, and three of ``examples/media``.
Each fault takes the bytes of a clip and a random generator and gives other bytes.
"""

from __future__ import annotations

import random
import shutil
import struct
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

SECONDS, RATE, SIZE = 6, 25, (192, 144)
EXAMPLES = ("lamp-with-a-socket.webm", "night-feed-kit.mkv", "first-song-in-a-week.mp4")
#: Container, its video codec, its sound codec, and options of the muxer.
FORMATS: dict[str, tuple[str, str, dict[str, str]]] = {
    "plain.mp4": ("libx264", "aac", {}),
    "fast.mp4": ("libx264", "aac", {"movflags": "faststart"}),
    "fragments.mp4": ("libx264", "aac", {"movflags": "frag_keyframe+empty_moov"}),
    "plain.mov": ("libx264", "aac", {}),
    "plain.mkv": ("libx264", "aac", {}),
    "plain.webm": ("libvpx", "libopus", {}),
    "plain.avi": ("mpeg4", "mp3", {}),
    "plain.ts": ("libx264", "aac", {}),
    "plain.flv": ("flv1", "aac", {}),
    "plain.gif": ("gif", "", {}),
}


class Fault(NamedTuple):
    """A damaged file: what was done to it, the clip it was made from, and its path."""

    kind: str
    source: str
    path: Path


def whole_clips(folder: Path, examples: Path) -> dict[str, Path]:
    """The undamaged clips by name."""
    folder.mkdir(parents=True, exist_ok=True)
    clips = {name: _clip(folder / name, *how) for name, how in FORMATS.items()}
    for name in EXAMPLES:
        clips[name] = Path(shutil.copy(examples / name, folder / name))
    return clips


def _clip(path: Path, codec: str, sound: str, options: dict[str, str]) -> Path:
    import av

    rng = np.random.default_rng(1)
    ground = rng.integers(0, 256, (SIZE[1], SIZE[0] + 300, 3), np.uint8)
    ground = ground // 4 + np.repeat(np.repeat(ground[::24, ::24], 24, 0), 24, 1)[: SIZE[1], : SIZE[0] + 300] // 4 * 3
    with av.open(str(path), "w", options=options) as out:
        video: Any = out.add_stream(codec, rate=RATE)
        video.width, video.height = SIZE
        video.pix_fmt = "rgb8" if codec == "gif" else "yuv420p"
        audio: Any = out.add_stream(sound, rate=48_000, layout="mono") if sound else None
        tone = (0.2 * np.sin(np.arange(SECONDS * 48_000) / 20)).astype(np.float32)
        for number in range(SECONDS * RATE):
            at = number * 2
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(ground[:, at : at + SIZE[0]]), format="rgb24")
            frame.pts = number
            out.mux(video.encode(frame))
            if audio is not None:
                part = tone[number * 1920 : (number + 1) * 1920]
                block = av.AudioFrame.from_ndarray(part[None], format="flt", layout="mono")
                block.rate, block.pts = 48_000, number * 1920
                out.mux(audio.encode(block))
        out.mux(video.encode(None))
        if audio is not None:
            out.mux(audio.encode(None))
    return path


def truncated(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """The beginning alone, 2% to 97% of it."""
    return data[: max(1, int(len(data) * rng.uniform(0.02, 0.97)))]


def flipped(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """One to 64 bits turned, anywhere."""
    changed = bytearray(data)
    for _ in range(2 ** rng.randint(0, 6)):
        changed[rng.randrange(len(changed))] ^= 1 << rng.randrange(8)
    return bytes(changed)


def flipped_head(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """One to 16 bits turned in the first or last 2 kB, where headers and indexes are."""
    changed = bytearray(data)
    for _ in range(2 ** rng.randint(0, 4)):
        at = rng.randrange(min(2048, len(changed)))
        changed[at if rng.random() < 0.5 else -1 - at] ^= 1 << rng.randrange(8)
    return bytes(changed)


def overwritten(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """A stretch of 1% to 30% lost to zeros, or to noise."""
    length = max(1, int(len(data) * rng.uniform(0.01, 0.3)))
    at = rng.randrange(len(data) - length + 1)
    return data[:at] + (bytes(length) if rng.random() < 0.5 else rng.randbytes(length)) + data[at + length :]


def cut_out(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """A stretch of 5% to 50% taken out of the middle."""
    length = max(1, int(len(data) * rng.uniform(0.05, 0.5)))
    at = rng.randrange(len(data) // 20, len(data) - length + 1)
    return data[:at] + data[at + length :]


def spliced(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """The beginning of one file and the end of another, or a piece of another inside."""
    at, there = rng.randrange(1, len(data)), rng.randrange(len(other))
    if rng.random() < 0.5:
        return data[:at] + other[there:]
    return data[:at] + other[there : there + len(other) // 5] + data[at:]


def header_only(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """The first 8 to 4,096 bytes."""
    return data[: rng.choice([8, 32, 64, 128, 512, 1024, 4096])]


def padded(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Cut, and filled up to the old size with zeros, as an unfinished download is."""
    keep = int(len(data) * rng.uniform(0.1, 0.95))
    return data[:keep] + bytes(len(data) - keep)


def whole(data: bytes, rng: random.Random, other: bytes) -> bytes:
    """Untouched: only the name is wrong."""
    return data


Damage = Callable[[bytes, random.Random, bytes], bytes]
#: What is done, and how many of a thousand files it is done to.
KINDS: dict[str, tuple[Damage, int]] = {
    "truncated": (truncated, 210),
    "bits flipped": (flipped, 170),
    "bits flipped, head or tail": (flipped_head, 100),
    "overwritten": (overwritten, 110),
    "cut out": (cut_out, 90),
    "spliced": (spliced, 90),
    "padded with zeros": (padded, 60),
    "header only": (header_only, 40),
    "wrong ending": (whole, 40),
}


def damaged(clips: dict[str, Path], folder: Path, rng: random.Random) -> list[Fault]:
    """Every kind of damage, dealt out over the clips in turn; of the large examples fewer."""
    folder.mkdir(parents=True, exist_ok=True)
    data = {name: path.read_bytes() for name, path in clips.items()}
    names = [*FORMATS] * 3 + [*EXAMPLES]
    faults = []
    for kind, (damage, count) in KINDS.items():
        for number in range(count):
            name = names[number % len(names)]
            ending = Path(name).suffix
            if kind == "wrong ending":
                ending = rng.choice([".mp4", ".mkv", ".gif", ".jpg", ".txt", ".m3u8", ".ts", ".avi", ""])
            path = folder / f"{kind.replace(' ', '-').replace(',', '')}-{number:03d}{ending}"
            path.write_bytes(damage(data[name], rng, data[rng.choice(names)]))
            faults.append(Fault(kind, name, path))
    return faults


def bombs(folder: Path, clips: dict[str, Path]) -> list[Fault]:
    """Small files that ask for much: frames, pixels, tracks, seconds."""
    folder.mkdir(parents=True, exist_ok=True)
    made: dict[str, bytes] = {}
    for width, height in ((1, 1), (64, 64), (65535, 65535), (9000, 9000)):
        made[f"{width}x{height}-many.gif"] = _gif(width, height, 60_000 if width < 9000 else 300)
    for width, height in ((60_000, 60_000), (6000, 6000), (1 << 30, 4)):
        made[f"{width}x{height}.png"] = _png(width, height)
        made[f"{width}x{height}-animated.png"] = _png(width, height, 200)
    made["text.png"] = _png(64, 64, text=64 << 20)
    made["large.webp"] = (
        b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8L" + struct.pack("<IBI", 18, 0x2F, 0x0FFFFFFF) + bytes(13)
    )
    made["large.bmp"] = (
        b"BM"
        + struct.pack("<IHHI", 1 << 20, 0, 0, 54)
        + struct.pack("<IiiHHIIiiII", 40, 60000, 60000, 1, 24, 0, 0, 0, 0, 0, 0)
        + bytes(4096)
    )
    mp4, mkv, avi = (clips[name].read_bytes() for name in ("fast.mp4", "plain.mkv", "plain.avi"))
    size = struct.pack(">HH", *SIZE)
    made["claims-large.mp4"] = mp4.replace(size, b"\xff\xff\xff\xff")
    made["claims-large.avi"] = avi.replace(struct.pack("<II", *SIZE), struct.pack("<II", 65000, 65000))
    for name in (b"mvhd", b"mdhd", b"stts", b"stsz", b"stco", b"stsc", b"elst", b"tkhd", b"ctts"):
        made[f"claims-many-{name.decode()}.mp4"] = _field(mp4, name, 4 if name != b"stsz" else 8)
    made["moov-in-moov.mp4"] = _nested(b"moov", 20_000)
    made["tracks.mp4"] = _tracks(mp4, 3000)
    made["zero-clusters.mkv"] = mkv[:1000] + b"\x1f\x43\xb6\x75\x80" * 400_000
    made["long.mkv"] = mkv.replace(b"\x44\x89\x88", b"\x44\x89\x88\x7f\xef", 1)
    made["empty-moofs.mp4"] = mp4[:32] + struct.pack(">I4s", 8, b"moof") * 200_000
    made["resizing.ts"] = b"".join(_sized_ts(folder, side) for side in (64, 640, 96, 1280, 128))
    faults = []
    for name, data in made.items():
        path = folder / f"bomb-{name}"
        path.write_bytes(data)
        faults.append(Fault("bomb", name, path))
    return faults


def _gif(width: int, height: int, frames: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HH", width, height) + b"\x80\0\0\0\0\0\xff\xff\xff"
    frame = b"!\xf9\x04\0\0\0\0\0,\0\0\0\0" + struct.pack("<HH", min(width, 1), 1) + b"\0\x02\x02\x44\x01\0"
    return head + frame * frames + b";"


def _png(width: int, height: int, frames: int = 0, text: int = 0) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))

    rows = zlib.compress(bytes(min(width * height // 8 + height, 32 << 20)), 9)
    data = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 1, 0, 0, 0, 0))
    if text:
        data += chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(text), 9))
    if frames:
        data += chunk(b"acTL", struct.pack(">II", frames, 0))
    for number in range(max(1, frames)):
        if frames:
            place = struct.pack(">IIIIIHHBB", max(0, 2 * number - 1), width, height, 0, 0, 1, 10, 0, 0)
            data += chunk(b"fcTL", place)
        data += chunk(b"fdAT", struct.pack(">I", 2 * number) + rows) if number else chunk(b"IDAT", rows)
        if len(data) > 4 << 20:
            break
    return data + chunk(b"IEND", b"")


def _field(data: bytes, box: bytes, after: int) -> bytes:
    """A count or duration in every such box set to the largest."""
    changed, at = bytearray(data), data.find(box)
    while at >= 0:
        changed[at + 4 + after : at + 8 + after] = b"\x7f\xff\xff\xff"
        at = data.find(box, at + 4)
    return bytes(changed)


def _nested(box: bytes, depth: int) -> bytes:
    head = struct.pack(">I4s4sI", 16, b"ftyp", b"isom", 0)
    return head + b"".join(struct.pack(">I4s", 8 * (depth - level), box) for level in range(depth))


def _tracks(data: bytes, count: int) -> bytes:
    """The tracks of a file, many times over."""
    at = data.find(b"moov") - 4
    length = struct.unpack(">I", data[at : at + 4])[0]
    track = data.find(b"trak", at) - 4
    size = struct.unpack(">I", data[track : track + 4])[0]
    moov = data[at + 4 : track] + data[track : track + size] * count
    return data[:at] + struct.pack(">I", len(moov) + 4) + moov + data[at + length :]


def _sized_ts(folder: Path, side: int) -> bytes:
    import av

    path = folder / f"part-{side}.ts"
    with av.open(str(path), "w") as out:
        stream: Any = out.add_stream("libx264", rate=RATE)
        stream.width, stream.height, stream.pix_fmt = side, side, "yuv420p"
        for number in range(RATE):
            picture = np.full((side, side, 3), number * 8, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts = number
            out.mux(stream.encode(frame))
        out.mux(stream.encode(None))
    data = path.read_bytes()
    path.unlink()
    return data
