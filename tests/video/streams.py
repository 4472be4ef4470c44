"""Streams of our own making: a recording that is being written, a playlist that grows, servers on loopback."""

from __future__ import annotations

import functools
import http.server
import socketserver
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np

from llmrec.records import TimedText
from llmrec.video.live import LiveWindow, StreamEnd, watch_live
from llmrec.video.live_settings import LiveSettings
from llmrec.video.screen import Reading
from llmrec.video.settings import WatchSettings
from llmrec.video.speech import Transcript
from llmrec.video.watcher import Watcher
from tests.video.clips import picture

COLOURS = {"RED": (200, 30, 30), "GREEN": (30, 180, 30), "BLUE": (30, 30, 200)}
RATE = 10


class Colours:
    """A screen reader that reads the name of the picture's colour, slowly if asked."""

    def __init__(self, seconds: float = 0.0) -> None:
        self.seconds, self.read_count = seconds, 0

    def read(self, image: Any) -> list[Reading]:
        time.sleep(self.seconds)
        self.read_count += 1
        mean = np.asarray(image.convert("RGB"), float).mean(axis=(0, 1))
        return [Reading(min(COLOURS, key=lambda name: float(np.abs(mean - COLOURS[name]).sum())), 0.99)]


class Beeps:
    """A speech reader that says where the sound is loud."""

    def listen(self, blocks: Any) -> Transcript:
        said = []
        for block in blocks:
            loud = np.flatnonzero(np.abs(block.samples) > 0.1) / 16_000
            if len(loud):
                said.append(TimedText(block.start + loud[0], block.start + loud[-1], "beep", "speech", 0.9))
        return Transcript(said, "en")


class Written:
    """A file that is flushed at every write."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("wb", buffering=0)

    def write(self, data: bytes) -> int:
        return self._file.write(data) or 0

    def close(self) -> None:
        self._file.close()


def scenes(seconds: float, *changes: tuple[float, str]) -> Callable[[float], Any]:
    """What is shown at a second: ``scenes(6, (0, "RED"), (3, "BLUE"))``; a bar moves so that frames differ a little."""

    def at(second: float) -> Any:
        name = [name for start, name in changes if start <= second + 1e-6][-1]
        return picture(ground=f"rgb{COLOURS[name]}", size=(160, 120))

    return at


def write_stream(
    target: Any,
    format: str,
    seconds: float,
    shown: Callable[[float], Any],
    *,
    speed: float = 1.0,
    beep: tuple[float, float] | None = None,
    options: dict[str, str] | None = None,
    size: tuple[int, int] = (160, 120),
    stop: threading.Event | None = None,
) -> None:
    """Write a stream in real time (or ``speed`` times as fast): 10 frames and a keyframe a second, and sound."""
    import av

    with av.open(target, "w", format=format, options=options or {}) as out:
        video = out.add_stream("libx264", rate=RATE, options={"g": "10", "tune": "zerolatency", "preset": "ultrafast"})
        video.width, video.height, video.pix_fmt = *size, "yuv420p"
        audio = out.add_stream("aac", rate=48_000, layout="mono")
        begun, done = time.monotonic(), 0
        for number in range(round(seconds * RATE)):
            second = number / RATE
            frame = av.VideoFrame.from_image(shown(second))
            frame.pts, frame.time_base = number, Fraction(1, RATE)
            out.mux(video.encode(frame))
            while done < (second + 1 / RATE) * 48_000:
                at = (done + np.arange(960)) / 48_000
                loud = (at >= beep[0]) & (at < beep[1]) if beep else np.zeros(960, bool)
                wave = (0.4 * np.sin(2 * np.pi * 440 * at) * loud).astype(np.float32)
                sound = av.AudioFrame.from_ndarray(wave[None, :], format="flt", layout="mono")
                sound.rate, sound.pts, sound.time_base = 48_000, done, Fraction(1, 48_000)
                out.mux(audio.encode(sound))
                done += 960
            if stop is not None and stop.wait(max(0.0, begun + (second + 1 / RATE) / speed - time.monotonic())):
                break
            if stop is None:
                time.sleep(max(0.0, begun + (second + 1 / RATE) / speed - time.monotonic()))
        out.mux(video.encode(None))
        out.mux(audio.encode(None))


@contextmanager
def writing(*arguments: Any, **keywords: Any) -> Iterator[threading.Thread]:
    """``write_stream`` in a thread that ends with the block."""
    stop = threading.Event()
    thread = threading.Thread(target=write_stream, args=arguments, kwargs={**keywords, "stop": stop})
    thread.start()
    try:
        yield thread
    finally:
        stop.set()
        thread.join()


@contextmanager
def serving(handler: Any) -> Iterator[str]:
    """An HTTP server on loopback; gives its address."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()


