"""What surrounds a training: other processes, other libraries' chatter, trackers; checked before work starts."""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path

from llmrec.errors import InputError
from llmrec.recipes import Recipe

#: Package that a tracker of transformers wants, where it is not of the same name.
PACKAGES = {"azure_ml": "azureml-core", "comet_ml": "comet-ml", "flyte": "flytekit", "dvclive": "dvclive"}

#: Modules whose warnings are for those who call them.
THEIRS = r"(transformers|peft|trl|accelerate|torch)\b"


def process_count() -> int:
    """Processes that train together (``accelerate launch``)."""
    return max(1, int(os.environ.get("WORLD_SIZE", "1")))


def process_rank() -> int:
    """Number of this process; the one with 0 writes and tells."""
    return int(os.environ.get("RANK", "0"))


def told_by() -> str:
    """What the messages of a process begin with when it is not the only one."""
    return f"process {process_rank()}: " if process_count() > 1 else ""


def lost_the_others(error: RuntimeError) -> bool:
    """Whether an error only says that another process has gone."""
    import torch.distributed

    kinds = tuple(
        kind for name in ("DistError", "DistNetworkError") if (kind := getattr(torch.distributed, name, None))
    )
    text = str(error).lower()
    return process_count() > 1 and (
        isinstance(error, kinds)
        or any(word in text for word in ("gloo", "nccl", "connection closed", "connection reset"))
    )


def shards(recipe: Recipe) -> bool:
    """Whether the weights will lie in parts on several devices (FSDP, DeepSpeed)."""
    asked = ("ACCELERATE_USE_FSDP", "ACCELERATE_USE_DEEPSPEED")
    return recipe.training.deepspeed is not None or any(os.environ.get(name, "").lower() == "true" for name in asked)


def check_launch(recipe: Recipe, metric: str) -> None:
    """Refuse what would only fail once the work has begun.

    Args:
        metric: What chooses the best checkpoint.

    Raises:
        InputError: A tracker or DeepSpeed that is not installed, or a metric that sharded weights cannot be asked for.
    """
    from transformers.integrations import get_available_reporting_integrations
    from transformers.integrations.integration_utils import INTEGRATION_TO_CALLBACK

    known = sorted(INTEGRATION_TO_CALLBACK)
    for tracker in recipe.training.report_to:
        if tracker not in known:
            raise InputError(
                f"training.report_to: no tracker {tracker!r}", next_step=f"Give some of {', '.join(known)}."
            )
        if tracker not in get_available_reporting_integrations():
            step = f"Install it with: pip install {PACKAGES.get(tracker, tracker)}"
            raise InputError(f"training.report_to: {tracker} is not installed", next_step=step)
    deepspeed = recipe.training.deepspeed
    if deepspeed is not None:
        if find_spec("deepspeed") is None:
            step = "Install it with: pip install deepspeed"
            raise InputError("training.deepspeed: DeepSpeed is not installed", next_step=step)
        if not Path(deepspeed).is_file():
            step = "Give a DeepSpeed configuration in JSON; the path is relative to where llmrec is run."
            raise InputError(f"training.deepspeed: {deepspeed}: no such file", next_step=step)
    if shards(recipe) and metric != "loss" and recipe.evaluation.every != "end":
        step = "Set evaluation.metric to loss; the task's own metric is measured at the end."
        raise InputError(f"evaluation.metric: {metric} is not measured on weights in parts", next_step=step)


@contextmanager
def hushed() -> Iterator[None]:
    """Leave out what libraries say to their callers' authors; all of it stays with ``--verbose``."""
    if logging.getLogger("llmrec").isEnabledFor(logging.INFO):
        yield
        return
    from transformers.utils import logging as theirs

    level = theirs.get_verbosity()
    theirs.set_verbosity_error()
    quantised = logging.getLogger("bitsandbytes")  # tells at every product of 8-bit matrices that it casts
    before = quantised.level
    quantised.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings():
            for category in (FutureWarning, DeprecationWarning, UserWarning):
                warnings.filterwarnings(
                    "ignore", category=category, module=r"(transformers|peft|trl|accelerate|torch)\b"
                )
            yield
    finally:
        theirs.set_verbosity(level)
        quantised.setLevel(before)
