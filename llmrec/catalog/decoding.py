"""Bytes of unknown encoding to lines of text, in constant memory.

A byte order mark decides; else UTF-8, else what the first lines that are not UTF-8 look like. A file that mixes
encodings is read line by line, each in the encoding that fits it, and those lines are noted: no row is lost over it.
"""

from __future__ import annotations

import codecs
import io
from collections import Counter, deque
from collections.abc import Iterator
from typing import IO

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
#: Encodings that are told apart, those of more than one byte first; each a superset of ASCII.
_CANDIDATES = (
    ["cp932", "gb18030", "big5", "euc_jp", "cp949", "cp1252", "cp1251", "koi8_r", "cp1250", "cp1253", "cp1254", "cp1255", "cp1256", "cp874", "mac_roman"]
)
_MULTIBYTE = frozenset(["cp932", "shift_jis", "gb18030", "gbk", "gb2312", "big5", "euc_jp", "cp949", "euc_kr"])


class Decoder:
    """Decodes one file and remembers how.

    Args:
        declared: The encoding that the user named, or None to detect it.
        file: The file's name, for messages.

    Attributes:
        encoding: The encoding of the file as a whole, once the first bytes were read.
        counts: Lines by encoding, where more than one was met.
        notes: ``(line, reason, detail)`` of lines that were not as they should be, in order; the reader takes them off.
    """

    def __init__(self, declared: str | None, file: str) -> None:
        if declared is not None:
            try:
                codecs.lookup(declared)
            except LookupError as error:
                step = "Name one that Python knows, such as utf-8, cp1252, shift_jis or gb18030."
                raise InputError(f"unknown encoding {declared!r}", next_step=step) from error
        self._declared = declared
        self._file = file
        self.encoding = declared or "utf-8"
        self._settled = declared is not None
        self._fallback: str | None = None
        self.counts: Counter[str] = Counter()
        self.notes: deque[tuple[int, str, str]] = deque()

    def lines(self, stream: IO[bytes]) -> Iterator[str]:
        """Lines with their line ends, over-long ones empty and noted."""
        number = 0
        for text in self._texts(stream):
            if "\0" in text:
                for i, line in enumerate(text.split("\n"), number + 1):
                    if "\0" in line:
                        self.notes.append((i, "nul_bytes", "NUL bytes in the line"))
                self.notes = deque(sorted(self.notes))
            yield from io.StringIO(text, newline="\n")
            number += text.count("\n")

    def texts(self, stream: IO[bytes]) -> Iterator[str]:
        """Blocks of text, cut anywhere: for formats in which lines mean nothing."""
        first = stream.read(BLOCK)
        wide = self._start(first)
        if not wide and not self._settled:
            self._settle(first)
        decoder = codecs.getincrementaldecoder(self.encoding)("strict" if not wide else "replace")
        block = first
        odd = 0
        while block:
            try:
                yield decoder.decode(block)
            except UnicodeDecodeError:
                decoder = codecs.getincrementaldecoder(self.encoding)("llmrec-cp1252")
                text = decoder.decode(block)
                odd += 1
                yield text
            block = stream.read(BLOCK)
        if odd:
            self.notes.append((0, "mixed_encodings", f"bytes that are not {self.encoding} were read as cp1252"))
        yield decoder.decode(b"", True) if not odd else ""

    def _start(self, first: bytes) -> bool:
        mark = next((name for bom, name in _MARKS if first.startswith(bom)), None)
        if mark and (self._declared is None or mark == "utf-8-sig"):
            self.encoding, self._settled = mark, True
        elif self._declared is None and (wide := _wide_without_mark(first)):
            self.encoding, self._settled = wide, True
        return codecs.lookup(self.encoding).name.startswith(("utf-16", "utf-32"))

    def _texts(self, stream: IO[bytes]) -> Iterator[str]:
        first = stream.read(BLOCK)
        if self._start(first):
            yield from self._wide_texts(first, stream)
            return
        if self.encoding == "utf-8-sig":
            first = first.removeprefix(codecs.BOM_UTF8)
        returns = b"\r" in first and b"\n" not in first
        carry, block, number, skipping = b"", first, 1, False
        while block:
            if returns:
                block = block.replace(b"\r", b"\n")
            cut = block.rfind(b"\n") + 1
            if not cut:
                if not skipping:
                    carry += block
                    if len(carry) > MAX_LINE:
                        self._note_long(number)
                        carry, skipping = b"", True
            else:
                if skipping:
                    end = block.find(b"\n")
                    block, cut, skipping = block[end:], cut - end, False
                whole = carry + block[:cut] if carry else block[:cut]
                carry = block[cut:]
                text = self._decode(whole, number)
                yield text
                number += whole.count(b"\n")
            block = stream.read(BLOCK)
        if carry or skipping:
            yield self._decode(carry, number) if not skipping else "\n"

    def _wide_texts(self, first: bytes, stream: IO[bytes]) -> Iterator[str]:
        decoder = codecs.getincrementaldecoder(self.encoding)("replace")
        carry, number, skipping, block = "", 1, False, first
        while True:
            text = decoder.decode(block, not block).replace("\r\n", "\n").replace("\r", "\n")
            cut = text.rfind("\n") + 1
            if not cut and not skipping:
                carry += text
                if len(carry) > MAX_LINE:
                    self._note_long(number)
                    carry, skipping = "", True
            elif cut:
                if skipping:
                    end = text.find("\n")
                    text, cut, skipping = text[end:], cut - end, False
                yield carry + text[:cut]
                number += text.count("\n", 0, cut) + carry.count("\n")
                carry = text[cut:]
            if not block:
                break
            block = stream.read(BLOCK)
        if carry or skipping:
            yield carry if not skipping else "\n"

    def _note_long(self, number: int) -> None:
        self.notes.append((number, "line_too_long", f"longer than {MAX_LINE >> 20} MiB"))

    def _decode(self, block: bytes, number: int) -> str:
        if not self._settled and not block.isascii():
            self._settle(block)
        try:
            return block.decode("utf-8" if self.encoding == "utf-8-sig" else self.encoding)
        except UnicodeDecodeError:
            pass
        parts = []
        for i, line in enumerate(block.splitlines(keepends=True) if b"\r" not in block else _split(block), number):
            text, used = self._decode_line(line)
            parts.append(text)
            if used != self.encoding:
                self.counts[used] += 1
                self.notes.append((i, "mixed_encodings", f"not {self.encoding}: read as {used}"))
        return "".join(parts)

    def _decode_line(self, line: bytes) -> tuple[str, str]:
        main = "utf-8" if self.encoding == "utf-8-sig" else self.encoding
        if self._fallback is None and main == "utf-8":
            self._fallback = detect(line)
        for name in (main, "utf-8", self._fallback or "cp1252", "cp1252"):
            try:
                return line.decode(name), self.encoding if name == main else name
            except UnicodeDecodeError:
                continue
        return line.decode("latin-1"), "latin-1"

    def _settle(self, block: bytes) -> None:
        """Choose the file's encoding by the first block that is not ASCII."""
        self._settled = True
        lines = [line for line in _split(block) if not line.isascii()]
        other = [line for line in lines if not _is_utf8(line)]
        if not other or (len(other) == 1 and not block.endswith(b"\n") and other[0] is lines[-1]):
            if _cut_is_utf8(other[0] if other else b""):
                return
        if len(other) * 2 > len(lines):
            self.encoding = detect(b"".join(other))
        else:
            self._fallback = detect(b"".join(other))


