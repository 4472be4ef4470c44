"""An encoder that is a PEFT adapter: some megabytes, beside the model that they name.

The folder is PEFT's own (``adapter_config.json``, ``adapter_model.safetensors``), so that ``transformers`` and ``peft``
alone can load it over its base. What those two do not know, how token vectors are pooled and what stands before a text,
is in ``llmrec_embed.json``::

    {"pooling": "mean", "prompts": {"query": "", "document": ""}, "max_length": 256, "matryoshka": [128], …}
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from llmrec.errors import InputError, ModelError
from llmrec.models import ModelFolder
from llmrec.models.adapters import apply_adapter, base_of, first_line, quantized, read_config

#: Beside the files of the library whose layout the folder has.
SETTINGS = "llmrec_embed.json"
REMEDY = "Give back the model that the adapter was trained on, or train the adapter again."


class EncoderSettings(msgspec.Struct, frozen=True):
    """How an encoder is used, where its library's files have no place for it; None: as its base says."""

    pooling: Literal["mean", "last", "cls"] | None = None
    prompts: dict[Literal["query", "document"], str] | None = None
    #: Tokens of a text that are seen.
    max_length: int | None = None
    lower_case: bool | None = None
    #: Lengths at which its vectors were trained to work when they are cut.
    matryoshka: tuple[int, ...] = ()


def read_settings(folder: Path) -> EncoderSettings:
    """The settings of a model folder; all unset where it has none.

    Raises:
        ModelError: They cannot be read.
    """
    path = folder / SETTINGS
    if not path.is_file():
        return EncoderSettings()
    try:
        found = msgspec.json.decode(path.read_bytes(), type=EncoderSettings)
    except (OSError, msgspec.DecodeError) as error:
        raise ModelError(f"{path}: cannot be read: {first_line(error)}", next_step="Copy the folder again.") from error
    if (found.max_length or 1) < 1 or any(length < 1 for length in found.matryoshka):
        raise ModelError(f"{path}: lengths must be 1 or more", next_step="Copy the folder again.")
    return found


@dataclass(frozen=True)
class EncoderAdapter:
    """An adapter folder, checked, and the model beneath it."""

    folder: ModelFolder
    base: ModelFolder
    settings: EncoderSettings

    @classmethod
    def find(cls, folder: ModelFolder) -> EncoderAdapter:
        """Check an adapter's configuration and find the model that it names.

        Raises:
            ModelError: Not an adapter of an encoder, damaged, or its model is missing or another than it was.
            InputError: An adapter of learned prompts.
        """
        config = read_config(folder)
        if config.task_type not in (None, "FEATURE_EXTRACTION"):
            step = "Give an adapter of 'task: embed'. One of a language model is for llmrec summarize --adapter."
            raise ModelError(
                f"{folder.reference}: is an adapter for {config.task_type}, not an encoder", next_step=step
            )
        if config.is_prompt_learning:
            step = "Train it with lora, dora or ia3."
            raise InputError(f"{folder.reference}: tokens put before a text cannot be pooled", next_step=step)
        base = base_of(folder, remedy=REMEDY)
        if quantized(base.path):
            raise ModelError(f"{base.reference}: is quantised, so that no adapter fits in", next_step=REMEDY)
        return cls(folder, base, read_settings(folder.path))

    def merged(self, model: Any) -> Any:
        """The base model, in float32, with the adapter added into its weights.

        Raises:
            ModelError: It does not fit.
        """
        adapted = apply_adapter(model, self.folder, remedy=REMEDY)
        try:
            return adapted.merge_and_unload(safe_merge=True)
        except (ValueError, NotImplementedError, AttributeError) as error:
            step = "Train it again, with lora, dora or ia3."
            raise ModelError(
                f"{self.folder.reference}: cannot be merged: {first_line(error)}", next_step=step
            ) from error
