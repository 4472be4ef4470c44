"""Bytes of unknown encoding to text, in constant memory.

A byte order mark decides; else UTF-8, else what the first lines that are not UTF-8 look like. A file that mixes
encodings is read line by line, each in the encoding that fits it, and those lines are noted: no row is lost over it.
"""

from __future__ import annotations

import codecs
import io
from collections import Counter, deque
from collections.abc import Iterator
from typing import IO

from llmrec.catalog.guess import MULTIBYTE, guess_encoding
from llmrec.errors import InputError

BLOCK = 1 << 20
#: Longest line, in bytes or characters: a longer one is no row of a catalog.
MAX_LINE = 8 << 20
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_NOT_OF_FILES = frozenset(["idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "utf-7"])
#: What a byte is read as that fits no encoding better.
_LENIENT = "llmrec-cp1252"


class Decoder:
    """Decodes one file and remembers how.

    Args:
        declared: The encoding that the user named, or None to detect it.

    Attributes:
        encoding: The encoding of the file as a whole; ``utf-8`` until a byte says otherwise.
        counts: Lines in other encodings than that.
        notes: ``(line, reason, detail)`` of lines that were not as they should be, in order; the reader takes them off.

    Raises:
        InputError: No such encoding.
    """

    def __init__(self, declared: str | None = None) -> None:
        if declared is not None:
            try:
                if codecs.lookup(declared).name in _NOT_OF_FILES:
                    raise LookupError(declared)
                b"".decode(declared)
                "\n".encode(declared)
            except (LookupError, ValueError) as error:
                step = "Name one that Python knows, such as utf-8, cp1252, shift_jis or gb18030."
                raise InputError(f"unknown encoding {declared!r}", next_step=step) from error
        self._declared = declared is not None
        self.encoding = declared or "utf-8"
        self._settled = self._declared
        self._fallback = ""
        self.counts: Counter[str] = Counter()
        self.notes: deque[tuple[int, str, str]] = deque()

    def glance(self, head: bytes) -> str:
        """The first bytes of a file as text, well enough to see what the file is."""
        self._mark(head)
        return head.decode(self.encoding, "replace").lstrip("\ufeff")

    def lines(self, stream: IO[bytes]) -> Iterator[str]:
        """Lines with their line ends; an over-long one comes empty and noted."""
        first = stream.read(BLOCK)
        self._mark(first)
        blocks = self._wide_blocks(first, stream) if self._wide else self._narrow_blocks(first, stream)
        number = 1
        for text in blocks:
            if "\0" in text:
                odd = [i for i, line in enumerate(text.split("\n"), number) if "\0" in line]
                notes = sorted([*self.notes, *((i, "nul_bytes", "holds NUL bytes") for i in odd)])
                self.notes.clear()
                self.notes.extend(notes)
            number += text.count("\n")
            yield from io.StringIO(text, newline="\n")

    def texts(self, stream: IO[bytes], first: bytes | None = None) -> Iterator[str]:
        """Blocks of text, cut anywhere: for formats in which lines mean nothing."""
        block = stream.read(BLOCK) if first is None else first
        self._mark(block)
        decoder: codecs.IncrementalDecoder | None = None
        lenient = False
        while block:
            if decoder is None:
                if not self._settled and block.isascii():
                    yield block.decode("ascii")
                    block = stream.read(BLOCK)
                    continue
                if not self._settled:
                    self._settle(block[:-4] if len(block) == BLOCK else block)  # the end may cut a character
                decoder = codecs.getincrementaldecoder(self.encoding)("strict")
            try:
                yield decoder.decode(block)
            except UnicodeDecodeError:
                if lenient:
                    raise
                before, lenient = decoder.getstate(), True
                decoder = codecs.getincrementaldecoder(self.encoding)("replace" if self._wide else _LENIENT)
                decoder.setstate(before)
                self.notes.append((0, "mixed_encodings", f"some bytes are not {self.encoding}: read as cp1252"))
                continue
            block = stream.read(BLOCK)
        if decoder is not None:
            try:
                yield decoder.decode(b"", True)
            except UnicodeDecodeError:
                yield "\ufffd"

    @property
    def _wide(self) -> bool:
        return self.encoding != "utf-8-sig" and "\n".encode(self.encoding) != b"\n"

    def _mark(self, first: bytes) -> None:
        mark = next((name for bom, name in _MARKS if first.startswith(bom)), None) or _unmarked_wide(first)
        if mark and (mark == "utf-8-sig" or not self._declared):
            self.encoding, self._settled = mark, True

    def _narrow_blocks(self, first: bytes, stream: IO[bytes]) -> Iterator[str]:
        returns = b"\r" in first and b"\n" not in first  # line ends of old Macs
        carry, block, number, skipping = b"", first.removeprefix(codecs.BOM_UTF8), 1, False
        while block:
            if returns:
                block = block.replace(b"\r", b"\n")
            if skipping:
                end = block.find(b"\n")
                block, skipping = block[end:] if end >= 0 else b"", end < 0
            carry, block = b"", carry + block
            cut = block.rfind(b"\n") + 1
            if cut:
                yield self._decode(block[:cut], number)
                number += block.count(b"\n")
            if len(block) - cut > MAX_LINE:
                self._long(number)
                skipping = True
            else:
                carry = block[cut:]
            block = stream.read(BLOCK)
        if carry or skipping:
            yield self._decode(carry, number) if carry else "\n"

    def _wide_blocks(self, first: bytes, stream: IO[bytes]) -> Iterator[str]:
        carry, number, skipping = "", 1, False
        for text in self.texts(stream, first):
            if skipping:
                end = text.find("\n")
                text, skipping = text[end:] if end >= 0 else "", end < 0
            carry, text = "", carry + text
            cut = text.rfind("\n") + 1
            if cut:
                yield text[:cut]
                number += text.count("\n")
            if len(text) - cut > MAX_LINE:
                self._long(number)
                skipping = True
            else:
                carry = text[cut:]
        if carry or skipping:
            yield carry or "\n"

    def _long(self, number: int) -> None:
        self.notes.append((number, "line_too_long", f"is longer than {MAX_LINE >> 20} MiB"))

    def _decode(self, block: bytes, number: int) -> str:
        """Whole lines to text, the first of them line ``number``."""
        if not self._settled and not block.isascii():
            self._settle(block)
        main = self.encoding.removesuffix("-sig")
        single = not self._declared and main != "utf-8" and main not in MULTIBYTE
        if not single or block.isascii():  # anything decodes as cp1252, UTF-8 lines too: those go line by line
            try:
                return block.decode(main)
            except UnicodeDecodeError:
                pass
        lines = block.splitlines(keepends=True) if b"\r" not in block else _split(block)
        if main == "utf-8" and not self._fallback:
            self._fallback = guess_encoding(b"".join(line for line in lines if not _is_utf8(line)))
        order = [main, "utf-8", self._fallback or "cp1252", "cp1252", "latin-1"]
        order = ["utf-8", main, *order[2:]] if single else order
        texts = []
        for i, line in enumerate(lines, number):
            text, used = _first_fit(line, order)
            texts.append(text)
            if used != main and not line.isascii():
                self.counts[used] += 1
                self.notes.append((i, "mixed_encodings", f"not {main}: read as {used}"))
        return "".join(texts)

    def _settle(self, block: bytes) -> None:
        """Choose the file's encoding by the first block that is not ASCII."""
        self._settled = True
        odd = [line for line in block.split(b"\n") if not line.isascii()]
        other = [line for line in odd if not _is_utf8(line)]
        if other:
            guess = guess_encoding(b"\n".join(other))
            if len(other) * 2 > len(odd):
                self.encoding = guess
            else:
                self._fallback = guess


def _first_fit(line: bytes, order: list[str]) -> tuple[str, str]:
    for name in order:
        try:
            return line.decode(name), name
        except UnicodeDecodeError:
            continue
    raise AssertionError("latin-1 decodes anything")


def _split(block: bytes) -> list[bytes]:
    *lines, last = block.split(b"\n")
    return [line + b"\n" for line in lines] + ([last] if last else [])


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _unmarked_wide(first: bytes) -> str | None:
    """UTF-16 written without a mark: plain text with a zero in every second byte."""
    sample = first[:4096]
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if len(sample) >= 8 and max(even, odd) * 5 > len(sample) and min(even, odd) * 20 <= max(even, odd):
        return "utf-16-le" if odd > even else "utf-16-be"
    return None


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error(_LENIENT, _as_cp1252)
