"""What catalogs, videos and strangers write is data: it is cleaned and fenced before a model reads it.

The fence is ``<data>`` … ``</data>``. Untrusted text holds no ``<`` at all (it becomes ``‹``), so it can close neither
the fence nor the turn: every control token of the usual chat formats begins with ``<`` or is a bracketed capital word.
It holds no line breaks either, so it cannot pretend to be a line of ours. A model may still *believe* what the data
says ("ignore the above …"): that is why answers are checked against their source (``support.py``).
"""

from __future__ import annotations

import re
import unicodedata

FENCE = "data"
#: ``[INST]``, ``[/INST]``, ``[TOOL_CALLS]``: control tokens of the Mistral family.
_BRACKETED = re.compile(r"\[(/?[A-Z][A-Z_]{2,})\]")
#: Joiners that Persian, the Indic scripts and emoji need; all other invisible characters are taken out.
_JOINERS = "\u200c\u200d"
_SPACE = re.compile(r"\s+")


def clean(text: str) -> str:
    """Untrusted text on one line, without ``<``, control tokens, control characters and invisible characters."""
    kept = []
    for char in text:
        category = unicodedata.category(char)
        if category in {"Cc", "Zl", "Zp"}:
            kept.append(" ")
        elif char in _JOINERS or category not in {"Cf", "Cs", "Co", "Cn"}:
            kept.append("‹" if char == "<" else char)
    line = _SPACE.sub(" ", "".join(kept)).strip()
    while _BRACKETED.search(line):
        line = _BRACKETED.sub(r"(\1)", line)
    return line


def shorten(text: str, limit: int) -> tuple[str, int]:
    """At most ``limit`` characters, cut between words where there are such, and how many were left out."""
    if len(text) <= limit:
        return text, 0
    head = text[: limit - 1]
    space = len(head) if text[len(head)] == " " else head.rfind(" ")
    head = head[:space] if space > limit // 2 else head
    head = head.rstrip(" ,;/-")
    return head + "…", len(text) - len(head)


def fence(text: str) -> str:
    """The template filter ``data``: what lies between is the data, and nothing in it closes it."""
    lines = [line for line in text.splitlines() if line.strip()]
    return "\n".join((f"<{FENCE}>", *lines, f"</{FENCE}>"))
