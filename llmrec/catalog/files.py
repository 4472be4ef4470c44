"""Which files a catalog lies in, and what each of them is: by its first bytes, then by its name."""

from __future__ import annotations

import gzip
import io
import zlib
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

from llmrec.catalog.decoding import Decoder
from llmrec.errors import InputError

STDIN = "-"
_SUFFIXES = {
    ".csv": "delimited", ".tsv": "delimited", ".tab": "delimited", ".psv": "delimited", ".txt": "delimited",
    ".json": "json", ".jsonl": "json", ".ndjson": "json", ".jl": "json",
    ".parquet": "parquet", ".pq": "parquet", ".arrow": "arrow", ".feather": "arrow",
}  # fmt: skip
#: Not taken from a folder unless named: too often notes, licences and logs.
_ONLY_BY_NAME = {".txt"}
_MAGIC = (
    (b"PAR1", "parquet"), (b"ARROW1", "arrow"), (b"\xff\xff\xff\xff", "arrow"),
)  # fmt: skip
_FOREIGN = (
    (b"PK\x03\x04", "a zip archive or an Excel workbook"), (b"\xd0\xcf\x11\xe0", "an old Excel workbook"),
    (b"SQLite format 3", "an SQLite database"), (b"%PDF", "a PDF"), (b"\x89PNG", "a PNG image"),
    (b"\xff\xd8\xff", "a JPEG image"), (b"GIF8", "a GIF image"), (b"RIFF", "a media file"), (b"BZh", "a bzip2 file"),
    (b"\xfd7zXZ", "an xz file"), (b"\x28\xb5\x2f\xfd", "a zstd file"), (b"7z\xbc\xaf", "a 7z archive"),
    (b"\x7fELF", "a program"), (b"\x80\x04\x95", "a pickle"), (b"\x80\x05\x95", "a pickle"),
    (b"\x93NUMPY", "a NumPy array"),
)  # fmt: skip
_REMEDY = "Give CSV, TSV, JSON, JSON Lines (each also as .gz), Parquet, Arrow, or a folder of them."


@dataclass(frozen=True, slots=True)
class Source:
    """One file of a catalog; ``format`` is ``delimited``, ``json``, ``parquet`` or ``arrow``."""

    path: str
    format: str

    @property
    def shown(self) -> str:
        """Its name in messages."""
        return "standard input" if self.path == STDIN else self.path


def find_sources(paths: tuple[str | Path, ...]) -> tuple[list[Source], list[str]]:
    """The files of a catalog in reading order, and the names of files in given folders that are not read.

    Raises:
        InputError: A path is missing, not readable, empty, or a folder without a catalog file.
    """
    if not paths:
        raise InputError("no catalog file was given", next_step=_REMEDY)
    sources: list[Source] = []
    ignored: list[str] = []
    for path in map(str, paths):
        if path == STDIN:
            sources.append(Source(STDIN, ""))
        elif Path(path).is_dir():
            found, left = _folder(Path(path))
            sources += found
            ignored += left
        else:
            sources.append(Source(path, _format(Path(path))))
    if sum(source.path == STDIN for source in sources) > 1:
        raise InputError("standard input was given twice", next_step="Give '-' once.")
    return sources, ignored


def _folder(folder: Path) -> tuple[list[Source], list[str]]:
    from llmrec.catalog.arrow_rows import dataset_files

    if (files := dataset_files(folder)) is not None:
        return [Source(str(file), "arrow") for file in files], []
    sources, ignored = [], []
    for path in sorted(folder.rglob("*")):
        if not path.is_file() or any(part.startswith((".", "_")) for part in path.relative_to(folder).parts):
            continue
        suffix = _suffix(path)
        if suffix in _SUFFIXES and suffix not in _ONLY_BY_NAME:
            sources.append(Source(str(path), _format(path)))
        else:
            ignored.append(str(path))
    if not sources:
        raise InputError(f"{folder}: holds no catalog file", next_step=_REMEDY)
    return sources, ignored


def _suffix(path: Path) -> str:
    name = path.name.lower().removesuffix(".gz")
    return "." + name.rsplit(".", 1)[-1] if "." in name else ""


def _format(path: Path) -> str:
    with open_binary(str(path)) as file:
        head = file.read(8192)
    return format_of(head, str(path), _suffix(path))


def format_of(head: bytes, shown: str, suffix: str = "") -> str:
    """What a file is by its first bytes, then by the suffix of its name.

    Raises:
        InputError: Empty, or of a kind that is no catalog.
    """
    if not head:
        raise InputError(f"{shown}: is empty", next_step="Give a catalog with at least one product.")
    for magic, name in _MAGIC:
        if head.startswith(magic):
            return name
    for magic, kind in _FOREIGN:
        if head.startswith(magic):
            raise InputError(f"{shown}: is {kind}, not a catalog", next_step=_REMEDY)
    decoder = Decoder()
    start = decoder.glance(head)
    controls = sum(start.count(chr(code)) for code in (*range(1), *range(2, 9), *range(14, 27), 28, 29, 30))
    if controls > max(8, len(start) // 50):
        raise InputError(f"{shown}: is binary, not a catalog", next_step=_REMEDY)
    if (named := _SUFFIXES.get(suffix)) in ("parquet", "arrow"):
        raise InputError(
            f"{shown}: is not {named.capitalize()}, for all its name", next_step="Give the file that it says it is."
        )
    if named:
        return named
    return "json" if start.lstrip()[:1] in ("{", "[") else "delimited"


class _Checked(io.RawIOBase):
    """Turns the faults of a damaged ``.gz`` into an ``InputError`` wherever they are met; closes what lies below."""

    def __init__(self, file: IO[bytes], below: IO[bytes], shown: str) -> None:
        self._file, self._below, self._shown = file, below, shown

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            data = self._file.read(len(buffer))
        except (OSError, EOFError, zlib.error) as error:
            step = "Fetch or pack the file again, or check its permissions."
            raise InputError(f"{self._shown}: cannot be read ({error})", next_step=step) from error
        buffer[: len(data)] = data
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._file.close()
            self._below.close()
        super().close()


def open_binary(path: str, shown: str = "") -> io.BufferedReader:
    """Open a file for reading; gzip is unpacked, whatever the name says.

    Raises:
        InputError: Missing or not readable.
    """
    try:
        below = open(path, "rb")  # noqa: SIM115 (closed by what is returned)
        packed = below.peek(2)[:2] == b"\x1f\x8b"
    except (OSError, ValueError) as error:
        reason = getattr(error, "strerror", None) or str(error)
        raise InputError(f"{shown or path}: {reason}", next_step="Check the path and its permissions.") from error
    file: Any = gzip.GzipFile(fileobj=below) if packed else below
    return io.BufferedReader(_Checked(file, below, shown or path), 1 << 16)
