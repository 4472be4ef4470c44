"""Conversions, on tiny models of the test's own: GGUF to bf16 safetensors, ONNX to BERT, .pth to safetensors."""

from __future__ import annotations

import json
import pickle
from pathlib import Path

import numpy as np
import pytest

from llmrec.errors import ModelError
from llmrec.models import cached, pull, resolve
from llmrec.models.onnx import bert_weights, convert_onnx_encoder
from llmrec.models.tfjs import _names, resnet_weights
from llmrec.models.torch_weights import convert_torch

HIDDEN, LAYERS, FEED, HEADS = 32, 2, 64, 2


def write_gguf(path: Path, *, pre: str = "smollm") -> dict[str, np.ndarray]:
    """A random LLaMA with a byte-level tokenizer of 256 bytes, "12" as a token of its own and two control tokens."""
    import gguf
    from tokenizers.pre_tokenizers import ByteLevel

    tokens = ["<|im_start|>", "<|im_end|>", *sorted(ByteLevel.alphabet()), "12"]
    random = np.random.default_rng(0)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_name("Tiny")
    writer.add_license("apache-2.0")
    writer.add_context_length(64)
    writer.add_embedding_length(HIDDEN)
    writer.add_block_count(LAYERS)
    writer.add_feed_forward_length(FEED)
    writer.add_head_count(HEADS)
    writer.add_head_count_kv(HEADS)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_freq_base(10000.0)
    writer.add_vocab_size(len(tokens))
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types([3, 3, *[1] * (len(tokens) - 2)])
    writer.add_token_merges(["1 2"])
    writer.add_bos_token_id(0)
    writer.add_eos_token_id(1)
    writer.add_pad_token_id(1)
    writer.add_chat_template("{% for message in messages %}{{ message['content'] }}{% endfor %}")
    shapes = {"token_embd": (len(tokens), HIDDEN), "output_norm": (HIDDEN,)}
    for block in range(LAYERS):
        shapes |= {f"blk.{block}.{name}": (HIDDEN, HIDDEN) for name in ("attn_q", "attn_k", "attn_v", "attn_output")}
        shapes |= {f"blk.{block}.{name}": (FEED, HIDDEN) for name in ("ffn_gate", "ffn_up")}
        shapes |= {f"blk.{block}.ffn_down": (HIDDEN, FEED)}
        shapes |= {f"blk.{block}.{name}": (HIDDEN,) for name in ("attn_norm", "ffn_norm")}
    tensors = {f"{name}.weight": random.normal(0, 0.1, shape).astype(np.float32) for name, shape in shapes.items()}
    for name, tensor in tensors.items():
        writer.add_tensor(name, tensor)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return tensors


