"""A model reference to an encoder: which layout the folder has, and what its own configuration says."""

from __future__ import annotations

import hashlib
import json
import logging
from pathlib import Path
from typing import Any

from llmrec.embed.adapted import EncoderAdapter, read_settings
from llmrec.embed.encoder import Backend, TextEncoder
from llmrec.errors import InputError, ModelError
from llmrec.models import resolve

logger = logging.getLogger(__name__)

#: Names that models give to the prompt of a kind, the first found counts (as in sentence-transformers).
PROMPT_NAMES = {"query": ("query",), "document": ("document", "passage", "corpus")}
POOLING_NAMES = {"mean": "mean", "lasttoken": "last", "cls": "cls"}
#: Beside an encoder: the weights of the hybrid that were measured when it was trained.
FUSION = "llmrec_fusion.json"


def load_encoder(
    reference: str,
    *,
    device: str | None = None,
    dtype: str = "auto",
    batch_size: int = 32,
    max_length: int | None = None,
    pooling: str | None = None,
    query_prompt: str | None = None,
    document_prompt: str | None = None,
    threads: int | None = None,
    dimension: int | None = None,
) -> TextEncoder:
    """Load a text encoder: a sentence-transformers folder, a plain encoder, or any decoder language model.

    An adapter of ``task: embed`` is loaded over the model that it names, and is one with it from then on.

    Args:
        reference: ``starter:NAME``, ``adapter:NAME``, a local folder (a model or an adapter), a GGUF file or a hub id.
        device: ``cpu``, ``cuda``, ``cuda:N``; None: CUDA where there is one.
        dtype: ``auto``, ``float32``, ``bfloat16`` or ``float16``.
        batch_size: Texts that are encoded together.
        max_length: Tokens of a text that are seen; None: what the model says, at most 512 where it says nothing.
        pooling: ``mean``, ``last`` or ``cls``; None: what the model says, else the mean.
        query_prompt: Put before each query ("query: " for E5); None: the model's own, ``""``: none.
        document_prompt: The same for documents.
        threads: CPU threads of torch, for the whole process; None: left as they are.
        dimension: Numbers of a vector that are kept, its first ones; None: all. An encoder that was trained for it
            (``embed.matryoshka``) loses little; for any other one a warning is logged.

    Raises:
        ModelError: The model cannot be found, loaded, or is not safe to load.
        InputError: An option that this model cannot take.
    """
    if batch_size < 1:
        raise InputError(f"batch_size={batch_size}: must be 1 or more", next_step="Leave it out for 32.")
    if threads is not None:
        if threads < 1:
            raise InputError(f"threads={threads}: must be 1 or more", next_step="Leave it out.")
        import torch

        torch.set_num_threads(threads)
    folder = resolve(reference)
    adapter = EncoderAdapter.find(folder) if folder.kind == "adapter" else None
    own = adapter.settings if adapter else read_settings(folder.path)
    layout = _Layout(adapter.base.path if adapter else folder.path)
    backend, used_pooling = _backend(layout, pooling, max_length, device, dtype, adapter)
    prompts = layout.prompts()
    if adapter and own.prompts:
        prompts |= {str(kind): text for kind, text in own.prompts.items()}
    for kind, given in (("query", query_prompt), ("document", document_prompt)):
        if given is not None:
            prompts[kind] = given
    settings: dict[str, Any] = {"pooling": used_pooling, "prompts": prompts, "max_length": backend.max_length}
    if dimension == backend.dimension:
        dimension = None
    if dimension is not None:
        _check_cut(folder.reference, dimension, backend.dimension, own.matryoshka)
        settings["dimension"] = dimension
    weights = [folder.digest, adapter.base.digest] if adapter else [folder.digest]
    digest = hashlib.sha256(json.dumps([*weights, settings], sort_keys=True).encode()).hexdigest()
    return TextEncoder(
        backend,
        reference=folder.reference,
        fusion=own_fusion(folder.path),
        digest=digest,
        prompts=prompts,
        pooling=used_pooling,
        batch_size=batch_size,
        cut_to=dimension,
    )


def _check_cut(reference: str, dimension: int, width: int, trained: tuple[int, ...]) -> None:
    if not 0 < dimension < width:
        step = f"Give a number from 1 to {width}, or leave it out."
        raise InputError(f"dimension={dimension}: the vectors of {reference} have {width} numbers", next_step=step)
    if dimension not in trained:
        lengths = f"only for {', '.join(map(str, trained))}" if trained else "for no cut that its folder tells of"
        logger.warning(
            "%s was trained %s: vectors cut to %d numbers may rank worse; measure it", reference, lengths, dimension
        )


def own_prompts(path: Path) -> dict[str, str]:
    """What a model's own configuration puts before a query and before a document."""
    return _Layout(path).prompts()


def own_pooling(path: Path) -> str | None:
    """How a model's token vectors are pooled when nobody says otherwise; None for layers of its own."""
    layout = _Layout(path)
    if not layout.modules:
        return "mean"
    return layout.pooling() if layout.is_simple() else None


