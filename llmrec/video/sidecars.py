"""What downloaders leave beside a video: captions and the description of the post.

``clip.mp4`` may have ``clip.srt``, ``clip.vtt``, ``clip.en.vtt`` and ``clip.info.json`` (yt-dlp) beside it.
"""

from __future__ import annotations

import html
import json
import re
from pathlib import Path
from typing import Any, NamedTuple

from llmrec.records import TimedText

#: Larger files are no captions.
MAX_BYTES = 20 << 20

#: What a caption file that is not UTF-8 may be in. Not cp1250: on short texts the commoner cp1252 is taken for it.
OLD_ENCODINGS = ["cp1252", "cp1251", "gb18030", "big5", "cp932", "cp949", "cp1253", "cp1255", "cp1256", "cp874"]

TIME = r"(?:(\d+):)?(\d{1,2}):(\d{2})[.,](\d{1,3})"
CUE = re.compile(rf"{TIME}\s*-->\s*{TIME}")
HASHTAG = re.compile(r"(?<!\w)[#＃](\w+)")


class Post(NamedTuple):
    """What is known of a video without watching it."""

    title: str = ""
    caption: str = ""
    hashtags: tuple[str, ...] = ()
    language: str = ""


class Sidecars(NamedTuple):
    """The files beside a video that were found and read, and what could not be."""

    post: Post
    captions: list[TimedText]
    problems: list[str]


def sidecar_files(media: Path, language: str = "") -> list[Path]:
    """The caption file (one: in the wanted language if there is a choice) and the description beside a media file."""
    stems = (media.name, media.stem)  # the longer first
    captions, found = [], []
    try:
        beside = sorted(media.parent.iterdir())
    except OSError:
        return []
    for path in beside:
        if path.suffix.lower() in {".srt", ".vtt"}:
            rest = next((path.stem[len(stem) :] for stem in stems if path.stem.startswith(stem)), None)
            if rest is not None and re.fullmatch(r"(\.[A-Za-z0-9-]{2,12})?", rest):
                captions.append((rest[1:] != language, rest != "", path.name, path))
        elif path.name in {f"{stem}.info.json" for stem in stems}:
            found.append(path)
    return [*(entry[-1] for entry in sorted(captions)[:1]), *found]


def read_sidecars(files: list[Path]) -> Sidecars:
    """Read what lies beside a video; a file that cannot be read is a problem, not an error."""
    post, captions, problems = Post(), [], []
    for path in files:
        try:
            if path.stat().st_size > MAX_BYTES:
                raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")
            text = decoded(path.read_bytes())
            if path.suffix.lower() == ".json":
                post = parse_info(text)
            else:
                captions = parse_captions(text)
                if not captions and text.strip():
                    raise ValueError("holds no captions")
        except (OSError, ValueError, RecursionError) as error:
            problems.append(f"{path.name}: left aside ({error})")
    return Sidecars(post, captions, problems)


def parse_captions(text: str) -> list[TimedText]:
    """SubRip or WebVTT to timed text; the rolling repetition of automatic captions is taken out."""
    lines = text.replace("\r\n", "\n").replace("\r", "\n").split("\n")
    starts = [i for i, line in enumerate(lines) if CUE.search(line)]
    cues: list[tuple[float, float, list[str]]] = []
    for number, at in enumerate(starts):
        end_of = starts[number + 1] if number + 1 < len(starts) else len(lines)
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
        match = CUE.search(lines[at])
        assert match
        begin, end = _seconds(match.groups()[:4]), _seconds(match.groups()[4:])
        cues.append((begin, max(begin, end), [line for line in map(_plain, body) if line]))
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


def parse_info(text: str) -> Post:
    """The ``.info.json`` of yt-dlp and its relatives.

    Raises:
        ValueError: Not a JSON object.
    """
    info = json.loads(text)
    if not isinstance(info, dict):
        raise ValueError("is not a JSON object")
    title, description = (_text(info, *names) for names in (("fulltitle", "title"), ("description", "caption")))
    listed = [tag for name in ("tags", "hashtags") for tag in _list(info.get(name))]
    written = HASHTAG.findall(f"{title} {description}")
    tags: dict[str, str] = {}
    for tag in (tag.lstrip("#").strip() for tag in [*listed, *written]):
        tags.setdefault(tag.casefold(), tag)
    return Post(title, description, tuple(tag for tag in tags.values() if tag), _text(info, "language")[:2])


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


def _seconds(parts: tuple[Any, ...]) -> float:
    hours, minutes, seconds, fraction = parts
    whole = int(hours or 0) * 3600 + int(minutes) * 60 + int(seconds)
    return (whole * 1000 + int(fraction.ljust(3, "0"))) / 1000


def _plain(line: str) -> str:
    return " ".join(html.unescape(re.sub(r"<[^<>]*>|\{\\[^{}]*\}", "", line)).split())


def _text(info: dict[str, Any], *names: str) -> str:
    return next((value.strip() for name in names if isinstance(value := info.get(name), str) and value.strip()), "")


def _list(value: Any) -> list[str]:
    return [tag for tag in value if isinstance(tag, str)] if isinstance(value, list) else []
