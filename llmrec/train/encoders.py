"""An encoder in sentence-transformers' form: loaded to be trained, asked for vectors, merged."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec.errors import InputError, MissingExtraError, ModelError
from llmrec.models.quiet import quiet
from llmrec.train.chosen import Chosen
from llmrec.train.loading import keep_learning, quantization

logger = logging.getLogger(__name__)

POOLINGS = {"mean": "mean", "cls": "cls", "last": "lasttoken"}
#: Tokens that a plain model sees of a text, where its folder states no limit: as llmrec.embed has it.
PLAIN_LENGTH = 512
#: A text is read as it stands, as llmrec.embed does: left to itself the library asks every model that has a chat
#: template as a chat, and what is trained is another encoder than what is used.
AS_IT_STANDS = {"text": {"method": "forward", "method_output_name": "last_hidden_state"}}
#: Memory for what a training step keeps of its texts, on a processor; on a GPU the share of its memory.
ROOM, GPU_SHARE = 2 << 30, 0.4
#: Numbers that a layer keeps of each token for the way back, in units of the hidden size.
KEPT = 34


def load_sentence_encoder(path: Path, reference: str, chosen: Chosen, *, full: bool, pooling: str) -> Any:
    """A ``SentenceTransformer`` from a folder of that library, or of a plain encoder or decoder with a pooling on top.

    Args:
        path: The model's folder.
        reference: Its name in messages.
        chosen: Device and precision.
        full: Whether its own weights are trained: they are then held in float32.
        pooling: ``auto`` (the folder's own, else the mean), ``mean``, ``cls`` or ``last``.

    Raises:
        ModelError: It cannot be loaded, or not in this precision.
        InputError: A pooling for a model that has no such layer.
    """
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer

    settings: dict[str, Any] = {"use_safetensors": True, "dtype": torch.float32 if full else chosen.dtype}
    quantised = chosen.precision in ("int8", "nf4")
    if quantised:
        settings["quantization_config"] = quantization(chosen)
        settings["device_map"] = {"": chosen.device}
    device = chosen.device
    try:
        with quiet():
            if (path / "modules.json").is_file():
                model = SentenceTransformer(
                    str(path), device=device, local_files_only=True, trust_remote_code=False, model_kwargs=settings
                )
                if pooling != "auto":
                    _repool(model, pooling, reference)
            else:
                transformer = Transformer(
                    str(path),
                    model_kwargs={**settings, "local_files_only": True, "trust_remote_code": False},
                    processor_kwargs={"local_files_only": True},
                    config_kwargs={"local_files_only": True},
                    modality_config=AS_IT_STANDS,
                    module_output_name="token_embeddings",
                )
                mode: Any = POOLINGS["mean" if pooling == "auto" else pooling]
                modules = [transformer, Pooling(transformer.get_embedding_dimension(), mode)]
                model = SentenceTransformer(modules=modules, device=device)
                model.max_seq_length = min(model.max_seq_length or PLAIN_LENGTH, PLAIN_LENGTH)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError) as error:
        if isinstance(error, InputError | MissingExtraError):
            raise
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        step = "Give an encoder or a language model with safetensors weights, or another precision."
        raise ModelError(f"{reference}: cannot be loaded in {chosen.precision}: {reason}", next_step=step) from error
    if quantised:
        keep_learning(model)
    tokenizer = model.tokenizer
    if tokenizer.pad_token is None:
        tokenizer.pad_token = tokenizer.eos_token or tokenizer.unk_token
    # a text has the same vector alone and in a batch
    tokenizer.padding_side = tokenizer.truncation_side = "right"
    return model


def _repool(model: Any, pooling: str, reference: str) -> None:
    from sentence_transformers.sentence_transformer.modules import Pooling

    for name, module in model.named_children():
        if isinstance(module, Pooling):
            mode: Any = POOLINGS[pooling]
            model[int(name)] = Pooling(module.embedding_dimension, mode)
            return
    raise InputError(f"embed.pooling: {reference} has no layer that pools", next_step="Leave it at auto.")


@contextmanager
def limited(model: Any, tokens: int) -> Iterator[None]:
    """Within this, texts are cut after ``tokens``."""
    before = model.max_seq_length
    model.max_seq_length = tokens
    try:
        yield
    finally:
        model.max_seq_length = before


def texts_at_once(model: Any, chosen: Chosen, tokens: int, *, checkpointing: bool) -> int:
    """About how many texts of so many tokens go through the model together, with what is kept for the way back."""
    import torch

    config = model[0].auto_model.config.get_text_config()
    size = 4 if chosen.precision == "fp32" else 2
    each = config.num_hidden_layers * config.hidden_size * KEPT * size
    if checkpointing:
        each = max(each // config.num_hidden_layers, config.num_hidden_layers * config.hidden_size * size)
    room = ROOM
    if chosen.device.startswith("cuda"):
        room = int(GPU_SHARE * torch.cuda.get_device_properties(chosen.device).total_memory)
    return max(1, room // (each * tokens))


def encode(model: Any, texts: Sequence[str], *, batch: int = 64) -> NDArray[np.float32]:
    """Unit vectors of texts that carry their prompts already, float32 ``[n, d]``."""
    training = model.training
    if not texts:
        return np.zeros((0, int(model.get_embedding_dimension())), dtype=np.float32)
    try:
        vectors = model.encode(list(texts), prompt="", batch_size=batch, show_progress_bar=False)
    finally:
        model.train(training)
    vectors = np.asarray(vectors, dtype=np.float32)
    return vectors / np.maximum(np.linalg.norm(vectors, axis=1, keepdims=True), 1e-12)


def merged(model: Any, adapter: Any, fresh: Any) -> Any:
    """The model with its adapter in its weights, held in float32 while they are added up.

    Args:
        model: The trained model.
        adapter: PEFT's model around its transformer; None: it was trained whole.
        fresh: Loads the untrained model in bf16: quantised weights are not merged into (they would be rounded anew).
    """
    if adapter is None:
        return model
    quantised = any(type(p).__name__ in ("Params4bit", "Int8Params") for p in adapter.parameters())
    target, dtype = model, next(p.dtype for p in model.parameters() if p.is_floating_point())
    if quantised:
        from peft import get_peft_model, get_peft_model_state_dict, set_peft_model_state_dict

        target = fresh()
        dtype = next(p.dtype for p in target.parameters() if p.is_floating_point())
        inner = get_peft_model(target[0].auto_model, adapter.peft_config["default"])
        set_peft_model_state_dict(inner, get_peft_model_state_dict(adapter))
        target.eval()
        adapter = inner
    target.float()
    adapter.merge_and_unload(safe_merge=True)
    return target.to(dtype)
