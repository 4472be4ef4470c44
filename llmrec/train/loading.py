"""The model that is trained: loaded in its precision, with what is needed for gradients to flow."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

from llmrec.errors import MissingExtraError, ModelError
from llmrec.models.quiet import quiet
from llmrec.train.chosen import Chosen

logger = logging.getLogger(__name__)


def load_for_training(path: Path, reference: str, chosen: Chosen, *, full: bool, head: str = "causal-lm") -> Any:
    """Load the base model.

    Args:
        path: Its folder.
        reference: Its name in messages.
        chosen: Device and precision.
        full: Whether its own weights are trained: they are then held in float32 and computed in the precision.
        head: ``causal-lm``, ``pair`` (one score) or ``none``.

    Returns:
        The model; its ``new_layers`` are the names of those for which the folder has no weights, such as a new head.

    Raises:
        ModelError: Cannot be loaded, or not in this precision.
        MissingExtraError: 4- or 8-bit without bitsandbytes.
    """
    import torch
    import transformers

    kinds = {
        "causal-lm": transformers.AutoModelForCausalLM,
        "pair": transformers.AutoModelForSequenceClassification,
        "none": transformers.AutoModel,
    }
    settings: dict[str, Any] = {"dtype": torch.float32 if full else chosen.dtype}
    if head == "pair":
        settings["num_labels"] = 1
    if chosen.precision in ("int8", "nf4"):
        settings["quantization_config"] = quantization(chosen)
        settings["device_map"] = {"": chosen.device}
    try:
        with quiet():
            model: Any
            model, found = kinds[head].from_pretrained(
                path,
                local_files_only=True,
                use_safetensors=True,
                trust_remote_code=False,
                output_loading_info=True,
                **settings,
            )
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        step = "Give a model of the right kind with safetensors weights, or another precision."
        raise ModelError(f"{reference}: cannot be loaded in {chosen.precision}: {reason}", next_step=step) from error
    if chosen.precision in ("int8", "nf4"):
        keep_learning(model)
    else:
        model = model.to(chosen.device)
    model.new_layers = sorted({name.rpartition(".")[0] for name in found["missing_keys"]})
    if getattr(model, "generation_config", None) is not None:
        # sampling settings of the model's makers draw warnings from every save
        model.generation_config.do_sample = False
        model.generation_config.temperature = model.generation_config.top_p = model.generation_config.top_k = None
    return model


def quantization(chosen: Chosen) -> Any:
    """bitsandbytes' configuration of ``int8`` or ``nf4`` (QLoRA, Dettmers et al. 2023, arXiv 2305.14314).

    Raises:
        MissingExtraError: bitsandbytes is not installed.
    """
    from importlib.util import find_spec

    import torch
    from transformers import BitsAndBytesConfig

    if find_spec("bitsandbytes") is None:
        raise MissingExtraError(f"precision {chosen.precision}", "train")
    if chosen.precision == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    from llmrec.llm.hardware import cpu_multiplies_bf16

    fast = chosen.device.startswith("cuda") or cpu_multiplies_bf16()
    return BitsAndBytesConfig(
        load_in_4bit=True,
        bnb_4bit_quant_type="nf4",
        bnb_4bit_use_double_quant=True,
        bnb_4bit_compute_dtype=torch.bfloat16 if fast else torch.float32,
    )


def keep_learning(model: Any) -> None:
    """Keep quantised layers able to learn.

    On processors with AVX512-BF16, bitsandbytes 0.50 repacks 4-bit weights at the first evaluation and ``train()`` does
    not undo it: every gradient is exactly 0 from then on, in silence. And where peft 0.21 reads 8-bit weights on a
    processor, as DoRA does at every step, they come back without their scales, so that the next step fails.
    """
    for module in model.modules():
        if hasattr(module, "init_8bit_state"):
            module.register_forward_pre_hook(_keep_scales)
        if hasattr(module, "support_avx512bf16_for_cpu"):
            module.support_avx512bf16_for_cpu = False


def _keep_scales(module: Any, inputs: Any) -> None:
    if getattr(module.weight, "CB", None) is not None and module.weight.SCB is None:
        module.weight.SCB = module.state.SCB


def count_trained(model: Any) -> tuple[int, int]:
    """Weights that are trained, and all (4-bit weights lie two in a byte)."""
    trained = total = 0
    for parameter in model.parameters():
        count = parameter.numel()
        if type(parameter).__name__ == "Params4bit":
            count *= 2
        total += count
        trained += count if parameter.requires_grad else 0
    return trained, total
