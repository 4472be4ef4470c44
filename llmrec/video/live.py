"""Live watching: a stream to a ``Content`` for each rolling window, given as soon as it is ready.

::

    for window in watch_live("https://shop.example/live.m3u8", Watcher(), LiveSettings(window=20, hop=15)):
        print(window.content.id, window.lag, [text.text for text in window.content.timed_text])
    # live-shop@000015 2.8 ['the santoku is on offer', 'SANTOKU 17 cm']

A thread reads each stream; windows wait in a queue of two. A window that has no more time looks at fewer pictures; when
even that is too slow, windows are left out, and both are told. A source that can wait
(a file, a playlist) is held back instead while watching is ahead of real time.
"""

from __future__ import annotations

import hashlib
import math
import time
from collections import OrderedDict, deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Condition, Event
from typing import TYPE_CHECKING

import msgspec

from llmrec.errors import LlmrecError
from llmrec.records import Content, TimedText
from llmrec.video.choosing import Run
from llmrec.video.keyframes import file_name
from llmrec.video.live_intake import Intake
from llmrec.video.live_settings import LiveSettings
from llmrec.video.live_source import LiveSource, live_sources
from llmrec.video.live_windows import Window
from llmrec.video.screen import RapidReader, Reading, ScreenReader
from llmrec.video.sound import Block
from llmrec.video.speech import Transcript, WhisperReader
from llmrec.video.stopwatch import Stopwatch
from llmrec.video.watcher import Watcher

if TYPE_CHECKING:
    from PIL.Image import Image

#: Windows of one stream that wait to be watched.
WAITING = 2
#: Pictures whose text is remembered: windows overlap.
REMEMBERED = 64
#: Pictures of a window that are looked at however late it is.
FEWEST = 2
#: Seconds to wait for the threads when watching ends early.
LEAVE = 2.0


class LiveWindow(msgspec.Struct, frozen=True):
    """A window that was watched.

    Attributes:
        content: Of kind ``live``, with the id ``NAME@SECOND``; its times are seconds from the start of the stream.
        lag: Seconds from the moment when the end of the window could be had to the moment when it was ready.
        pictures, found: Pictures that were looked at, and pictures that differ.
        problems: What was lost, one line each.
        seconds: Wall seconds of each part of the work.
    """

    content: Content
    lag: float
    pictures: int
    found: int
    problems: tuple[str, ...] = ()
    seconds: dict[str, float] = {}


class StreamEnd(msgspec.Struct, frozen=True):
    """Why a stream ended; ``failed`` if it should not have."""

    name: str
    reason: str
    failed: bool = False


def watch_live(
    sources: str | Path | LiveSource | Sequence[str | Path | LiveSource],
    watcher: Watcher | None = None,
    live: LiveSettings | None = None,
    *,
    on_end: Callable[[StreamEnd], None] | None = None,
) -> Iterator[LiveWindow]:
    """Watch streams until all have ended; windows come as they are ready. Closing the iterator ends the watching.

    Args:
        sources: One stream or several; see ``llmrec.video.live_source``.
        watcher: Holds the models, the settings and the folder for keyframes.
        live: Windows and limits.
        on_end: Told of each stream that ended.

    Raises:
        InputError: A stream cannot be opened, is no media, or names what it may not; of several streams the others
            are watched to their end first.
        ModelError, MissingExtraError, StorageError: What would fail for every window.
    """
    watcher, live = watcher or Watcher(), live or LiveSettings()
    asked = live_sources([sources] if isinstance(sources, (str, Path, LiveSource)) else sources)
    watcher.prepare()
    sight = _Sight(watcher)
    desk = _Desk(live)
    intakes = [Intake(source, watcher.settings, live, desk.post, desk.stop) for source in asked]
    desk.queues = {intake: deque() for intake in intakes}
    error: LlmrecError | None = None
    try:
        for intake in intakes:
            intake.start()
        while (taken := desk.take()) is not None:
            intake, window = taken
            if window is not None:
                yield sight.watch(intake, window, live, share=len(desk.queues))
                continue
            error = error or intake.error
            if on_end is not None:
                reason = intake.error.message if intake.error is not None else intake.ended
                on_end(StreamEnd(intake.source.name, reason, intake.error is not None))
    finally:
        desk.leave(intakes)
        sight.close()
    if error is not None:
        raise error


class _Desk:
    """Where the threads lay down windows, two of each stream at most."""

    def __init__(self, live: LiveSettings) -> None:
        self.stop = Event()
        self.queues: dict[Intake, deque[Window | None]] = {}
        self._live, self._changed = live, Condition()

    def post(self, intake: Intake, window: Window | None) -> None:
        """Lay down a window; None: the stream ended."""
        with self._changed:
            queue = self.queues[intake]
            while window is not None and len(queue) >= WAITING and not self.stop.is_set():
                oldest = queue[0]
                assert oldest is not None
                if intake.source.waits and intake.pace.lag(oldest.end, time.monotonic()) <= self._live.hop:
                    self._changed.wait(0.2)
                    continue
                queue.popleft()
                lost = f"{oldest.start:.0f}-{oldest.end:.0f} s were left out: watching is slower than the stream"
                window.problems[:0] = [*oldest.problems, lost]
            queue.append(window)
            self._changed.notify_all()

    def take(self) -> tuple[Intake, Window | None] | None:
        """The window that has waited longest; None when all streams have ended."""
        with self._changed:
            while self.queues:
                ready = [intake for intake, queue in self.queues.items() if queue]
                if ready:
                    intake = max(ready, key=self._urgency)
                    window = self.queues[intake].popleft()
                    if window is None:
                        del self.queues[intake]
                    self._changed.notify_all()
                    return intake, window
                self._changed.wait(0.5)  # a bound, so that Ctrl-C is heard at once on every system
            return None

    def _urgency(self, intake: Intake) -> float:
        first = self.queues[intake][0]
        return float("inf") if first is None else intake.pace.lag(first.end, time.monotonic())

    def leave(self, intakes: list[Intake]) -> None:
        """Let the threads end; one that sits in a network call is left to die with the process."""
        self.stop.set()
        with self._changed:
            self._changed.notify_all()
        until = time.monotonic() + LEAVE
        for intake in intakes:
            if intake.ident is not None:
                intake.join(max(0.0, until - time.monotonic()))