class _Layout:
    """What the files of a model folder say, without loading the weights."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.modules = self._json("modules.json", [])
        # resolve() has refused modules from elsewhere and pickled weights by now
        self.kinds = [str(module.get("type", "")).rsplit(".", 1)[-1] for module in self.modules]

    def part(self, kind: str) -> str:
        """Sub-folder of the module of that kind."""
        return str(self.modules[self.kinds.index(kind)].get("path", ""))

    def is_simple(self) -> bool:
        """Whether nothing but pooling follows the transformer."""
        return self.kinds in (["Transformer", "Pooling"], ["Transformer", "Pooling", "Normalize"])

    def pooling(self) -> str | None:
        """The pooling of this sentence-transformers folder, None when it is one that we leave to the library."""
        config = self._json(Path(self.part("Pooling"), "config.json"), {})
        modes = config.get("pooling_mode")
        if modes is None:  # the form before version 6: one flag a mode
            modes = [key.removeprefix("pooling_mode_").removesuffix("_tokens").removesuffix("_token")
                     for key, on in config.items() if key.startswith("pooling_mode_") and on is True]  # fmt: skip
        modes = [modes] if isinstance(modes, str) else modes
        known = len(modes) == 1 and config.get("include_prompt", True)
        return POOLING_NAMES.get(modes[0]) if known else None

    def transformer_settings(self) -> dict[str, Any]:
        """``max_seq_length`` and ``do_lower_case`` of the transformer module."""
        return self._json(Path(self.part("Transformer"), "sentence_bert_config.json"), {})

    def is_model2vec(self) -> bool:
        """Whether this is model2vec's own layout, which has no ``modules.json``."""
        return self._json("config.json", {}).get("model_type") == "model2vec"

    def prompts(self) -> dict[str, str]:
        """The prompts of the model's own configuration."""
        config = self._json("config_sentence_transformers.json", {})
        given = config.get("prompts") or {}
        default = given.get(config.get("default_prompt_name") or "", "")
        return {
            kind: next((given[name] for name in names if given.get(name)), default)
            for kind, names in PROMPT_NAMES.items()
        }

    def _json(self, name: str | Path, default: Any) -> Any:
        path = self.path / name
        if not path.is_file():
            return default
        try:
            return json.loads(path.read_text(encoding="utf-8"))
        except ValueError as error:
            raise ModelError(f"{path}: not JSON ({error})", next_step="Fetch the model again.") from error


def own_fusion(path: Path) -> dict[str, float]:
    """Weights of the hybrid that were measured for the encoder in a folder, by name; empty where none were.

    Raises:
        ModelError: The file that holds them cannot be read.
    """
    found = _Layout(path)._json(FUSION, {})
    weights = found.get("weights", {}) if isinstance(found, dict) else None
    if not isinstance(weights, dict) or not all(type(value) in (int, float) for value in weights.values()):
        step = f"Remove {FUSION}: the default weights are used then."
        raise ModelError(f"{path / FUSION}: has no numbers as weights", next_step=step)
    return {name: float(value) for name, value in weights.items()}


def _backend(
    layout: _Layout,
    pooling: str | None,
    max_length: int | None,
    device: str | None,
    dtype: str,
    adapter: EncoderAdapter | None = None,
) -> tuple[Backend, str]:
    if adapter is not None:
        return _adapted(layout, pooling, max_length, device, dtype, adapter)
    static = layout.kinds in (["StaticEmbedding"], ["StaticEmbedding", "Normalize"])
    if static or (not layout.modules and layout.is_model2vec()):
        from llmrec.embed.static import StaticEmbedding

        if pooling not in (None, "static") or max_length is not None:
            step = "Leave pooling and max_length out: a static encoder has the mean of all tokens only."
            raise InputError(f"{layout.path}: is a static encoder", next_step=step)
        embedding = StaticEmbedding(layout.path / (layout.part("StaticEmbedding") if static else ""))
        return embedding, embedding.pooling

    from llmrec.embed.pooled import PooledTransformer

    if not layout.modules:
        plain = PooledTransformer(layout.path, pooling=pooling, max_length=max_length, device=device, dtype=dtype)
        return plain, plain.pooling
    own = layout.pooling() if layout.is_simple() else None
    if pooling not in (None, own):
        raise InputError(
            f"{layout.path}: pools by {own or 'layers of its own'}, not {pooling}", next_step="Leave it out."
        )
    if own is not None:
        settings = layout.transformer_settings()
        transformer = PooledTransformer(
            layout.path / layout.part("Transformer"),
            pooling=own,
            max_length=max_length,
            own_length=settings.get("max_seq_length"),
            lower_case=bool(settings.get("do_lower_case")),
            device=device,
            dtype=dtype,
        )
        return transformer, own

    from llmrec.embed.sentence import SentenceTransformerModel

    sentence = SentenceTransformerModel(layout.path, max_length=max_length, device=device, dtype=dtype)
    return sentence, sentence.pooling


def _adapted(
    layout: _Layout,
    pooling: str | None,
    max_length: int | None,
    device: str | None,
    dtype: str,
    adapter: EncoderAdapter,
) -> tuple[Backend, str]:
    """A base that is pooled over its tokens, with an adapter in it."""
    from llmrec.embed.pooled import PooledTransformer

    if (layout.modules and not layout.is_simple()) or layout.is_model2vec():
        step = "Train it merged (embed.save: merged)."
        raise ModelError(f"{adapter.base.reference}: has other layers than an adapter fits in", next_step=step)
    own = adapter.settings
    settings = layout.transformer_settings() if layout.modules else {}
    trained = own.pooling or (layout.pooling() if layout.modules else None)
    if pooling is not None and trained is not None and pooling != trained:
        step = "Leave it out."
        raise InputError(f"{adapter.folder.reference}: pools by {trained}, not {pooling}", next_step=step)
    transformer = PooledTransformer(
        layout.path / (layout.part("Transformer") if layout.modules else ""),
        pooling=pooling or trained,
        max_length=max_length,
        own_length=own.max_length or settings.get("max_seq_length"),
        lower_case=bool(settings.get("do_lower_case") if own.lower_case is None else own.lower_case),
        device=device,
        dtype=dtype,
        adapter=adapter,
    )
    return transformer, transformer.pooling
