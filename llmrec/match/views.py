"""A content as queries: what each of its sources says, and all of it together.

A clip whose seller says "this is the Trail two" under a caption "ACME €89" gives the views ``whole`` (everything),
``speech`` and ``screen``; a search query gives ``whole`` alone. Each view is searched by itself and the results are
fused, so that a noisy source does not drown a clear one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from llmrec.records import Content, Intent, Query, TimedText

#: Words of a window over long timed text. About twenty seconds of speech: long enough to hold a product's name and
#: what is said of it, short enough that two products shown one after the other fall into different windows.
WINDOW_WORDS = 60

#: Timed text longer than this many words is searched in windows as well.
LONG_WORDS = 120


class View(msgspec.Struct, frozen=True):
    """A query made of part of a content. Views of one ``group`` compete: the best of them counts."""

    group: str
    query: Query


def views_of(content: Content, intent: Intent | None = None) -> list[View]:
    """Split a content into the queries that are searched for it.

    Args:
        content: With its timed text, if it has media.
        intent: What a language model made of it; its sentence becomes a view of its own.

    Returns:
        At least one view; an empty content gives one with an empty text.
    """
    written = [content.title, content.caption, " ".join(tag.lstrip("#") for tag in content.hashtags)]
    by_source: dict[str, list[TimedText]] = {}
    for piece in content.timed_text:
        by_source.setdefault(piece.source, []).append(piece)
    spoken = {source: distinct(piece.text for piece in pieces) for source, pieces in by_source.items()}

    whole = distinct([*written, *(" ".join(texts) for texts in spoken.values())])
    views = [View("whole", Query(text=" \n".join(whole), title=content.title))]
    if spoken:
        views += [View(source, Query(text=" ".join(texts))) for source, texts in sorted(spoken.items())]
        views += [View("window", Query(text=text)) for text in windows(content.timed_text)]
    if intent is not None and intent.query:
        views.append(View("intent", Query(text=intent.query)))
    return views


def windows(pieces: Sequence[TimedText], size: int = WINDOW_WORDS, long: int = LONG_WORDS) -> list[str]:
    """Cut long timed text into overlapping windows by time; short timed text gives none.

    Args:
        pieces: Timed texts of any source, in any order.
        size: Words of a window, counted in whole pieces; the next window starts half-way through.
        long: Up to this many words nothing is cut.
    """
    ordered = sorted(pieces, key=lambda piece: (piece.start, piece.end))
    counts = [max(1, len(piece.text.split())) for piece in ordered]
    if sum(counts) <= long:
        return []
    found: list[str] = []
    start = 0
    while start < len(ordered):
        end, words = start, 0
        while end < len(ordered) and words < size:
            words += counts[end]
            end += 1
        found.append(" ".join(distinct(piece.text for piece in ordered[start:end])))
        if end == len(ordered):
            break
        half, words = start, 0
        while half < end - 1 and words < size // 2:
            words += counts[half]
            half += 1
        start = max(half, start + 1)
    return found


def distinct(texts: Iterable[str]) -> list[str]:
    """Texts without the empty ones and without repetitions (case and spacing aside), in order."""
    seen: dict[str, str] = {}
    for text in texts:
        key = " ".join(text.casefold().split())
        if key:
            seen.setdefault(key, text.strip())
    return list(seen.values())
