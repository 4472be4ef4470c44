"""How a model that was made from another one is written: nowhere that is taken, whole or not at all, with its card."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llmrec.errors import InputError, LlmrecError, StorageError, disk_error
from llmrec.models import ModelFolder, resolve
from llmrec.models.adapters import quantized
from llmrec.storage import write_manifest
from llmrec.storage.leftovers import clear_leftovers, owned_prefix

FORMAT = 1


def new_output(output: str | Path) -> Path:
    """Where to write; asked before the minutes of work, not after.

    Raises:
        InputError: Something is there already, or nothing can be written there.
    """
    path = Path(output).expanduser()
    if path.exists() or path.is_symlink():
        raise InputError(f"{path}: exists already", next_step="Give another name with -o, or remove it.")
    parent = path.absolute().parent
    while not parent.exists():
        parent = parent.parent
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        step = "Choose another place for the output."
        raise InputError(f"{path}: nothing can be written in {parent}", next_step=step)
    return path


def whole_model(reference: str) -> ModelFolder:
    """A model with its own, unquantised weights.

    Raises:
        ModelError: It cannot be found, or is not safe to load.
        InputError: An adapter, or a model that is quantised already.
    """
    folder = resolve(reference)
    if folder.kind == "adapter":
        step = f"Merge it first: llmrec models merge {reference} -o FOLDER"
        raise InputError(f"{reference}: is an adapter, not a model", next_step=step)
    how = quantized(folder.path)
    if how:
        step = "Give the model that it was made from."
        raise InputError(f"{reference}: is quantised already ({how})", next_step=step)
    return folder


@contextmanager
def disk_told(path: Path) -> Iterator[None]:
    """Errors of a full disk as ``StorageError``, in whichever way the library beneath puts them.

    Raises:
        StorageError: No space left, or nothing can be written there.
    """
    try:
        yield
    except LlmrecError:
        raise
    except Exception as error:
        # safetensors has an error of its own; numpy's tofile gives an OSError without a number; torch a RuntimeError
        text = str(error)
        signs = ("No space left", "os error 28", "requested and", "PytorchStreamWriter failed", "ENOSPC")
        if any(sign in text for sign in signs):
            raise _full(path) from error
        if isinstance(error, OSError) and error.errno is not None:
            raise disk_error(error, path) from error
        raise


def _full(path: Path) -> StorageError:
    import errno

    return disk_error(OSError(errno.ENOSPC, "no space left"), path)


@contextmanager
def scratch_folder(output: Path) -> Iterator[Path]:
    """A folder on the disk of ``output`` that is gone afterwards, also when this process is killed and runs again."""
    scratch: Path | None = None
    try:
        with disk_told(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            clear_leftovers(output)
            scratch = Path(tempfile.mkdtemp(prefix=owned_prefix(output), suffix=".partial", dir=output.parent))
        yield scratch
    finally:
        if scratch is not None:
            shutil.rmtree(scratch, ignore_errors=True)


def finish(
    folder: Path, *, kind: str, report: dict[str, Any], numbers: str, title: str, told: str, source: ModelFolder
) -> None:
    """Write the numbers, the card and, last, the manifest.

    Args:
        folder: A folder that holds the model.
        kind: Kind of the manifest.
        report: What was done and measured.
        numbers: Name of the file that it goes to (``merge.json``).
        title: First line of the card.
        told: A sentence or two beneath it.
        source: The model that it was made from, whose licence holds on.
    """
    text = json.dumps(report, ensure_ascii=False, indent=1) + "\n"
    (folder / numbers).write_text(text, encoding="utf-8")
    licence = source.licence or "unknown"
    lines = [
        "---",
        f"base_model: {json.dumps(source.reference)}",
        f"license: {json.dumps(licence.lower())}",
        "tags: [llmrec]",
        "---",
        "",
        f"# {title}",
        "",
        told,
        "",
        "| compared with what it was made from | |",
        "|---|---|",
        *(f"| {key} | {_cell(value)} |" for key, value in report["likeness"].items()),
        "",
        f"`{numbers}` has every number. Licence of the base: {licence}.",
    ]
    (folder / "README.md").write_text("\n".join(lines) + "\n", encoding="utf-8")
    models = {"base": {"reference": source.reference, "digest": source.digest}}
    write_manifest(folder, kind=kind, format_version=FORMAT, models=models, report=report)


def folder_bytes(path: Path, *endings: str) -> int:
    """Bytes of the files of a folder with these endings."""
    return sum(file.stat().st_size for file in path.rglob("*") if file.is_file() and file.name.endswith(endings))


def _cell(value: Any) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
