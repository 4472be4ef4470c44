"""Scripts and playlists dressed as media that try to make a reader open another file, the canary; and who opened it."""

from __future__ import annotations

import ctypes
import os
import random
import select
import shutil
import struct
from pathlib import Path
from types import TracebackType

from watch_fuzz_files import Fault

IN_OPEN, IN_NONBLOCK = 0x20, os.O_NONBLOCK


class Canary:
    """Files ``canary…`` that nobody may open, watched with inotify while in the ``with`` block.

    Scripts lie beside them: FFmpeg lets a concat script name files of its own folder without more ado.

    Raises:
        OSError: There is no inotify here.
    """

    def __init__(self, folder: Path, clips: dict[str, Path]) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self.clip = Path(shutil.copy(clips["fast.mp4"], folder / "canary.mp4"))
        self.stream = Path(shutil.copy(clips["plain.ts"], folder / "canary.ts"))
        self.words = folder / "canary.txt"
        self.words.write_text("the canary sings\n" * 100)
        from PIL import Image

        Image.new("RGB", (64, 64), "magenta").save(folder / "canary001.png")
        self._libc = ctypes.CDLL(None, use_errno=True)

    def __enter__(self) -> Canary:
        self._file = self._libc.inotify_init1(IN_NONBLOCK)
        if self._file < 0 or self._libc.inotify_add_watch(self._file, os.fsencode(self.folder), IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), "inotify cannot be used: it cannot be proved that no file is opened")
        self.clip.read_bytes()
        assert self.opened(), "the watch does not see what is opened"
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        os.close(self._file)

    def opened(self) -> bool:
        """Whether a file of the folder was opened since this was asked last."""
        seen = False
        while select.select([self._file], [], [], 0.05 if not seen else 0)[0]:
            data = os.read(self._file, 65536)
            at = 0
            while at < len(data):
                _, mask, _, length = struct.unpack_from("iIII", data, at)
                seen |= bool(mask & IN_OPEN) and data[at + 16 : at + 16 + length].startswith(b"canary")
                at += 16 + length
        return seen


def twelve_scripts(canary: Canary, clips: dict[str, Path]) -> dict[str, str]:
    """The name of each script and the path (or address) to give a reader."""
    folder, texts = canary.folder, script_texts(canary)
    named: dict[str, str] = {}
    for name in ("concat script", "HLS playlist", "HLS with a map", "DASH manifest", "SDP", "SVG drawing"):
        path = folder / f"{name.replace(' ', '-')}.mp4"
        path.write_bytes(texts[name])
        named[f"{name} in an .mp4"] = str(path)
    named["pattern of images in a name"] = str(canary.folder / "canary%03d.png")
    named["concat: in a path"] = f"concat:{canary.stream}|{canary.stream}"
    named["subfile: in a path"] = f"subfile,,start,0,end,0,,:{canary.clip}"
    named["data: with a playlist"] = "data:application/vnd.apple.mpegurl," + texts["HLS playlist"].decode()
    named["lavfi graph in a path"] = f"lavfi:movie={canary.clip}"
    drefs = folder / "drefs.mov"
    drefs.write_bytes(_drefs(clips["plain.mov"].read_bytes(), canary))
    named["QuickTime data reference"] = str(drefs)
    assert len(named) == 12
    return named


