"""Models of the hub, through ``huggingface_hub``: a commit is pinned, its files lie in that library's own cache.

What our cache keeps is a manifest for each commit and, for each model, which commit a branch meant when it was asked
for (``hub--org--name.json``: ``{"main": "<commit>"}``), so that ``org/name`` stays the same model until another
revision is named. ``HF_ENDPOINT``, ``HF_HUB_CACHE``, ``HF_HUB_OFFLINE`` and ``HF_TOKEN`` are respected.
"""

from __future__ import annotations

import errno
import glob
import json
import logging
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from llmrec.errors import LlmrecError, ModelError, disk_error
from llmrec.models.cache import make_entry, read_entry
from llmrec.models.inspect import inspect_folder, refuse_code
from llmrec.models.quiet import hub_bars
from llmrec.models.reference import unknown
from llmrec.models.weights import is_document, weight_files

logger = logging.getLogger(__name__)

_COMMIT = re.compile(r"[0-9a-f]{40}")


def resolve_hub(
    name: str, revision: str | None, root: Path, *, offline: bool, allow_pickle: bool, again: bool = False
) -> tuple[Path, dict[str, Any]]:
    """Find a hub model in the cache, else fetch it.

    Args:
        name: ``org/name``.
        revision: Branch, tag or commit; None: what was pinned when the model was first fetched, else ``main``.
        root: The cache folder.
        offline: Fetch nothing.
        allow_pickle: Accept pickle weights where there are no others.
        again: Fetch every file anew, although the cache has them.

    Returns:
        The entry in the cache and its manifest.

    Raises:
        ModelError: Not there, not allowed, unsafe, cut short or unreachable.
    """
    offline = offline or os.environ.get("HF_HUB_OFFLINE", "").upper() in {"1", "ON", "YES", "TRUE"}
    asked = revision or "main"
    known = asked if _COMMIT.fullmatch(asked) else None
    if known is None and (revision is None or offline):
        known = _pins(root, name).get(asked)
    if known and not again and (manifest := read_entry(_entry(root, name, known))) is not None:
        return _entry(root, name, known), _checked(manifest, allow_pickle)
    names: list[str] | None = None
    with _explained(name, asked):
        if offline:
            commit = _cached_snapshot(name, known or asked).name
        else:
            commit, names = _ask(name, known or asked)
    entry = _entry(root, name, commit)
    manifest = None if again else read_entry(entry)
    if manifest is None:

        def fill(_scratch: Path, _model: Path) -> dict[str, Any]:
            with _explained(name, asked):
                if names is None:
                    path = _cached_snapshot(name, commit)
                else:
                    path = _download(name, commit, names, allow_pickle=allow_pickle, again=again)
            found = inspect_folder(path, f"{name}@{commit[:12]}", allow_pickle=allow_pickle)
            return {
                "reference": f"{name}@{commit}",
                "model_kind": found.kind,
                "licence": found.licence,
                "revision": commit,
                "base": found.base,
                "pickle": found.pickle,
                "path": path,
                "names": list(found.files),
            }

        manifest = make_entry(root, entry.name, fill, again=again)
    _pin(root, name, asked, commit)
    return entry, _checked(manifest, allow_pickle)


def _entry(root: Path, name: str, commit: str) -> Path:
    return root / "models" / f"hub--{name.replace('/', '--')}--{commit[:12]}"


def _checked(manifest: dict[str, Any], allow_pickle: bool) -> dict[str, Any]:
    if manifest.get("pickle") and not allow_pickle:
        step = "Use a model with safetensors weights, or, if you trust its makers, allow pickle (--allow-pickle)."
        raise ModelError(f"{manifest['reference']}: its weights are pickles", next_step=step)
    return manifest


def _ask(name: str, revision: str) -> tuple[str, list[str]]:
    """The commit that a revision stands for, and the names of its files."""
    from huggingface_hub import HfApi

    info = HfApi(endpoint=os.environ.get("HF_ENDPOINT") or None).model_info(name, revision=revision, timeout=30)
    if info.sha is None or not _COMMIT.fullmatch(info.sha):
        raise ModelError(f"{name}: the hub names no commit for {revision}", next_step="Check HF_ENDPOINT.")
    return info.sha, [sibling.rfilename for sibling in info.siblings or []]