class _Sight:
    """What a watcher makes of a window."""

    def __init__(self, watcher: Watcher) -> None:
        self.watcher = watcher
        reader = watcher.screen_reader
        if watcher.settings.screen_text:
            reader = reader or RapidReader(watcher.settings)
            watcher.screen_reader = self._reader = reader if isinstance(reader, Remembering) else Remembering(reader)
            self._reader.read(_blank())  # the first reading takes longest
        if isinstance(watcher.speech_reader, WhisperReader):
            watcher.speech_reader.load()
        self._ears = ThreadPoolExecutor(1, "ears")

    def watch(self, intake: Intake, window: Window, live: LiveSettings, share: int) -> LiveWindow:
        """Listen, and meanwhile look at as many pictures as there is time for."""
        clock, name, block = Stopwatch(), intake.source.name, window.block()
        late = intake.pace.lag(window.end, time.monotonic())
        heard = self._ears.submit(self._hear, block, clock)
        runs = window.chooser.finish()
        found = len(runs)
        runs = self._look(runs, math.inf if intake.is_over else intake.pace.room(late, share), clock)
        transcript = heard.result()
        if len(runs) < found:
            behind = f" ({late:.1f} s behind)" if late > 0 else ""
            window.problems.append(f"no more time{behind}: looked at {len(runs)} of {found} pictures")
        folder = self.watcher.frames_dir / file_name(name) if self.watcher.frames_dir is not None else None
        keyframes, screen = self.watcher.look(runs, folder, clock)
        texts = [_within(text, window) for text in (*transcript.pieces, *screen, *window.captions)]
        encoder = self.watcher.image_encoder
        content = Content(
            id=f"{name}@{int(window.start):06d}",
            kind="live",
            title=intake.title,
            language=self.watcher.settings.language or transcript.language,
            timed_text=tuple(sorted(texts, key=lambda text: (text.start, text.end))),
            keyframes=tuple(keyframes),
            image_encoder=encoder.digest if encoder is not None and keyframes else "",
        )
        lag = round(intake.pace.lag(window.end, time.monotonic()), 3)
        return LiveWindow(content, lag, len(runs), found, tuple(window.problems), clock.seconds)

    def close(self) -> None:
        self._ears.shutdown(wait=False, cancel_futures=True)

    def _hear(self, block: Block | None, clock: Stopwatch) -> Transcript:
        if block is None:
            return Transcript([], "")
        with clock.part("speech"):
            return self.watcher.hear([block])

    def _look(self, runs: list[Run], room: float, clock: Stopwatch) -> list[Run]:
        """Read the pictures, those first that lie farthest apart, until the time is up; gives those that were read."""
        if not self.watcher.settings.screen_text:
            return runs
        seen: list[int] = []
        begun = time.monotonic()
        with clock.part("screen"):
            for number in spread(len(runs)):
                if len(seen) >= FEWEST and time.monotonic() - begun >= room:
                    break
                self._reader.read(runs[number].best.picture())
                seen.append(number)
        return [runs[number] for number in sorted(seen)]


def spread(count: int) -> list[int]:
    """The numbers below ``count``, each as far as can be from those before: 0, 4, 2, 1, 3 for five."""
    order = [0, count - 1] if count > 1 else [0] * count
    gaps = deque([(0, count - 1)])
    while gaps:
        low, high = gaps.popleft()
        middle = (low + high) // 2
        if low < middle < high:
            order.append(middle)
            gaps += [(low, middle), (middle, high)]
    return order


def _within(text: TimedText, window: Window) -> TimedText:
    """A text whose times lie within its window."""
    start = min(max(text.start, window.start), window.end)
    return msgspec.structs.replace(text, start=round(start, 3), end=round(min(max(text.end, start), window.end), 3))


class Remembering:
    """A screen reader that does not read the same picture twice, for windows overlap."""

    def __init__(self, reader: ScreenReader) -> None:
        self.reader = reader
        self._known: OrderedDict[bytes, list[Reading]] = OrderedDict()

    def read(self, image: Image) -> list[Reading]:
        """What the reader says of a picture."""
        key = hashlib.blake2b(image.tobytes(), digest_size=16, key=repr(image.size).encode()).digest()
        if key not in self._known:
            self._known[key] = self.reader.read(image)
            if len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return self._known[key]


def _blank() -> Image:
    from PIL import Image as images

    return images.new("RGB", (640, 360), "white")
