"""What no single key can be wrong about: keys that do not go together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import get_args

from llmrec.recipes.schema import LOW_RANK, VIRTUAL_TOKENS, Recipe, TaskName
from llmrec.recipes.strict import Fault

#: Keys of ``method`` and the methods that have them.
OWNERS = {
    "rank": LOW_RANK,
    "alpha": LOW_RANK,
    "dropout": LOW_RANK,
    "init": LOW_RANK,
    "targets": (*LOW_RANK, "ia3"),
    "tokens": VIRTUAL_TOKENS,
    "text": ("prompt", "prefix"),
    "hidden": ("p-tuning", "prefix"),
}
METRICS = {
    "summarize": ("rougeL", "loss"),
    "embed": ("mrr", "ndcg@10", "recall@1", "recall@10", "loss"),
    "rerank": ("f1", "loss"),
    "prefer": ("accuracy", "loss"),
}

#: What each task can do with an example that is too long.
TOO_LONG = {"summarize": ("cut", "drop", "refuse"), "embed": ("cut", "refuse"), "rerank": ("cut",), "prefer": ("cut",)}


def cross_faults(recipe: Recipe) -> Iterator[Fault]:
    """Yield ``(path of the key, what is wrong)`` for keys that do not go together."""
    method, task = recipe.method.name, recipe.task
    for key in sorted(recipe.method.model_fields_set - {"name"}):
        if method not in OWNERS[key] and getattr(recipe.method, key) is not None:
            yield ("method", key), f"means nothing with the method {method} (it belongs to {', '.join(OWNERS[key])})"
    for other in get_args(TaskName):
        if other != task and other in recipe.model_fields_set:
            yield (other,), f"means nothing for the task {task}"
    metric = recipe.evaluation.metric
    if metric != "auto" and metric not in METRICS[task]:
        yield ("evaluation", "metric"), f"{metric} is not measured for {task} ({', '.join(METRICS[task])})"
    if task == "embed" and method in VIRTUAL_TOKENS:
        yield ("method", "name"), f"{method} puts tokens before the text, which an encoder would pool: take lora or ia3"
    cross_encoder = task == "rerank" and recipe.rerank.kind == "cross-encoder"
    if cross_encoder and method in VIRTUAL_TOKENS:
        yield ("method", "name"), f"{method} is not for a cross-encoder: take lora, ia3 or full"
    if method == "full" and recipe.precision in ("int8", "nf4"):
        yield ("precision",), f"{recipe.precision} weights are frozen: train them with an adapter, or full in bf16"
    if recipe.method.init in ("pissa", "olora") and recipe.precision in ("int8", "nf4"):
        yield ("method", "init"), f"{recipe.method.init} needs the weights that {recipe.precision} has rounded away"
    if recipe.data.qrels and task != "embed":
        yield ("data", "qrels"), f"means nothing for the task {task}"
    elif recipe.data.qrels and not recipe.data.products:
        yield ("data", "qrels"), "names products: give their catalog as data.products"
    for section in ("embed", "rerank"):
        if getattr(recipe, section).save == "adapter" and method == "full":
            yield (section, "save"), "the method full trains no adapter: take lora, or save: merged"
    if task == "embed" and recipe.embed.mine_from > recipe.embed.mine_to:
        yield ("embed", "mine_to"), f"{recipe.embed.mine_to} is below mine_from ({recipe.embed.mine_from})"
    if recipe.data.prompt and task not in ("summarize", "prefer"):
        yield ("data", "prompt"), f"means nothing for the task {task}"
    for key in ("products", "qrels"):
        if getattr(recipe.data, key) and task != "embed":
            yield ("data", key), f"means nothing for the task {task} (it belongs to embed)"
    if recipe.data.too_long not in TOO_LONG[task]:
        yield ("data", "too_long"), f"{recipe.data.too_long} is not for the task {task} ({', '.join(TOO_LONG[task])})"
    if task == "rerank" and not cross_encoder:
        for key, plain in (("positive_weight", 1.0), ("drop_tokens", 0.0), ("save", "merged")):
            if getattr(recipe.rerank, key) != plain:
                yield ("rerank", key), "means nothing for the kind yes-no"
    if recipe.training.packing and task != "summarize":
        yield ("training", "packing"), f"only summarize packs its examples, not {task}"
    micro = recipe.training.micro_batch_size
    if isinstance(micro, int) and recipe.training.batch_size % micro:
        yield ("training", "micro_batch_size"), f"{micro} does not divide batch_size ({recipe.training.batch_size})"
    if not recipe.data.dev and not recipe.data.dev_share and recipe.evaluation.every != "end":
        yield ("data", "dev_share"), "without dev examples set evaluation.every to end"
