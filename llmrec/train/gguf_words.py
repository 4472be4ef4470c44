"""The tokenizer of a model in the words of GGUF: tokens, their types, merges or scores, and the pre-tokenizer's name.

llama.cpp splits text by rules that it knows by name; the name is found here from the rules of ``tokenizer.json``
themselves. Rules without a name there are refused: a guess would make other tokens of the same text, in silence.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from llmrec.errors import ModelError

#: Types of tokens in GGUF.
NORMAL, UNKNOWN, CONTROL, USER_DEFINED, UNUSED, BYTE = 1, 2, 3, 4, 5, 6
#: Splitting expressions, as tokenizer.json has them, and their names in llama.cpp.
_CONTRACTIONS = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|"
_REST = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
EXPRESSIONS = {
    _CONTRACTIONS + r"\p{N}{1,3}" + _REST: "llama-bpe",
    _CONTRACTIONS + r"\p{N}" + _REST: "qwen2",
}


@dataclass(frozen=True)
class Words:
    """A tokenizer as GGUF has it.

    Attributes:
        model: ``gpt2`` (byte-level BPE, by merges) or ``llama`` (SentencePiece, by scores).
        pre: Name of the pre-tokenizer.
        tokens: Every token, by id.
        types: Type of each.
        merges: Pairs that become one token, in order; for ``gpt2``.
        scores: For ``llama``.
        special: ``bos``, ``eos``, ``pad``, ``unk`` to their ids.
        add_bos: Whether a text begins with bos.
    """

    model: str
    pre: str
    tokens: list[str]
    types: list[int]
    merges: list[str]
    scores: list[float]
    special: dict[str, int]
    add_bos: bool
    template: str | None


def words_of(tokenizer: Any, rows: int, shown: str) -> Words:
    """Read a tokenizer of transformers.

    Args:
        tokenizer: With a ``backend_tokenizer``.
        rows: Rows of the model's embedding: ids beyond the tokenizer's own are named unused.
        shown: The model's name in messages.

    Raises:
        ModelError: A tokenizer that llama.cpp would not follow.
    """
    step = "Convert the model with llama.cpp's own converter."
    backend = getattr(tokenizer, "backend_tokenizer", None)
    if backend is None:
        raise ModelError(f"{shown}: has no tokenizer.json", next_step=step)
    data = json.loads(backend.to_str())
    model = data["model"]
    if model.get("type") != "BPE":
        raise ModelError(f"{shown}: its tokenizer is of the type {model.get('type')}, not BPE", next_step=step)
    byte_level = not model.get("byte_fallback")
    pre = pre_tokenizer(data, shown) if byte_level else "default"
    names = {number: token for token, number in model["vocab"].items()}
    added = {entry["id"]: entry for entry in data.get("added_tokens", [])}
    names |= {number: entry["content"] for number, entry in added.items()}
    if max(names) >= rows:
        raise ModelError(f"{shown}: has tokens up to {max(names)} but {rows} embeddings", next_step="Use its own.")
    tokens = [names.get(number, f"[PAD{number}]") for number in range(rows)]
    types = [_type(number, token, names, added, byte_level) for number, token in enumerate(tokens)]
    unknown = model.get("unk_token")
    if not byte_level and unknown is not None:
        types[model["vocab"][unknown]] = UNKNOWN
    pairs = [pair.split(" ") if isinstance(pair, str) else list(pair) for pair in model["merges"]]
    special = {
        name: number
        for name in ("bos", "eos", "pad", "unk")
        if (number := getattr(tokenizer, f"{name}_token_id", None)) is not None
    }
    begins = tokenizer("a")["input_ids"][:1] == [special.get("bos", -1)]
    return Words(
        model="gpt2" if byte_level else "llama",
        pre=pre,
        tokens=tokens,
        types=types,
        merges=[" ".join(pair) for pair in pairs] if byte_level else [],
        scores=[] if byte_level else _scores(tokens, pairs),
        special=special,
        add_bos=begins,
        template=tokenizer.chat_template if isinstance(tokenizer.chat_template, str) else None,
    )


def pre_tokenizer(data: dict[str, Any], shown: str) -> str:
    """llama.cpp's name for the way in which a ``tokenizer.json`` splits text.

    Raises:
        ModelError: It has none that we know.
    """
    given = data.get("pre_tokenizer") or {}
    steps = given.get("pretokenizers", []) if given.get("type") == "Sequence" else [given]
    kinds = [step.get("type") for step in steps]
    bytes_last = kinds[-1:] == ["ByteLevel"] and not steps[-1].get("add_prefix_space")
    normal = (data.get("normalizer") or {}).get("type")
    found = None
    if bytes_last and kinds == ["ByteLevel"] and steps[0].get("use_regex", True) and normal is None:
        found = "gpt-2"
    elif bytes_last and kinds == ["Digits", "ByteLevel"] and steps[0].get("individual_digits") and normal is None:
        found = "smollm" if steps[1].get("use_regex", True) else None
    elif bytes_last and kinds == ["Split", "ByteLevel"] and not steps[1].get("use_regex", True):
        found = EXPRESSIONS.get(str(steps[0].get("pattern", {}).get("Regex")))
        if normal not in ((None, "NFC") if found == "qwen2" else (None,)):
            found = None
    if found is None:
        step = "Convert the model with llama.cpp's own converter."
        raise ModelError(
            f"{shown}: its tokenizer splits text in a way whose name in llama.cpp is not known here ({kinds})",
            next_step=step,
        )
    return found


def _type(number: int, token: str, names: dict[int, str], added: dict[int, Any], byte_level: bool) -> int:
    if number not in names:
        return UNUSED
    if number in added:
        return CONTROL if added[number].get("special") else USER_DEFINED
    is_byte = len(token) == 6 and token.startswith("<0x") and token.endswith(">")
    return BYTE if is_byte and not byte_level else NORMAL


def _scores(tokens: list[str], pairs: list[list[str]]) -> list[float]:
    # SentencePiece joins the pair of the highest score first: minus the rank of the merge gives the same order
    rank: dict[str, int] = {}
    for number, pair in enumerate(pairs):
        rank.setdefault("".join(pair), number)
    return [-float(rank.get(token, len(pairs))) for token in tokens]
