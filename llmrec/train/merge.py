"""An adapter and its model to one model of 16-bit weights, which no library but transformers has to know about.

::

    merge("runs/latest/adapter", "my-model")        # llmrec models merge runs/latest/adapter -o my-model

The sum is made in float32 and rounded once. The rounded model is loaded again from disk and asked the same as model
and adapter were asked before: when the answers drift, nothing is written.
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmrec.embed.adapted import SETTINGS, read_settings
from llmrec.embed.loading import own_pooling
from llmrec.errors import InputError, ModelError
from llmrec.models import ModelFolder, resolve
from llmrec.models.adapters import apply_adapter, named_base, quantized, read_config
from llmrec.models.adapters import base_of as under
from llmrec.models.quiet import quiet_transformers
from llmrec.prompting.pair_blend import FEATURES
from llmrec.prompting.pair_blend import SETTINGS as PAIR_SETTINGS
from llmrec.storage import atomic_folder
from llmrec.train.likeness import (
    TEXTS,
    Opened,
    answers_of,
    family,
    first_line,
    likeness,
    open_model,
    refuse_drift,
)
from llmrec.train.written import disk_told, finish, folder_bytes, new_output

logger = logging.getLogger(__name__)

DTYPES = ("bfloat16", "float16", "float32")


@dataclass(frozen=True)
class Made:
    """A model that was made from another one.

    Attributes:
        path: The folder or file.
        report: What was done, and how far its answers lie from those of what it was made from.
    """

    path: Path
    report: dict[str, Any]


def merge(
    adapter: str,
    output: str | Path,
    *,
    base: str | None = None,
    dtype: str = "bfloat16",
    tolerance: float | None = None,
    texts: Sequence[str] = TEXTS,
) -> Made:
    """Merge an adapter into its model.

    Args:
        adapter: A PEFT adapter of LoRA's family or IA3 (folder or reference). One that was trained over a quantised
            model is merged into the model as it is without quantisation.
        output: The folder to write.
        base: The model; None: the one that the adapter names.
        dtype: What the merged weights are rounded to.
        tolerance: Most drift; None: that of ``likeness.JUDGED``.
        texts: What both are asked.

    Raises:
        InputError: Not an adapter, one that cannot be merged, or an output that is there already.
        ModelError: The base cannot be found, or is another model than the adapter's.
        TrainingError: The merged model answers differently; nothing was written.
        StorageError: The disk refused.
    """
    if dtype not in DTYPES:
        raise InputError(f"dtype {dtype!r}: unknown", next_step=f"Give one of: {', '.join(DTYPES)}.")
    target = new_output(output)
    folder = resolve(adapter)
    config = adapter_config(folder, adapter)
    model = base_of(folder, base)
    _refuse_other_pooling(folder, model)
    kind = family("reranker" if config.task_type == "SEQ_CLS" else model.kind, model.reference)
    with quiet_transformers():  # a head that is new is the adapter's business
        opened = open_model(model.path, kind, model.reference)
        # layers are changed in place: sentence-transformers runs them through the plain model as well
        inner = opened.model if opened.kind == "causal-lm" else inner_of(opened)
        adapted = apply_adapter(inner, folder, remedy="Give the model that the adapter was trained on, with --base.")
    before = answers_of(opened, texts)
    merged = _merged(opened, adapted)
    _round(merged, dtype, model.reference)
    with disk_told(target), atomic_folder(target) as written:
        save(merged, model.kind, written)
        for name in (SETTINGS, PAIR_SETTINGS):  # lengths that vectors can be cut to; what makes a matcher of logits
            if (folder.path / name).is_file():
                shutil.copyfile(folder.path / name, written / name)
        if (folder.path / FEATURES / "manifest.json").is_file():
            shutil.copytree(folder.path / FEATURES, written / FEATURES)
        after = answers_of(open_model(written, kind, str(target)), texts)
        numbers = likeness(kind, before, after)
        step = "Merge with --dtype float32, or keep the adapter apart; --tolerance allows more."
        numbers = refuse_drift(kind, numbers, tolerance, f"{adapter} merged in {dtype}", step)
        report = {
            "adapter": {"reference": folder.reference, "digest": folder.digest, "method": method_of(config)},
            "base": {"reference": model.reference, "digest": model.digest},
            "dtype": dtype,
            "bytes": folder_bytes(written, ".safetensors"),
            "likeness": numbers,
        }
        trained = _manifest(folder.path).get("precision")
        told = f"`{model.reference}` with the adapter `{folder.path.name}` merged in, in {dtype}."
        if trained in ("int8", "nf4"):
            report["trained_in"] = trained
            told += f" The adapter was trained over {trained} weights; here it lies in the unquantised ones."
        finish(
            written,
            kind=kind,
            report=report,
            numbers="merge.json",
            title=f"{folder.path.name}, merged",
            told=told,
            source=model,
        )
    return Made(target, report)


def adapter_config(folder: ModelFolder, shown: str) -> Any:
    """PEFT's configuration of an adapter that can be merged.

    Raises:
        InputError: Not an adapter, or one of learned prompts.
    """
    if folder.kind != "adapter":
        step = "Give the folder 'adapter' of a training, with adapter_config.json and adapter_model.safetensors."
        raise InputError(f"{shown}: is a {folder.kind}, not an adapter", next_step=step)
    config = read_config(folder)
    if config.is_prompt_learning:
        step = (
            "Use it as it is, beside its model (llmrec summarize --adapter), or train with method lora, whose weights "
            "can be merged."
        )
        raise InputError(
            f"{shown}: {method_of(config)} learns tokens before the text, not weights: there is nothing to merge",
            next_step=step,
        )
    return config


def method_of(config: Any) -> str:
    """The method of an adapter as recipes call it."""
    name = str(getattr(config.peft_type, "value", config.peft_type)).lower().replace("_", "-")
    if name == "lora" and (config.use_dora or config.use_rslora):
        return "dora" if config.use_dora else "rslora"
    return name


def base_of(folder: ModelFolder, base: str | None) -> ModelFolder:
    """The model beneath an adapter: the one given, else the one that it names.

    Raises:
        ModelError: It cannot be found, has changed since, or is quantised.
    """
    if base is None:
        model = under(folder, remedy="Give the model with --base; the name that it has now takes it as it is now.")
    else:
        model = resolve(base)
        if model.kind == "adapter":
            step = "Merge that one first, and give the result with --base."
            raise ModelError(f"{model.reference}: is an adapter itself", next_step=step)
        if named_base(folder)[1] not in ("", model.digest):
            logger.warning("%s is not the model that the adapter was trained on", model.reference)
    if quantized(model.path):
        step = "Give the model as it was before it was quantised, with --base: merging into few bits loses the adapter."
        raise ModelError(f"{model.reference}: is quantised", next_step=step)
    return model


def _refuse_other_pooling(folder: ModelFolder, model: ModelFolder) -> None:
    """Refuse an encoder's adapter that was trained with another pooling than the merged folder would have.

    Raises:
        InputError: It was.
    """
    trained = read_settings(folder.path).pooling
    if trained is not None and trained != (own := own_pooling(model.path)):
        step = "Use the adapter as it is (load_encoder), or train it with embed.save: merged."
        raise InputError(
            f"{folder.reference}: pools by {trained}, and {model.reference} by {own or 'layers of its own'}",
            next_step=step,
        )


def save(opened: Opened, model_kind: str, folder: Path) -> None:
    """Write a model in the layout of its own library."""
    from llmrec.models.quiet import quiet

    with quiet():
        if opened.kind == "causal-lm":
            opened.model.save_pretrained(folder)
            opened.tokenizer.save_pretrained(folder)
        elif opened.kind == "encoder" and model_kind == "text-encoder":
            opened.model[0].auto_model.save_pretrained(folder)
            opened.tokenizer.save_pretrained(folder)
        else:
            opened.model.save_pretrained(str(folder))


def inner_of(opened: Opened) -> Any:
    """The transformers model inside a SentenceTransformer or a CrossEncoder."""
    return opened.model.model if opened.kind == "reranker" else opened.model[0].auto_model


def _merged(opened: Opened, adapted: Any) -> Opened:
    try:
        merged = adapted.merge_and_unload(safe_merge=True)
    except (ValueError, NotImplementedError, AttributeError) as error:
        step = "Keep the adapter apart (llmrec summarize --adapter), or train with method lora."
        raise InputError(f"the adapter cannot be merged: {first_line(error)}", next_step=step) from error
    return Opened(opened.kind, merged if opened.kind == "causal-lm" else opened.model, opened.tokenizer)


def _round(opened: Opened, dtype: str, shown: str) -> None:
    import torch

    model = opened.model if opened.kind == "causal-lm" else inner_of(opened)
    model.to(getattr(torch, dtype))
    if opened.kind != "causal-lm":
        opened.model.to(getattr(torch, dtype))
    generation = getattr(model, "generation_config", None)
    if generation is not None and not generation.do_sample:
        # sampling settings of a greedy model are refused when it is saved
        generation.temperature = generation.top_p = generation.top_k = None


def _manifest(path: Path) -> dict[str, Any]:
    try:
        found = json.loads((path / "manifest.json").read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
