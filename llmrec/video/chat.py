"""A live chat that was saved beside a recording, as timed text of source ``chat``.

Read as they come: the ``.live_chat.json`` and ``.rechat.json`` of yt-dlp, the chat JSON of TwitchDownloader, the JSON
and JSON lines of chat-downloader, and plain JSON lines with a time and a text::

    {"replayChatItemAction": {"videoOffsetTimeMsec": "5000", "actions": [{"addChatItemAction": {"item": {…}}}]}}
    {"comments": [{"content_offset_seconds": 12, "message": {"body": "how much is the blue one?"}}]}
    {"time_in_seconds": 12.4, "message": "how much is the blue one?"}
    {"time": 12.4, "text": "how much is the blue one?"}
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from llmrec.records import TimedText
from llmrec.video.captions import decoded

#: Messages that are kept; of more, every second one is dropped until they fit.
MAX_MESSAGES = 20_000
#: A whole document that is larger is not read; JSON lines may be, up to the second limit.
MAX_DOCUMENT, MAX_LINES = 64 << 20, 1 << 30
#: A longer line is no message.
MAX_LINE = 1 << 20
#: Characters of a message that are kept.
MAX_TEXT = 400
#: Later "times" are dates.
LATEST = 1e6

_SECONDS = ("time_in_seconds", "content_offset_seconds", "contentOffsetSeconds", "seconds")
_TIMES = (*_SECONDS, "time", "start", "offset", "t", "timestamp", "time_text")
_TEXTS = ("message", "text", "body", "content", "comment", "msg")
#: What YouTube draws in a chat that holds words; a product that the host pins is among them.
_RENDERERS = {
    "liveChatTextMessageRenderer": ("message",),
    "liveChatPaidMessageRenderer": ("message",),
    "liveChatMembershipItemRenderer": ("message",),
    "liveChatProductItemRenderer": ("title", "price", "vendorName"),
}
_CLOCK = re.compile(r"(-?)(?:(\d{1,4}):)?(\d{1,3}):(\d{1,2})(\.\d{1,6})?$")

# Seconds (None: unreadable) and words of a message.
Said = tuple[float | None, str]


def read_chat(path: Path) -> tuple[list[TimedText], str]:
    """Read a chat file; messages before the start of the video get the time 0.

    Returns:
        The messages in order of time, and what could not be read (empty: all was).

    Raises:
        ValueError: Too large, or not one message in it.
        OSError: It cannot be read.
    """
    kept: list[TimedText] = []
    bad = seen = 0
    stride = 1
    for said in _messages(path):
        if said is None or said[0] is None:
            bad += 1
            continue
        seconds, words = max(0.0, said[0]), " ".join(said[1][: 4 * MAX_TEXT].split())[:MAX_TEXT]
        if not any(map(str.isalnum, words)):
            continue
        seen += 1
        if seen % stride == 0:
            kept.append(TimedText(round(seconds, 3), round(seconds, 3), words, "chat"))
        if len(kept) > MAX_MESSAGES:
            kept, stride = kept[1::2], 2 * stride
    if not seen:
        raise ValueError("holds no messages" + (f", {bad} entries cannot be read" if bad else ""))
    problems = [f"{bad} entries cannot be read"] if bad else []
    problems += [f"{len(kept)} of {seen} messages kept"] if stride > 1 else []
    return sorted(kept, key=lambda piece: piece.start), "; ".join(problems)


def messages_of(value: Any) -> Iterator[Said | None]:
    """The messages of one decoded line or document; None for an entry that is no message of a known form."""
    if isinstance(value, list):
        for entry in value:
            yield from messages_of(entry) if isinstance(entry, dict) else [None]
    elif isinstance(value, dict) and isinstance(comments := value.get("comments", value.get("messages")), list):
        yield from messages_of(comments)
    elif isinstance(value, dict) and isinstance(action := value.get("replayChatItemAction"), dict):
        offset = seconds_of(action.get("videoOffsetTimeMsec", value.get("videoOffsetTimeMsec")))
        for text in _rendered(action.get("actions")):
            yield (None if offset is None else offset / 1000, text)
    elif isinstance(value, dict):
        given = next((value[name] for name in _TIMES if value.get(name) is not None), None)
        said = next((value[name] for name in _TEXTS if value.get(name) is not None), None)
        time, text = seconds_of(given), words_of(said)
        known = said is not None and (time is None or time < LATEST)
        yield (time, text) if known else None
    else:
        yield None


def seconds_of(value: Any) -> float | None:
    """Seconds out of a number, "12.5" or "1:02:03"; None for anything else, NaN and infinity among it."""
    if isinstance(value, str):
        value = value.strip()[:32].replace("\u2212", "-")
        if clock := _CLOCK.match(value):
            sign, hours, minutes, seconds, rest = clock.groups()
            whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds) + float(rest or 0)
            return -whole if sign else whole
    elif isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except (ValueError, OverflowError):
        return None
    return number if math.isfinite(number) else None


def words_of(value: Any, depth: int = 4) -> str:
    """The words of a message: a text, or the texts of its runs and fragments."""
    if isinstance(value, str):
        return value
    if isinstance(value, list) and depth:
        return "".join(words_of(part, depth - 1) for part in value)
    if isinstance(value, dict) and depth:
        if isinstance(emoji := value.get("emoji"), dict):
            sign = emoji.get("emojiId")
            return sign if isinstance(sign, str) and not sign.isascii() else " "
        for name in ("body", "text", "simpleText", "runs", "fragments"):
            if name in value:
                return words_of(value[name], depth - 1)
    return ""


def _rendered(actions: Any) -> Iterator[str]:
    """The words of all renderers in the actions of a YouTube chat; those that also tick by above are said once."""
    left: list[tuple[Any, int]] = [(actions, 0)]
    while left:
        value, depth = left.pop()
        if isinstance(value, list):
            left += [(item, depth + 1) for item in reversed(value)]
        elif isinstance(value, dict) and depth < 16:
            for name, item in value.items():
                if name in _RENDERERS and isinstance(item, dict):
                    yield " ".join(filter(None, (words_of(item.get(part)) for part in _RENDERERS[name])))
                elif "icker" not in name:
                    left.append((item, depth + 1))


def _messages(path: Path) -> Iterator[Said | None]:
    size = path.stat().st_size
    with path.open("rb") as file:
        head = file.readline(MAX_LINE)
    first = head.removeprefix(b"\xef\xbb\xbf").strip()
    whole = _loads(first)
    one_document = whole is None or isinstance(whole, list) or "comments" in whole or "messages" in whole
    if one_document and first[:1] in (b"[", b"{") and size <= MAX_DOCUMENT:
        value = _loads(decoded(path.read_bytes()).strip())
        if value is not None:
            yield from messages_of(value)
            return
    if head.startswith((b"\xff\xfe", b"\xfe\xff")) and size <= MAX_DOCUMENT:
        text = decoded(path.read_bytes())
        value = _loads(text.strip())
        yield from messages_of(value) if value is not None else _lines(text.splitlines())
        return
    if size > MAX_LINES or (one_document and size > MAX_DOCUMENT):
        raise ValueError(f"larger than {(MAX_DOCUMENT if one_document else MAX_LINES) >> 20} MiB")
    with path.open("rb") as file:
        yield from _lines(_bounded_lines(file))


def _bounded_lines(file: Any) -> Iterator[bytes]:
    """Lines of a file; of a line that is too long, one that cannot be read."""
    while line := file.readline(MAX_LINE):
        if len(line) == MAX_LINE and not line.endswith(b"\n"):
            while (rest := file.readline(MAX_LINE)) and not rest.endswith(b"\n"):
                pass
            line = b"{"
        yield line


def _lines(lines: Iterable[bytes | str]) -> Iterator[Said | None]:
    for line in lines:
        mark: Any = "\ufeff" if isinstance(line, str) else b"\xef\xbb\xbf"
        bare = line.removeprefix(mark).strip()
        if bare:
            value = _loads(bare)
            yield from messages_of(value) if value is not None else [None]


def _loads(text: bytes | str) -> Any:
    """A JSON object or array; None for anything else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict | list) else None
