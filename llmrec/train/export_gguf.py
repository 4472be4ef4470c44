"""A language model to a GGUF file, as llama.cpp and what is built on it read it.

::

    export_gguf("my-model", "my-model.gguf", kind="q8_0")     # llmrec models export my-model --to gguf -o …

Written with the ``gguf`` package of llama.cpp's authors; the file is converted back and asked what the model was asked.
Layout: https://github.com/ggml-org/ggml/blob/master/docs/gguf.md
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.errors import InputError, ModelError, TrainingError
from llmrec.models import ModelFolder
from llmrec.models.gguf import convert_gguf
from llmrec.storage.atomic import sync_folder
from llmrec.train.gguf_words import words_of
from llmrec.train.likeness import TEXTS, Opened, answers_of, likeness, open_model, refuse_drift
from llmrec.train.merge import Made
from llmrec.train.written import disk_told, folder_bytes, new_output, scratch_folder, whole_model

if TYPE_CHECKING:
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

#: Model types of transformers, and the architectures of llama.cpp that they are.
ARCHITECTURES = {"llama": "llama", "mistral": "llama", "qwen2": "qwen2", "qwen3": "qwen3"}
KINDS = ("f32", "f16", "bf16", "q8_0")
#: Most nats of KL divergence: rounding to 16 bits, or to 8 in blocks of 32 numbers.
TOLERANCES = {"f32": 0.01, "f16": 0.01, "bf16": 0.01, "q8_0": 0.05}
_LARGEST_HALF = 65504.0


def export_gguf(
    model: str,
    output: str | Path,
    *,
    kind: str = "f16",
    tolerance: float | None = None,
    texts: Sequence[str] = TEXTS,
) -> Made:
    """Write a GGUF file.

    Args:
        model: A causal language model (folder or reference).
        output: The ``.gguf`` file to write.
        kind: How matrices are held: ``f32``, ``f16``, ``bf16`` or ``q8_0``; vectors are always f32.
        tolerance: Most KL divergence; None: that of ``TOLERANCES``.
        texts: What the model and the file are asked.

    Raises:
        InputError: Not a language model, an unknown kind, an output that is there or is not called ``.gguf``.
        ModelError: An architecture or a tokenizer that has no form in GGUF here.
        TrainingError: The file does not hold the same model; nothing was written.
        StorageError: The disk refused.
    """
    if kind not in KINDS:
        raise InputError(f"kind {kind!r}: unknown", next_step=f"Give one of: {', '.join(KINDS)}.")
    target = new_output(output)
    if target.suffix != ".gguf":
        raise InputError(f"{target}: a GGUF file ends in .gguf", next_step="Name the output so.")
    folder = whole_model(model)
    if folder.kind != "causal-lm":
        step = "Give a language model; encoders and rerankers go to ONNX (--to onnx)."
        raise InputError(f"{model}: is a {folder.kind}, not a language model", next_step=step)
    architecture_of(folder)
    opened = open_model(folder.path, "causal-lm", model)
    words = words_of(opened.tokenizer, opened.model.get_input_embeddings().weight.shape[0], model)
    with scratch_folder(target) as scratch:
        file = scratch / target.name
        with disk_told(target):
            write_gguf(opened, words, folder, file, kind)
            back = scratch / "back"
            back.mkdir()
            facts = convert_gguf(file, back)
            numbers = compare(opened, back, words.add_bos, texts)
        step = "Take --kind f16, or tell the maintainers which model this is; --tolerance allows more."
        limit = TOLERANCES[kind] if tolerance is None else tolerance
        numbers = refuse_drift("causal-lm", numbers, limit, f"{model} as {kind} GGUF", step)
        report = {
            "model": {"reference": folder.reference, "digest": folder.digest},
            "kind": kind,
            "architecture": facts["architecture"],
            "tokenizer": {"model": words.model, "pre": words.pre, "tokens": len(words.tokens)},
            "bytes": file.stat().st_size,
            "share": file.stat().st_size / folder_bytes(folder.path, ".safetensors"),
            "likeness": numbers,
        }
        with disk_told(target):
            with open(file, "rb") as written:
                os.fsync(written.fileno())
            os.replace(file, target)
            sync_folder(target.absolute().parent)
    return Made(target, report)


def architecture_of(folder: ModelFolder) -> str:
    """The architecture of llama.cpp that a model is.

    Raises:
        ModelError: None that is written here, or a variant that would be read otherwise.
    """
    from transformers import AutoConfig

    config: Any = AutoConfig.from_pretrained(folder.path, local_files_only=True, trust_remote_code=False)
    step = f"Architectures written here: {', '.join(ARCHITECTURES)}; others by llama.cpp's own converter."
    if config.model_type not in ARCHITECTURES:
        raise ModelError(f"{folder.reference}: {config.model_type} has no form in GGUF here", next_step=step)
    if getattr(config, "mlp_bias", False) or (config.model_type == "llama" and config.attention_bias):
        raise ModelError(f"{folder.reference}: a {config.model_type} with biases", next_step=step)
    if config.model_type == "qwen3" and head_size(config) != 128:
        # its reader in transformers takes 128 for granted, and what cannot be read back cannot be compared
        raise ModelError(f"{folder.reference}: a qwen3 with heads of {head_size(config)}, not 128", next_step=step)
    rope = config.rope_parameters or {}
    if rope.get("rope_type", "default") not in ("default", "llama3"):
        raise ModelError(f"{folder.reference}: positions of the type {rope['rope_type']}", next_step=step)
    if getattr(config, "sliding_window", None) and config.model_type == "mistral":
        logger.warning("llama.cpp sees all tokens, not the last %d alone", config.sliding_window)
    return ARCHITECTURES[config.model_type]


def write_gguf(opened: Opened, words: Any, folder: ModelFolder, file: Path, kind: str) -> None:
    """Write the header, the words and the weights of a model to ``file``."""
    import gguf

    config = opened.model.config
    architecture = ARCHITECTURES[config.model_type]
    writer = gguf.GGUFWriter(file, architecture)
    heads, head = config.num_attention_heads, head_size(config)
    # transformers takes the bare name for an architecture
    writer.add_name("Mistral" if folder.path.name == "mistral" else folder.path.name)
    if folder.licence:
        writer.add_license(folder.licence.lower())
    file_types = {
        "f32": gguf.LlamaFileType.ALL_F32,
        "f16": gguf.LlamaFileType.MOSTLY_F16,
        "bf16": gguf.LlamaFileType.MOSTLY_BF16,
        "q8_0": gguf.LlamaFileType.MOSTLY_Q8_0,
    }
    writer.add_file_type(file_types[kind])
    if kind == "q8_0":
        writer.add_quantization_version(gguf.GGML_QUANT_VERSION)
    writer.add_context_length(config.max_position_embeddings)
    writer.add_embedding_length(config.hidden_size)
    writer.add_block_count(config.num_hidden_layers)
    writer.add_feed_forward_length(config.intermediate_size)
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.num_key_value_heads)
    writer.add_key_length(head)
    writer.add_value_length(head)
    writer.add_rope_dimension_count(head)
    writer.add_rope_freq_base(float((config.rope_parameters or {}).get("rope_theta", 10000.0)))
    writer.add_layer_norm_rms_eps(config.rms_norm_eps)
    writer.add_vocab_size(len(words.tokens))
    _add_words(writer, words)
    for name, array in tensors(opened.model, architecture):
        data, form = packed(array, kind)
        writer.add_tensor(name, data, raw_dtype=form)
    try:
        writer.write_header_to_file()
        writer.write_kv_data_to_file()
        writer.write_tensors_to_file()
    finally:
        writer.close()


def _add_words(writer: Any, words: Any) -> None:
    writer.add_tokenizer_model(words.model)
    writer.add_tokenizer_pre(words.pre)
    writer.add_token_list(words.tokens)
    writer.add_token_types(words.types)
    if words.merges:
        writer.add_token_merges(words.merges)
    if words.scores:
        writer.add_token_scores(words.scores)
    add = {"bos": writer.add_bos_token_id, "eos": writer.add_eos_token_id}
    add |= {"pad": writer.add_pad_token_id, "unk": writer.add_unk_token_id}
    for name, number in words.special.items():
        add[name](number)
    writer.add_add_bos_token(words.add_bos)
    writer.add_add_space_prefix(words.model == "llama")
    if words.template:
        writer.add_chat_template(words.template)


def head_size(config: Any) -> int:
    """Numbers of a head of attention."""
    return int(getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads)


def tensors(model: Any, architecture: str) -> Iterator[tuple[str, NDArray[np.float32]]]:
    """The weights under llama.cpp's names, in its order of rows; a tied head is left out.

    Raises:
        ModelError: A weight that has no name there.
    """
    import gguf

    config = model.config
    kinds = {value: key for key, value in gguf.MODEL_ARCH_NAMES.items()}
    names = gguf.get_tensor_name_map(kinds[architecture], config.num_hidden_layers)
    factors = rope_factors(model)
    if factors is not None:
        yield "rope_freqs.weight", factors
    for name, tensor in model.state_dict().items():
        if name == "lm_head.weight" and config.tie_word_embeddings:
            continue
        there = names.get_name(name, try_suffixes=(".weight", ".bias"))
        if there is None:
            raise ModelError(f"{name}: has no name in GGUF", next_step="Convert it with llama.cpp's own converter.")
        array = tensor.detach().float().cpu().numpy()
        if architecture == "llama" and name.endswith(("q_proj.weight", "k_proj.weight")):
            key = name.endswith("k_proj.weight")
            array = interleaved(array, config.num_key_value_heads if key else config.num_attention_heads)
        yield there, array


def interleaved(array: NDArray[np.float32], heads: int) -> NDArray[np.float32]:
    """Rows of queries or keys as ggml rotates them: neighbours, where transformers rotates halves against each other.

    With one head of four rows 0 1 2 3 become 0 2 1 3.
    """
    half = array.shape[0] // heads // 2
    return array.reshape(heads, 2, half, *array.shape[1:]).swapaxes(1, 2).reshape(array.shape)


def rope_factors(model: Any) -> NDArray[np.float32] | None:
    """By what the plain frequencies of positions are divided (Llama 3.1's stretched positions); None for 1."""
    rope = model.config.rope_parameters or {}
    if rope.get("rope_type", "default") == "default":
        return None
    size = head_size(model.config)
    plain = 1.0 / rope["rope_theta"] ** (np.arange(0, size, 2, dtype=np.float64) / size)
    return (plain / model.model.rotary_emb.inv_freq.double().cpu().numpy()).astype(np.float32)


def packed(array: NDArray[np.float32], kind: str) -> tuple[Any, Any]:
    """A tensor as it lies in the file, and its type there.

    Raises:
        TrainingError: Numbers beyond what float16 can hold.
    """
    import gguf

    if array.ndim == 1 or kind == "f32":
        return array, gguf.GGMLQuantizationType.F32
    wanted = "f16" if kind == "q8_0" and array.shape[-1] % 32 else kind
    if wanted == "f16":
        if np.abs(array).max() > _LARGEST_HALF:
            raise TrainingError("weights are beyond what f16 can hold", next_step="Take --kind bf16.")
        return array.astype(np.float16), gguf.GGMLQuantizationType.F16
    form = gguf.GGMLQuantizationType[wanted.upper()]
    return gguf.quants.quantize(array, form), form


def compare(opened: Opened, back: Path, add_bos: bool, texts: Sequence[str]) -> dict[str, Any]:
    """What the model and the folder that was converted back from the file make of the same texts.

    Raises:
        TrainingError: The file makes other tokens of a text.
    """
    again = open_model(back, "causal-lm", str(back))
    # what the reader of transformers leaves out of the config, and llama.cpp reads
    if (opened.model.config.rope_parameters or {}).get("rope_type", "default") != "default":
        again.model.model.rotary_emb = opened.model.model.rotary_emb
    ours = [opened.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    theirs = [again.tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts]
    if ours != theirs:
        wrong = next(text for text, a, b in zip(texts, ours, theirs, strict=True) if a != b)
        step = "Tell the maintainers which model this is, or convert it with llama.cpp's own converter."
        raise TrainingError(f"the file makes other tokens of: {wrong}", next_step=step)
    mine = opened.model.state_dict()
    apart = max(float((mine[name].float() - p.float()).abs().max()) for name, p in again.model.state_dict().items())
    numbers = likeness(
        "causal-lm", answers_of(opened, texts), answers_of(Opened("causal-lm", again.model, opened.tokenizer), texts)
    )
    return {"weights_apart": apart, **numbers}
