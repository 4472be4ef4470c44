"""What a killed process left half-written beside an output, and whether it may go.

``contents.jsonl`` in the making is ``.contents.jsonl.1f0e9a2b-4711-k3j2h1g0.partial``: a digest of the machine's name,
the process, and eight random signs. It may go when that process is dead; where that cannot be told (another machine, a
name of an older version), when nothing in it has changed for a day.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import shutil
import time
from contextlib import suppress
from functools import lru_cache
from pathlib import Path

#: Seconds without a change after which what has no known owner is nobody's.
STALE = 24 * 3600.0


def owned_prefix(path: Path) -> str:
    """How the names of this process's temporary files for ``path`` begin."""
    return f".{path.name}.{_host()}-{os.getpid()}-"


def clear_leftovers(path: Path) -> None:
    """Remove what dead processes left half-written beside ``path``; what cannot be removed stays.

    A folder that was moved out of the way is removed only when ``path`` is there: it may be the last whole one.
    """
    form = re.compile(rf"\.{re.escape(path.name)}\.(?:([0-9a-f]{{8}})-(\d+)-)?[a-z0-9_]{{8}}\.(partial|old)")
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            found = form.fullmatch(entry.name)
            if found is None or (found[3] == "old" and not path.exists()):
                continue
            if _abandoned(Path(entry.path), found[1], found[2]):
                _remove(Path(entry.path))


def _abandoned(leftover: Path, host: str | None, pid: str | None) -> bool:
    # Windows has no harmless way to ask by os.kill
    if host == _host() and pid is not None and os.name == "posix":
        return not _alive(int(pid))
    try:
        times = [leftover.lstat().st_mtime]
        for root, _, names in os.walk(leftover):
            times += [os.lstat(os.path.join(root, name)).st_mtime for name in [".", *names]]
    except OSError:  # its owner is at it
        return False
    return time.time() - max(times) > STALE


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        return True
    return True


def _remove(leftover: Path) -> None:
    if leftover.is_dir() and not leftover.is_symlink():
        shutil.rmtree(leftover, ignore_errors=True)
    else:
        with suppress(OSError):
            leftover.unlink()


@lru_cache(maxsize=1)
def _host() -> str:
    """Eight signs for this machine, and on Linux for what this process sees as process ids (containers have own)."""
    space = ""
    with suppress(OSError):
        space = os.readlink("/proc/self/ns/pid")
    return hashlib.sha256(f"{platform.node()} {space}".encode()).hexdigest()[:8]
