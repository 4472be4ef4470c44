"""A tiny chat model with random weights, files of examples, and a recipe over both."""

from __future__ import annotations

import csv
import hashlib
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for message in messages %}<|im_start|>{{ message['role'] }}\n{{ message['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
COLOURS = ("red", "blue", "green", "black", "white", "grey")
THINGS = ("mug", "lamp", "kettle", "shoe")


def make_tokenizer() -> Any:
    """One token a byte, and the three marks of ChatML."""
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


def make_model(kind: str) -> Any:
    """Two layers of 64, seeded."""
    import torch
    import transformers

    torch.manual_seed(0)
    sizes: dict[str, Any] = {"vocab_size": 259, "hidden_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    ends = {"eos_token_id": 258, "bos_token_id": 257, "pad_token_id": 256}
    if kind == "gpt2":
        config = transformers.GPT2Config(vocab_size=259, n_embd=64, n_layer=2, n_head=4, n_positions=512, **ends)
        return transformers.GPT2LMHeadModel(config)
    if kind == "bert":
        return transformers.BertModel(transformers.BertConfig(**sizes, intermediate_size=96))
    more = {"intermediate_size": 96, "num_key_value_heads": 2, "max_position_embeddings": 512}
    if kind == "qwen2":
        return transformers.Qwen2ForCausalLM(transformers.Qwen2Config(**sizes, **more, **ends))
    return transformers.LlamaForCausalLM(transformers.LlamaConfig(**sizes, **more, **ends, initializer_range=0.1))


def write_rows(path: Path, count: int, first: int = 0) -> Path:
    """Prompts and completions of many lengths, no two alike."""
    rows = []
    for i in range(first, first + count):
        colour, thing = COLOURS[i % 6], THINGS[i % 4]
        prompt = f"Title: {colour} {thing} {i}" + " fine" * (i * 7 % 5)
        rows.append({"id": f"row {i}", "prompt": prompt, "completion": f"A {thing} in {colour}." + " Good." * (i % 3)})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def recipe_text(model: Path, folder: Path) -> str:
    """The recipe that ``tiny_recipe`` changes: 3 epochs of 6 steps, each of two micro-batches of two."""
    return f"""
task: summarize
model: {model}
precision: fp32
device: cpu
method: {{name: lora, rank: 4}}
data: {{train: {folder}/train.jsonl, dev: {folder}/dev.jsonl, max_tokens: 200}}
training: {{epochs: 3, batch_size: 4, micro_batch_size: 2, learning_rate: 1e-3, log_every: 5, threads: 1}}
evaluation: {{base: false, max_new_tokens: 4, patience: null}}
output: {folder}/run
"""


#: What a line of the log may not differ in.
SAME = ("step", "epoch", "loss", "learning_rate", "grad_norm", "eval_loss", "eval_rougeL")


class Place:
    """A folder with examples, and the recipe over them."""

    def __init__(self, folder: Path, model: Path) -> None:
        folder.mkdir()
        write_rows(folder / "train.jsonl", 24)
        write_rows(folder / "dev.jsonl", 4, first=100)
        self.text, self.run = recipe_text(model, folder), folder / "run"

    def train(self, changes: Sequence[str], *, resume: bool = False) -> None:
        from llmrec.recipes import parse_recipe
        from llmrec.train import finetune

        done = finetune(parse_recipe(self.text, changes), resume=resume)
        assert done.folder is not None

    def log(self) -> list[tuple[str, ...]]:
        """The text of each line: floats as they are written out."""
        with open(self.run / "log.csv", newline="", encoding="utf-8") as file:
            return [tuple(row.get(name, "") for name in SAME) for row in csv.DictReader(file)]

    def weights(self) -> str:
        return hashlib.sha256((self.run / "adapter" / "adapter_model.safetensors").read_bytes()).hexdigest()
