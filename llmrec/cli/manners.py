"""Manners shared by all commands: exit codes, errors, progress and machine-readable results."""

from __future__ import annotations

import errno
import logging
import os
import re
import sys
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

import typer
from typer.core import TyperGroup

from llmrec.errors import InputError, LlmrecError, StorageError, disk_error

Item = TypeVar("Item")

_CONTROLS = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")


class LlmrecGroup(TyperGroup):
    """The root group: turns errors raised on purpose into a message on stderr and an exit code.

    0 done, 1 the work failed, 2 the input or the call was wrong, 130 interrupted with work kept.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except LlmrecError as error:
            print(visible(f"error: {error}"), file=sys.stderr)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            print("interrupted; what a long command had finished is kept: run it again to go on", file=sys.stderr)
            raise typer.Exit(130) from error
        except BrokenPipeError as error:
            # the reader of our output left (``| head``): nothing more to say, not even at shutdown
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            raise typer.Exit(0) from error
        except OSError as error:
            if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
                raise
            print(f"error: {disk_error(error, error.filename or 'the disk')}", file=sys.stderr)
            raise typer.Exit(StorageError.exit_code) from error


def emit(result: Any, *, as_json: bool, text: str = "") -> None:
    """Print a result to stdout: one JSON object with ``--json``, else ``text``."""
    if as_json:
        import msgspec

        sys.stdout.write(msgspec.json.encode(result).decode() + "\n")
    elif text:
        print(visible(text))


def visible(text: str) -> str:
    """Text without what would drive a terminal or turn its reading order: escapes, bells, bidirectional overrides."""
    return _CONTROLS.sub("\N{REPLACEMENT CHARACTER}", text)


def usable_output(output: str | Path | None, *inputs: str | Path | None) -> None:
    """Refuse, before any work is done, an output that would overwrite an input or cannot be a file.

    Raises:
        InputError: The output is one of the inputs, a folder, or lies where nothing can be written.
    """
    if output is None or str(output) == "-":
        return
    path = Path(output)
    if path.is_dir():
        raise InputError(f"{path}: is a folder", next_step="Name a file for the output.")
    taken = [source for source in inputs if source is not None and str(source) != "-"]
    if path.exists() and any(Path(source).exists() and path.samefile(source) for source in taken):
        step = "Give the output another name."
        raise InputError(f"{path}: is an input and the output at once", next_step=step)
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise InputError(
            f"{path}: nothing can be written in {parent}", next_step="Choose another place for the output."
        )


def record_output(output: str) -> None:
    """Refuse a file for records whose name promises another form than JSON Lines or Parquet.

    Raises:
        InputError: It ends like a table or a page.
    """
    ending = Path(output).suffix.lower()
    if ending in (".csv", ".tsv", ".xlsx", ".xls", ".html", ".txt"):
        step = "Name it .jsonl or .parquet."
        raise InputError(f"{output}: records are written as JSON Lines or Parquet, not as {ending}", next_step=step)


def progress(items: Iterable[Item], label: str, total: int | None = None) -> Iterator[Item]:
    """Pass items through, with a bar on stderr when a person is watching."""
    if not sys.stderr.isatty():
        yield from items
        return
    from rich.console import Console
    from rich.progress import track

    yield from track(items, description=label, total=total, console=Console(stderr=True), transient=True)


def table(headers: list[str], rows: list[list[str]]) -> str:
    """A plain text table, the columns as wide as their longest cell."""
    from unicodedata import east_asian_width

    def width(text: str) -> int:
        return sum(2 if east_asian_width(char) in "WF" else 1 for char in text)

    widths = [max(width(row[i]) for row in [headers, *rows]) for i in range(len(headers))]
    lines = [headers, ["-" * w for w in widths], *rows]
    return "\n".join(
        "  ".join(cell + " " * (w - width(cell)) for cell, w in zip(row, widths, strict=True)).rstrip() for row in lines
    )


def configure_logging(verbose: bool) -> None:
    """Warnings of ours to stderr, everything with ``--verbose``; the library itself never configures logging."""
    logger = logging.getLogger("llmrec")
    logger.setLevel(logging.DEBUG if verbose else logging.WARNING)
    if not logger.handlers:
        handler = _Stderr()
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        logger.addHandler(handler)


class _Stderr(logging.StreamHandler):  # type: ignore[type-arg]
    """Writes to what ``sys.stderr`` is at the time, which a caller in the same process may have replaced."""

    @property
    def stream(self) -> Any:
        return sys.stderr

    @stream.setter
    def stream(self, value: Any) -> None:
        pass


def folder_of(catalog: Sequence[str]) -> Path:
    """The one folder that the catalog's files lie in; the working folder for standard input.

    Raises:
        InputError: They lie in several.
    """
    folders = {Path() if name == "-" else Path(name) if Path(name).is_dir() else Path(name).parent for name in catalog}
    if len(folders) > 1:
        what = "the catalog's files lie in several folders, so that paths of pictures may start in any"
        raise InputError(what, next_step="Say where they start: --images-root DIR.")
    return folders.pop()


def mapping_of(pairs: Sequence[str]) -> dict[str, str]:
    """What ``--map FIELD=COLUMN`` says.

    Raises:
        InputError: One has no ``=``.
    """
    for pair in pairs:
        if "=" not in pair:
            raise InputError(f"--map {pair!r} has no '='", next_step="Write --map title=product_name.")
    return dict(pair.split("=", 1) for pair in pairs)
