"""Spoilt versions of a gold summary, for preferences: each has one fault that models make.

An attribute made up, a sibling's value, a wrong number, words of praise, or the tail of a page's HTML.
"""

from __future__ import annotations

import copy
import random
import re
from collections.abc import Callable, Sequence
from typing import Any

Row = dict[str, Any]
# names and values of no family of the sample
INVENTED = [
    ("warranty", "10 years", "with a 10-year warranty"),
    ("origin", "made in Norway", "made in Norway"),
    ("certificate", "ISO 9001", "certified to ISO 9001"),
    ("award", "Red Kite Prize 2024", "winner of the Red Kite Prize 2024"),
    ("app", "iOS and Android", "with an app for iOS and Android"),
    ("gift box", "included", "in a gift box"),
]
PRAISE = [
    "The best {type} you will ever own",
    "Absolutely stunning and a must-have for everyone",
    "Unbeatable quality at an incredible price – order now",
    "Experience the ultimate in luxury and transform your life",
]
TAILS = [
    '</p><ul class="usp"><li>Free returns</li><li>Add to basket</li></ul>',
    "<br/>&nbsp;Read more &raquo; <a href='#reviews'>See all reviews</a>",
    '</b></p><div id="delivery">Delivery in 2-3 days</div>',
]
_NUMBER = re.compile(r"(?<![\w.,])(\d+)(?![\w,]|\.\d)")


def spoil(row: Row, siblings: Sequence[Row], place: int) -> Row:
    """The row's summary with one fault; which one goes round with ``place``.

    Args:
        row: Of ``summaries.py``: ``product`` and ``summary``.
        siblings: Rows of the other variants of its family.
        place: The row's place among the rows.
    """
    chance = random.Random(f"faults {row['id']}")
    kinds: list[Callable[[Row, Sequence[Row], random.Random], Row | None]]
    kinds = [_invented, _sibling, _praise, _number, _html]
    turns = [kinds[(place + step) % len(kinds)] for step in range(len(kinds))]
    spoilt = (kind(row, siblings, chance) for kind in turns)
    return next(summary for summary in spoilt if summary is not None)


def _invented(row: Row, siblings: Sequence[Row], chance: random.Random) -> Row:
    summary = copy.deepcopy(row["summary"])
    name, value, words = chance.choice(INVENTED)
    summary["attributes"][name] = value
    summary["attributes"] = dict(list(summary["attributes"].items())[-8:])
    summary["summary"] = f"{_open(summary)}, {words}."
    return summary


def _sibling(row: Row, siblings: Sequence[Row], chance: random.Random) -> Row | None:
    """One value of another variant, wherever the right one stood."""
    mine, options = row["summary"]["attributes"], []
    for other in siblings:
        for name, value in other["summary"]["attributes"].items():
            right = mine.get(name, value)
            if right.casefold() != value.casefold() and right.casefold() in row["summary"]["summary"].casefold():
                options.append((right, value))
    if not options:
        return None
    right, wrong = chance.choice(options)
    word = re.compile(rf"(?<!\w){re.escape(right)}(?!\w)", re.IGNORECASE)
    spoilt = _replaced(row["summary"], lambda text: word.sub(lambda _: wrong, text))
    return spoilt if spoilt != row["summary"] else None


def _praise(row: Row, siblings: Sequence[Row], chance: random.Random) -> Row:
    summary = copy.deepcopy(row["summary"])
    words = chance.choice(PRAISE).format(type=summary["headline"].split(",")[0])
    summary["highlights"] = [*summary["highlights"][:2], words]
    summary["summary"] = f"{words}! {_open(summary)}."
    return summary


def _number(row: Row, siblings: Sequence[Row], chance: random.Random) -> Row | None:
    found = sorted(set(_NUMBER.findall(row["summary"]["summary"])))
    if not found:
        return None
    right = chance.choice(found)
    wrong = str(max(1, round(int(right) * chance.choice([0.5, 1.5, 2, 3]))))
    wrong = wrong if wrong != right else str(int(right) + 1)
    number = re.compile(rf"(?<![\w.,]){right}(?![\w,]|\.\d)")
    return _replaced(row["summary"], lambda text: number.sub(wrong, text))


def _html(row: Row, siblings: Sequence[Row], chance: random.Random) -> Row:
    summary = copy.deepcopy(row["summary"])
    shown = " ".join((row["product"].get("description") or row["product"]["title"]).split()[:12])
    summary["summary"] = f"{_open(summary)}. <p>{shown} {chance.choice(TAILS)}"
    return summary


def _open(summary: Row) -> str:
    return summary["summary"].rstrip(".。")


def _replaced(summary: Row, change: Callable[[str], str]) -> Row:
    return {
        "headline": change(summary["headline"]),
        "attributes": {name: change(value) for name, value in summary["attributes"].items()},
        "highlights": [change(item) for item in summary["highlights"]],
        "summary": change(summary["summary"]),
    }
