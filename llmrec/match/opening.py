"""Open an index together with the encoder that it was built with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmrec.index import Index
    from llmrec.index.remote import RemoteIndex


def open_index(
    path: str | Path, *, encoder: str | None = None, device: str | None = None, vision: bool = True
) -> Index | RemoteIndex:
    """Open a built index, loading the encoders that its manifest names.

    Args:
        path: The index folder, or the address of an index in a store (``llmrec.index.remote``), which has no pictures.
        encoder: Another reference for the same encoder (a local copy, say); its digest must agree.
        device: Where the encoder runs (``"cuda"``); the library's choice if None.
        vision: Whether the encoder of product pictures, if it has one, is loaded as well.

    Raises:
        ArtefactError: Not an index, damaged, or ``encoder`` is another one than it was built with.
        InputError: ``encoder`` is given for an index without vectors, or a store does not answer.
        ModelError: The encoder cannot be loaded.
    """
    from llmrec.embed import load_encoder
    from llmrec.index import Index
    from llmrec.index.opening import wanted_encoder
    from llmrec.index.remote import RemoteIndex, is_address

    if is_address(path):
        found = RemoteIndex.open(str(path))
        own = found.wanted_encoder(encoder)
        return found.with_encoder(load_encoder(own.reference, dimension=own.dimension, device=device)) if own else found
    wanted = wanted_encoder(Path(path), encoder)
    model = load_encoder(wanted.reference, dimension=wanted.dimension, device=device) if wanted else None
    tower = None
    if vision and (pictured := Index.encoder_reference(path, "image_encoder")):
        from llmrec.embed import load_image_encoder

        tower = load_image_encoder(pictured, device=device)
    return Index.open(path, model, image_encoder=tower)
