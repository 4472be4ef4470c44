"""Texts as shops write them, to plain text: ``"<p>Kettle&nbsp;1.7&amp;nbsp;l<br>steel"`` is ``"Kettle 1.7 l\\nsteel"``.

Only known HTML tags count as markup, so that ``"for rooms < 20 m² and > 5 m²"`` stays as it is. Cleaning goes on until
nothing changes (shops escape twice), so a cleaned text is never changed by a second cleaning.
"""

from __future__ import annotations

import html
import re

#: Cells that mean "no value" in exports of databases and data frames.
NULLS = frozenset({"", "nan", "NaN", "null", "NULL", "None", "\\N", "N/A", "n/a", "#N/A", "<NA>", "NaT"})

_INLINE = (
    "a abbr acronym b bdi bdo big button center cite code data del dfn em font i img input ins kbd label mark meter "
    "noscript object param picture q s samp small source span strike strong sub sup svg path time tt u var wbr"
)
_BLOCK = (
    "address article aside blockquote body br caption col colgroup dd details div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 head header hr html iframe legend li link main meta nav ol optgroup option p pre "
    "script section select style summary table tbody td textarea tfoot th thead title tr ul video audio"
)
_NAMES = "|".join(sorted((_INLINE + " " + _BLOCK).split(), key=len, reverse=True))
# possessive throughout: a hostile text costs linear time
_VALUE = r"""(?:"[^"<>]*+"|'[^'<>]*+'|[^\s"'<>]++)"""
_ATTRIBUTES = rf"(?:\s++(?:[\w:@.-]++\s*+=\s*+{_VALUE}|hidden|disabled|controls|nowrap))*+"
_TAG = rf"/?(?:{_NAMES}){_ATTRIBUTES}\s*+/?>|!doctype[^<>]*+>"
_MARKUP = re.compile(rf"<(?:{_TAG})", re.IGNORECASE)
_NOT_MARKUP = re.compile(rf"<(?!{_TAG})", re.IGNORECASE)
_BREAK = re.compile(rf"(?=</?(?:{'|'.join(sorted(_BLOCK.split(), key=len, reverse=True))})[\s/>])", re.IGNORECASE)
_ENTITY = re.compile(r"&(?:#\d{1,7}|#[xX][0-9a-fA-F]{1,6}|[a-zA-Z][a-zA-Z0-9]{1,31});")
_LOOSE_AMPERSAND = re.compile(rf"&(?!{_ENTITY.pattern[1:]})")
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
    """Take HTML out and decode entities, again and again until nothing changes."""
    for _ in range(_PASSES):
        before = text
        if "<" in text:
            text = _strip_comments(text)
            if _MARKUP.search(text):
                text = _strip_tags(text)
        if "&" in text:
            text = _ENTITY.sub(lambda match: html.unescape(match[0]), _ESCAPED_AGAIN.sub("&", text))
        if text == before:
            break
    return text


def has_markup(text: str) -> bool:
    """Whether ``strip_markup`` would change the text."""
    return ("<" in text or "&" in text) and strip_markup(text) != text


def _strip_tags(text: str) -> str:
    from selectolax.lexbor import LexborHTMLParser

    text = _LOOSE_AMPERSAND.sub("&amp;", _NOT_MARKUP.sub("&lt;", text))
    tree = LexborHTMLParser("<body>" + _BREAK.sub("\n", text))
    tree.strip_tags(["script", "style", "head", "template"], recursive=True)
    body = tree.body
    return body.text(deep=True, separator="") if body is not None else ""


def _strip_comments(text: str) -> str:
    parts, position = [], 0
    while (start := text.find("<!--", position)) >= 0 and (end := text.find("-->", start + 4)) >= 0:
        parts.append(text[position:start])
        position = end + 3
    return "".join([*parts, text[position:]]) if parts or position else text
