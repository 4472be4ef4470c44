"""A method of the recipe to PEFT's configuration, with defaults under which none is a trap.

Sources: LoRA, Hu et al. 2021 (arXiv 2106.09685); rsLoRA, Kalajdzievski 2023 (2312.03732); DoRA, Liu et al. 2024
(2402.09353); IA3, Liu et al. 2022 (2205.05638); prompt tuning, Lester et al. 2021 (2104.08691); P-tuning, Liu et al.
2021 (2103.10385); prefix tuning, Li and Liang 2021 (2101.00190).
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from llmrec.errors import InputError
from llmrec.recipes import LOW_RANK, Recipe

RANK = 16
#: Virtual tokens: a prompt is read as text is and wants more of them than a prefix, which has its own in every layer.
TOKENS = {"prompt": 32, "p-tuning": 32, "prefix": 16}
#: What a prompt starts from when the recipe does not say: random tokens take ten times the steps.
PROMPT_TEXT = {
    "summarize": "Summarise the product for a shopper. Say what it is, its attributes, and nothing that is not given.",
    "prefer": "Summarise the product for a shopper. Say what it is, its attributes, and nothing that is not given.",
    "rerank": "Are the two offers the same product? Compare brand, model number, size and colour. Answer yes or no.",
}
#: Layers on top of the model: a pooler's is called "dense" like those of the blocks, and no task reads it.
HEADS = r"(.*\.)?(classifier|score|lm_head|pooler|cls)(\..*)?"
#: Ends of names of the layers of attention, over the usual architectures.
ATTENTION = (
    "q_proj", "k_proj", "v_proj", "o_proj", "qkv_proj", "query_key_value", "query", "key", "value",
    "c_attn", "q_lin", "k_lin", "v_lin", "out_lin", "Wqkv", "Wo", "out_proj",
)  # fmt: skip
#: Keys and values, and the layer that leads out of the feed-forward block: what IA3 scales.
IA3_VALUES = ("k_proj", "v_proj", "key", "value", "k_lin", "v_lin", "query_key_value", "qkv_proj", "c_attn", "Wqkv")
IA3_FEEDFORWARD = ("down_proj", "dense_4h_to_h", "fc2", "lin2", "wo", "Wo_mlp", "c_proj")


def peft_config(recipe: Recipe, model: Any, task_type: str, *, whole: Sequence[str] = ()) -> Any | None:
    """The configuration of an adapter for ``model``; None for ``full``.

    Args:
        task_type: PEFT's: ``CAUSAL_LM``, ``FEATURE_EXTRACTION`` or ``SEQ_CLS``.
        whole: Layers that are trained as they are and saved beside the adapter, such as a new head.

    Raises:
        InputError: Target layers that the model has not.
    """
    import peft

    method = recipe.method
    common: dict[str, Any] = {"task_type": task_type}
    if whole:
        common["modules_to_save"] = list(whole)
    left_out = None if isinstance(method.targets, tuple) else "|".join([HEADS, *map(re.escape, whole)])
    if method.name == "full":
        return None
    if method.name in LOW_RANK:
        rank = method.rank or RANK
        return peft.LoraConfig(
            r=rank,
            lora_alpha=method.alpha or 2 * rank,
            lora_dropout=method.dropout or 0.0,
            target_modules=find_targets(model, method.targets or "auto"),
            exclude_modules=left_out,
            use_rslora=method.name == "rslora",
            use_dora=method.name == "dora",
            init_lora_weights=True if method.init in (None, "default") else method.init,  # type: ignore[arg-type]
            **common,
        )
    if method.name == "ia3":
        values, feedforward = _ia3_targets(model, method.targets or "auto")
        return peft.IA3Config(
            target_modules=values + feedforward,
            feedforward_modules=feedforward,
            exclude_modules=left_out,
            **common,
        )
    if method.name == "prompt":
        text = method.text or PROMPT_TEXT[recipe.task]
        return peft.PromptTuningConfig(
            num_virtual_tokens=method.tokens or TOKENS["prompt"],
            prompt_tuning_init=peft.PromptTuningInit.TEXT,
            prompt_tuning_init_text=text,
            tokenizer_name_or_path=str(model.name_or_path),
            **common,
        )
    if method.name == "p-tuning":
        hidden = method.hidden or model.config.get_text_config().hidden_size
        return peft.PromptEncoderConfig(
            num_virtual_tokens=method.tokens or TOKENS["p-tuning"], encoder_hidden_size=hidden, **common
        )
    return peft.PrefixTuningConfig(
        num_virtual_tokens=method.tokens or TOKENS["prefix"],
        prefix_projection=method.hidden is not None,
        encoder_hidden_size=method.hidden or 0,
        **common,
    )


def linear_layers(model: Any) -> list[str]:
    """Last parts of the names of all linear layers but the head, sorted.

    Quantised layers count: they are found by their weights, not by their class.
    """
    import torch

    heads = {id(model.get_output_embeddings())} if hasattr(model, "get_output_embeddings") else set()
    found = set()
    for name, module in model.named_modules():
        linear = isinstance(module, torch.nn.Linear) or type(module).__name__ == "Conv1D"
        last = name.rsplit(".", 1)[-1]
        outside = any(part in ("classifier", "score", "lm_head", "pooler", "cls") for part in name.split("."))
        if linear and id(module) not in heads and not outside and not last.isdecimal():
            found.add(last)
    return sorted(found)


def find_targets(model: Any, wanted: str | tuple[str, ...]) -> list[str]:
    """Names of the layers that an adapter changes.

    Raises:
        InputError: The model has no such layers; those that it has are listed.
    """
    layers = linear_layers(model)
    if wanted in ("auto", "all-linear"):
        chosen = layers
    elif wanted == "attention":
        chosen = [name for name in layers if name in ATTENTION]
    else:
        names = {name for name, _ in model.named_modules()}
        unknown = [w for w in wanted if not any(name == w or name.endswith(f".{w}") for name in names)]
        if unknown:
            step = f"Give some of: {', '.join(layers)}."
            raise InputError(f"method.targets: the model has no layer {', '.join(unknown)}", next_step=step)
        chosen = list(wanted)
    if not chosen:
        step = f"Name layers yourself, of: {', '.join(layers) or 'none found'}."
        raise InputError("method.targets: no such layers were found in the model", next_step=step)
    return chosen


def _ia3_targets(model: Any, wanted: str | tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Layers whose output is scaled, and those whose input is: the way out of the feed-forward block.

    ``auto`` is the paper's choice, ``attention`` its keys and values alone, ``all-linear`` every layer but the head;
    names are taken as they are.
    """
    layers = linear_layers(model) if isinstance(wanted, str) else find_targets(model, wanted)
    if wanted in ("auto", "attention"):
        values = [name for name in layers if name in IA3_VALUES]
    else:
        values = [name for name in layers if not _leads_out(name)]
    if wanted == "attention":
        feedforward = []
    else:
        feedforward = [name for name in layers if _leads_out(name)]
        if not feedforward and values and isinstance(wanted, str):
            # BERT and its kin call both layers of the block "dense": only the full path tells which is which
            feedforward = [name for name, _ in model.named_modules() if _leads_out(name)]
    if not values and not feedforward:
        step = f"Name layers yourself, of: {', '.join(layers) or 'none found'}."
        raise InputError("method.targets: keys, values and feed-forward were not found", next_step=step)
    return values, feedforward


def _leads_out(name: str) -> bool:
    """Whether a layer is the way out of a feed-forward block, by its last name or, in BERT and its kin, its path."""
    return name.rsplit(".", 1)[-1] in IA3_FEEDFORWARD or (name.endswith("output.dense") and "attention" not in name)
