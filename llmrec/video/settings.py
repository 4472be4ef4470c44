"""How a file is watched: the budget of frames, the models, the limits.

``WatchSettings(max_frames=6, speech="none")`` reads six frames at most and does not listen.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

import msgspec

from llmrec.errors import InputError, MissingExtraError
from llmrec.video.languages import SPOKEN, code_of

#: Changes whenever the same file and settings would give another content: part of the key of finished work.
VERSION = 5

NO_SPEECH = "none"

#: Keyframes of a short content, and seconds of a longer one for each keyframe more: a stream of ten products needs
#: more than a clip of one, but reading a keyframe costs half a second.
SHORT_FRAMES, LONG_SECONDS = 12, 30.0

#: Bytes a second of content below which a file's declared length is doubted: a still with low sound takes more.
LEAN_RATE = 500


class WatchSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of one watching; two equal ones give equal contents.

    Attributes:
        max_frames: Keyframes of a content at most: 12 for half a minute, 13 for one, 36 from twelve minutes on.
        seconds_per_frame: A short clip gets one keyframe for each so many seconds (never fewer than four).
        all_frames: Whether all frames of a long file are decoded too, at a tenth of the speed: what is shown for a
            quarter of a second without a cut is then seen.
        screen_text: Whether on-screen text is read.
        speech: Reference of a CTranslate2 Whisper model, or ``"none"``.
        language: Tag of the speech's language ("de", "deu" and "de-AT" are "de"); empty detects it. Of several sound
            tracks the one tagged so is heard.
        ocr_side: Long side in pixels at which text is looked for; smaller pictures are enlarged, fourfold at most.
            1280 finds smaller print at half as much time again.
        ocr_confidence: On-screen text below this confidence (0 to 1) is dropped, but for small pictures (crops).
        threads: CPU threads of each model; 0 takes ``OMP_NUM_THREADS``, else the cores there are, four at most.
        max_bytes: Largest file that is read.
        max_seconds: Longest content that is read.
        max_pixels: Largest picture that is decoded, width × height.
        max_tracks: Most tracks that a file may have.
        max_decoded: Most frames of one track that are decoded.
        max_wall_seconds: Longest time that one file may take; 0: two minutes and five times its length.
        max_memory: Most bytes that a child process which watches files may use.
    """

    max_frames: int = 36
    seconds_per_frame: float = 2.0
    all_frames: bool = False
    screen_text: bool = True
    speech: str = "starter:whisper-base"
    language: str = ""
    ocr_side: int = 960
    ocr_confidence: float = 0.6
    threads: int = 0
    max_bytes: int = 8 << 30
    max_seconds: float = 4 * 3600.0
    max_pixels: int = 40_000_000
    max_tracks: int = 100
    max_decoded: int = 2_000_000
    max_wall_seconds: float = 0.0
    max_memory: int = 6 << 30

    def __post_init__(self) -> None:
        limits = ("max_bytes", "max_seconds", "max_pixels", "max_tracks", "max_decoded", "max_memory")
        for name in ("max_frames", "seconds_per_frame", "ocr_side", *limits):
            if getattr(self, name) <= 0:
                raise InputError(f"{name} is {getattr(self, name)}", next_step="Give a number above 0.")
        if not self.max_wall_seconds >= 0:
            raise InputError(f"max_wall_seconds is {self.max_wall_seconds}", next_step="Give 0 (by length) or more.")
        if not 0 <= self.ocr_confidence <= 1:
            raise InputError(f"ocr_confidence is {self.ocr_confidence}", next_step="Give a number from 0 to 1.")
        if self.threads < 0:
            raise InputError(f"threads is {self.threads}", next_step="Give 0 (choose for me) or a count.")
        if self.language:
            code = code_of(self.language)
            if not code or (self.speech != NO_SPEECH and code not in SPOKEN):
                step = "Give its ISO 639-1 code, such as 'en' or 'de'."
                raise InputError(f"{self.language!r} is no language that can be heard", next_step=step)
            msgspec.structs.force_setattr(self, "language", code)
        if not self.speech:
            raise InputError("speech names no model", next_step=f"Give a model reference, or '{NO_SPEECH}'.")

    def budget(self, seconds: float) -> int:
        """How many keyframes a content of this length gets; of an unknown length (0), as many as a short one."""
        if seconds <= 0:
            return min(self.max_frames, SHORT_FRAMES)
        short = SHORT_FRAMES * self.seconds_per_frame
        wanted = max(4, round(seconds / self.seconds_per_frame))
        if seconds > short:
            wanted = SHORT_FRAMES + int((seconds - short) / LONG_SECONDS)
        return min(self.max_frames, wanted)

    def wall_limit(self, seconds: float, size: int) -> float:
        """Seconds that a file may take.

        Args:
            seconds: Its declared length, 0 if unknown.
            size: Its bytes; a small file is not believed to be hours long.
        """
        if self.max_wall_seconds:
            return self.max_wall_seconds
        return 120.0 + 5 * min(seconds or self.max_seconds, self.max_seconds, size / LEAN_RATE)

    def thread_count(self) -> int:
        """Threads for each model."""
        asked = os.environ.get("OMP_NUM_THREADS", "")
        cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
        return self.threads or (int(asked) if asked.isdigit() and int(asked) > 0 else min(4, cores))


def with_limits(settings: WatchSettings, given: Sequence[str]) -> WatchSettings:
    """Settings with other limits, given as ``max_seconds=20000``.

    Raises:
        InputError: No such limit, or not a number above 0.
    """
    names = [name for name in WatchSettings.__struct_fields__ if name.startswith("max_") and name != "max_frames"]
    limits: dict[str, float] = {}
    for text in given:
        name, _, value = text.partition("=")
        try:
            limits[name] = float(value) if "." in value else int(value)
        except ValueError:
            limits[name] = -1
        if name not in names or limits[name] < 0:
            raise InputError(f"{text!r} is no limit", next_step=f"Give NAME=NUMBER; names are {', '.join(names)}.")
        if not name.endswith("seconds"):
            limits[name] = int(limits[name])
    return msgspec.structs.replace(settings, **limits)


def need_video_extra() -> None:
    """Check that media can be decoded.

    Raises:
        MissingExtraError: The extra ``video`` is not installed.
    """
    try:
        import av  # noqa: F401
        import PIL  # noqa: F401
    except ImportError as error:
        raise MissingExtraError("reading video files", "video") from error
