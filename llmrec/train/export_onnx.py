"""An encoder, a reranker or a language model to ONNX, for onnxruntime and what is built on it.

::

    export_onnx("starter:minilm", "minilm-onnx", kind="int8")    # llmrec models export starter:minilm --to onnx -o …

==============  =========================================================  ==================================
encoder         ``last_hidden_state``, ``sentence_embedding`` (pooled,     sentence-transformers' layout:
                and of unit length where the model says so)                ``SentenceTransformer(…, backend="onnx")``
reranker        ``logits``                                                 the same: ``CrossEncoder(…, backend="onnx")``
language model  ``logits`` of a prompt, without a cache: for scoring; to   optimum's
                write text, take GGUF
==============  =========================================================  ==================================

Batch and length are free. The graph is in ``onnx/model.onnx``, in int8 ``onnx/model_quint8_avx2.onnx``.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Sequence
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import numpy as np

from llmrec.errors import InputError, MissingExtraError, ModelError, TrainingError
from llmrec.storage import atomic_folder
from llmrec.train.likeness import (
    TEXTS,
    Answers,
    Opened,
    answers_of,
    family,
    first_line,
    likeness,
    open_model,
    pairs_of,
    prompt_ids,
    refuse_drift,
)
from llmrec.train.merge import Made, save
from llmrec.train.written import disk_told, finish, folder_bytes, new_output, whole_model

OPSET = 18
KINDS = {"fp32": "model.onnx", "int8": "model_quint8_avx2.onnx"}
#: Most drift: of the same arithmetic in another library, and of 8-bit weights with 8-bit activations.
TOLERANCES = {
    "fp32": {"causal-lm": 1e-4, "encoder": 1e-5, "reranker": 1e-4},
    "int8": {"causal-lm": 0.5, "encoder": 0.05, "reranker": 0.1},
}
#: Largest difference that padding may make to a number of the outputs in fp32.
PADDING = 1e-3
_LARGEST = 1_900_000_000


def export_onnx(
    model: str,
    output: str | Path,
    *,
    kind: str = "fp32",
    tolerance: float | None = None,
    texts: Sequence[str] = TEXTS,
) -> Made:
    """Write a folder with the ONNX graph beside tokenizer and configuration.

    Args:
        model: A text encoder, a reranker or a causal language model (folder or reference).
        output: The folder to write.
        kind: ``fp32``, or ``int8``: weights quantised once, activations as they come.
        tolerance: Most drift (``likeness.JUDGED`` says of what); None: that of ``TOLERANCES``.
        texts: What model and graph are asked, one by one and in a padded batch.

    Raises:
        InputError: A model of another kind, or an output that is there already.
        ModelError: The exporter cannot follow the model, or it is too large for one file.
        MissingExtraError: onnx or onnxruntime is not installed.
        TrainingError: The graph answers differently; nothing was written.
        StorageError: The disk refused.
    """
    if kind not in KINDS:
        raise InputError(f"kind {kind!r}: unknown", next_step=f"Give one of: {', '.join(KINDS)}.")
    _installed()
    target = new_output(output)
    folder = whole_model(model)
    what = family(folder.kind, model)
    step = "Export it to GGUF (--to gguf)." if what == "causal-lm" else "Give a smaller model."
    opened = open_model(folder.path, what, model, attn_implementation="eager")
    if sum(p.numel() for p in opened.model.parameters()) * 4 > _LARGEST:
        raise ModelError(f"{model}: is larger in fp32 than an ONNX file can be (2 GB)", next_step=step)
    with disk_told(target), atomic_folder(target) as written:
        (written / "onnx").mkdir()
        plain = written / "onnx" / KINDS["fp32"]
        _export(opened, plain, texts[0], model, step)
        graph = written / "onnx" / KINDS[kind]
        if kind == "int8":
            _quantize(plain, graph)
            plain.unlink()
        _beside(opened, folder.kind, written)
        numbers = compare(opened, graph, texts)
        if kind == "fp32" and not numbers["padding_apart"] <= PADDING:
            told = f"{model} as ONNX: answers change by {numbers['padding_apart']:.3g} with what else is in the batch"
            raise TrainingError(f"{told}; nothing was written", next_step=step)
        limit = TOLERANCES[kind][what] if tolerance is None else tolerance
        step = "Take --kind fp32; --tolerance allows more." if kind == "int8" else step
        numbers = refuse_drift(what, numbers, limit, f"{model} as {kind} ONNX", step)
        report = {
            "model": {"reference": folder.reference, "digest": folder.digest},
            "kind": kind,
            "opset": OPSET,
            "file": graph.relative_to(written).as_posix(),
            "bytes": graph.stat().st_size,
            "share": graph.stat().st_size / folder_bytes(folder.path, ".safetensors"),
            "likeness": numbers,
        }
        finish(
            written,
            kind=what,
            report=report,
            numbers="export.json",
            title=f"{folder.path.name} as ONNX",
            told=f"`{folder.reference}` in {kind}, opset {OPSET}; batch and length are free.",
            source=folder,
        )
    return Made(target, report)


def compare(opened: Opened, graph: Path, texts: Sequence[str]) -> dict[str, Any]:
    """What the model and its graph make of the same texts, each alone; and whether a padded batch changes anything.

    ``apart`` is the largest difference of a number of the outputs.
    """
    import onnxruntime

    from llmrec.llm.hardware import choose_threads

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = choose_threads(None)
    session = onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    name = {"encoder": "sentence_embedding"}.get(opened.kind, "logits")
    alone = [session.run([name], _inputs(opened, [i], texts, session))[0][0] for i in range(len(texts))]
    before = answers_of(opened, texts)
    if opened.kind == "reranker":
        # the library's own last step, which is no part of the graph
        before = Answers([_scored(opened, row) for row in _logits(opened, texts)])
        after = Answers([_scored(opened, row) for row in alone])
    else:
        after = Answers([np.asarray(row, dtype=np.float32) for row in alone])
    apart = max(float(np.abs(a - b).max()) for a, b in zip(before.rows, after.rows, strict=True))
    batch = session.run([name], _inputs(opened, range(len(texts)), texts, session))[0]
    if opened.kind == "causal-lm":  # padding stands at the end
        batch = [rows[: len(a)] for rows, a in zip(batch, alone, strict=True)]
    padded = max(float(np.abs(a - b).max()) for a, b in zip(alone, batch, strict=True))
    return {**likeness(opened.kind, before, after), "apart": apart, "padding_apart": padded}


def _installed() -> None:
    from importlib.util import find_spec

    for package in ("onnx", "onnxruntime"):
        if find_spec(package) is None:
            raise MissingExtraError(f"ONNX ({package})", "train")


def _export(opened: Opened, file: Path, text: str, shown: str, step: str) -> None:
    import torch

    inputs = _tokens(opened, [0, 1], [text, "mug"])
    names = list(inputs)
    outputs = {"encoder": ["last_hidden_state", "sentence_embedding"]}.get(opened.kind, ["logits"])
    axes = {name: {0: "batch", 1: "length"} for name in names}
    axes |= {name: {0: "batch"} for name in outputs}
    if opened.kind == "causal-lm":
        axes["logits"] = {0: "batch", 1: "length"}
    elif opened.kind == "encoder":
        axes["last_hidden_state"] = {0: "batch", 1: "length"}
    try:
        with warnings.catch_warnings(), redirect_stdout(io.StringIO()), torch.no_grad():
            warnings.simplefilter("ignore")
            # the newer exporter wants onnxscript; this one follows every model that is exported here
            torch.onnx.export(
                _graph(opened, names).eval(),
                tuple(torch.from_numpy(inputs[name]) for name in names),
                str(file),
                input_names=names,
                output_names=outputs,
                dynamic_axes=axes,
                opset_version=OPSET,
                dynamo=False,
            )
    except (
        RuntimeError,
        ValueError,
        TypeError,
        KeyError,
        NotImplementedError,
        torch.onnx.errors.OnnxExporterError,
    ) as error:
        raise ModelError(f"{shown}: torch cannot export it to ONNX: {first_line(error)}", next_step=step) from error


def _graph(opened: Opened, names: list[str]) -> Any:
    import torch

    kind, model = opened.kind, opened.model
    inner = model.model if kind == "reranker" else model

    class Graph(torch.nn.Module):
        """Named inputs in order, outputs as a tuple."""

        def __init__(self) -> None:
            super().__init__()
            self.inner = inner

        def forward(self, *tensors: Any) -> Any:
            given = dict(zip(names, tensors, strict=True))
            if kind == "encoder":
                found = self.inner(given)
                return found["token_embeddings"], found["sentence_embedding"]
            return self.inner(**given, use_cache=False).logits if kind == "causal-lm" else self.inner(**given).logits

    return Graph()


def _tokens(opened: Opened, rows: Sequence[int], texts: Sequence[str]) -> dict[str, Any]:
    """Inputs of the model for some of the texts, padded, int64."""
    tokenizer = opened.tokenizer
    if opened.kind == "causal-lm":
        ids = [prompt_ids(tokenizer, texts[i]) for i in rows]
        width = max(map(len, ids))
        pad = tokenizer.pad_token_id or 0
        return {
            "input_ids": np.array([row + [pad] * (width - len(row)) for row in ids], dtype=np.int64),
            "attention_mask": np.array([[1] * len(row) + [0] * (width - len(row)) for row in ids], dtype=np.int64),
        }
    limit = opened.model.max_seq_length if opened.kind == "encoder" else opened.model.max_length
    given: list[Any] = [texts[i] for i in rows]
    pairs: list[Any] = [pairs_of(texts)[i] for i in rows]
    split = [given] if opened.kind == "encoder" else [[a for a, _ in pairs], [b for _, b in pairs]]
    found = tokenizer(*split, padding=True, truncation=True, max_length=limit, return_tensors="np")
    return {name: np.asarray(found[name], dtype=np.int64) for name in tokenizer.model_input_names if name in found}


def _inputs(opened: Opened, rows: Sequence[int], texts: Sequence[str], session: Any) -> dict[str, Any]:
    given = _tokens(opened, rows, texts)
    return {item.name: given[item.name] for item in session.get_inputs()}


def _logits(opened: Opened, texts: Sequence[str]) -> list[Any]:
    import torch

    found = []
    for i in range(len(texts)):
        tokens = {name: torch.from_numpy(array) for name, array in _tokens(opened, [i], texts).items()}
        with torch.inference_mode():
            found.append(opened.model.model(**tokens).logits[0].float().numpy())
    return found


def _scored(opened: Opened, logits: Any) -> Any:
    import torch

    return opened.model.activation_fn(torch.from_numpy(np.asarray(logits, dtype=np.float32))).numpy()


def _quantize(source: Path, target: Path) -> None:
    import logging

    from onnxruntime.quantization import QuantType, quantize_dynamic

    root = logging.getLogger()
    level = root.level
    root.setLevel(logging.ERROR)  # it logs advice to the root logger
    try:
        # a scale for each column: a third of the drift of one scale for a whole matrix
        quantize_dynamic(str(source), str(target), weight_type=QuantType.QUInt8, per_channel=True)
    finally:
        root.setLevel(level)


def _beside(opened: Opened, model_kind: str, folder: Path) -> None:
    """Tokenizer and configuration, without the weights of torch."""
    save(opened, model_kind, folder)
    for path in folder.rglob("*.safetensors*"):
        path.unlink()
    (folder / "README.md").unlink(missing_ok=True)
