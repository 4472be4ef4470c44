"""What a model reference names: a starter, a shipped adapter, a folder, a GGUF file or a hub model.

A name that is both a folder here and a hub id (``org/name``) means the folder; ``hub:org/name`` means the hub.
"""

from __future__ import annotations

import difflib
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from llmrec.errors import ModelError
from llmrec.models.shipped import ADAPTER_PREFIX, shipped_adapters
from llmrec.models.starters import PREFIX, STARTERS

HUB_PREFIX = "hub:"
FORMS = "starter:NAME, adapter:NAME, a model folder, a .gguf file, or a hub id (org/name, org/name@revision)"
_HUB_ID = re.compile(r"[\w][\w.-]*/[\w][\w.-]*")
_HUB_ID_OR_NAME = re.compile(r"([\w][\w.-]*/)?[\w][\w.-]*")


@dataclass(frozen=True)
class Reference:
    """A parsed reference: of a starter or shipped adapter the name, of a hub model id and revision, else a path."""

    form: Literal["starter", "adapter", "folder", "gguf", "hub"]
    name: str
    revision: str | None = None


def parse(reference: str, revision: str | None = None) -> Reference:
    """Find out what a reference names; nothing is fetched.

    Args:
        reference: As the user wrote it.
        revision: Revision given apart from it.

    Raises:
        ModelError: None of the forms, a starter that does not exist, a path that does not.
    """
    parsed = _parse(reference)
    if revision is None:
        return parsed
    if parsed.form != "hub":
        step = f"Leave the revision out, or give a hub id with it: org/name@{revision}."
        raise ModelError(f"{reference}: only a hub model has revisions", next_step=step)
    if parsed.revision not in (None, revision):
        step = "Give the revision once."
        raise ModelError(f"{reference}: names revision {parsed.revision}, but {revision} is asked for", next_step=step)
    return Reference("hub", parsed.name, revision)


def _parse(reference: str) -> Reference:
    if reference.startswith(PREFIX):
        name = reference.removeprefix(PREFIX)
        if name not in STARTERS:
            raise unknown(reference, "no such starter")
        return Reference("starter", name)
    if reference.startswith(ADAPTER_PREFIX):
        name, known = reference.removeprefix(ADAPTER_PREFIX), shipped_adapters()
        if name not in known:
            step = f"Give one of: {', '.join(ADAPTER_PREFIX + one for one in known)}; or the folder of an adapter."
            raise ModelError(f"{reference!r}: no such adapter is shipped", next_step=step)
        return Reference("adapter", name)
    if reference.startswith(HUB_PREFIX):
        return _hub(reference.removeprefix(HUB_PREFIX), reference, _HUB_ID_OR_NAME)
    if not reference.strip() or "\x00" in reference:
        raise unknown(reference, "an empty reference")
    try:
        path = Path(reference).expanduser()
        is_folder, is_file = path.is_dir(), path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # too long, no such home, not a text of this file system
        raise unknown(reference[:80], "cannot be a path or a hub id") from error
    if is_folder:
        return Reference("folder", str(path.resolve()))
    if reference.lower().endswith(".gguf"):
        if not is_file:
            raise ModelError(f"{reference}: no such file", next_step="Check the path of the .gguf file.")
        return Reference("gguf", str(path.resolve()))
    if is_file:
        raise unknown(reference, "a file, but not a .gguf file")
    slashes = reference.partition("@")[0].count("/")
    if reference.startswith((".", "/", "~")) or "\\" in reference or slashes > 1:
        raise unknown(reference, "no such folder")
    if slashes:
        return _hub(reference, reference, _HUB_ID)
    raise unknown(reference, "no such model")


def _hub(text: str, shown: str, pattern: re.Pattern[str]) -> Reference:
    name, at, revision = text.partition("@")
    if not pattern.fullmatch(name) or (at and not revision):
        raise unknown(shown, "not a hub id")
    return Reference("hub", name, revision or None)


def unknown(reference: str, what: str) -> ModelError:
    """The error for a reference that names nothing: says what comes near and which forms there are."""
    name = reference.removeprefix(PREFIX).rsplit("/", 1)[-1].lower()
    near = [known for known in STARTERS if len(name) > 3 and (name in known or known in name)]
    near = near or difflib.get_close_matches(name, STARTERS, n=3, cutoff=0.5)
    suggestion = f"Did you mean {' or '.join(PREFIX + known for known in near[:3])}? " if near else ""
    step = f"{suggestion}Give {FORMS}; 'llmrec models list' shows the starters."
    return ModelError(f"{reference!r}: {what}", next_step=step)
