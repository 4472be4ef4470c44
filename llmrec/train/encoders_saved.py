"""What a trained encoder leaves on disk, loaded again by ``llmrec.embed`` before it counts as saved."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec.embed.adapted import SETTINGS
from llmrec.errors import InputError, TrainingError
from llmrec.models.quiet import quiet
from llmrec.train.chosen import Chosen

#: Lowest cosine between a vector of the trained model and that of the saved one. Quantised weights are merged into
#: 16-bit ones, so what was rounded away comes back.
SAME = {"fp32": 0.9999, "bf16": 0.999, "fp16": 0.999, "int8": 0.98, "nf4": 0.9}


def save_encoder(model: Any, folder: Path, before: NDArray[np.float32], texts: Sequence[str], chosen: Chosen) -> float:
    """Write a model in sentence-transformers' layout; the rest is as of ``same_vectors``."""
    with quiet():
        model.save_pretrained(str(folder), create_model_card=False)
    return same_vectors(folder, before, texts, chosen)


def same_vectors(folder: Path, before: NDArray[np.float32], texts: Sequence[str], chosen: Chosen) -> float:
    """Load what was saved by ``llmrec.embed`` and compare.

    Args:
        folder: An encoder, or an adapter of one.
        before: float32 ``[n, d]``, vectors of ``texts`` by the trained model.
        texts: They carry their prompts.
        chosen: Device and precision of the training.

    Returns:
        The lowest cosine between a trained vector and the saved one.

    Raises:
        TrainingError: What was saved is another encoder than what was trained.
    """
    from llmrec.embed import load_encoder

    with quiet():
        loaded = load_encoder(str(folder), device=chosen.device, query_prompt="", document_prompt="")
    lowest = float((before * loaded.encode(texts)).sum(axis=1).min())
    if not lowest >= SAME[chosen.precision]:
        step = "Train in bf16 or fp32; the checkpoints are kept."
        raise TrainingError(f"{folder}: saved vectors differ from the trained ones ({lowest:.4f})", next_step=step)
    return lowest


def refuse_more_than_pooling(model: Any, reference: str) -> None:
    """Refuse a model whose vectors are more than pooled tokens: beside an adapter its other layers would be lost.

    Raises:
        InputError: It has other layers, or a pooling of its own.
    """
    kinds = [type(module).__name__ for module in model]
    if kinds not in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"]) or _pooling(model) is None:
        step = "Leave it at merged."
        raise InputError(f"embed.save: {reference} does more than pool its token vectors", next_step=step)


def usage(model: Any) -> dict[str, Any]:
    """What one has to know to encode as this model does: pooling, tokens that are seen, lower case."""
    lower = bool(getattr(model[0], "do_lower_case", False))
    return {"pooling": _pooling(model), "max_length": model.max_seq_length, "lower_case": lower}


def note_settings(folder: Path, **settings: Any) -> None:
    """Keep what the library's own files have no place for beside them; what is noted already stays."""
    path = folder / SETTINGS
    known = json.loads(path.read_text(encoding="utf-8")) if path.is_file() else {}
    path.write_text(json.dumps({**known, **settings}, indent=1) + "\n", encoding="utf-8")


def _pooling(model: Any) -> str | None:
    """The pooling of a sentence-transformers model as ``llmrec.embed`` calls it; None for one of its own."""
    from llmrec.embed.loading import POOLING_NAMES

    mode = model[1].pooling_mode
    modes = [mode] if isinstance(mode, str) else list(mode)
    return POOLING_NAMES.get(modes[0]) if len(modes) == 1 and model[1].include_prompt else None
