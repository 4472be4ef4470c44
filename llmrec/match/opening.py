"""Open an index with the encoder that it was built with, and a reranker as a calibration wants it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from llmrec.errors import InputError

if TYPE_CHECKING:
    from llmrec.index import Index
    from llmrec.index.remote import RemoteIndex
    from llmrec.match.calibration import Calibration
    from llmrec.match.reranking import Reranking


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


def open_reranking(
    reference: str | None,
    calibration: Calibration | None = None,
    *,
    depth: int | None = None,
    budget: float | None = None,
    device: str | None = None,
) -> Reranking | None:
    """Load the reranker that is asked for, or else the one that the calibration was made with.

    Args:
        reference: See ``llmrec.match.scorers``; ``trees`` for those that the calibration grew itself.
        calibration: What the matches will be judged with.
        depth: Products of a list that are looked at; None: as the calibration has it, or ``DEPTH``.
        budget: Seconds for each content; None: no bound.
        device: Where a model runs.

    Returns:
        None where none is asked for, or where the calibration found that it does not help.

    Raises:
        InputError: A depth or a budget without a reranker.
        ArtefactError: The calibration was made without a reranker, or with another one.
        ModelError: It cannot be loaded.
    """
    from llmrec.match.judging import agreed
    from llmrec.match.reranking import DEPTH, Reranking
    from llmrec.match.scorers import load_scorer
    from llmrec.match.second_look import OWN

    second = calibration.second if calibration is not None else None
    if reference is None and second is None:
        if depth is not None or budget is not None:
            step = "Give one with --rerank, or leave depth and budget out."
            raise InputError("a depth or a budget of a reranker, and no reranker", next_step=step)
        return None
    own = calibration.own_scorer if calibration is not None and reference in (None, OWN) else None
    if own is None and second is not None and not second.helps and reference in (None, second.reference):
        return None
    if reference == OWN and own is None:
        step = "Grow them with 'llmrec calibrate --rerank trees' and give its folder with --calibration."
        raise InputError("the trees of a calibration, and no calibration that has them", next_step=step)
    wanted = depth or (second.depth if second is not None else DEPTH)
    scorer = own or load_scorer(reference or (second.reference if second is not None else ""), device=device)
    made = Reranking(scorer, depth=wanted, budget=budget)
    return agreed(calibration, made) if calibration is not None else made
