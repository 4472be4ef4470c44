"""What downloaders leave beside a video: captions, the description of the post, the live chat.

``clip.mp4`` may have ``clip.srt``, ``clip.vtt``, ``clip.ass``, ``clip.en.vtt``, ``clip.info.json`` (yt-dlp),
``clip.description``, ``clip.live_chat.json`` and ``clip.chat.jsonl`` beside it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from llmrec.records import TimedText
from llmrec.video.captions import decoded, parse_captions
from llmrec.video.chat import read_chat, seconds_of
from llmrec.video.languages import code_of, same_language

#: Larger files are neither captions nor descriptions.
MAX_BYTES = 20 << 20
#: Characters of a description, tags and chapters that are kept.
MAX_TEXT, MAX_TAGS, MAX_CHAPTERS = 10_000, 100, 200

CAPTIONS = frozenset((".srt", ".vtt", ".ass", ".ssa"))
CHATS = re.compile(r"[._-](live_?chat|re_?chat|chat)\.(json|jsonl|ndjson)", re.IGNORECASE)

HASHTAG = re.compile(r"(?<!\w)[#＃](\w+)")


#: What reading a strange file may raise: all of it costs that file alone.
FAULTS = (OSError, ValueError, RecursionError, MemoryError)


class Post(NamedTuple):
    """What is known of a video without watching it; ``languages`` are those of captions that a person wrote."""

    title: str = ""
    caption: str = ""
    hashtags: tuple[str, ...] = ()
    language: str = ""
    chapters: tuple[TimedText, ...] = ()
    languages: tuple[str, ...] = ()


class Sidecars(NamedTuple):
    """The files beside a video that were found and read, and what could not be.

    ``captions`` holds captions, chapters and chat; ``subtitled`` tells whether a caption file is among them.
    """

    post: Post
    captions: list[TimedText]
    problems: list[str]
    subtitled: bool = False


def sidecar_files(media: Path, language: str = "") -> list[Path]:
    """The files beside a media file that tell of it: captions (the wanted language first), description, chat."""
    stems = (media.name, media.stem)  # the longer first
    captions, told, chats = [], [], []
    try:
        beside = sorted(media.parent.iterdir())
    except OSError:
        return []
    for path in beside:
        stem = next((stem for stem in stems if path.name.startswith(stem)), None)
        if stem is None or path.name == media.name:
            continue
        rest = path.name[len(stem) :]
        if path.suffix.lower() in CAPTIONS and (named := re.fullmatch(r"(\.[A-Za-z0-9_-]{2,12})?\.\w+", rest)):
            tag = (named[1] or ".")[1:]
            captions.append((not same_language(tag, language), tag != "", path.name, path))
        elif rest in (".info.json", ".description"):
            told.append(path)
        elif CHATS.fullmatch(rest):
            chats.append(path)
    return [*(entry[-1] for entry in sorted(captions)), *told, *chats]


def read_sidecars(files: Sequence[Path], language: str = "") -> Sidecars:
    """Read what lies beside a video; a file that cannot be read is a problem, not an error.

    Args:
        files: As ``sidecar_files`` gives them. Of several caption files one is read: in the wanted language, else
            without a language in its name, else in the language of the video, else written by a person; of the rest
            the first that can be read.
        language: The wanted one.
    """
    post, problems = Post(), []
    pieces: list[TimedText] = []
    for path in files:
        if path.suffix.lower() in CAPTIONS or CHATS.search(path.name):
            continue
        try:
            text = decoded(_bytes(path))
            post = _joined(post, parse_info(text) if path.suffix == ".json" else _described(text))
        except FAULTS as error:
            problems.append(f"{path.name}: left aside ({_reason(error)})")
    pieces += post.chapters
    subtitled = False
    for path in sorted((p for p in files if p.suffix.lower() in CAPTIONS), key=lambda p: _rank(p, language, post)):
        try:
            text = decoded(_bytes(path))
            captions = parse_captions(text)
            if captions or not text.strip():
                pieces += captions
                subtitled = bool(captions)
                break
            problems.append(f"{path.name}: left aside (holds no captions)")
        except FAULTS as error:
            problems.append(f"{path.name}: left aside ({_reason(error)})")
    for path in files:
        if path.suffix.lower() in CAPTIONS or not CHATS.search(path.name):
            continue
        try:
            said, problem = read_chat(path)
            pieces += said
            problems += [f"{path.name}: {problem}"] if problem else []
        except FAULTS as error:
            problems.append(f"{path.name}: left aside ({_reason(error)})")
    return Sidecars(post, pieces, problems, subtitled)


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
    description = description[:MAX_TEXT]
    tags: dict[str, str] = {}
    for tag in (tag.lstrip("#").strip() for tag in [*listed, *written]):
        tags.setdefault(tag.casefold(), tag)
    subtitles = info.get("subtitles")
    languages = [name for name in subtitles if name != "live_chat"] if isinstance(subtitles, dict) else []
    return Post(
        title,
        description,
        tuple(tag for tag in tags.values() if tag)[:MAX_TAGS],
        code_of(_text(info, "language")),
        tuple(_chapters(info.get("chapters"))),
        tuple(languages),
    )


def _described(text: str) -> Post:
    text = text.strip()[:MAX_TEXT]
    return Post(caption=text, hashtags=tuple(dict.fromkeys(HASHTAG.findall(text)))[:MAX_TAGS])


def _joined(post: Post, other: Post) -> Post:
    return post._replace(**{name: value for name, value in other._asdict().items() if value})


def _chapters(value: Any) -> list[TimedText]:
    """Chapters with a title of their own, timed."""
    found = []
    for chapter in value[:MAX_CHAPTERS] if isinstance(value, list) else ():
        if not isinstance(chapter, dict):
            continue
        start, end = seconds_of(chapter.get("start_time")), seconds_of(chapter.get("end_time"))
        title = chapter.get("title")
        # yt-dlp names the stretch before the first chapter itself
        if start is None or not isinstance(title, str) or not title.strip() or title.startswith("<Untitled"):
            continue
        start = max(0.0, start)
        found.append(TimedText(start, max(start, end or 0.0), " ".join(title.split()), "caption"))
    return found


def _rank(path: Path, language: str, post: Post) -> tuple[bool, ...]:
    tag = path.suffixes[-2].lstrip(".") if len(path.suffixes) > 1 else ""
    tag = tag if re.fullmatch(r"[A-Za-z]{2,3}(?:[-_][A-Za-z0-9-]+)?", tag) else ""
    own = same_language(tag, post.language)
    return not same_language(tag, language), tag != "", not own, tag not in post.languages


def _reason(error: Exception) -> str:
    return (error.strerror if isinstance(error, OSError) else "") or str(error)


def _bytes(path: Path) -> bytes:
    if path.stat().st_size > MAX_BYTES:
        raise ValueError(f"larger than {MAX_BYTES >> 20} MiB")
    return path.read_bytes()


def _text(info: dict[str, Any], *names: str) -> str:
    return next((value.strip() for name in names if isinstance(value := info.get(name), str) and value.strip()), "")


def _list(value: Any) -> list[str]:
    return [tag for tag in value if isinstance(tag, str)] if isinstance(value, list) else []
