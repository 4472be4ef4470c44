"""Manners shared by all commands: exit codes, errors, progress and machine-readable results."""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Iterable, Iterator
from typing import Any, TypeVar

import typer
from typer.core import TyperGroup

from llmrec.errors import LlmrecError, StorageError, disk_error

Item = TypeVar("Item")


class LlmrecGroup(TyperGroup):
    """The root group: turns errors raised on purpose into a message on stderr and an exit code.

    0 done, 1 the work failed, 2 the input or the call was wrong, 130 interrupted with work kept.
    """

    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except LlmrecError as error:
            print(f"error: {error}", file=sys.stderr)
            raise typer.Exit(error.exit_code) from error
        except KeyboardInterrupt as error:
            print("interrupted", file=sys.stderr)
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
        print(text)


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
        handler = logging.StreamHandler()
        handler.setFormatter(logging.Formatter("%(levelname)s: %(message)s"))
        logger.addHandler(handler)
