"""A cross-encoder from disk: a whole model in sentence-transformers' layout, or an adapter with its head.

::

    encoder = load_pair_encoder(resolve("adapter:minilm-pairs"), max_length=128)
    encoder.predict([("usb-c hub 5-in-1", "USB-C hub 7-in-1")])         # float32[1], a logit
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from llmrec.errors import ModelError
from llmrec.models.adapters import apply_adapter, base_of, first_line, quantized, read_config
from llmrec.models.quiet import quiet_transformers
from llmrec.models.resolve import ModelFolder

_REMEDY = "Give back the model that the adapter was trained on, or train the adapter again."


def load_pair_encoder(folder: ModelFolder, *, max_length: int | None = None, device: str | None = None) -> Any:
    """Load a ``CrossEncoder`` with one score, whose ``predict`` gives logits.

    Args:
        folder: A cross-encoder, or an adapter of one.
        max_length: Tokens of a pair that are seen; None: what the folder says.
        device: ``cpu``, ``cuda`` …; None: the library's choice.

    Raises:
        ModelError: It cannot be loaded, or is an adapter of something else.
    """
    if folder.kind != "adapter":
        return _told(folder, lambda: _whole(folder, max_length, device))
    config = read_config(folder)
    if config.task_type != "SEQ_CLS" or config.is_prompt_learning:
        step = "Give an adapter of 'task: rerank' with rerank.save: adapter."
        raise ModelError(f"{folder.reference}: is not an adapter of a cross-encoder", next_step=step)
    base = base_of(folder, remedy=_REMEDY)
    if quantized(base.path):
        raise ModelError(f"{base.reference}: is quantised, so that no adapter fits in", next_step=_REMEDY)
    encoder = _told(
        folder, lambda: plain_pair_encoder(base.path, max_length=max_length, device=device, dtype="float32")
    )
    encoder[0].model = apply_adapter(encoder[0].model, folder, remedy=_REMEDY).merge_and_unload(safe_merge=True)
    return encoder


def plain_pair_encoder(
    path: Path, *, max_length: int | None = None, device: str | None = None, dtype: str = "auto", logits: bool = True
) -> Any:
    """A ``CrossEncoder`` around any encoder's folder; its head is new where the folder has none.

    A pair is read as it stands: left to itself the library asks every model that has a chat template as a chat.

    Args:
        dtype: ``auto``: as its weights are.
        logits: Whether it answers with logits; else with what the library takes for one score, probabilities.
    """
    from sentence_transformers import CrossEncoder
    from sentence_transformers.sentence_transformer.modules import Transformer
    from torch.nn import Identity

    local = {"local_files_only": True}
    transformer = Transformer(
        str(path),
        transformer_task="sequence-classification",
        model_kwargs={**local, "use_safetensors": True, "trust_remote_code": False, "dtype": dtype},
        processor_kwargs=local,
        config_kwargs={**local, "num_labels": 1},
        modality_config={"text": {"method": "forward", "method_output_name": "logits"}},
        module_output_name="scores",
        max_seq_length=max_length,
    )
    return CrossEncoder(modules=[transformer], device=device, activation_fn=Identity() if logits else None)


def _whole(folder: ModelFolder, max_length: int | None, device: str | None) -> Any:
    from sentence_transformers import CrossEncoder
    from torch.nn import Identity

    if not (folder.path / "modules.json").is_file():
        return plain_pair_encoder(folder.path, max_length=max_length, device=device)
    return CrossEncoder(
        str(folder.path),
        max_length=max_length,
        device=device,
        local_files_only=True,
        trust_remote_code=False,
        model_kwargs={"use_safetensors": True},
        activation_fn=Identity(),
    )


def _told(folder: ModelFolder, load: Callable[[], Any]) -> Any:
    try:
        # the head of an adapter's base is new: the library says so at length, and the adapter brings it
        with quiet_transformers():
            return load()
    except (OSError, ValueError, KeyError, RuntimeError) as error:
        step = "Check that sentence-transformers alone can load the folder."
        raise ModelError(f"{folder.reference}: cannot be loaded ({first_line(error)})", next_step=step) from error
