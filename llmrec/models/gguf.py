"""A GGUF file to a plain Hugging Face folder, once: bf16 safetensors that can be trained, saved and adapted.

transformers loads GGUF directly, but such a model can be neither saved nor trained (its config keeps a quantization
entry), so the weights are copied into a model built from the bare config.
"""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import Any

from llmrec.errors import ModelError
from llmrec.models.quiet import quiet_transformers

logger = logging.getLogger(__name__)

#: Pre-tokenizers of llama.cpp that split every digit off before the byte-level step; transformers loses that step.
DIGIT_SPLITTERS = {"smollm", "starcoder", "refact", "command-r", "codeshell", "exaone", "minerva-7b"}


def convert_gguf(source: Path, target: Path) -> dict[str, str]:
    """Convert a GGUF language model.

    Args:
        source: The ``.gguf`` file.
        target: An existing folder; gets config, generation config, bf16 safetensors, tokenizer, chat template.

    Returns:
        What the file says of itself: ``name``, ``licence``, ``architecture`` (empty when it does not).

    Raises:
        ModelError: Not a GGUF file, damaged, or of an architecture that transformers does not read.
    """
    facts = read_facts(source)
    from transformers import AutoTokenizer

    try:
        with quiet_transformers():
            model = _dense(source)
            tokenizer: Any = AutoTokenizer.from_pretrained(source.parent, gguf_file=source.name)
    except (ValueError, RuntimeError, KeyError, NotImplementedError, OSError, ImportError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        step = "Give another quantization of the model, or its safetensors form (hub id or folder)."
        raise ModelError(f"{source.name}: cannot be converted from GGUF: {reason}", next_step=step) from error
    if facts["pre"] in DIGIT_SPLITTERS:
        split_digits(tokenizer)
    if facts["context"]:
        tokenizer.model_max_length = int(facts["context"])
    with quiet_transformers():
        model.save_pretrained(target)
        tokenizer.save_pretrained(target)
    _forget_versions(target)
    return {key: facts[key] for key in ("name", "licence", "architecture")}


def read_facts(source: Path) -> dict[str, str]:
    """Name, licence, architecture, context length and pre-tokenizer, as a GGUF file's header gives them."""
    import gguf

    try:
        reader = gguf.GGUFReader(source)
    except (ValueError, OSError, IndexError) as error:
        step = "Give a complete .gguf file; download it again if it was cut short."
        raise ModelError(f"{source}: not a readable GGUF file ({error})", next_step=step) from error

    def text(key: str) -> str:
        field = reader.fields.get(key)
        return "" if field is None else str(field.contents())

    architecture = text("general.architecture")
    return {
        "name": text("general.name"),
        "licence": text("general.license"),
        "architecture": architecture,
        "context": text(f"{architecture}.context_length"),
        "pre": text("tokenizer.ggml.pre"),
    }


def split_digits(tokenizer: Any) -> None:
    """Put back the step that makes every digit a token of its own, as llama.cpp and SmolLM2's own tokenizer have it."""
    from tokenizers import pre_tokenizers

    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, trim_offsets=True, use_regex=True)
    digits = pre_tokenizers.Digits(individual_digits=True)
    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence([digits, byte_level])


def _dense(source: Path) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    options: dict[str, Any] = {"gguf_file": source.name, "dtype": torch.bfloat16}
    try:
        from transformers import GgufConfig  # without it, some architectures stay packed where kernels are installed

        options["quantization_config"] = GgufConfig(dequantize=True)
    except ImportError:
        pass
    loaded = AutoModelForCausalLM.from_pretrained(source.parent, **options)
    config = loaded.config
    if hasattr(config, "quantization_config"):
        del config.quantization_config
    weights = loaded.state_dict()
    packed = [name for name, tensor in weights.items() if not tensor.is_floating_point()]
    if packed:
        raise ValueError(f"{len(packed)} tensors stay packed, first {packed[0]}")
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(weights, assign=True)
    model.tie_weights()
    model.generation_config = loaded.generation_config
    return model


def _forget_versions(folder: Path) -> None:
    # which version of transformers converted is no part of the model, and would change its digest
    for name in ("config.json", "generation_config.json"):
        path = folder / name
        if path.is_file():
            settings = json.loads(path.read_text(encoding="utf-8"))
            settings.pop("transformers_version", None)
            settings.pop("_model_name_or_path", None)
            path.write_text(json.dumps(settings, ensure_ascii=False, indent=2) + "\n", encoding="utf-8")
