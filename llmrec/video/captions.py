"""Caption files to timed text: SubRip, WebVTT and SubStation Alpha.

::

    1
    00:00:01,000 --> 00:00:03,500                ->   TimedText(1.0, 3.5, "This is the Trail 2", "caption")
    This is the <i>Trail 2</i>
"""

from __future__ import annotations

import html
import re
from typing import Any

from llmrec.records import TimedText

#: Characters of a line that are looked at; no caption is longer.
LONGEST_LINE = 5_000

#: What a caption file that is not UTF-8 may be in. Not cp1250: on short texts the commoner cp1252 is taken for it.
OLD_ENCODINGS = ["cp1252", "cp1251", "gb18030", "big5", "cp932", "cp949", "cp1253", "cp1255", "cp1256", "cp874"]

# bounded: a line of a million digits must not be searched from each of them
TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
CUE = re.compile(rf"{TIME}[ \t]{{0,9}}-->[ \t]{{0,9}}{TIME}")
_ASS_TIME = re.compile(r"(\d{1,4}):(\d{1,2}):(\d{1,2})[.:](\d{1,3})$")
#: A drawing, not words.
_DRAWING = re.compile(r"\\p[1-9]")
_ASS_FIELDS = ["layer", "start", "end", "style", "name", "marginl", "marginr", "marginv", "effect", "text"]

Cue = tuple[float, float, list[str]]


def parse_captions(text: str) -> list[TimedText]:
    """SubRip, WebVTT or SubStation Alpha to timed text; the rolling repetition of automatic captions is taken out."""
    lines = [line[:LONGEST_LINE] for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    return _said_once(_cues(lines) or _ass_cues(lines))


def decoded(data: bytes) -> str:
    """Text of a caption file: UTF-8, UTF-16 with its mark, else guessed."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", errors="replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        from charset_normalizer import from_bytes

        best = from_bytes(data, cp_isolation=OLD_ENCODINGS).best()
        return str(best) if best else data.decode("latin-1")


def plain(line: str) -> str:
    """A line of a caption without its markup."""
    return " ".join(html.unescape(re.sub(r"<[^<>]*>|\{\\[^{}]*\}", "", line)).split())


def ass_words(field: str) -> list[str]:
    """The lines of the text field of a SubStation Alpha dialogue; none for a drawing."""
    if any(_DRAWING.search(block) for block in re.findall(r"\{[^{}]*\}", field)):
        return []
    bare = re.sub(r"\{[^{}]*\}", "", field).replace("\\h", " ")
    return [line for line in (" ".join(part.split()) for part in re.split(r"\\[Nn]", bare)) if line]


def _cues(lines: list[str]) -> list[Cue]:
    found = [(i, match) for i, line in enumerate(lines) if (match := CUE.search(line))]
    cues: list[Cue] = []
    for number, (at, match) in enumerate(found):
        end_of = found[number + 1][0] if number + 1 < len(found) else len(lines)
        body: list[str] = []
        for line in lines[at + 1 : end_of]:
            if not line.strip():
                if body:
                    break
                continue
            body.append(line)
        # without an empty line between, the next cue's number is the last line of this one
        if end_of < len(lines) and body and len(body) == end_of - at - 1 and body[-1].strip().isdigit():
            body.pop()
        begin, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        cues.append((begin, max(begin, end), [line for line in map(plain, body) if line]))
    return cues


def _ass_cues(lines: list[str]) -> list[Cue]:
    names = _ASS_FIELDS
    cues: dict[tuple[float, float, str], Cue] = {}
    for line in lines:
        kind, _, rest = line.strip().partition(":")
        if kind.lower() == "format" and "text" in (given := [part.strip().lower() for part in rest.split(",")]):
            names = given
        if kind.lower() != "dialogue":
            continue
        values = dict(zip(names, rest.strip().split(",", len(names) - 1), strict=False))
        times = [_ASS_TIME.match(values.get(name, "").strip()) for name in ("start", "end")]
        if times[0] is None or times[1] is None or not (body := ass_words(values.get("text", ""))):
            continue
        begin, end = (_seconds(match.groups()) for match in times if match)
        # shadows and glows are the same words in another layer
        cues.setdefault((begin, end, " ".join(body)), (begin, max(begin, end), body))
    return sorted(cues.values(), key=lambda cue: cue[:2])


def _said_once(cues: list[Cue]) -> list[TimedText]:
    pieces: list[TimedText] = []
    before: list[str] = []
    for begin, end, body in cues:
        new = [line for line in body if line not in before]
        if not new and pieces and body:
            last = pieces[-1]
            if begin - last.end < 1:
                pieces[-1] = TimedText(last.start, max(last.end, end), last.text, "caption")
        elif new:
            pieces.append(TimedText(begin, end, " ".join(new), "caption"))
        before = body or before
    return pieces


def _seconds(parts: tuple[Any, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return (whole * 1000 + int(fraction.ljust(3, "0"))) / 1000
