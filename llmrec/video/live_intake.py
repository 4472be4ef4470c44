"""The thread that reads a stream: connections, the clock, decoding, and windows handed over one by one."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from contextlib import suppress
from threading import Event, Thread
from typing import TYPE_CHECKING

from llmrec.errors import InputError, LlmrecError
from llmrec.video.live_bytes import Broken, Over, Wait
from llmrec.video.live_clock import Pace, StreamClock
from llmrec.video.live_open import WRITE, open_live
from llmrec.video.live_senses import Senses
from llmrec.video.live_settings import LiveSettings
from llmrec.video.live_source import LiveSource
from llmrec.video.live_windows import Rolling, Window
from llmrec.video.settings import NO_SPEECH, WatchSettings

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet

logger = logging.getLogger(__name__)

#: Seconds before the first new try of a broken connection, and at most before a later one.
FIRST_TRY, LAST_TRY = 0.5, 8.0
#: Faults in a row after which a file is given up.
FAULTS = 50


class Intake(Thread):
    """Reads one stream until it ends, and posts its windows.

    Args:
        source: The stream.
        settings, live: How it is watched.
        post: Takes a window; may block to hold the stream back.
        stop: Set to end early.

    Attributes:
        pace: How late things are.
        ended: Why the stream ended, in words.
        error: What went wrong, None if it just ended.
        connections: How often it was connected.
        is_over: Nothing more comes after the windows that are left.
    """

    def __init__(
        self,
        source: LiveSource,
        settings: WatchSettings,
        live: LiveSettings,
        post: Callable[[Intake, Window | None], None],
        stop: Event,
    ) -> None:
        super().__init__(name=f"live {source.name}", daemon=True)
        self.source, self._settings, self._live = source, settings, live
        self._post, self._stop_asked = post, stop
        self.pace = Pace(live.hop, time.monotonic())
        self.error: LlmrecError | None = None
        self.ended = self.title = ""
        self.connections, self.is_over = 0, False
        self._wait = Wait(live.idle, stop)
        self._clock = StreamClock()
        self._rolling = Rolling(live.window, live.hop, settings.budget(live.window))
        self._heard = time.monotonic()
        self._problems: list[str] = []

    def run(self) -> None:
        try:
            self._connect_until_over()
        except LlmrecError as error:  # told by the thread that takes the windows
            self.error = error
        except Exception as error:  # a decoder's own fault on a strange stream; its words may hold the address
            logger.debug("%s", self.source.shown, exc_info=True)
            step = "Please report it: 'llmrec --verbose watch --live …' shows where it happened."
            reason = f"unexpected {type(error).__name__}"
            self.error = InputError(f"{self.source.shown}: {reason}", next_step=step)
        finally:
            self.is_over = True
            for window in self._rolling.finish():
                self._hand(window)
            self._post(self, None)

    def _connect_until_over(self) -> None:
        pause = FIRST_TRY
        while not self._stop_asked.is_set():
            before, begun, self._wait.fault = self._heard, time.monotonic(), None
            try:
                with open_live(self.source, self._settings, self._live, self._wait) as container:
                    self.connections += 1
                    if self.connections == 1:
                        self.pace.at_edge(0.0, begun)
                        self.title = container.metadata.get("title", "")
                    self._wait.waited = 0.0  # what was waited for while opening lies in FFmpeg's hands
                    if self._watch(container):
                        self.ended = self.ended or self._wait.over or "the stream ended"
                        return
                    reason = "the connection ended"
            except Over as over:
                self.ended = self._wait.over or str(over)
                return
            except Broken as broken:
                reason = str(broken)
                if not self.connections:
                    step = "Check the address, and that the stream is on."
                    where = "" if self.source.shown in reason else f"{self.source.shown}: "
                    raise InputError(f"{where}cannot be opened ({reason})", next_step=step) from broken
            if time.monotonic() - self._heard >= self._live.idle:
                self.ended = f"nothing came for {self._live.idle:g} s"
                return
            self._problems.append(f"connected anew at {self._clock.now:.0f} s: {reason}")
            pause = FIRST_TRY if self._heard > before else min(LAST_TRY, 2 * pause)
            self._stop_asked.wait(min(pause, max(0.0, self._live.idle - (time.monotonic() - self._heard))))
            self._clock.reconnected(time.monotonic())

    def _watch(self, container: InputContainer) -> bool:
        """Read a connection; True: the stream is over, False: the connection is."""
        hears, most = self._settings.speech != NO_SPEECH, self._settings.max_tracks
        if len(container.streams) > most:
            step = "Give a stream with fewer tracks, or raise max_tracks."
            raise InputError(f"{self.source.shown}: has more than {most} tracks", next_step=step)
        senses = Senses(container, self._settings, self._clock, self._rolling, hears=hears)
        if not senses.streams:
            what = "no pictures, and sound is not listened to" if not hears else "neither pictures nor sound"
            raise InputError(f"{self.source.shown}: has {what}", next_step=WRITE)
        try:
            return self._read(container, senses)
        finally:
            self._tell(senses)

    def _read(self, container: InputContainer, senses: Senses) -> bool:
        import av

        faults = 0
        packets = container.demux(senses.streams)
        while not self._stop_asked.is_set():
            self._wait.asked = time.monotonic()
            try:
                packet = next(packets)
            except StopIteration:
                if self._wait.fault is not None:
                    raise self._wait.fault from None
                return self.source.kind != "ffmpeg"  # a server that goes away and one that is done look alike
            except (av.error.FFmpegError, OSError, IndexError) as error:
                reason = getattr(error, "strerror", None) or type(error).__name__
                if self._wait.fault is not None:
                    raise self._wait.fault from error
                if self.source.kind not in ("file", "pipe"):
                    raise Broken(reason) from error
                faults += 1
                if faults > FAULTS:
                    step = "The recording is damaged from here on."
                    raise InputError(f"{self.source.shown}: cannot be read on ({reason})", next_step=step) from error
                packets = container.demux(senses.streams)
                continue
            if isinstance(self._wait.fault, InputError):
                raise self._wait.fault
            if self._taken(senses, packet):
                return True
            faults = 0 if packet.size else faults
        self.ended = "stopped"
        return True

    def _taken(self, senses: Senses, packet: Packet) -> bool:
        """Take a packet; True if so much of the stream was asked for and no more."""
        wall = self._heard = time.monotonic()
        if self._wait.waited:
            self.pace.at_edge(self._clock.now, self._wait.waited)
            self._wait.waited = 0.0
        try:
            senses.take(packet, wall, self.pace.lag(self._clock.now, wall))
        except InputError as error:
            raise InputError(f"{self.source.shown}: {error.message}", next_step=error.next_step) from error
        for window in self._rolling.close(senses.ready):
            self._tell(senses)
            self._hand(window)
        if self._live.duration and senses.ready >= self._live.duration:
            self.ended = f"{self._live.duration:g} s were asked for"
            return True
        return False

    def _tell(self, senses: Senses) -> None:
        if senses.bad:
            self._problems.append(f"{senses.bad} packets could not be decoded")
        if senses.passed:
            self._problems.append(f"decoding fell behind: {senses.passed} frames were passed over")
        senses.bad = senses.passed = 0
        self._problems += [f"a part is missing: {lost}" for lost in self._wait.missing]
        self._wait.missing = []

    def _hand(self, window: Window) -> None:
        window.problems += self._problems
        self._problems = []
        with suppress(RuntimeError):  # nobody takes windows any more
            self._post(self, window)
