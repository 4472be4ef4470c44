"""Open an index together with the encoder that it was built with."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from llmrec.index import Index


def open_index(
    path: str | Path, *, encoder: str | None = None, device: str | None = None, vision: bool = True
) -> Index:
    """Open a built index, loading the encoders that its manifest names.

    Args:
        path: The index folder.
        encoder: Another reference for the same encoder (a local copy, say); its digest must agree.
        device: Where the encoder runs (``"cuda"``); the library's choice if None.
        vision: Whether the encoder of product pictures, if it has one, is loaded as well.

    Raises:
        ArtefactError: Not an index, damaged, or ``encoder`` is another one than it was built with.
        InputError: ``encoder`` is given for an index without vectors.
        ModelError: The encoder cannot be loaded.
    """
    from llmrec.embed import load_encoder
    from llmrec.index import Index
    from llmrec.index.opening import wanted_encoder

    wanted = wanted_encoder(Path(path), encoder)
    model = load_encoder(wanted.reference, dimension=wanted.dimension, device=device) if wanted else None
    tower = None
    if vision and (pictured := Index.encoder_reference(path, "image_encoder")):
        from llmrec.embed import load_image_encoder

        tower = load_image_encoder(pictured, device=device)
    return Index.open(path, model, image_encoder=tower)
