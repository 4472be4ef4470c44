"""How a stream is watched: the length of its windows, when it is over, and where it may reach.

``LiveSettings(window=20, hop=15)`` gives a content for 0-20 s, one for 15-35 s, one for 30-50 s and so on: what is said
on the edge of one window is heard whole in the next.
"""

from __future__ import annotations

import msgspec

from llmrec.errors import InputError

#: Windows that may cover one moment: each holds pictures of its own.
MOST_OVER_ONE_MOMENT = 4


class LiveSettings(msgspec.Struct, frozen=True, kw_only=True):
    """Settings of a live watching; all times are in seconds.

    Attributes:
        window: Length of a window.
        hop: From the start of one window to the start of the next.
        duration: So much of the stream is watched; 0: to its end.
        idle: A stream from which nothing came for so long is over; broken connections are tried again until then.
        allow_hosts: Hosts (``cdn.example.com`` or ``cdn.example.com:8443``) that a playlist may name besides its own.
    """

    window: float = 20.0
    hop: float = 15.0
    duration: float = 0.0
    idle: float = 30.0
    allow_hosts: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not 1 <= self.window <= 600:
            raise InputError(f"window is {self.window:g} s", next_step="Give a window from 1 to 600 seconds.")
        least = max(1.0, self.window / MOST_OVER_ONE_MOMENT)
        if not least <= self.hop <= self.window:
            step = f"With windows of {self.window:g} s give a hop from {least:g} to {self.window:g} seconds."
            raise InputError(f"hop is {self.hop:g} s", next_step=step)
        if not 0 <= self.duration < float("inf"):
            raise InputError(f"duration is {self.duration:g} s", next_step="Give seconds, or 0 for the whole stream.")
        if not 0 < self.idle < float("inf"):
            raise InputError(f"idle is {self.idle:g} s", next_step="Give a number of seconds above 0.")
