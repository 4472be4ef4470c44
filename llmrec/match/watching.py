"""Contents whose media has not been watched yet, and what becomes of them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import msgspec

from llmrec.errors import InputError
from llmrec.records import Content, ContentKind
from llmrec.storage import Ledger, fingerprint
from llmrec.video.batch import in_order

#: Timed text that comes from watching; a chat log or captions may lie beside media that nobody has watched.
SEEN = ("speech", "screen", "vision")


class Watch(Protocol):
    """What turns a media file into timed text and keyframes: ``llmrec.video.Watcher().watch``."""

    def __call__(self, path: Path, *, id: str, kind: ContentKind) -> Content: ...


def media_of(content: Content, folder: str | Path) -> Path | None:
    """The media file of a content that has not been watched; None if there is nothing to watch.

    Args:
        folder: Where a relative media path starts.

    Raises:
        InputError: The file does not exist; names the content.
    """
    if not content.media or content.keyframes or any(text.source in SEEN for text in content.timed_text):
        return None
    path = Path(folder) / content.media
    if not path.exists():
        step = "Correct the path (it is relative to the contents file), or leave 'media' out."
        raise InputError(f"content {content.id!r}: media file {path} does not exist", next_step=step)
    return path


def watched(content: Content, watch: Watch, folder: str | Path = ".") -> Content:
    """The content with the timed text and keyframes of its media; what it says of itself stays.

    Media in which there is nothing to see, read or hear is left out: the content then goes by its own words.
    Paths of keyframes start from ``folder``, as that of the media does.

    Raises:
        InputError: The media is missing or cannot be watched; names the content.
    """
    path = media_of(content, folder)
    if path is None:
        return content
    try:
        seen = watch(path, id=content.id, kind=content.kind)
    except InputError as error:
        raise InputError(f"content {content.id!r}: {error.message}", next_step=error.next_step) from error
    return msgspec.structs.replace(
        content,
        media=content.media if seen.timed_text or seen.keyframes else "",
        title=content.title or seen.title,
        caption=content.caption or seen.caption,
        hashtags=content.hashtags or seen.hashtags,
        language=content.language or seen.language,
        timed_text=tuple(sorted((*content.timed_text, *seen.timed_text), key=lambda text: (text.start, text.end))),
        keyframes=tuple(msgspec.structs.replace(f, path=_from(f.path, folder)) for f in seen.keyframes),
        image_encoder=seen.image_encoder,
    )


def _from(path: str, folder: str | Path) -> str:
    """A path as it is found from ``folder``, where the content's media is."""
    return path if not path or os.path.isabs(path) else Path(os.path.relpath(path, folder)).as_posix()


def watch_contents(
    contents: Sequence[Content],
    watch: Watch,
    *,
    folder: str | Path,
    target: str | Path,
    settings: str,
    resume: bool = True,
    keep: bool = False,
    on_failure: Callable[[InputError], None] | None = None,
    workers: int = 1,
) -> Iterator[Content]:
    """Watch contents, keeping each in a ledger beside ``target`` until all are done.

    Args:
        contents: In the order in which they come back.
        watch: See ``Watch``.
        folder: Where relative media paths start.
        target: What is being made of them; the ledger lies beside it.
        settings: Digest of whatever changes what is seen (``fingerprint`` of the settings).
        resume: False watches everything again.
        keep: Leave the ledger when all are done, so that a later run need not watch them again.
        on_failure: Told of media that cannot be watched; the content then goes on without its media. None: such media
            ends the batch.
        workers: Contents at a time; more than one needs a ``watch`` for several threads (of an ``IsolatedWatcher``).

    Raises:
        InputError: A media file is missing (before any is watched), or cannot be watched and ``on_failure`` is None.
    """
    paths = [media_of(content, folder) for content in contents]
    keys = [
        path and fingerprint(content, path.stat().st_size, path.stat().st_mtime_ns)
        for content, path in zip(contents, paths, strict=True)
    ]
    with Ledger(f"{target}.watched", Content, settings, resume=resume) as ledger:
        before = dict(ledger.done)

        def work(number: int) -> Content | InputError:
            content, key = contents[number], keys[number]
            if not key or key in before:
                return before[key] if key else content
            try:
                return watched(content, watch, folder)
            except InputError as error:
                return error

        def add(number: int, result: Content | InputError) -> None:
            key = keys[number]
            if key and key not in before and isinstance(result, Content):
                ledger.add(key, result)

        for number, result in enumerate(in_order(work, add, len(contents), workers)):
            if isinstance(result, Content):
                yield result
                continue
            if on_failure is None:
                raise result
            on_failure(result)
            yield msgspec.structs.replace(contents[number], media="")
        if not keep:
            ledger.finish()


def arriving(
    contents: Iterable[Content],
    watch: Watch,
    *,
    folder: str | Path,
    source: str,
    on_failure: Callable[[InputError], None],
) -> Iterator[Content]:
    """Contents of a stream that may have no end, each given on at once, its media watched if it has not been.

    Args:
        contents: As they come.
        watch: See ``Watch``.
        folder: Where relative media paths start.
        source: Where the contents come from, for messages.
        on_failure: Told of media that cannot be watched; the content then goes on without its media.

    Raises:
        InputError: Two contents have one id.
    """
    met: set[str] = set()
    for content in contents:
        if content.id in met:
            step = "Give every content an id of its own."
            raise InputError(f"{source}: two contents have the id {content.id!r}", next_step=step)
        met.add(content.id)
        try:
            yield watched(content, watch, folder)
        except InputError as error:
            on_failure(error)
            yield msgspec.structs.replace(content, media="")


def unique_ids(contents: Iterable[Content], source: str) -> list[Content]:
    """The contents as a list.

    Raises:
        InputError: Two of them have one id; names it and ``source``.
    """
    found: dict[str, Content] = {}
    for content in contents:
        if content.id in found:
            step = "Give every content an id of its own."
            raise InputError(f"{source}: two contents have the id {content.id!r}", next_step=step)
        found[content.id] = content
    return list(found.values())
