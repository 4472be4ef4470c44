"""A long content cut into parts of one subject each, so that each product gets an intent of its own.

A livestream of an hour is some hundred parts of about forty words; a clip of fifteen seconds is one part, itself.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import msgspec

from llmrec.prompting.spans import claims
from llmrec.records import Content, TimedText

#: Words of a part: about ten to thirty seconds of speech, and what a prompt for a small model takes.
LEAST, MOST = 30, 75
#: Parts of a content; a longer content gets longer parts.
MAX_PARTS = 64
#: Words on either side of a gap that are compared.
AROUND = 25
#: Text that stands rather than passes: it belongs to every part during which it is there.
STANDING = frozenset(("screen", "vision", "caption"))


def parts_of(content: Content, least: int = LEAST, most: int = MOST) -> list[Content]:
    """Cut a content by time where its words change.

    Of the places where a part of ``least`` to ``most`` words can end, that one is taken at which the words before and
    after have least in common (the cosine of TextTiling: Hearst, Computational Linguistics 23, 1997).

    Returns:
        The content itself if its timed text has no more than ``most`` words; else parts in order of time (longer by
        the piece that fills one, so that none of a few words is left over), each with
        the title and without keyframes, and at the end the caption and hashtags, which are of no part.
    """
    pieces = sorted(content.timed_text, key=lambda piece: (piece.start, piece.end))
    counts = [len(piece.text.split()) for piece in pieces]
    total = sum(counts)
    if total <= most or len(pieces) < 2:
        return [content]
    grown = max(1.0, total / (MAX_PARTS * (least + most) / 2))
    ends = _ends(pieces, counts, round(least * grown), round(most * grown))
    parts = []
    for first, after in zip([0, *ends], [*ends, len(pieces)], strict=True):
        start = pieces[first].start
        until = pieces[after].start if after < len(pieces) else math.inf
        stays = (p for p in pieces[:first] if p.source in STANDING and p.end > start and p.start < until)
        held = (*stays, *pieces[first:after])
        parts.append(Content(content.id, content.kind, title=content.title, language=content.language, timed_text=held))
    if content.caption or content.hashtags:
        parts.append(msgspec.structs.replace(content, timed_text=(), keyframes=()))
    return parts


def span_of(content: Content) -> tuple[float | None, float | None]:
    """From when to when a content has timed text, in seconds."""
    if not content.timed_text:
        return None, None
    return min(p.start for p in content.timed_text), max(p.end for p in content.timed_text)


def _ends(pieces: Sequence[TimedText], counts: Sequence[int], least: int, most: int) -> list[int]:
    """The pieces before which a new part begins."""
    bags = [Counter(word.form for word in claims(piece.text)) for piece in pieces]
    ends: list[int] = []
    first, left = 0, sum(counts)
    while left > most:
        held, best = 0, None
        for after in range(first + 1, len(pieces)):
            held += counts[after - 1]
            if held > most and best is not None:
                break
            # what is left must make a part as well
            if (held >= least and left - held >= least) or held > most:
                common = _likeness(bags, counts, after)
                if best is None or common < best[0]:
                    best = (common, after, held)
        if best is None:
            break
        first, left = best[1], left - best[2]
        ends.append(first)
    return ends


def _likeness(bags: Sequence[Counter[str]], counts: Sequence[int], gap: int) -> float:
    """Cosine of the words before and after a gap."""
    sides = []
    for order in (range(gap - 1, -1, -1), range(gap, len(bags))):
        side: Counter[str] = Counter()
        held = 0
        for place in order:
            if held >= AROUND:
                break
            side.update(bags[place])
            held += counts[place]
        sides.append(side)
    before, after = sides
    dot = sum(count * after[word] for word, count in before.items())
    norm = math.sqrt(sum(c * c for c in before.values()) * sum(c * c for c in after.values()))
    return dot / norm if norm else 0.0