def detect(data: bytes) -> str:
    """The likeliest encoding of bytes that are not UTF-8, among those in ``_CANDIDATES``; cp1252 when nothing fits."""
    from charset_normalizer import from_bytes

    sample = data[: 64 << 10]
    sample = sample[: sample.rfind(b"\n") + 1] or sample
    best = from_bytes(sample, cp_isolation=list(_CANDIDATES)).best()
    found = best.encoding if best is not None else "cp1252"
    if found not in _MULTIBYTE and _same(sample, found, "cp1252"):
        return "cp1252"
    return found


def _same(sample: bytes, one: str, other: str) -> bool:
    return sample.decode(one, "replace") == sample.decode(other, "replace")


def _split(block: bytes) -> list[bytes]:
    return [line + b"\n" for line in block.split(b"\n")[:-1]] + ([last] if (last := block.rsplit(b"\n", 1)[-1]) else [])


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def _cut_is_utf8(line: bytes) -> bool:
    """Whether a line is UTF-8 but for a last character that the block's end cut."""
    try:
        line.decode("utf-8")
    except UnicodeDecodeError as error:
        return error.start >= len(line) - 3
    return True


def _wide_without_mark(first: bytes) -> str | None:
    """UTF-16 written without a mark: text with a zero in every second byte."""
    sample = first[:4096]
    if len(sample) < 8 or sample.count(0) < len(sample) // 4:
        return None
    even, odd = sample[::2].count(0), sample[1::2].count(0)
    if odd > 0.4 * len(sample) // 1 * 0.5 and even * 20 < odd:
        return "utf-16-le"
    if even > 0.4 * len(sample) // 1 * 0.5 and odd * 20 < even:
        return "utf-16-be"
    return None


def _as_cp1252(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return error.object[error.start : error.end].decode("cp1252", "replace"), error.end


codecs.register_error("llmrec-cp1252", _as_cp1252)
