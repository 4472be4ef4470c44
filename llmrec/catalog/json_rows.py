"""Rows of JSON in all the forms that shops hand out, one at a time, in constant memory::

    {"id": "1", "title": "Kettle"}                       one object a line (JSON Lines)
    [{"id": "1", "title": "Kettle"}, …]                  an array
    {"products": [{"id": "1", "title": "Kettle"}, …]}    an array inside an object
    {"1": {"title": "Kettle"}, …}                        objects by their ids

A line that is not JSON is rejected and reading goes on; an array that breaks off cannot be read further.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import msgspec

from llmrec.catalog.batches import OBJECTS, OWN, Row
from llmrec.catalog.columns import known
from llmrec.catalog.decoding import Decoder
from llmrec.catalog.names import WRAPPERS
from llmrec.catalog.rejects import RejectLog
from llmrec.catalog.text import has_markup
from llmrec.errors import InputError
from llmrec.records import Product

#: Longest element of an array, in characters.
MAX_ELEMENT = 8 << 20
#: The column that holds the key of an object that was found by its key.
KEY = "id"
_SPACE = " \t\r\n\ufeff"


def json_lines(file: str, lines: Iterator[str], decoder: Decoder, log: RejectLog, *, own: bool) -> Iterator[Row]:
    """Rows of JSON Lines.

    Args:
        file: Its name, for rejects.
        lines: Its decoded lines.
        decoder: What decodes them, for the lines that it noted.
        log: Takes the rejects.
        own: Whether lines that llmrec wrote come as the ``Product`` that they are, in place of the values.
    """
    decode = msgspec.json.Decoder().decode
    notes = decoder.notes
    number = 0
    for at, line in enumerate(lines, 1):
        unusable = False
        while notes and notes[0][0] <= at:
            noted, reason, detail = notes.popleft()
            kept = reason == "mixed_encodings"
            if kept or not unusable:
                log.add(file, number + 1, noted, "", reason, detail, line if kept else "", kept=kept)
            unusable = unusable or not kept
        text = line.strip(_SPACE)
        if not text and not unusable:
            continue
        number += 1
        if unusable:
            continue
        if own and (product := own_product(text)) is not None:
            yield Row(number, at, OWN, product, len(line))
            continue
        try:
            row = decode(text)
        except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
            try:
                row = repaired(json.loads(text))
            except (ValueError, RecursionError) as error:
                log.add(file, number, at, "", "bad_json", f"not JSON: {error}", line)
                continue
        if isinstance(row, dict):
            yield Row(number, at, OBJECTS, row, len(line))
        else:
            log.add(file, number, at, "", "not_an_object", "is not a JSON object", line)


_decode_own = msgspec.json.Decoder(Product).decode
_encode = msgspec.json.Encoder().encode


def own_product(line: str) -> Product | None:
    """The product of a line that is exactly as llmrec writes it, else None.

    A line with HTML in title or description is not taken for one, although other programs may write it like that:
    the import has none left in what it writes.
    """
    if not line.startswith('{"id":"'):
        return None
    try:
        product = _decode_own(line)
        if _encode(product) != line.encode():
            return None
    except (msgspec.DecodeError, UnicodeEncodeError, RecursionError):
        return None
    marked = ("<" in line or "&" in line) and (has_markup(product.title) or has_markup(product.description))
    return None if marked else product


class JsonDocument:
    """A JSON array or object, opened; its rows are read by iteration.

    Raises:
        InputError: It is not JSON, breaks off, or holds no products.
    """

    def __init__(self, file: str, blocks: Iterator[str], log: RejectLog) -> None:
        self._file, self._log = file, log
        self._blocks = blocks
        self._text = ""
        self._at = 0
        self._ended = False
        self._passed_lines, self._counted = 1, 0
        self._decode = json.JSONDecoder().raw_decode
        self._size = 0
        self.number = 0

    def __iter__(self) -> Iterator[Row]:
        while (mark := self._peek()) != "":
            if mark == "[":
                yield from self._array()
            elif mark == "{":
                yield from self._object()
            else:
                raise self._fault("expected '[' or '{'")

    def _array(self) -> Iterator[Row]:
        for _ in self._members("[", "]"):
            line = self._line()
            value = self._value()
            self.number += 1
            yield from self._row(value, line)

    def _object(self, depth: int = 0) -> Iterator[Row]:
        own: dict[str, Any] = {}
        own_line, before = self._line(), self.number
        for _ in self._members("{", "}"):
            line = self._line()
            if self._peek() != '"':
                raise self._fault("expected a name in quotes")
            key = self._value()
            self._expect(":")
            mark = self._peek()
            if mark == "[" and key.lower() in WRAPPERS:
                yield from self._array()
            elif mark == "{" and key.lower() in WRAPPERS and depth < 3:
                yield from self._object(depth + 1)
            elif mark == "{" and not own:
                value = self._value()
                if known(key) and value and all(index.isdigit() for index in value):
                    step = "Write it by rows (pandas: to_json(orient='records')) and import that."
                    raise InputError(f"{self._file}: is JSON by columns ({key!r} holds a column)", next_step=step)
                self.number += 1
                yield from self._row({KEY: key, **value} if KEY not in value else value, line)
            else:
                own[key] = self._value()
        if self.number == before and {known(name) for name in own} & {"id", "title"}:
            self.number += 1
            yield from self._row(own, own_line)

    def _row(self, value: Any, line: int) -> Iterator[Row]:
        if not isinstance(value, dict):
            self._log.add(self._file, self.number, line, "", "not_an_object", "is not a JSON object", value)
            return
        yield Row(self.number, line, OBJECTS, value, self._size)

    def _members(self, opening: str, closing: str) -> Iterator[None]:
        self._expect(opening)
        if self._peek() == closing:
            self._at += 1
            return
        while True:
            yield
            mark = self._peek()
            self._at += 1
            if mark == closing:
                return
            if mark != ",":
                self._at -= 1
                raise self._fault(f"expected ',' or {closing!r}" if mark else "breaks off")
            if self._peek() == closing:  # a trailing comma
                self._at += 1
                return

    def _peek(self) -> str:
        while True:
            text, at = self._text, self._at
            while at < len(text) and text[at] in _SPACE:
                at += 1
            self._at = at
            if at < len(text):
                return text[at]
            if not self._more():
                return ""

    def _value(self) -> Any:
        self._peek()
        while True:
            try:
                value, end = self._decode(self._text, self._at)
                if end < len(self._text) or self._ended:
                    break
            except json.JSONDecodeError as error:
                if self._ended:
                    raise self._fault(error.msg, error.pos) from error
                if len(self._text) - self._at > MAX_ELEMENT:
                    reason = f"{error.msg} (or an element longer than {MAX_ELEMENT >> 20} MiB)"
                    raise self._fault(reason, error.pos) from error
            except (ValueError, RecursionError) as error:
                raise self._fault(str(error)) from error
            self._more(len(self._text) - self._at)
        raw = self._text[self._at : end]
        self._size = len(raw)
        self._at = end
        return repaired(value) if "\\u" in raw else value

    def _more(self, least: int = 0) -> bool:
        self._passed_lines += self._text.count("\n", self._counted, self._at)
        parts, size = [self._text[self._at :]], 0
        self._at = self._counted = 0
        while size <= least and not self._ended:
            block = next(self._blocks, None)
            if block is None:
                self._ended = True
            else:
                parts.append(block)
                size += len(block)
        self._text = "".join(parts)
        return size > 0

    def _expect(self, mark: str) -> None:
        if self._peek() != mark:
            raise self._fault(f"expected {mark!r}")
        self._at += 1

    def _line(self) -> int:
        self._peek()
        self._passed_lines += self._text.count("\n", self._counted, self._at)
        self._counted = self._at
        return self._passed_lines

    def _fault(self, reason: str, at: int | None = None) -> InputError:
        line = self._line() if at is None else self._line() + self._text.count("\n", self._at, at)
        step = "Correct it there; a file of one object a line (.jsonl) is read past such faults."
        where = f"after {self.number} products" if self.number else "at its start"
        return InputError(f"{self._file}, line {line}: not JSON {where}: {reason}", next_step=step)


def is_lines(head: str, name: str) -> bool:
    """Whether JSON text that starts like this holds one object a line."""
    head = head.lstrip(_SPACE)
    if head.startswith("["):
        return False
    first = head.split("\n", 1)[0].strip(_SPACE)
    if name.lower().removesuffix(".gz").endswith((".jsonl", ".ndjson", ".jl")):
        return True
    try:
        value, end = json.JSONDecoder().raw_decode(first)
    except (ValueError, RecursionError):
        return False
    rest = head[end:].lstrip(_SPACE)
    if rest or not isinstance(value, dict):
        return rest.startswith("{")
    # a single object: a product, unless it is the wrapper of products
    wraps = any(name.lower() in WRAPPERS and isinstance(item, list | dict) for name, item in value.items())
    return not wraps and any(known(name) == "title" and isinstance(item, str) for name, item in value.items())


def repaired(value: Any) -> Any:
    """The same value without halves of surrogate pairs, which no file can hold."""
    if isinstance(value, str):
        return value.encode("utf-8", "replace").decode() if not value.isascii() else value
    if isinstance(value, dict):
        return {repaired(name): repaired(item) for name, item in value.items()}
    return [repaired(item) for item in value] if isinstance(value, list) else value
