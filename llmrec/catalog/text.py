"""Texts as shops write them, to plain text: ``"<p>Kettle&nbsp;1.7&amp;nbsp;l<br>steel"`` is ``"Kettle 1.7 l\\nsteel"``.

Only known HTML tags count as markup, so that ``"for rooms < 20 m² and > 5 m²"`` stays as it is. Cleaning goes on until
nothing changes (shops escape twice), so a cleaned text is never changed by a second cleaning.
"""

from __future__ import annotations

import html
import re

#: Cells that mean "no value" in exports of databases and data frames.
NULLS = frozenset({"", "nan", "NaN", "null", "NULL", "None", "\\N", "N/A", "n/a", "#N/A", "<NA>", "NaT"})

_INLINE_NAMES = (
    "a abbr acronym b bdi bdo big button center cite code data del dfn em font i img input ins kbd label mark meter "
    "noscript object param picture q s samp small source span strike strong sub sup svg path time tt u var wbr"
)
_BLOCK_NAMES = (
    "address article aside blockquote body br caption col colgroup dd details div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 head header hr html iframe legend li link main meta nav ol optgroup option p pre "
    "script section select style summary table tbody td template textarea tfoot th thead title tr ul video audio"
)
_INLINE, _BLOCK = frozenset(_INLINE_NAMES.split()), frozenset(_BLOCK_NAMES.split())
#: A tag, bare or with attributes (so that "<b and c>" is none); possessive, so that a hostile text costs linear time.
_ATTRIBUTES = r"""(?:\s++[\w:@.-]++\s*+=\s*+(?:"[^"]*+"|'[^']*+'|[^\s"'<>]++))++\s*+/?"""
_TAG = re.compile(rf"</?([a-zA-Z][a-zA-Z0-9]*+)(?:\s*+/?|{_ATTRIBUTES}|\s[^<>=]*+=[^<>]*+)>")
_DOCTYPE = re.compile(r"<!doctype[^<>]*+>", re.IGNORECASE)
#: What is not shown: comments, and elements whose content is no text.
_HIDDEN = re.compile(r"<!--|<(?:script|style|head|template)\b[^<>]*+>", re.IGNORECASE)
_EMPTY_LINES = re.compile(r"\n\s++")
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_ESCAPED_AGAIN = re.compile(r"&(?:amp;)++")
_PASSES = 100


def clean_line(text: str) -> str:
    """Plain text on one line: markup out, entities decoded, white space single."""
    if "<" in text or "&" in text:
        text = strip_markup(text)
    return " ".join(text.split())


def clean_block(text: str) -> str:
    """Plain text that keeps its line breaks (at most one empty line in a row)."""
    if "<" in text or "&" in text:
        text = strip_markup(text)
    if "\n" not in text and "\r" not in text:
        return " ".join(text.split())
    lines = [" ".join(line.split()) for line in text.replace("\r\n", "\n").replace("\r", "\n").split("\n")]
    kept = [line for i, line in enumerate(lines) if line or (i and lines[i - 1])]
    return "\n".join(kept).strip()


def strip_markup(text: str) -> str:
    """Take HTML out and decode entities, again and again until nothing changes.

    A parser is not used: it takes 100 µs a text, and takes ``"x<y and y>z"`` for a tag.
    """
    for _ in range(_PASSES):
        before = text
        if "<" in text:
            text = _TAG.sub(_without_tag, _DOCTYPE.sub("", _shown(text)))
            if text != before:
                text = _EMPTY_LINES.sub("\n", text)
        if "&" in text:
            text = _ENTITY.sub(lambda match: html.unescape(match[0]), _ESCAPED_AGAIN.sub("&", text))
        if text == before:
            break
    return text


def _without_tag(match: re.Match[str]) -> str:
    name = match[1].lower()
    return "" if name in _INLINE else "\n" if name in _BLOCK else match[0]


def has_markup(text: str) -> bool:
    """Whether ``strip_markup`` would change the text."""
    return ("<" in text or "&" in text) and strip_markup(text) != text


def _shown(text: str) -> str:
    """The text without comments, scripts and styles; one that is never closed stays."""
    if not _HIDDEN.search(text):
        return text
    lower = text.lower() if len(text.lower()) == len(text) else text
    parts, position, endless = [], 0, set()
    while found := _HIDDEN.search(text, position):
        name = found[0][1:].split(">")[0].split()[0].lower()
        end = "-->" if name.startswith("!--") else f"</{name}"
        close = -1 if end in endless else lower.find(end, found.end())
        parts.append(text[position : found.start() if close >= 0 else found.end()])
        if close < 0:
            endless.add(end)
            position = found.end()
        else:
            position = text.find(">", close) + 1 or len(text)
    return "".join([*parts, text[position:]])
