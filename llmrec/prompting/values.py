"""Texts, lists and maps out of what a model wrote in one field: bounded, without repeats, strings only."""

from __future__ import annotations

import re
import unicodedata
from typing import Any

from llmrec.prompting.schema import OutputField

_MARKUP = re.compile(r"<\|[^<>|]{0,40}\|>|[<‹]/?[A-Za-z]{1,10}\s*/?>|\*\*|__|`+")
_SENTENCE = re.compile(r"(?<=[.!?。！？])\s+|(?<=[。！？])")
_ITEMS = re.compile(r"\s*(?:[;\n•；]|\s/\s)\s*")
_COMMAS = re.compile(r"\s*[,，、]\s+|[，、]")
_PAIR = re.compile(r"^\s*([^=:：]{1,80}?)\s*[=:：]\s*(.+)$", re.DOTALL)
#: "size 42", "weight 270 g": a pair without its sign.
_MEASURE = re.compile(r"^([^\W\d_]+(?: [^\W\d_]+)?)\s+(\d\S*(?: \S{1,4})?)$")
_QUOTES = "\"'“”‘’ \t"
Problems = list[str]


def as_text(value: Any, declared: OutputField, name: str, problems: Problems, *, cut: bool = False) -> str:
    """One text, without repeated sentences."""
    text = _flat(value)
    sentences = [part for part in _SENTENCE.split(text) if part]
    once: dict[str, str] = {}
    for sentence in sentences:
        once.setdefault(_key(sentence), sentence)
    kept = list(once.values())
    if len(kept) < len(sentences):
        _note(problems, f"{name}: repeated text dropped")
    text = " ".join(kept)
    if text and not any(map(str.isalpha, text)):
        _note(problems, f"{name}: text without a word dropped")
        return ""
    if cut and text and text[-1] not in ".!?。！？":
        _note(problems, f"{name}: cut off")
        whole = " ".join(kept[:-1]) if len(kept) > 1 else text.rpartition(" ")[0]
        text = whole or text
    return _bounded(text, declared.max_chars, name, problems)


def as_list(value: Any, declared: OutputField, name: str, problems: Problems, *, cut: bool = False) -> tuple[str, ...]:
    """Items, without repeats; a last item that was cut off is left out."""
    if isinstance(value, dict):
        parts = [f"{key}: {_flat(item)}" for key, item in value.items()]
    elif isinstance(value, list):
        parts = [_flat(item) for item in value]
    else:
        parts = _split(_strings(value))
    if cut and parts:
        _note(problems, f"{name}: cut off")
        parts = parts[:-1]
    out: dict[str, str] = {}
    for part in parts:
        item = _bounded(_flat(part).rstrip(" .,;"), declared.max_chars, name, problems)
        if item and not any(map(str.isalpha, item)):
            _note(problems, f"{name}: items without a word dropped")
        elif item and _key(item) in out:
            _note(problems, f"{name}: repeated text dropped")
        elif item:
            out[_key(item)] = item
    if len(out) > declared.max_items:
        _note(problems, f"{name}: {len(out) - declared.max_items} items too many dropped")
    return tuple(list(out.values())[: declared.max_items])


def as_map(value: Any, declared: OutputField, name: str, problems: Problems, *, cut: bool = False) -> dict[str, str]:
    """Names and values; parts that are not pairs are counted and left out."""
    pairs: list[tuple[str, str]] = []
    odd = 0
    if isinstance(value, dict):
        pairs = [(_flat(key), _flat(item)) for key, item in value.items()]
    else:
        parts = value if isinstance(value, list) else _split(_strings(value), pairs=True)
        for part in parts:
            if isinstance(part, dict):
                named = [part.get(key) for key in ("name", "value")]
                found = (
                    [(_flat(named[0]), _flat(named[1]))]
                    if all(named)
                    else [(_flat(k), _flat(v)) for k, v in part.items()]
                )
                pairs += found
            elif match := _PAIR.match(_strings(part)) or _MEASURE.match(_flat(part)):
                pairs.append((_flat(match[1]), _flat(match[2])))
            elif _flat(part):
                odd += 1
                continue
    if odd:
        _note(problems, f"{name}: {odd} parts without a value dropped")
    if cut and pairs:
        _note(problems, f"{name}: cut off")
        pairs = pairs[:-1]
    out: dict[str, str] = {}
    for key, item in pairs:
        key = _bounded(key.strip(_QUOTES + "-*•").casefold(), declared.max_chars, name, problems)
        item = _bounded(item.rstrip(" .,;"), declared.max_chars, name, problems)
        if key and item and key in out:
            _note(problems, f"{name}: repeated text dropped")
        elif key and item:
            out[key] = item
    if len(out) > declared.max_items:
        _note(problems, f"{name}: {len(out) - declared.max_items} items too many dropped")
    return dict(list(out.items())[: declared.max_items])


def printable(text: str) -> str:
    """Text without control, private and half characters; line breaks stay."""
    kept = (c if c in "\n\u200c\u200d" or unicodedata.category(c)[0] != "C" else " " for c in text)
    return "".join(kept)


def _split(text: str, *, pairs: bool = False) -> list[str]:
    parts = [part for part in _ITEMS.split(text) if part.strip()]
    if len(parts) == 1:
        by_comma = [part for part in _COMMAS.split(parts[0]) if part.strip()]
        # a comma ends a pair only where another pair begins
        if not pairs or all(_PAIR.match(part) for part in by_comma):
            return by_comma
    return parts


def _strings(value: Any) -> str:
    return "" if value is None else str(value)


def _flat(value: Any) -> str:
    """Any value as text on one line."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, dict):
        value = "; ".join(f"{key}: {_flat(item)}" for key, item in value.items())
    elif isinstance(value, list):
        value = "; ".join(filter(None, map(_flat, value)))
    return " ".join(printable(_MARKUP.sub("", str(value))).split()).strip(_QUOTES)


def _bounded(text: str, limit: int, name: str, problems: Problems) -> str:
    if len(text) <= limit:
        return text
    _note(problems, f"{name}: longer than {limit} characters, cut")
    head = text[:limit]
    return (head.rpartition(" ")[0] or head).rstrip(" ,;")


def _key(text: str) -> str:
    return "".join(char for char in text.casefold() if char.isalnum())


def _note(problems: Problems, problem: str) -> None:
    if problem not in problems:
        problems.append(problem)
