"""A language model with its matrices in 8 or 4 bits, in transformers' layout: ``from_pretrained`` loads it as it is.

::

    quantize("my-model", "my-model-nf4", to="nf4")        # llmrec models quantize my-model --to nf4 -o my-model-nf4

NF4: Dettmers et al. 2023 (arXiv 2305.14314); int8: Dettmers et al. 2022 (arXiv 2208.07339); both by bitsandbytes. It
saves memory, on a processor no time. The head and the embeddings stay in 16 bits.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmrec.errors import InputError, MissingExtraError, ModelError
from llmrec.storage import atomic_folder
from llmrec.train.likeness import (
    TEXTS,
    Answers,
    Opened,
    answers_of,
    first_line,
    likeness,
    open_model,
    refuse_drift,
)
from llmrec.train.merge import Made, save
from llmrec.train.written import disk_told, finish, folder_bytes, new_output, whole_model

#: Most nats of KL divergence a token before a quantised model counts as broken. Small models lose most: SmolLM2-135M
#: 0.03 in int8 and 0.31 to 0.40 in nf4 (its perplexity rises by 4% and 26%).
TOLERANCES = {"int8": 0.1, "nf4": 1.0}


def quantize(
    model: str,
    output: str | Path,
    *,
    to: str = "nf4",
    tolerance: float | None = None,
    texts: Sequence[str] = TEXTS,
) -> Made:
    """Quantise a language model, load it again from disk, and compare.

    Args:
        model: A causal language model (folder or reference).
        output: The folder to write.
        to: ``nf4`` or ``int8``.
        tolerance: Most KL divergence; None: that of ``TOLERANCES``.
        texts: What both are asked.

    Raises:
        InputError: Not a language model, or an output that is there already.
        ModelError: The libraries cannot quantise or load it here.
        MissingExtraError: bitsandbytes is not installed.
        TrainingError: The quantised model answers differently; nothing was written.
        StorageError: The disk refused.
    """
    from importlib.util import find_spec

    if to not in TOLERANCES:
        raise InputError(f"quantisation {to!r}: unknown", next_step=f"Give one of: {', '.join(TOLERANCES)}.")
    target = new_output(output)
    folder = whole_model(model)
    if folder.kind != "causal-lm":
        step = "Give a language model; encoders and rerankers: llmrec models export --to onnx --kind int8."
        raise InputError(f"{model}: is a {folder.kind}, not a language model", next_step=step)
    if find_spec("bitsandbytes") is None:
        raise MissingExtraError(f"quantisation to {to}", "train")
    opened = open_model(folder.path, "causal-lm", model)
    before, tokenizer = answers_of(opened, texts), opened.tokenizer
    del opened
    gc.collect()
    with disk_told(target), atomic_folder(target) as written:
        made = Opened("causal-lm", _quantized(folder.path, model, to), tokenizer)
        # before it is run: some processors have bitsandbytes repack 4-bit weights at the first use
        save(made, folder.kind, written)
        del made
        gc.collect()
        after = _again(written, texts, to)
        numbers = likeness("causal-lm", before, after)
        limit = TOLERANCES[to] if tolerance is None else tolerance
        step = "Take int8, or GGUF q8_0 (llmrec models export); --tolerance allows more."
        numbers = refuse_drift("causal-lm", numbers, limit, f"{model} in {to}", step)
        size, was = (folder_bytes(path, ".safetensors") for path in (written, folder.path))
        report = {
            "model": {"reference": folder.reference, "digest": folder.digest},
            "to": to,
            "versions": _versions(),
            "bytes": size,
            "share": size / was,
            "likeness": numbers,
        }
        finish(
            written,
            kind="causal-lm",
            report=report,
            numbers="quantize.json",
            title=f"{folder.path.name} in {to}",
            told=f"`{folder.reference}` quantised to {to} with bitsandbytes: {size / was:.0%} of its size. "
            "It needs bitsandbytes to be loaded.",
            source=folder,
        )
    return Made(target, report)


def _quantized(path: Path, shown: str, to: str) -> Any:
    import torch
    from transformers import BitsAndBytesConfig

    configs: dict[str, Any] = {
        "int8": BitsAndBytesConfig(load_in_8bit=True),
        "nf4": BitsAndBytesConfig(
            load_in_4bit=True,
            bnb_4bit_quant_type="nf4",
            bnb_4bit_use_double_quant=True,
            bnb_4bit_compute_dtype=torch.bfloat16,
        ),
    }
    where = {"": "cuda:0" if torch.cuda.is_available() else "cpu"}
    opened = open_model(path, "causal-lm", shown, dtype="bfloat16", quantization_config=configs[to], device_map=where)
    generation = opened.model.generation_config
    if not generation.do_sample:
        generation.temperature = generation.top_p = generation.top_k = None
    return opened.model


def _again(folder: Path, texts: Sequence[str], to: str) -> Answers:
    import warnings

    chatty = logging.getLogger("bitsandbytes.autograd._functions")
    level = chatty.level
    chatty.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            # a line for each layer that inputs are cast
            warnings.filterwarnings("ignore", message="MatMul8bitLt")
            opened = open_model(folder, "causal-lm", str(folder), dtype="bfloat16", device_map={"": "cpu"})
            if not getattr(opened.model, "is_quantized", False):
                raise ModelError(f"{folder}: came back unquantised", next_step=_step())
            return answers_of(opened, texts)
    except (RuntimeError, NotImplementedError) as error:
        raise ModelError(f"{to}: does not run on this processor: {first_line(error)}", next_step=_step()) from error
    finally:
        chatty.setLevel(level)


def _step() -> str:
    told = ", ".join(f"{name} {version}" for name, version in _versions().items())
    return f"Installed are {told}: try newer ones, or GGUF (llmrec models export)."


def _versions() -> dict[str, str]:
    from importlib.metadata import version

    return {name: version(name) for name in ("bitsandbytes", "transformers", "torch")}
