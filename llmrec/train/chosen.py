"""What ``auto`` means: a recipe, a model and a machine to the numbers that are trained with."""

from __future__ import annotations

from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

from llmrec.errors import InputError, ModelError
from llmrec.recipes import VIRTUAL_TOKENS, Recipe

if TYPE_CHECKING:
    import torch

#: Learning rate of each method at the default batch of 16, for a language model and for an encoder. Prompt learning
#: moves few numbers and wants large steps. LoRA's, prompt's, p-tuning's and prefix's were compared with others on
#: dev titles (``eval/finetune_grid.py rates``); the rest are from the literature.
RATES: dict[str, tuple[float, float]] = {
    "full": (2e-5, 2e-5),
    "lora": (5e-4, 5e-4),
    "rslora": (2e-4, 2e-4),
    "dora": (5e-4, 5e-4),
    "ia3": (1e-2, 1e-2),
    "prompt": (3e-2, 3e-2),
    "p-tuning": (5e-3, 5e-3),
    "prefix": (2e-2, 2e-2),
}
#: A rate for language models of some billions: large models want smaller steps.
LARGE = 1_000_000_000
LARGE_SHARE = 0.4
#: Metric that chooses the best checkpoint of each task.
METRICS = {"summarize": "rougeL", "embed": "mrr", "rerank": "f1", "prefer": "accuracy"}
#: Tokens of an example.
LENGTHS = {"summarize": 1024, "embed": 256, "rerank": 256, "prefer": 1024}
#: Tokens that go through the model at once, padding included, on a processor and on a GPU. There the library makes all
#: logits: with a vocabulary of 150,000 they are 5 GB in float32, and as much again for their gradient.
MICRO_TOKENS = {"cpu": 2048, "cuda": 8192}


@dataclass(frozen=True)
class Chosen:
    """All that the recipe left to us.

    Attributes:
        device: ``cpu``, ``cuda`` …
        precision: ``fp32``, ``bf16``, ``fp16``, ``int8`` or ``nf4``.
        learning_rate: Highest rate of the schedule.
        micro_batch_size: Examples that go through the model at once, in each process.
        accumulation: Such batches for one update.
        processes: Processes that train together (``accelerate launch``).
        max_tokens: Most tokens of an example.
        metric: What chooses the best checkpoint.
        threads: Threads of torch in this process.
    """

    device: str
    precision: str
    learning_rate: float
    micro_batch_size: int
    accumulation: int
    processes: int
    max_tokens: int
    metric: str
    threads: int

    def as_dict(self) -> dict[str, Any]:
        """For metrics and cards."""
        return asdict(self)

    @property
    def dtype(self) -> torch.dtype:
        """What the frozen weights are held in (and the trained ones, but for ``bf16`` and ``fp16`` of ``full``)."""
        import torch

        return {"fp32": torch.float32, "fp16": torch.float16}.get(self.precision, torch.bfloat16)


def choose(recipe: Recipe, *, parameters: int, context: int | None, decoder: bool, processes: int = 1) -> Chosen:
    """Settle every ``auto`` of a recipe.

    Args:
        parameters: Weights of the model.
        context: Most tokens that the model takes.
        decoder: Whether it is a language model (else an encoder).
        processes: Processes that train together.

    Raises:
        InputError: A precision that this machine has not, or a batch that cannot be shared by the processes.
    """
    from llmrec.llm.hardware import choose_device, choose_threads, cpu_multiplies_bf16

    training, method = recipe.training, recipe.method.name
    device = choose_device(recipe.device)
    precision: str = recipe.precision
    if precision == "auto":
        if device.type == "cuda":
            import torch

            precision = "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp16"
        else:
            precision = "bf16" if cpu_multiplies_bf16() and decoder else "fp32"
    if precision == "fp16" and device.type == "cpu":
        step = "Take fp32, or bf16 where the processor multiplies it ('llmrec doctor')."
        raise InputError("precision fp16: its gradients underflow on a processor", next_step=step)
    rate: float | str = training.learning_rate
    if rate == "auto":
        rate = RATES[method][0 if decoder else 1]
        if decoder and parameters > LARGE and method not in VIRTUAL_TOKENS:
            rate *= LARGE_SHARE
    longest = recipe.data.max_tokens
    if longest == "auto":
        longest = min(LENGTHS[recipe.task], context or LENGTHS[recipe.task])
    elif context and longest > context:
        step = f"Give {context} or less."
        raise InputError(f"data.max_tokens: {longest}, but the model takes {context}", next_step=step)
    if training.batch_size % processes:
        step = f"Give a multiple of {processes}."
        raise InputError(f"training.batch_size: {training.batch_size} over {processes} processes", next_step=step)
    share = training.batch_size // processes
    micro = training.micro_batch_size
    if micro == "auto":
        room = max(1, MICRO_TOKENS.get(device.type, 4096) // int(longest))
        micro = max(size for size in range(1, share + 1) if share % size == 0 and size <= room)
    elif share % micro:
        step = f"Give a divisor of {share}: the batch of each process."
        raise InputError(f"training.micro_batch_size: {micro}", next_step=step)
    return Chosen(
        device=str(device),
        precision=precision,
        learning_rate=float(rate),
        micro_batch_size=int(micro),
        accumulation=share // int(micro),
        processes=processes,
        max_tokens=int(longest),
        metric=METRICS[recipe.task] if recipe.evaluation.metric == "auto" else recipe.evaluation.metric,
        threads=choose_threads(None if training.threads == "auto" else training.threads),
    )


def fitted(chosen: Chosen, *, longest: int, shared: int) -> Chosen:
    """A larger micro-batch where the examples turn out shorter than they may be, or begin alike.

    Args:
        longest: Tokens of the longest example.
        shared: Tokens that all examples begin with, which are computed once in a micro-batch.
    """
    share = chosen.micro_batch_size * chosen.accumulation
    room = MICRO_TOKENS[chosen.device]
    fits = [n for n in range(1, share + 1) if share % n == 0 and shared + n * (longest - shared) <= room]
    size = max([chosen.micro_batch_size, *fits])
    return replace(chosen, micro_batch_size=size, accumulation=share // size)


def model_facts(path: Any, reference: str) -> tuple[int, int | None, bool]:
    """Weights, context and whether it is a decoder, from the folder alone: nothing is loaded.

    Raises:
        ModelError: Not a transformers model with safetensors weights.
    """
    import json

    from safetensors import SafetensorError, safe_open
    from transformers import AutoConfig

    try:
        config = AutoConfig.from_pretrained(path, local_files_only=True, trust_remote_code=False).get_text_config()
        count = 0
        for file in sorted(path.glob("*.safetensors")):
            with safe_open(file, "pt") as weights:
                for name in list(weights.keys()):
                    size = 1
                    for length in weights.get_slice(name).get_shape():
                        size *= length
                    count += size
    except (OSError, ValueError, KeyError, SafetensorError, json.JSONDecodeError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        step = "Give a model folder with safetensors weights (llmrec models list)."
        raise ModelError(f"{reference}: cannot be trained: {reason}", next_step=step) from error
    if not count:
        step = "Give a model folder with safetensors weights (llmrec models list)."
        raise ModelError(f"{reference}: has no safetensors weights to train", next_step=step)
    context = getattr(config, "max_position_embeddings", None)
    decoder = any("CausalLM" in name for name in config.architectures or ()) or bool(
        getattr(config, "use_cache", False) and not getattr(config, "is_encoder_decoder", False)
        and "Model" not in "".join(config.architectures or ())
    )  # fmt: skip
    return count, context, decoder
