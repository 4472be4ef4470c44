"""A tiny chat model: random weights, a byte tokenizer, a chat template; saved to disk like any other.

And a server in a process of its own that fails as scripted.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

SERVER = Path(__file__).with_name("scripted_server.py")

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]


def make_tokenizer():
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = {char: i for i, char in enumerate(sorted(pre_tokenizers.ByteLevel.alphabet()))}
    raw = Tokenizer(models.BPE(vocab=letters, merges=[]))
    raw.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.decoder = decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, eos_token="<|im_end|>", bos_token="<|im_start|>", pad_token="<|endoftext|>"
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def make_model(kind: str = "llama", context: int = 512):
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM, MistralConfig, MistralForCausalLM

    torch.manual_seed(0)
    sizes = {"vocab_size": 259, "hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2}
    heads = {"num_attention_heads": 4, "num_key_value_heads": 2, "max_position_embeddings": context}
    ends = {"eos_token_id": None, "bos_token_id": None, "pad_token_id": 258, "initializer_range": 0.3}
    if kind == "sliding":
        return MistralForCausalLM(MistralConfig(**sizes, **heads, **ends, sliding_window=16))
    return LlamaForCausalLM(LlamaConfig(**sizes, **heads, **ends))


@pytest.fixture(scope="session")
def tokenizer():
    return make_tokenizer()


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Folders of a tiny Llama and of a tiny model with a sliding window."""
    folders = {}
    for kind in ("llama", "sliding"):
        folder = tmp_path_factory.mktemp(kind)
        make_model(kind).save_pretrained(folder)
        make_tokenizer().save_pretrained(folder)
        folders[kind] = folder
    return folders


class Running:
    def __init__(self, port: int, log: Path) -> None:
        self.url, self._log = f"http://127.0.0.1:{port}/v1", log

    @property
    def requests(self) -> list[dict]:
        return [json.loads(line) for line in self._log.read_text().splitlines()]


@pytest.fixture
def serve(tmp_path: Path) -> Iterator:
    processes = []

    def start(*script) -> Running:
        (tmp_path / "script.json").write_text(json.dumps(script))
        log = tmp_path / "log.jsonl"
        log.touch()
        command = [sys.executable, str(SERVER), str(tmp_path / "script.json"), str(log)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        processes.append(process)
        assert process.stdout is not None
        return Running(int(process.stdout.readline()), log)

    yield start
    for process in processes:
        process.kill()
        process.wait()
