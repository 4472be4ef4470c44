"""A content as queries: what each of its sources says, and all of it together.

A clip whose seller says "this is the Trail two" under a sign "ACME €89" gives the views ``whole`` (all but the chat),
``speech``, ``screen`` and ``title`` (with the hashtags); a search query gives ``whole`` alone. Each view is searched by
itself and the results are fused, so that a noisy source does not drown a clear one.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmrec.index.texts import content_text, distinct, sure_text
from llmrec.records import Content, Intent, Query, TextSource, TimedText

#: Words of a window over long timed text. About twenty seconds of speech: long enough to hold a product's name and
#: what is said of it, short enough that two products shown one after the other fall into different windows.
WINDOW_WORDS = 60

#: Confidence of text that comes without one.
UNTOLD = 0.9

#: Timed text longer than this many words is searched in windows as well.
LONG_WORDS = 120


class View(msgspec.Struct, frozen=True):
    """A query made of part of a content. Views of one ``group`` compete: the best of them counts.

    ``start`` and ``end`` (seconds) bound the part of the content that it is made of, where that is one stretch.
    ``lines`` were read off the screen, each with its confidence: they are searched by pieces of words.
    """

    group: str
    query: Query
    start: float | None = None
    end: float | None = None
    lines: tuple[tuple[str, float], ...] = ()


class Window(msgspec.Struct, frozen=True):
    """What is said and shown between two times (seconds)."""

    text: str
    start: float
    end: float


def views_of(content: Content, intents: Sequence[Intent] = ()) -> list[View]:
    """Split a content into the queries that are searched for it.

    Args:
        content: With its timed text, if it has media.
        intents: What a language model made of it; the sentence of each becomes a view of its own.

    Returns:
        At least one view; an empty content gives one with an empty text.
    """
    tags = " ".join(tag.lstrip("#") for tag in content.hashtags)
    by_source: dict[str, list[str]] = {"title": [content.title, tags], "caption": [content.caption]}
    sure = sure_text(content)
    for piece in sure:
        by_source.setdefault(piece.source, []).append(piece.text)
    said = {source: distinct(texts) for source, texts in by_source.items()}

    views = [View("whole", Query(text=content_text(content), title=content.title))]
    talk = [piece for piece in sure if piece.source != "chat"]
    if content.timed_text:
        views += [View(source, Query(text=" ".join(texts))) for source, texts in sorted(said.items()) if texts]
        views += [View("window", Query(text=w.text), w.start, w.end) for w in windows(talk)]
    read = tuple((p.text, UNTOLD if p.confidence is None else p.confidence) for p in timed_on(content, "screen"))
    if read and len(read) == len(content.timed_text) and not any(by_source["title"] + by_source["caption"]):
        # nothing but what was read: all there is would be the same misread words once more
        views = [*(view for view in views if view.group != "whole"), View("label", Query(text=""), lines=read)]
    elif read:
        views.append(View("print", Query(text=""), lines=read))
    return views + [View("intent", Query(text=i.query), i.start, i.end) for i in intents if i.query]


def timed_on(content: Content, source: TextSource) -> list[TimedText]:
    """The timed text of one source."""
    return [piece for piece in content.timed_text if piece.source == source]


def windows(pieces: Sequence[TimedText], size: int = WINDOW_WORDS, long: int = LONG_WORDS) -> list[Window]:
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
    found: list[Window] = []
    start = 0
    while start < len(ordered):
        end, words = start, 0
        while end < len(ordered) and words < size:
            words += counts[end]
            end += 1
        held = ordered[start:end]
        text = " ".join(distinct(piece.text for piece in held))
        found.append(Window(text, held[0].start, max(piece.end for piece in held)))
        if end == len(ordered):
            break
        half, words = start, 0
        while half < end - 1 and words < size // 2:
            words += counts[half]
            half += 1
        start = max(half, start + 1)
    return found