def script_texts(canary: Canary) -> dict[str, bytes]:
    """Scripts by name."""
    clip, stream = canary.clip.name, canary.stream.name
    hls = f"#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:6\n{{}}#EXTINF:6,\n{stream}\n#EXT-X-ENDLIST\n"
    dash = (
        '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
        'mediaPresentationDuration="PT6S" profiles="urn:mpeg:dash:profile:isoff-on-demand:2011"><Period>'
        '<AdaptationSet mimeType="video/mp4"><Representation id="1" bandwidth="1000">'
        f"<BaseURL>{clip}</BaseURL></Representation></AdaptationSet></Period></MPD>"
    )
    sdp = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\n"
    image = f'<svg xmlns="http://www.w3.org/2000/svg" width="9" height="9"><image href="{clip}"/></svg>'
    return {
        "concat script": f"ffconcat version 1.0\nfile '{clip}'\n".encode(),
        "concat list": f"file '{clip}'\n".encode(),
        "HLS playlist": hls.format("").encode(),
        "HLS with a map": hls.format(f'#EXT-X-MAP:URI="{clip}"\n').encode(),
        "HLS of words": f"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:1,\n{canary.words.name}\n#EXT-X-ENDLIST\n".encode(),
        "DASH manifest": dash.encode(),
        "SDP": sdp.encode(),
        "SVG drawing": image.encode(),
        "PLS playlist": f"[playlist]\nFile1={clip}\nNumberOfEntries=1\n".encode(),
        "ASX playlist": f'<asx version="3"><entry><ref href="{clip}"/></entry></asx>'.encode(),
        "VobSub index": f"# VobSub index file, v7 (do not modify this line!)\nid: en, index: 0\n{clip}\n".encode(),
        "AviSynth script": f'FFVideoSource("{clip}")\n'.encode(),
        "MPL subtitles": f"{{1}}{{2}}{clip}\n".encode(),
        "XSPF playlist": f'<playlist version="1"><trackList><track><location>{clip}</location></track>'.encode(),
    }


def playlists(canary: Canary, rng: random.Random, count: int) -> list[Fault]:
    """``count`` scripts under names of media, some behind a byte order mark, blanks, zeros or the start of a video."""
    disguises = [
        lambda text: text,
        lambda text: b"\xef\xbb\xbf" + text,
        lambda text: b"\n \t\r\n" + text,
        lambda text: b"\0\0\0\0" + text,
        lambda text: text.decode().encode("utf-16"),
        lambda text: b"GIF89a" + text,
        lambda text: b"\0\0\0\x18ftypisom" + bytes(12) + text,
        lambda text: b"\x1a\x45\xdf\xa3\x80" + text,
        lambda text: b"ID3\x03\0\0\0\0\0\0" + text,
        lambda text: text + bytes(4096),
        lambda text: text.upper() if rng.random() < 0.5 else text.title(),
    ]
    texts, faults = list(script_texts(canary).items()), []
    for number in range(count):
        name, text = texts[number % len(texts)]
        disguise = disguises[(number // len(texts) + number) % len(disguises)]
        ending = rng.choice(
            [".mp4", ".mkv", ".webm", ".ts", ".avi", ".gif", ".mov", ".jpg", ".png", ".m4a", ".m3u8", ""]
        )
        path = canary.folder / f"playlist-{number:03d}{ending}"
        path.write_bytes(disguise(text))
        faults.append(Fault("playlist", name, path))
    return faults


def _drefs(data: bytes, canary: Canary) -> bytes:
    """A QuickTime file whose samples are said to lie in another file (an alias, by its path)."""
    at = data.find(b"dref") - 4
    old = struct.unpack(">I", data[at : at + 4])[0]
    path = str(canary.clip).encode()
    alias = bytes(10) + bytes([5]) + b"Drive".ljust(27, b"\0") + bytes(12)
    alias += bytes([len(canary.clip.name)]) + canary.clip.name.encode().ljust(63, b"\0") + bytes(16)
    alias += struct.pack(">hh", 1, 1) + bytes(16) + struct.pack(">hh", 2, len(path)) + path + bytes(len(path) % 2)
    alias += struct.pack(">hh", -1, 0)
    entry = struct.pack(">I4sI", 12 + len(alias), b"alis", 0) + alias
    new = struct.pack(">I4sII", 16 + len(entry), b"dref", 0, 1) + entry
    grown = len(new) - old
    changed = bytearray(data)
    place = 0
    for box in (b"moov", b"trak", b"mdia", b"minf", b"dinf"):  # the boxes around it grow too
        place = data.find(box, place) - 4
        length = struct.unpack(">I", data[place : place + 4])[0]
        changed[place : place + 4] = struct.pack(">I", length + grown)
        place += 8
    changed[at : at + old] = new
    return bytes(changed)
