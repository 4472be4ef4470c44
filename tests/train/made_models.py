"""Tiny models with random weights, whole with tokenizers, and adapters over them: what the tests after training use."""

from __future__ import annotations

from pathlib import Path
from typing import Any

TEMPLATE = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)
SPECIAL = ["<|endoftext|>", "<|im_start|>", "<|im_end|>"]
SIZES: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 96, "num_hidden_layers": 2, "num_attention_heads": 4}


def byte_tokenizer(*, digits: bool = True) -> Any:
    """Byte-level BPE as SmolLM2 has it: 3 marks, 256 bytes, and ``ug``, ``mug`` and ``12``."""
    from tokenizers import AddedToken, Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    words = [*SPECIAL, *sorted(pre_tokenizers.ByteLevel.alphabet()), "ug", "mug", "12"]
    merges = [("u", "g"), ("m", "ug"), ("1", "2")]
    raw = Tokenizer(models.BPE(vocab={word: i for i, word in enumerate(words)}, merges=merges))
    level = pre_tokenizers.ByteLevel(add_prefix_space=False)
    raw.pre_tokenizer = (
        pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), level]) if digits else level
    )
    raw.decoder = decoders.ByteLevel()
    raw.add_special_tokens([AddedToken(mark, special=True) for mark in SPECIAL])
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=raw, bos_token=SPECIAL[1], eos_token=SPECIAL[2], pad_token=SPECIAL[2], unk_token=SPECIAL[0]
    )
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def language_model(folder: Path, kind: str = "llama", **more: Any) -> Path:
    """A ``llama``, ``mistral``, ``qwen2``, ``qwen3`` or ``gpt2`` of two layers in bfloat16; more rows than tokens."""
    import torch
    import transformers

    torch.manual_seed(0)
    ends = {"bos_token_id": 1, "eos_token_id": 2, "pad_token_id": 2}
    if kind == "gpt2":
        config: Any = transformers.GPT2Config(vocab_size=266, n_embd=64, n_layer=2, n_head=4, **ends)
    else:
        made = {"llama": "LlamaConfig", "mistral": "MistralConfig", "qwen2": "Qwen2Config", "qwen3": "Qwen3Config"}
        sizes = {"vocab_size": 266, "num_key_value_heads": 2, "max_position_embeddings": 512, **SIZES, **ends}
        config = getattr(transformers, made[kind])(**{**sizes, "initializer_range": 0.2, **more})
    model = transformers.AutoModelForCausalLM.from_config(config)
    for name, parameter in model.named_parameters():
        if name.endswith("bias"):  # zero in a new model: a bias that is lost would not be seen
            parameter.data.normal_(0, 0.5)
    model.to(torch.bfloat16).save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


def word_tokenizer() -> Any:
    """WordPiece over the letters."""
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
    from transformers import BertTokenizerFast

    letters = "abcdefghijklmnopqrstuvwxyz0123456789.,-;:ü"
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", "mug", "tent", *letters, *(f"##{c}" for c in letters)]
    raw = Tokenizer(models.WordPiece({word: i for i, word in enumerate(words)}, unk_token="[UNK]"))
    raw.normalizer = normalizers.BertNormalizer()
    raw.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    raw.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    return BertTokenizerFast(tokenizer_object=raw, model_max_length=128)


def bert(folder: Path, kind: str = "sentence") -> Path:
    """A ``sentence`` encoder (mean, unit length), a ``plain`` BertModel or a ``reranker`` of two layers."""
    import torch
    import transformers
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.models import Normalize, Pooling, Transformer

    torch.manual_seed(0)
    config = transformers.BertConfig(
        vocab_size=120, max_position_embeddings=128, num_labels=1, initializer_range=0.1, **SIZES
    )
    plain = folder.parent / f"{folder.name}-plain" if kind == "sentence" else folder
    made = transformers.BertForSequenceClassification(config) if kind == "reranker" else transformers.BertModel(config)
    made.save_pretrained(plain)
    word_tokenizer().save_pretrained(plain)
    if kind == "sentence":
        parts = [Transformer(str(plain)), Pooling(64, pooling_mode="mean"), Normalize()]
        SentenceTransformer(modules=parts, device="cpu").save_pretrained(str(folder))
    return folder


def adapter(folder: Path, base: Path, config: Any, *, size: float = 0.1) -> Path:
    """An adapter over a model, its numbers moved by noise of this size from where they begin."""
    import torch
    import transformers
    from peft import get_peft_model

    kinds = {"CAUSAL_LM": "AutoModelForCausalLM", "SEQ_CLS": "AutoModelForSequenceClassification"}
    maker = getattr(transformers, kinds.get(config.task_type, "AutoModel"))
    more = {"num_labels": 1} if config.task_type == "SEQ_CLS" else {}
    model = get_peft_model(maker.from_pretrained(base, dtype=torch.float32, **more), config)
    torch.manual_seed(1)
    for parameter in model.parameters():
        if parameter.requires_grad:
            parameter.data += size * torch.randn_like(parameter)
    model.peft_config["default"].base_model_name_or_path = str(base)
    model.save_pretrained(folder, save_embedding_layers=False)
    return folder
