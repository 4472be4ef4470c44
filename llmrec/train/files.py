"""Files of examples, read row by row with the place of every fault; and the share that is held out for choosing."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, TypeVar

from llmrec.errors import InputError

Example = TypeVar("Example")

#: Longest row, in characters.
MAX_ROW = 8 * 1024 * 1024
SAVE_AS_UTF8 = "Save the file as UTF-8 (iconv -f latin1 -t utf-8 FILE, if it is in Latin-1)."


def sample_path(name: str) -> Path:
    """A path of the recipe; ``sample:NAME`` is a file of the shipped examples.

    Raises:
        InputError: No such file.
    """
    if name.startswith("sample:"):
        packaged = Path(__file__).parents[1] / "_data" / "examples"
        folder = packaged if packaged.is_dir() else Path(__file__).parents[2] / "examples"
        path = folder / name.removeprefix("sample:")
        if not path.resolve().is_relative_to(folder.resolve()):
            raise InputError(f"{name}: outside the sample", next_step="Give the name of a file of the sample.")
    else:
        path = Path(name).expanduser()
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        step = "Check the path in the recipe; it is relative to where llmrec is run."
        raise InputError(f"{name}: {what}", next_step=step)
    return path


def rows(path: Path, shown: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield ``(line, row)`` of JSON Lines, CSV or TSV.

    Raises:
        InputError: Not UTF-8, not JSON objects, or rows of another length than the header.
    """
    step = "Give JSON Lines, or a .csv or .tsv with a header."
    count = 0
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            if path.suffix.lower() in (".csv", ".tsv"):
                csv.field_size_limit(MAX_ROW)
                reader = csv.DictReader(file, delimiter="\t" if path.suffix.lower() == ".tsv" else ",", strict=True)
                for row in reader:
                    if None in row or None in row.values():
                        raise InputError(f"{shown}, line {reader.line_num}: not as long as the header", next_step=step)
                    count += 1
                    yield reader.line_num, row
            else:
                for number, line in enumerate(iter(lambda: file.readline(MAX_ROW + 1), ""), 1):
                    if len(line) > MAX_ROW:
                        raise InputError(f"{shown}, line {number}: longer than a row can be", next_step=step)
                    if not line.strip():
                        continue
                    try:
                        row = json.loads(line)
                    except json.JSONDecodeError as error:
                        fault = f"{shown}, line {number}: not JSON from column {error.colno} on ({error.msg})"
                        raise InputError(fault, next_step="Mend or remove the line; each is one object.") from error
                    except (ValueError, RecursionError) as error:
                        raise InputError(f"{shown}, line {number}: not JSON ({error})", next_step=step) from error
                    if not isinstance(row, dict):
                        raise InputError(f"{shown}, line {number}: not a JSON object", next_step=step)
                    count += 1
                    yield number, row
    except UnicodeDecodeError as error:
        raise InputError(f"{shown}: not UTF-8 text ({error.reason})", next_step=SAVE_AS_UTF8) from error
    except csv.Error as error:
        raise InputError(f"{shown}: not a table ({error})", next_step=step) from error
    if count == 0:
        raise InputError(f"{shown}: holds no examples", next_step=step)


def hold_out(
    examples: Sequence[Example], share: float, group: Callable[[Example], str], *, seed: int
) -> tuple[list[Example], list[Example]]:
    """Split examples into those to learn from and those to choose by; a group is never on both sides.

    A group's side follows from its name and the seed alone: examples that are added later move none of the others.
    """
    train: list[Example] = []
    dev: list[Example] = []
    for example in examples:
        digest = hashlib.sha256(f"{seed}\0{group(example)}".encode()).digest()
        held = int.from_bytes(digest[:8], "big") / 2**64 < share
        (dev if held else train).append(example)
    return train, dev


def refuse_shared(
    train: Sequence[Example], other: Sequence[Example], group: Callable[[Example], str], name: str
) -> None:
    """Refuse a dev or test file that shares products with the training files.

    Raises:
        InputError: They share some; the first few are named.
    """
    shared = sorted({group(e) for e in train} & {group(e) for e in other})
    if shared:
        some = ", ".join(shared[:3])
        step = "Split by product: what is measured must not have been learned by heart."
        raise InputError(f"data.{name}: {len(shared)} of its products are in data.train ({some} …)", next_step=step)
