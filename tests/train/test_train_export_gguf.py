"""Language models as GGUF files: weights, words and positions come back as they were, or nothing is written."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from made_models import adapter, bert, byte_tokenizer, language_model

from llmrec.errors import InputError, ModelError, StorageError, TrainingError
from llmrec.train.export_gguf import export_gguf, interleaved, packed, rope_factors
from llmrec.train.gguf_words import CONTROL, EXPRESSIONS, NORMAL, UNUSED, pre_tokenizer, words_of

TEXTS = ("red mug 12", "a tent, ü 🛒")
STRETCHED = {
    "rope_type": "llama3",
    "rope_theta": 10000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 64,
}


@pytest.fixture(scope="module")
def llama(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return language_model(tmp_path_factory.mktemp("gguf") / "tiny")


@pytest.mark.parametrize(
    ("kind", "settings"),
    [
        ("llama", {"tie_word_embeddings": True}),
        ("llama", {"tie_word_embeddings": False, "rope_parameters": STRETCHED}),
        ("mistral", {"sliding_window": None, "head_dim": 32}),
        ("qwen2", {"tie_word_embeddings": False}),
        ("qwen3", {"head_dim": 128, "tie_word_embeddings": True}),
    ],
)
def test_the_weights_come_back_bit_for_bit(tmp_path: Path, kind: str, settings: dict[str, Any]) -> None:
    folder = language_model(tmp_path / kind, kind, **settings)
    done = export_gguf(str(folder), tmp_path / "m.gguf", kind="bf16", texts=TEXTS)
    found = done.report["likeness"]
    assert found["weights_apart"] == 0
    assert found["kl"] == 0
    assert found["continued_alike"] == found["continued"] == 2
    assert done.report["bytes"] == (tmp_path / "m.gguf").stat().st_size
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([kind, "m.gguf"])


def test_what_the_file_says(llama: Path, tmp_path: Path) -> None:
    import gguf

    done = export_gguf(str(llama), tmp_path / "m.gguf", kind="q8_0", texts=TEXTS)
    assert 0 < done.report["likeness"]["weights_apart"] < 0.02
    assert 0 < done.report["likeness"]["kl"] < 0.05
    reader = gguf.GGUFReader(tmp_path / "m.gguf")
    said = {key: field.contents() for key, field in reader.fields.items() if not key.startswith("GGUF")}
    assert said["general.architecture"] == "llama"
    assert said["tokenizer.ggml.pre"] == "smollm"
    assert said["tokenizer.ggml.merges"] == ["u g", "m ug", "1 2"]
    assert said["tokenizer.ggml.tokens"][259:] == ["ug", "mug", "12", "[PAD262]", "[PAD263]", "[PAD264]", "[PAD265]"]
    types = [CONTROL] * 3 + [NORMAL] * 259 + [UNUSED] * 4
    assert said["tokenizer.ggml.token_type"] == types
    assert (said["tokenizer.ggml.bos_token_id"], said["tokenizer.ggml.eos_token_id"]) == (1, 2)
    assert said["tokenizer.ggml.add_bos_token"] is False
    assert said["tokenizer.chat_template"].startswith("{% for m in messages %}")
    assert (said["llama.attention.head_count"], said["llama.attention.head_count_kv"]) == (4, 2)
    assert said["llama.rope.dimension_count"] == 16
    tensors = {tensor.name: tensor.tensor_type.name for tensor in reader.tensors}
    assert tensors["blk.1.attn_q.weight"] == tensors["token_embd.weight"] == "Q8_0"
    assert tensors["output_norm.weight"] == "F32"


def test_rows_of_a_head_become_neighbours() -> None:
    """Two heads of four rows: halves against each other become pairs side by side, each head for itself."""
    rows = np.arange(8, dtype=np.float32)[:, None]
    assert interleaved(rows, 2)[:, 0].tolist() == [0, 2, 1, 3, 4, 6, 5, 7]


def test_stretched_positions(tmp_path: Path) -> None:
    """Of frequencies 1, 0.1, 0.01 …: waves below 64/4 = 16 tokens stay, those above 64 are slowed 8 times."""
    from llmrec.train.likeness import open_model

    folder = language_model(tmp_path / "m", head_dim=8, rope_parameters=STRETCHED)
    factors = rope_factors(open_model(folder, "causal-lm", "m").model)
    assert factors is not None
    # 2 pi = 6.3 tokens: 1; 62.8: 1 / ((1 - s) / 8 + s) with s = (64 / 62.8 - 1) / (4 - 1); 628 and 6283: 8
    s = (64 / (2 * np.pi * 10) - 1) / 3
    np.testing.assert_allclose(factors, [1, 1 / ((1 - s) / 8 + s), 8, 8], rtol=1e-5)


def test_a_matrix_whose_rows_are_no_blocks_of_32_stays_in_f16() -> None:
    assert packed(np.ones((2, 48), dtype=np.float32), "q8_0")[1].name == "F16"
    assert packed(np.ones((2, 64), dtype=np.float32), "q8_0")[1].name == "Q8_0"
    assert packed(np.ones(64, dtype=np.float32), "q8_0")[1].name == "F32"
    with pytest.raises(TrainingError, match="beyond what f16 can hold"):
        packed(np.full((2, 48), 70000, dtype=np.float32), "f16")


def test_what_has_no_form_in_gguf(llama: Path, tmp_path: Path) -> None:
    from peft import LoraConfig

    out = tmp_path / "m.gguf"
    for folder, fault in [
        (language_model(tmp_path / "gpt2", "gpt2"), "gpt2 has no form in GGUF here"),
        (language_model(tmp_path / "biased", attention_bias=True), "a llama with biases"),
        (language_model(tmp_path / "narrow", "qwen3", head_dim=32), "heads of 32, not 128"),
        (
            language_model(tmp_path / "linear", rope_parameters={"rope_type": "linear", "factor": 2.0}),
            "positions of the type linear",
        ),
    ]:
        with pytest.raises(ModelError, match=fault):
            export_gguf(str(folder), out)
    with pytest.raises(InputError, match="is a sentence-encoder, not a language model"):
        export_gguf(str(bert(tmp_path / "bert")), out)
    lora = LoraConfig(r=2, task_type="CAUSAL_LM", target_modules=["q_proj"])
    with pytest.raises(InputError, match="is an adapter") as refused:
        export_gguf(str(adapter(tmp_path / "lora", llama, lora)), out)
    assert "models merge" in refused.value.next_step
    for output, kind, fault in ((out, "q4", "unknown"), (tmp_path / "m.bin", "f16", r"ends in \.gguf")):
        with pytest.raises(InputError, match=fault):
            export_gguf(str(llama), output, kind=kind)
    assert not list(tmp_path.glob("*gguf*"))


def test_another_model_in_the_file_is_noticed(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.train.export_gguf.interleaved", lambda array, heads: array)
    with pytest.raises(TrainingError, match="drift by kl"):
        export_gguf(str(llama), tmp_path / "m.gguf", texts=TEXTS)
    assert list(tmp_path.iterdir()) == []


def test_other_tokens_are_noticed(llama: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("llmrec.train.gguf_words.pre_tokenizer", lambda data, shown: "gpt-2")
    with pytest.raises(TrainingError, match="other tokens of: red mug 12"):
        export_gguf(str(llama), tmp_path / "m.gguf", texts=TEXTS)


def test_a_full_disk(llama: Path, tiny_disk: Callable[[str], Path]) -> None:
    for size in ("64k", "400k"):  # in the file itself, and while it is read back
        disk = tiny_disk(size)
        with pytest.raises(StorageError, match="no space left"):
            export_gguf(str(llama), disk / "m.gguf", kind="f32", texts=TEXTS)
        assert list(disk.iterdir()) == []


def test_what_a_killed_export_left_goes_and_bad_places_are_known_at_once(llama: Path, tmp_path: Path) -> None:
    import subprocess

    from llmrec.storage.leftovers import owned_prefix

    ended = subprocess.Popen(["true"])
    ended.wait()
    out = tmp_path / "m.gguf"
    dead = tmp_path / f"{owned_prefix(out).rpartition('-')[0].rpartition('-')[0]}-{ended.pid}-abcd1234.partial"
    dead.mkdir()
    (dead / "m.gguf").write_bytes(b"half")
    export_gguf(str(llama), out, kind="f32", texts=TEXTS)
    assert list(tmp_path.iterdir()) == [out]
    with pytest.raises(InputError, match="nothing can be written in"):
        export_gguf(str(llama), out / "inside" / "n.gguf")


def steps_of(*steps: dict[str, Any], normal: str | None = None) -> dict[str, Any]:
    return {
        "normalizer": {"type": normal} if normal else None,
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": list(steps)},
    }


def test_names_of_pre_tokenizers() -> None:
    level = {"type": "ByteLevel", "add_prefix_space": False, "use_regex": True}
    bare = level | {"use_regex": False}
    digits = {"type": "Digits", "individual_digits": True}
    splits = {name: {"type": "Split", "pattern": {"Regex": regex}} for regex, name in EXPRESSIONS.items()}
    assert pre_tokenizer({"pre_tokenizer": level}, "m") == "gpt-2"
    assert pre_tokenizer(steps_of(digits, level), "m") == "smollm"
    assert pre_tokenizer(steps_of(splits["llama-bpe"], bare), "m") == "llama-bpe"
    assert pre_tokenizer(steps_of(splits["qwen2"], bare, normal="NFC"), "m") == "qwen2"
    for unknown in (
        {"pre_tokenizer": None},
        {"pre_tokenizer": level | {"add_prefix_space": True}},
        steps_of(digits | {"individual_digits": False}, level),
        steps_of(digits, level, normal="NFKC"),
        steps_of(splits["llama-bpe"], level),
        steps_of({"type": "Split", "pattern": {"Regex": "x"}}, bare),
    ):
        with pytest.raises(ModelError, match=r"name in llama\.cpp is not known"):
            pre_tokenizer(unknown, "m")


def test_sentencepiece_words_keep_the_order_of_their_merges() -> None:
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    words = ["<unk>", "<s>", "</s>", "<0x41>", "a", "b", "ab", "abb"]
    raw = Tokenizer(
        models.BPE(
            vocab={word: i for i, word in enumerate(words)},
            merges=[("a", "b"), ("ab", "b")],
            unk_token="<unk>",
            byte_fallback=True,
        )
    )
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=raw, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    found = words_of(tokenizer, 8, "m")
    assert (found.model, found.merges) == ("llama", [])
    assert found.types == [2, 3, 3, 6, 1, 1, 1, 1]
    assert found.scores[6:] == [0, -1]
    assert found.scores[4] == -2


def test_tokenizers_that_do_not_fit() -> None:
    from made_models import word_tokenizer

    with pytest.raises(ModelError, match="WordPiece, not BPE"):
        words_of(word_tokenizer(), 120, "m")
    with pytest.raises(ModelError, match="tokens up to 261 but 100 embeddings"):
        words_of(byte_tokenizer(), 100, "m")


@given(st.integers(1, 4), st.integers(1, 6), st.integers(1, 3))
def test_interleaving_is_undone_by_the_reader(heads: int, half: int, width: int) -> None:
    from transformers.modeling_gguf_pytorch_utils import LlamaTensorProcessor

    array = np.arange(heads * half * 2 * width, dtype=np.float32).reshape(-1, width)
    back = LlamaTensorProcessor()._reverse_permute_weights(interleaved(array, heads), heads, heads)
    np.testing.assert_array_equal(back, array)


def test_the_command(llama: Path, tmp_path: Path) -> None:
    from typer.testing import CliRunner

    from llmrec.cli import app

    (tmp_path / "texts").write_text("red mug\nblue tent\n")
    words = ["models", "export", str(llama), "--to", "gguf", "-o", str(tmp_path / "m.gguf"), "--json"]
    done = CliRunner().invoke(app, [*words, "--texts", str(tmp_path / "texts")])
    assert done.exit_code == 0, done.output
    report = json.loads(done.stdout)
    assert report["output"] == str(tmp_path / "m.gguf")
    assert (report["kind"], report["likeness"]["texts"]) == ("f16", 2)
    assert CliRunner().invoke(app, words).exit_code == 2
    assert CliRunner().invoke(app, [*words[:3], "--to", "tflite", "-o", str(tmp_path / "x")]).exit_code == 2