def test_a_gguf_file_becomes_a_folder_that_transformers_loads(tmp_path: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    tensors = write_gguf(tmp_path / "tiny.gguf")
    pulled = pull(str(tmp_path / "tiny.gguf"))
    folder = pulled.folder
    assert pulled.action == "fetched"
    assert (folder.kind, folder.licence, folder.reference) == ("causal-lm", "apache-2.0", str(tmp_path / "tiny.gguf"))

    config = json.loads((folder.path / "config.json").read_text())
    assert "quantization_config" not in config
    assert config["dtype"] == "bfloat16"
    model = AutoModelForCausalLM.from_pretrained(folder.path)
    expected = torch.from_numpy(tensors["blk.1.ffn_up.weight"]).bfloat16()
    assert torch.equal(model.model.layers[1].mlp.up_proj.weight, expected)
    assert model.lm_head.weight.data_ptr() == model.get_input_embeddings().weight.data_ptr()
    model.save_pretrained(tmp_path / "saved")
    assert (tmp_path / "saved" / "model.safetensors").is_file()

    tokenizer = AutoTokenizer.from_pretrained(folder.path)
    assert tokenizer.tokenize("a12") == ["a", "1", "2"]  # although "12" is a token
    assert tokenizer.model_max_length == 64
    assert tokenizer.apply_chat_template([{"role": "user", "content": "hi"}], tokenize=False) == "hi"

    assert pull(str(tmp_path / "tiny.gguf")).action == "present"
    (tmp_path / "tiny.gguf").rename(tmp_path / "moved.gguf")
    assert resolve(str(tmp_path / "moved.gguf")).digest == folder.digest


def test_another_tokenizer_keeps_its_digits_together(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    write_gguf(tmp_path / "tiny.gguf", pre="gpt-2")
    folder = resolve(str(tmp_path / "tiny.gguf"))
    assert AutoTokenizer.from_pretrained(folder.path).tokenize("a12") == ["a", "12"]


def test_a_gguf_file_that_is_none_or_was_cut_short(tmp_path: Path) -> None:
    write_gguf(tmp_path / "tiny.gguf")
    data = (tmp_path / "tiny.gguf").read_bytes()
    for number, damaged in enumerate([b"", b"not a model", data[:100], data[: len(data) // 2]]):
        path = tmp_path / f"damaged{number}.gguf"
        path.write_bytes(damaged)
        with pytest.raises(ModelError, match=f"damaged{number}.gguf"):
            resolve(str(path))
    assert cached() == []


def varint(value: int) -> bytes:
    return bytes([value]) if value < 128 else bytes([value & 127 | 128]) + varint(value >> 7)


def field(number: int, value: int | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    return varint(number << 3 | 2) + varint(len(value)) + value


def onnx_model(tensors: dict[str, np.ndarray], nodes: list[tuple[str, str, list[str]]]) -> bytes:
    """An ONNX model by hand, as the published message definitions have it."""
    graph = b""
    for name, operator, inputs in nodes:
        node = (
            b"".join(field(1, item.encode()) for item in inputs) + field(3, name.encode()) + field(4, operator.encode())
        )
        graph += field(1, node)
    for name, array in tensors.items():
        kind = 1 if array.dtype == np.float32 else 7
        dims = b"".join(field(1, size) for size in array.shape)
        graph += field(5, dims + field(2, kind) + field(8, name.encode()) + field(9, array.tobytes()))
    return field(1, 8) + field(7, graph)


def test_onnx_weights_get_their_names_and_directions_back(tmp_path: Path) -> None:
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3)
    tensors = {
        "encoder.layer.0.output.dense.bias": np.ones(3, dtype=np.float32),
        "onnx::MatMul_17": kernel,
        "shape": np.array([1, 2]),
    }
    nodes = [
        ("/encoder/layer.0/output/dense/MatMul", "MatMul", ["/encoder/x", "onnx::MatMul_17"]),
        ("/encoder/layer.0/output/dense/Add", "Add", ["encoder.layer.0.output.dense.bias", "y"]),
    ]
    (tmp_path / "m.onnx").write_bytes(onnx_model(tensors, nodes))
    found = bert_weights(tmp_path / "m.onnx")
    assert sorted(found) == ["encoder.layer.0.output.dense.bias", "encoder.layer.0.output.dense.weight"]
    np.testing.assert_array_equal(found["encoder.layer.0.output.dense.weight"], [[0, 3], [1, 4], [2, 5]])


def test_a_damaged_onnx_file(tmp_path: Path) -> None:
    data = onnx_model({"a.weight": np.ones((2, 2), dtype=np.float32)}, [])
    for damaged in (b"", b"\xff" * 12, b"\x0f" * 8, data[: len(data) - 5]):
        (tmp_path / "m.onnx").write_bytes(damaged)
        with pytest.raises(ModelError):
            bert_weights(tmp_path / "m.onnx")


def test_an_onnx_encoder_becomes_one_of_sentence_transformers(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import torch
    from sentence_transformers import SentenceTransformer
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import BertConfig, BertModel, PreTrainedTokenizerFast

    sizes = {"hidden_size": 16, "intermediate_size": 8, "num_attention_heads": 2, "num_hidden_layers": 2}
    config = BertConfig(vocab_size=6, max_position_embeddings=32, **sizes)
    torch.manual_seed(0)
    model = BertModel(config, add_pooling_layer=False).eval()
    source, target = tmp_path / "source", tmp_path / "target"
    target.mkdir()
    config.save_pretrained(source)
    words = {word: number for number, word in enumerate(["[PAD]", "[UNK]", "red", "shoe", "blue", "hat"])}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="[UNK]"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, pad_token="[PAD]", unk_token="[UNK]").save_pretrained(source)
    tensors, nodes = {}, []
    for number, (name, tensor) in enumerate(model.state_dict().items()):
        if name.endswith(("query.weight", "key.weight", "value.weight", "dense.weight")):
            tensors[f"onnx::MatMul_{number}"] = np.ascontiguousarray(tensor.numpy().T)
            node = "/" + name.removesuffix(".weight").replace(".", "/").replace("layer/", "layer.") + "/MatMul"
            nodes.append((node, "MatMul", ["x", f"onnx::MatMul_{number}"]))
        else:
            tensors[name] = tensor.numpy()
    (source / "model.onnx").write_bytes(onnx_model(tensors, nodes))

    monkeypatch.setattr("llmrec.models.onnx._difference", lambda *_: None)
    convert_onnx_encoder(source, target)
    tokens = torch.tensor([[2, 3]])
    with torch.no_grad():
        mean = model(tokens).last_hidden_state[0].mean(dim=0).numpy()
    encoder = SentenceTransformer(str(target), device="cpu")
    assert encoder.max_seq_length == 32
    np.testing.assert_allclose(encoder.encode("red shoe"), mean / np.linalg.norm(mean), atol=1e-6)

    monkeypatch.setattr("llmrec.models.onnx._difference", lambda *_: 1e-3)
    with pytest.raises(ModelError, match=r"differs from its source by 1\.0e-03"):
        convert_onnx_encoder(source, target)


def test_keras_and_transformers_normalise_alike(tmp_path: Path) -> None:
    """One convolution with one input of 1, one weight of 2, bias 3; batch norm gamma 5, beta 7, mean 1, variance 4."""
    values = {
        "conv1/kernel": np.array([2, 0, 0]).reshape(1, 1, 3, 1),
        "conv1/bias": np.array([3]),
        "bn_conv1/gamma": np.array([5]),
        "bn_conv1/beta": np.array([7]),
        "bn_conv1/moving_mean": np.array([1]),
        "bn_conv1/moving_variance": np.array([4]),
        "fc1000/kernel": np.array([[1, 2], [3, 4]]),
        "fc1000/bias": np.array([5, 6]),
    }
    entries = [{"name": name, "shape": list(array.shape), "dtype": "float32"} for name, array in values.items()]
    (tmp_path / "model.json").write_text(json.dumps({"weightsManifest": [{"weights": entries}]}))
    data = b"".join(array.astype("<f4").tobytes() for array in values.values())
    (tmp_path / "weights.bin").write_bytes(data)
    found = resnet_weights(tmp_path)
    first = "resnet.embedder.embedder"
    assert found[f"{first}.convolution.weight"].reshape(-1).tolist() == [0, 0, 2]  # blue first became red first
    norm = {key: found[f"{first}.normalization.{key}"][0] for key in ("weight", "bias", "running_mean", "running_var")}
    output = (2 - norm["running_mean"]) / np.sqrt(norm["running_var"] + 1e-5) * norm["weight"] + norm["bias"]
    assert output == pytest.approx((2 + 3 - 1) / np.sqrt(4 + 1e-3) * 5 + 7, abs=1e-6)
    assert found["classifier.1.weight"].tolist() == [[1, 3], [2, 4]]
    (tmp_path / "weights.bin").write_bytes(data[:-4])
    with pytest.raises(ModelError, match="holds 13 numbers, not 14"):
        resnet_weights(tmp_path)


@pytest.mark.parametrize(
    ("keras", "here", "norm"),
    [
        ("res2a_branch1", "resnet.encoder.stages.0.layers.0.shortcut", "bn2a_branch1"),
        ("res5c_branch2b", "resnet.encoder.stages.3.layers.2.layer.1", "bn5c_branch2b"),
    ],
)
def test_names_of_keras_layers(keras: str, here: str, norm: str) -> None:
    assert _names(keras) == (here, norm)


def test_torch_weights_become_safetensors(tmp_path: Path) -> None:
    import torch
    from safetensors.torch import load_file

    shared = torch.arange(4.0)
    torch.save({"state_dict": {"a": shared, "b": shared[:2], "n": torch.tensor(3)}}, tmp_path / "m.pth")
    convert_torch(tmp_path / "m.pth", tmp_path)
    found = load_file(tmp_path / "model.safetensors")
    assert {name: tensor.tolist() for name, tensor in found.items()} == {"a": [0, 1, 2, 3], "b": [0, 1], "n": 3}


def test_a_pickle_that_runs_code_is_refused_and_does_not_run(tmp_path: Path) -> None:
    import torch

    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "ran",))

    torch.save({"a": Trap()}, tmp_path / "m.pth")
    with pytest.raises(ModelError, match="not a plain file of weights"):
        convert_torch(tmp_path / "m.pth", tmp_path)
    (tmp_path / "old.pth").write_bytes(pickle.dumps(Trap(), protocol=2))
    with pytest.raises(ModelError):
        convert_torch(tmp_path / "old.pth", tmp_path)
    assert not (tmp_path / "ran").exists()
    torch.save([torch.ones(1)], tmp_path / "list.pth")
    with pytest.raises(ModelError, match="holds no state dict"):
        convert_torch(tmp_path / "list.pth", tmp_path)
