"""Open an index together with the encoder that it was built with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmrec.errors import InputError

if TYPE_CHECKING:
    from llmrec.index import Index


def open_index(path: str | Path, *, encoder: str | None = None, device: str | None = None) -> Index:
    """Open a built index, loading the encoder that its manifest names.

    Args:
        path: The index folder.
        encoder: Another reference for the same encoder (a local copy, say); its digest must agree.
        device: Where the encoder runs (``"cuda"``); the library's choice if None.

    Raises:
        ArtefactError: Not an index, damaged, or ``encoder`` is another one than it was built with.
        InputError: ``encoder`` is given for an index without vectors.
        ModelError: The encoder cannot be loaded.
    """
    from llmrec.embed import load_encoder
    from llmrec.index import Index

    built_with = Index.encoder_reference(path)
    if encoder and not built_with:
        step = "Leave the encoder out, or build the index with one."
        raise InputError(f"{path}: holds no vectors, so no encoder is of use", next_step=step)
    reference = encoder or built_with
    return Index.open(path, load_encoder(reference, device=device) if reference else None)