def folder_handler(folder: Path, asked: list[str] | None = None) -> Any:
    """Serves a folder, and notes what it was asked for."""

    class Handler(http.server.SimpleHTTPRequestHandler):
        def do_GET(self) -> None:
            if asked is not None:
                asked.append(self.path)
            super().do_GET()

        def log_message(self, *_: Any) -> None:
            pass

    return functools.partial(Handler, directory=str(folder))


def body_handler(answer: Callable[[http.server.BaseHTTPRequestHandler], None]) -> Any:
    """Answers every request by a function."""

    class Handler(http.server.BaseHTTPRequestHandler):
        do_GET = lambda self: answer(self)  # noqa: E731

        def log_message(self, *_: Any) -> None:
            pass

    return Handler


class TransportOverRtsp(socketserver.StreamRequestHandler):
    """A server of RTSP 1.0 that plays an MPEG-TS file (RFC 2326, RFC 2250) over the connection itself, once."""

    transport: bytes
    speed: float

    def handle(self) -> None:
        while request := self.rfile.readline().decode():
            fields = {}
            while line := self.rfile.readline().decode().strip():
                name, _, text = line.partition(":")
                fields[name.lower()] = text.strip()
            method, body, extra = request.split()[0], "", ""
            if method == "DESCRIBE":
                body = (
                    "v=0\r\no=- 0 0 IN IP4 127.0.0.1\r\ns=test\r\nt=0 0\r\nm=video 0 RTP/AVP 33\r\na=control:track\r\n"
                )
                extra = f"Content-Type: application/sdp\r\nContent-Length: {len(body)}\r\n"
            elif method == "SETUP":
                extra = "Transport: RTP/AVP/TCP;unicast;interleaved=0-1\r\nSession: 1\r\n"
            elif method == "OPTIONS":
                extra = "Public: OPTIONS, DESCRIBE, SETUP, PLAY, TEARDOWN\r\n"
            self.wfile.write(f"RTSP/1.0 200 OK\r\nCSeq: {fields.get('cseq', 0)}\r\n{extra}\r\n{body}".encode())
            if method == "PLAY":
                return self.play()

    def play(self) -> None:
        size = 7 * 188
        begun, count = time.monotonic(), -(-len(self.transport) // size)
        for number in range(count):
            second = self.seconds * number / count
            time.sleep(max(0.0, begun + second - time.monotonic()))
            load = self.transport[number * size : (number + 1) * size]
            head = bytes([0x80, 33]) + number.to_bytes(2, "big") + int(second * 90_000).to_bytes(4, "big") + b"test"
            self.wfile.write(b"$\0" + (len(head) + len(load)).to_bytes(2, "big") + head + load)


@contextmanager
def rtsp(transport: bytes, seconds: float) -> Iterator[str]:
    """An RTSP server on loopback that plays a transport stream in so many seconds."""
    handler = type("Handler", (TransportOverRtsp,), {"transport": transport, "seconds": seconds})
    socketserver.ThreadingTCPServer.allow_reuse_address = True
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield f"rtsp://127.0.0.1:{server.server_address[1]}/track"
        finally:
            server.shutdown()


def follow(
    source: Any, reader: Any = None, *, hears: bool = True, **settings: Any
) -> tuple[list[LiveWindow], list[float], list[StreamEnd]]:
    """Watch a stream: its windows, when each came (monotonic seconds), and how it ended."""
    watch = WatchSettings(speech="starter:whisper-base" if hears else "none")
    watcher = Watcher(watch, screen_reader=reader or Colours(), speech_reader=Beeps() if hears else None)
    windows, times, ends = [], [], []
    for window in watch_live(source, watcher, LiveSettings(**settings), on_end=ends.append):
        windows.append(window)
        times.append(time.monotonic())
    return windows, times, ends


def texts(window: LiveWindow, source: str) -> list[tuple[float, float, str]]:
    """Start, end (a tenth of a second) and text of what a window has from a source."""
    found: Sequence[TimedText] = window.content.timed_text
    return [(round(t.start, 1), round(t.end, 1), t.text) for t in found if t.source == source]
