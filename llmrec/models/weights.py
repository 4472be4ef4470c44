"""Which files of a folder are a model's weights, and whether they are safe and whole.

A pickle can run code when it is loaded, so a part of a model that has pickles only is refused; a safetensors file
that was cut short is known by its header, without reading the rest.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath

from llmrec.errors import ModelError

#: What belongs to a model, whatever its kind; weights are chosen by ``weight_files``.
DOCUMENTS = ("*.json", "*.txt", "*.model", "*.jinja", "*.tiktoken", "README.md", "LICENSE*")
#: Copies of the same model in other formats, and what training leaves behind.
_ASIDE = re.compile(
    r"(^|/)(\..*|onnx|openvino|coreml|original|flax|tf|checkpoint-\d+|runs)/"
    r"|consolidated.*\.safetensors$|(^|/)(trainer_state|training_args|manifest\.json)[^/]*$|(^|/)\.[^/]*$"
)
_PICKLE = re.compile(r"\.(bin|pt|pth|ckpt|pkl|pickle)$")
_LARGEST_HEADER = 100_000_000  # as the safetensors library itself has it
_STATE = re.compile(r"(^|/)(training_args|optimizer|scheduler|scaler|rng_state)[^/]*$")


def is_document(name: str) -> bool:
    """Whether a file is config, tokenizer or text of a model."""
    return not _ASIDE.search(name) and any(fnmatch(PurePosixPath(name).name, pattern) for pattern in DOCUMENTS)


def is_pickle(name: str) -> bool:
    """Whether a file name is that of pickled weights (``model.bin`` of CTranslate2 is told apart by its company)."""
    return bool(_PICKLE.search(name)) and not _STATE.search(name)


def weight_files(names: Iterable[str], shown: str, *, allow_pickle: bool) -> list[str]:
    """The files of ``names`` that hold the model's weights.

    Raises:
        ModelError: There are none, or some part of the model has pickles only and they are not allowed.
    """
    names = [name for name in names if not _ASIDE.search(name)]
    safe = [name for name in names if name.endswith(".safetensors")]
    if not safe and is_ctranslate2(names):
        return ["model.bin"]
    have = {PurePosixPath(name).parent for name in safe}
    pickles = [name for name in names if is_pickle(name) and PurePosixPath(name).parent not in have]
    if pickles and not allow_pickle:
        step = "Use a model with safetensors weights, or, if you trust its makers, allow pickle (--allow-pickle)."
        raise ModelError(f"{shown}: {pickles[0]} is a pickle, which can run code when it is loaded", next_step=step)
    if not safe and not pickles:
        step = "Give a folder with config.json and .safetensors weights, a .gguf file, or a hub id."
        if any(name.endswith(".gguf") for name in names):
            step = "Download one of its .gguf files and give the path of that file."
        raise ModelError(f"{shown}: holds no weights that llmrec can load", next_step=step)
    return safe + pickles


def check_whole(folder: Path, weights: Iterable[str], shown: str) -> None:
    """Check that weights are complete, by their headers and by the list of shards.

    Raises:
        ModelError: A file was cut short or is missing.
    """
    weights = list(weights)
    step = "Copy or download the model again: it was cut short."
    for name in weights:
        path = folder / name
        if path.stat().st_size == 0 or (name.endswith(".safetensors") and _length(path) != path.stat().st_size):
            raise ModelError(f"{shown}: {name} is not whole", next_step=step)
    for index in folder.glob("*.safetensors.index.json"):
        try:
            shards = set(json.loads(index.read_text(encoding="utf-8"))["weight_map"].values())
        except (OSError, ValueError, KeyError, AttributeError, TypeError) as error:
            raise ModelError(f"{shown}: {index.name} cannot be read ({error})", next_step=step) from error
        missing = sorted(str(shard) for shard in shards if not (folder / str(shard)).is_file())
        if missing:
            raise ModelError(f"{shown}: {missing[0]} is missing ({len(missing)} of {len(shards)})", next_step=step)


def _length(path: Path) -> int:
    """Bytes that a safetensors file must have according to its header; -1 when the header is damaged."""
    try:
        with open(path, "rb") as file:
            size = int.from_bytes(file.read(8), "little")
            if not 0 < size <= _LARGEST_HEADER:
                return -1
            header = json.loads(file.read(size))
        ends = [tensor["data_offsets"][1] for name, tensor in header.items() if name != "__metadata__"]
        return 8 + size + max(ends, default=0)
    except (ValueError, KeyError, TypeError, IndexError, AttributeError, RecursionError):
        return -1


def is_ctranslate2(names: Iterable[str]) -> bool:
    # its model.bin is no pickle; a transformers folder has no vocabulary.* beside it
    return {"model.bin", "config.json"} <= set(names) and any(fnmatch(name, "vocabulary.*") for name in names)
