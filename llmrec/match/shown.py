"""When a product is on screen or spoken of.

::

    shown_times(…) -> {"B07": (Span(2.4, 9.0), Span(61.2, 70.5)), …}

A stretch of timed text is about the product of whose words it holds the weightiest share; where several are equally
named it is about each. A frame tells of the seconds around it, half-way to its neighbours. A window or an intent tells
of a product that nothing finer tells of in its time.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from llmrec.match.evidence import FieldForms, Segment, matched
from llmrec.records import Hit, Keyframe, Span

#: Stretches of one product that are no further apart are one (seconds): a breath, a look at the chat.
GAP = 3.0
#: A frame tells of no more than so many seconds on either side.
REACH = 2.0
#: Of what the stretch that says most about a product says, another must say so much to be about it too.
OWN_SHARE = 0.25
#: Of what a stretch says about the product that it names best, it must say so much about another to be about it too.
RIVAL_SHARE = 0.5


def shown_times(
    segments: Sequence[Segment],
    fields: Mapping[str, FieldForms],
    weights: Mapping[str, float],
    frames: Mapping[str, Sequence[tuple[Keyframe, Hit]]],
    times: Sequence[float],
    parts: Iterable[tuple[float, float, str]],
) -> dict[str, tuple[Span, ...]]:
    """The stretches of time of each product, in order.

    Args:
        segments: The content's stretches (``segments_of``).
        fields: The words of the products that were found (``field_forms``), by id.
        weights: Weight of each word (``word_weights``).
        frames: The frames that show each product (``showing``).
        times: Times of all frames of the content (seconds).
        parts: (start, end, product found first) of windows and intents.
    """
    found: dict[str, list[tuple[float, float]]] = {id: [] for id in fields}
    masses = [
        (segment, {id: matched(segment, own, weights) for id, own in fields.items()})
        for segment in segments
        if segment.start is not None and segment.end is not None
    ]
    most = {id: max((mass[id] for _, mass in masses), default=0.0) for id in fields}
    for segment, mass in masses:
        named = max(mass.values(), default=0.0)
        for id, own in mass.items():
            if own > 0 and own >= OWN_SHARE * most[id] and own >= RIVAL_SHARE * named:
                found[id].append((segment.start or 0.0, segment.end or 0.0))
    around = _around(times)
    for id, seen in frames.items():
        if id in found:
            found[id] += [around[frame.time] for frame, _ in seen]
    for start, end, id in parts:
        if id in found and not any(left < end and right > start for left, right in found[id]):
            found[id].append((start, end))
    return {id: merged(stretches) for id, stretches in found.items()}


def merged(stretches: Iterable[tuple[float, float]], gap: float = GAP) -> tuple[Span, ...]:
    """Stretches in order of time, those that overlap or lie ``gap`` seconds apart made one."""
    found: list[tuple[float, float]] = []
    for start, end in sorted(stretches):
        if found and start <= found[-1][1] + gap:
            found[-1] = (found[-1][0], max(found[-1][1], end))
        else:
            found.append((start, end))
    return tuple(Span(round(start, 3), round(end, 3)) for start, end in found)


def _around(times: Sequence[float]) -> dict[float, tuple[float, float]]:
    ordered = sorted(set(times))
    around = {}
    for number, time in enumerate(ordered):
        before = (time - ordered[number - 1]) / 2 if number else REACH
        after = (ordered[number + 1] - time) / 2 if number + 1 < len(ordered) else 0.0
        around[time] = (max(0.0, time - min(before, REACH)), time + min(after, REACH))
    return around
