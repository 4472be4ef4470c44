"""An ONNX export of a BERT encoder back to safetensors, so that torch can load, train and pool it.

Only the weights are read, by a few lines of protobuf: an initializer keeps its name in the exported model
(``encoder.layer.0.output.LayerNorm.weight``), but the matrix of a linear layer is stored transposed under a number;
its name is that of the ``MatMul`` node that takes it (``/encoder/layer.0/attention/self/query/MatMul``).
Field numbers: https://github.com/onnx/onnx/blob/main/onnx/onnx.proto
"""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from llmrec.errors import ModelError
from llmrec.models.quiet import quiet_transformers

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

logger = logging.getLogger(__name__)

_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
_NODE_INPUT, _NODE_NAME, _NODE_OPERATOR = 1, 3, 4
_DIMS, _DATA_TYPE, _TENSOR_NAME, _RAW_DATA = 1, 2, 8, 9
_FLOAT = 1

#: Largest difference from the ONNX model's output that is rounding and not a fault.
TOLERANCE = 1e-4

_MODULES = [
    {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
    {"idx": 1, "name": "1", "path": "1_Pooling", "type": "sentence_transformers.models.Pooling"},
    {"idx": 2, "name": "2", "path": "2_Normalize", "type": "sentence_transformers.models.Normalize"},
]


def convert_onnx_encoder(source: Path, target: Path) -> None:
    """Make a sentence-transformers folder (mean pooling, unit length) of a BERT encoder exported to ONNX in fp32.

    Args:
        source: A folder with ``model.onnx``, ``config.json`` and the tokenizer's files.
        target: An existing folder.

    Raises:
        ModelError: Not the weights of the configured model, or (checked where onnxruntime is installed) its output
            differs from that of the ONNX model.
    """
    import numpy as np
    from safetensors.numpy import save_file

    config = json.loads((source / "config.json").read_text(encoding="utf-8"))
    weights = bert_weights(source / "model.onnx")
    # an export for embeddings has no pooler: without a fresh one every load would report it missing
    size, random = config["hidden_size"], np.random.default_rng(0)
    weights.setdefault("pooler.dense.weight", random.normal(0, 0.02, (size, size)).astype(np.float32))
    weights.setdefault("pooler.dense.bias", np.zeros(size, dtype=np.float32))
    save_file(weights, target / "model.safetensors", metadata={"format": "pt"})
    for path in source.iterdir():
        if path.suffix in {".json", ".txt"}:
            shutil.copyfile(path, target / path.name)
    pooling = {"word_embedding_dimension": config["hidden_size"], "pooling_mode_mean_tokens": True}
    texts = {
        "modules.json": _MODULES,
        "1_Pooling/config.json": pooling | {"pooling_mode_cls_token": False, "pooling_mode_max_tokens": False},
        "sentence_bert_config.json": {"max_seq_length": config["max_position_embeddings"], "do_lower_case": False},
    }
    for name, value in texts.items():
        (target / name).parent.mkdir(exist_ok=True)
        (target / name).write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")
    difference = _difference(source / "model.onnx", target)
    if difference is not None and difference > TOLERANCE:
        step = "Tell the maintainers, with your versions of torch and transformers."
        raise ModelError(
            f"{source.name}: the converted model differs from its source by {difference:.1e}", next_step=step
        )


def bert_weights(path: Path) -> dict[str, NDArray[np.float32]]:
    """Read the weights of an exported ``BertModel`` under the names that transformers gives them."""
    import numpy as np

    data = memoryview(path.read_bytes())
    graph = next((value for number, value in _fields(data) if number == _GRAPH), None)
    if not isinstance(graph, memoryview):
        raise ModelError(f"{path.name}: not an ONNX model", next_step="Download it again.")
    tensors: dict[str, NDArray[np.float32]] = {}
    linear: dict[str, str] = {}
    for number, value in _fields(graph):
        if number == _INITIALIZER and isinstance(value, memoryview):
            name, array = _tensor(value)
            if array is not None:
                tensors[name] = array
        elif number == _NODE and isinstance(value, memoryview):
            node = list(_fields(value))
            if _text(node, _NODE_OPERATOR) == ["MatMul"]:
                layer = "".join(_text(node, _NODE_NAME)).strip("/").removesuffix("/MatMul").replace("/", ".")
                linear.update(dict.fromkeys(_text(node, _NODE_INPUT), f"{layer}.weight"))
    renamed = {linear.get(name, name): (array.T if name in linear else array) for name, array in tensors.items()}
    return {name: np.ascontiguousarray(array) for name, array in renamed.items()}


def _tensor(data: memoryview) -> tuple[str, NDArray[np.float32] | None]:
    import numpy as np

    fields = list(_fields(data))
    shape = [value for number, value in fields if number == _DIMS and isinstance(value, int)]
    raw = next((value for number, value in fields if number == _RAW_DATA), None)
    name = "".join(_text(fields, _TENSOR_NAME))
    if (_DATA_TYPE, _FLOAT) not in fields or not isinstance(raw, memoryview) or not shape:
        return name, None  # a constant of the graph
    if len(raw) != 4 * int(np.prod(shape)):
        raise _damaged(f"{name} has {len(raw)} bytes for shape {shape}")
    return name, np.frombuffer(raw, dtype="<f4").reshape(shape)


def _text(fields: list[tuple[int, int | memoryview]], wanted: int) -> list[str]:
    return [bytes(v).decode("utf-8") for number, v in fields if number == wanted and isinstance(v, memoryview)]


def _fields(data: memoryview) -> Iterator[tuple[int, int | memoryview]]:
    """The fields of a protobuf message: (number, integer or bytes)."""
    at = 0
    while at < len(data):
        key, at = _varint(data, at)
        number, wire = key >> 3, key & 7
        if wire == 0:
            value, at = _varint(data, at)
            yield number, value
        elif wire == 2:
            size, at = _varint(data, at)
            if at + size > len(data):
                raise _damaged("it ends too early")
            yield number, data[at : at + size]
            at += size
        elif wire in (1, 5):
            at += 8 if wire == 1 else 4
        else:
            raise _damaged(f"wire type {wire}")


def _damaged(reason: str) -> ModelError:
    return ModelError(f"damaged ONNX file: {reason}", next_step="Download it again.")


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        if at >= len(data):
            raise _damaged("it ends too early")
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at


def _difference(onnx: Path, folder: Path) -> float | None:
    """Largest difference between the last hidden states of the two models on one sentence."""
    try:
        import onnxruntime
    except ImportError:
        logger.info("onnxruntime is not installed: the conversion is not compared with its source")
        return None
    import numpy as np
    import torch
    from transformers import AutoModel, AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(folder)
    tokens = tokenizer("A light running shoe for wet trails, size 42, now 89.90", return_tensors="np")
    tokens["token_type_ids"] = np.zeros_like(tokens["input_ids"])
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(str(onnx), options, providers=["CPUExecutionProvider"])
    inputs = {item.name: tokens[item.name].astype(np.int64) for item in session.get_inputs()}
    expected = session.run(["last_hidden_state"], inputs)[0]
    with quiet_transformers():
        model = AutoModel.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    with torch.no_grad():
        found = model(**{name: torch.from_numpy(value) for name, value in inputs.items()}).last_hidden_state
    return float(np.abs(expected - found.numpy()).max())
