"""JSON as models write it: with trailing commas, single quotes, bare words, line breaks in strings, or cut off.

::

    {'headline': 'Trail shoe', "highlights": ["4 mm lugs", "270 g",], "attributes": {colour: "bl
    -> {"headline": "Trail shoe", "highlights": ["4 mm lugs", "270 g"], "attributes": {"colour": "bl"}}, cut off
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from itertools import islice
from typing import Any

#: Deeper nesting than this is no answer to any prompt of ours.
DEEPEST = 8
#: Brackets that may turn out to be prose before the answer is taken to be something else.
TRIES = 8
_SPACE = re.compile(r"\s*")
_BARE = re.compile(r"[^\s,:{}\[\]\"']+")
_CLOSES = {'"': '"', "'": "'", "“": "”", "‘": "’"}
_WORDS = {"true": True, "false": False, "null": None, "none": None}
_ESCAPES = {"n": "\n", "t": "\t", "r": "\r", "b": " ", "f": " "}


@dataclass
class Found:
    """The first object in a text: its value, whether it was complete, and where it ended."""

    value: Any
    complete: bool
    end: int


def first_object(text: str) -> Found | None:
    """Read the first JSON object or array of objects in a text; never raises."""
    for match in islice(re.finditer(r"[{\[]", text), TRIES):
        # a bracket in prose ("[see below]") is not an array of objects
        if match[0] == "[" and not re.match(r"\[\s*\{", text[match.start() :]):
            continue
        reader = _Reader(text, match.start())
        value = reader.value(0)
        if value not in ({}, [], None):
            return Found(value, reader.complete, reader.at)
    return None


class _Reader:
    def __init__(self, text: str, at: int) -> None:
        self.text, self.at, self.complete = text, at, True

    def value(self, depth: int) -> Any:
        char = self._peek()
        if char in "{[" and char and depth >= DEEPEST:
            self.complete, self.at = False, len(self.text)
            return None
        if char == "{":
            return self._object(depth)
        if char == "[":
            return self._array(depth)
        if char and char in _CLOSES:
            return self._string(_CLOSES[char])
        return self._bare()

    def _object(self, depth: int) -> dict[str, Any]:
        self.at += 1
        out: dict[str, Any] = {}
        while (char := self._peek()) and char != "}":
            before = self.at
            key = self._string(_CLOSES[char]) if char in _CLOSES else self._bare()
            if self._peek() == ":":
                self.at += 1
                if not self._peek():
                    break
                value = self.value(depth + 1)
                if isinstance(key, str) and key not in out:
                    out[key] = value
            self._comma(before)
        return self._close(out)

    def _array(self, depth: int) -> list[Any]:
        self.at += 1
        out: list[Any] = []
        while (char := self._peek()) and char != "]":
            if char == "}":  # a forgotten bracket
                return out
            before = self.at
            out.append(self.value(depth + 1))
            self._comma(before)
        return self._close(out)

    def _string(self, closes: str) -> str:
        out: list[str] = []
        self.at += 1
        while self.at < len(self.text):
            char = self.text[self.at]
            if char == "\\" and self.at + 1 < len(self.text):
                out.append(self._escape())
                continue
            # a single quote between letters is an apostrophe
            if char == closes and not (closes in "'’" and self._between_letters()):
                self.at += 1
                return "".join(out)
            out.append(char)
            self.at += 1
        self.complete = False
        return "".join(out)

    def _escape(self) -> str:
        code = self.text[self.at + 1]
        if code == "u" and re.match(r"[0-9a-fA-F]{4}", self.text[self.at + 2 : self.at + 6]):
            char = chr(int(self.text[self.at + 2 : self.at + 6], 16))
            self.at += 6
            return "" if "\ud800" <= char <= "\udfff" else char
        self.at += 2
        return _ESCAPES.get(code, code)

    def _between_letters(self) -> bool:
        around = self.text[self.at - 1 : self.at + 2]
        return len(around) == 3 and around[0].isalpha() and around[2].isalpha()

    def _bare(self) -> Any:
        match = _BARE.match(self.text, self.at)
        if not match:
            return None
        self.at = match.end()
        word = match[0]
        if word.lower() in _WORDS:
            return _WORDS[word.lower()]
        return word

    def _peek(self) -> str:
        match = _SPACE.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.text[self.at : self.at + 1]

    def _comma(self, before: int) -> None:
        if self._peek() == "," or self.at == before:
            self.at += 1

    def _close(self, out: Any) -> Any:
        if self.at < len(self.text):
            self.at += 1
        else:
            self.complete = False
        return out