def _download(name: str, commit: str, names: list[str], *, allow_pickle: bool, again: bool) -> Path:
    """Configs and tokenizer first, so that an unsafe model is refused before its weights are fetched."""
    from huggingface_hub import snapshot_download

    shown = f"{name}@{commit[:12]}"

    def get(files: list[str]) -> Path:
        return Path(
            snapshot_download(
                name,
                revision=commit,
                endpoint=os.environ.get("HF_ENDPOINT") or None,
                cache_dir=os.environ.get("HF_HUB_CACHE") or None,
                allow_patterns=[glob.escape(file) for file in files],
                force_download=again,
            )
        )

    weights = weight_files(names, shown, allow_pickle=allow_pickle)
    logger.warning("fetching %s from the hub", shown)
    with hub_bars():
        refuse_code(get([file for file in names if is_document(file)]), shown)
        return get(weights)


def _cached_snapshot(name: str, revision: str) -> Path:
    """The folder in the hub library's cache, whose name is the commit; fetched perhaps by another program."""
    from huggingface_hub import try_to_load_from_cache
    from huggingface_hub.errors import LocalEntryNotFoundError

    cache = os.environ.get("HF_HUB_CACHE") or None
    for file in ("config.json", "adapter_config.json", "modules.json"):
        found = try_to_load_from_cache(name, file, revision=revision, cache_dir=cache)
        if isinstance(found, str):
            return Path(found).parent
    raise LocalEntryNotFoundError(f"revision {revision} is not in the hub library's cache")


def _pins(root: Path, name: str) -> dict[str, str]:
    try:
        pins = json.loads(_pin_file(root, name).read_text(encoding="utf-8"))
        return {str(key): str(value) for key, value in pins.items()}
    except (OSError, ValueError, AttributeError):
        return {}


def _pin(root: Path, name: str, asked: str, commit: str) -> None:
    pins = _pins(root, name)
    if _COMMIT.fullmatch(asked) or pins.get(asked) == commit:
        return
    target = _pin_file(root, name)
    temporary = target.with_suffix(f".{os.getpid()}.partial")
    try:
        temporary.write_text(json.dumps({**pins, asked: commit}, indent=1) + "\n", encoding="utf-8")
        os.replace(temporary, target)
    except OSError as error:  # a cache that cannot be written: the model is there all the same
        logger.info("revision not recorded in %s: %s", target, error)


def _pin_file(root: Path, name: str) -> Path:
    return root / "models" / f"hub--{name.replace('/', '--')}.json"


@contextmanager
def _explained(name: str, revision: str) -> Iterator[None]:
    try:
        yield
    except LlmrecError:
        raise
    except Exception as error:  # the hub library raises from several HTTP stacks; each becomes an error with a remedy
        raise _translated(error, name, revision) from error


def _translated(error: Exception, name: str, revision: str) -> LlmrecError:
    from huggingface_hub import errors

    reason = str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__
    if isinstance(error, errors.GatedRepoError):
        step = "Accept its terms on its page, then log in: hf auth login (or set HF_TOKEN)."
        return ModelError(f"{name}: its makers give access on request only", next_step=step)
    if isinstance(error, errors.RevisionNotFoundError):
        return ModelError(f"{name}: the hub has no revision {revision!r} of it", next_step="Check the revision.")
    if isinstance(error, errors.RepositoryNotFoundError):
        found = unknown(name, "not on the hub, or private")
        return ModelError(found.message, next_step=f"Check the name; a private model needs HF_TOKEN. {found.next_step}")
    if isinstance(error, errors.LocalEntryNotFoundError | errors.OfflineModeIsEnabled):
        step = "Connect (unset HF_HUB_OFFLINE and LLMREC_OFFLINE), or take a model that is here: llmrec models list."
        return ModelError(f"{name}: not on this machine, and the hub gives no answer: {reason}", next_step=step)
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EACCES, errno.EROFS):
        return disk_error(error, error.filename or name)
    if any(sign in f"{error!r}" for sign in ("Consistency check failed", "IncompleteRead", "peer closed")):
        step = "Run the command again: the files that are complete are kept."
        return ModelError(f"{name}: the download was cut short: {reason}", next_step=step)
    step = "Check the network and HF_ENDPOINT, then run again; a starter needs no hub: llmrec models list."
    return ModelError(f"{name}: cannot be fetched from the hub: {reason}", next_step=step)
