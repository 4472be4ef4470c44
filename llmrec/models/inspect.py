"""What lies in a model folder: its kind and licence, which files belong to it, and whether it is safe to load.

A folder is refused when its only weights are pickles (loading one runs what it holds) or when it needs code of its own
(``auto_map`` in ``config.json``), which llmrec never runs.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from llmrec.errors import ModelError
from llmrec.models.weights import check_whole, is_ctranslate2, is_document, is_pickle, weight_files

_LARGEST_JSON = 64 << 20
#: Kind of the folders that ``llmrec.train.train_projection`` writes, by their manifest.
PROJECTION = "image-projection"


@dataclass(frozen=True)
class Inspected:
    """What ``inspect_folder`` found: see ``ModelFolder``; ``files`` are the names that belong to the model."""

    kind: str
    licence: str
    base: str
    files: tuple[str, ...]
    pickle: bool


def inspect_folder(folder: Path, shown: str, *, allow_pickle: bool = False) -> Inspected:
    """Look at a model folder without loading it.

    Args:
        folder: Where the files lie.
        shown: The reference as the user knows it, for messages.
        allow_pickle: Accept weights that are pickles.

    Raises:
        ModelError: Not a model, unsafe, or damaged.
    """
    names = sorted(path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file())
    weights = weight_files(names, shown, allow_pickle=allow_pickle)
    refuse_code(folder, shown)
    config = _json(folder / "config.json", shown)
    adapter = _json(folder / "adapter_config.json", shown)
    tower = "" if config or adapter else _tower(folder, shown)
    base = tower or str(adapter.get("base_model_name_or_path") or "")
    kind = "adapter" if adapter else PROJECTION if tower else _kind(folder, config, names, shown)
    check_whole(folder, weights, shown)
    pickle = not is_ctranslate2(names) and any(map(is_pickle, weights))
    files = (*(name for name in names if is_document(name)), *weights)
    return Inspected(kind, _licence(folder), base, files, pickle)


def _tower(folder: Path, shown: str) -> str:
    """The image tower beneath a trained projection; empty for any other folder."""
    manifest = _json(folder / "manifest.json", shown, default={})
    models = manifest.get("models") if isinstance(manifest, dict) and manifest.get("kind") == PROJECTION else None
    tower = models.get("tower") if isinstance(models, dict) else None
    return str(tower.get("reference") or "") if isinstance(tower, dict) else ""


def refuse_code(folder: Path, shown: str) -> None:
    """Refuse a model that needs Python code of its own.

    Raises:
        ModelError: ``auto_map`` for an architecture that transformers does not know, or modules of a foreign library.
    """
    config = _json(folder / "config.json", shown)
    foreign = ""
    if config.get("auto_map") and not _is_native(str(config.get("model_type", ""))):
        foreign = f"config.json has auto_map (model type {config.get('model_type', 'not given')!r})"
    modules = _json(folder / "modules.json", shown, default=[])
    for module in modules if isinstance(modules, list) else []:
        name = str(module.get("type", "")) if isinstance(module, dict) else ""
        if not name.startswith("sentence_transformers."):
            foreign = f"modules.json names {name!r}"
    if foreign:
        step = "Choose a model of an architecture that transformers has itself; llmrec never runs a model's own code."
        raise ModelError(f"{shown}: needs code that comes with the model: {foreign}", next_step=step)


def _is_native(model_type: str) -> bool:
    from transformers.models.auto.configuration_auto import CONFIG_MAPPING_NAMES

    return model_type in CONFIG_MAPPING_NAMES


def _kind(folder: Path, config: dict[str, Any], names: Sequence[str], shown: str) -> str:
    if _json(folder / "config_sentence_transformers.json", shown).get("model_type") == "CrossEncoder":
        return "reranker"
    if (folder / "modules.json").is_file():
        types = json.dumps(_json(folder / "modules.json", shown, default=[]))
        return "static-encoder" if "StaticEmbedding" in types else "sentence-encoder"
    if config.get("model_type") == "model2vec":
        return "static-encoder"
    if is_ctranslate2(names) and {"alignment_heads", "suppress_ids", "lang_ids"} & set(config):
        return "speech"
    architecture = next(iter(config.get("architectures") or []), "")
    if not config or not (architecture or config.get("model_type")):
        step = "Give the folder that holds the model's config.json."
        raise ModelError(f"{shown}: not a model folder: no config.json that names its architecture", next_step=step)
    if config.get("model_type") == "whisper":
        return "speech"
    for ending, kind in _ENDINGS:
        if architecture.endswith(ending):
            return "vision-language" if kind == "seq2seq-lm" and "vision_config" in config else kind
    if "vision_config" in config and "text_config" in config:
        return "image-text"
    # a bare backbone such as DINOv2
    return "image" if "preprocessor_config.json" in names and "tokenizer.json" not in names else "text-encoder"


_ENDINGS = (
    ("ForCausalLM", "causal-lm"),
    ("LMHeadModel", "causal-lm"),
    ("ForConditionalGeneration", "seq2seq-lm"),
    ("ForImageClassification", "image"),
    ("ForSequenceClassification", "reranker"),
)


def _licence(folder: Path) -> str:
    """The ``license`` of a model card's front matter."""
    try:
        with open(folder / "README.md", encoding="utf-8", errors="replace") as file:
            head = file.read(20_000)
    except OSError:
        return ""
    front = head.split("\n---", 1)[0] if head.startswith("---") else ""
    found = re.search(r"^license:\s*['\"]?([\w.+-]+)", front, re.MULTILINE)
    return found.group(1) if found else ""


def _json(path: Path, shown: str, *, default: Any = None) -> Any:
    try:
        if not path.is_file():
            return {} if default is None else default
        if path.stat().st_size > _LARGEST_JSON:
            raise ValueError("too large")
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        step = "Copy or download the model again."
        raise ModelError(f"{shown}: {path.name} cannot be read ({error})", next_step=step) from error
    if default is None and not isinstance(value, dict):
        raise ModelError(f"{shown}: {path.name} is not a JSON object", next_step="Copy or download the model again.")
    return value
