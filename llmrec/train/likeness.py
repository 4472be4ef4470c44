"""Whether two models say the same: one before and one after it was merged, quantised or exported.

::

    before = answers_of(open_model(folder, "causal-lm", name), TEXTS)
    likeness("causal-lm", before, answers_of(open_model(other, "causal-lm", name), TEXTS))
    # {"texts": 8, "tokens": 214, "kl": 0.0004, "kl_worst": 0.006, "top1": 0.995, "perplexity_before": 31.2, …}
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec.errors import InputError, ModelError, TrainingError
from llmrec.models.quiet import quiet

#: Short and long, plain and odd: numbers, codes, another language, a list.
TEXTS = (
    "Light trail running shoe, size 42, for wet paths. Weighs 280 g.",
    "Summarise the product: enamel mug, 350 ml, red, dishwasher safe.",
    "Sony DSC-W830 20.1 MP digital camera, 8x zoom, black",
    "I am looking for a two-person tent under 2 kg that stands up to strong wind and packs small enough for a bike.",
    "Wasserdichte Jacke für Damen, Größe M, dunkelblau",
    "mug",
    "Brand: Acme; colour: blue; material: stainless steel; capacity: 0.5 l; lid: screw; price: 24.90 EUR",
    "She unboxes the lamp, turns it on, and says that the light is warm and the cable is long enough for her desk.",
)
#: What each kind of model is judged by, and how far it may drift when weights are only rounded to 16 bits: nats of
#: Kullback-Leibler divergence a token, 1 - cosine of the least alike vectors, and the largest difference of a score.
JUDGED = {"causal-lm": ("kl", 0.01), "encoder": ("cosine_loss", 0.001), "reranker": ("score_difference", 0.01)}
#: Tokens of a text that are compared, and greedy tokens after a text.
MOST_TOKENS, CONTINUED = 96, 12


@dataclass(frozen=True)
class Opened:
    """A model in memory: a causal language model with its tokenizer, a SentenceTransformer, or a CrossEncoder."""

    kind: str
    model: Any
    tokenizer: Any = None


@dataclass(frozen=True)
class Answers:
    """What a model makes of texts.

    Attributes:
        rows: For each text logits ``[tokens, vocabulary]``, or one vector, or the scores of its pair.
        tokens: For language models, the ids of each text.
        continued: For language models, the greedy tokens after some of the texts.
    """

    rows: list[NDArray[np.float32]]
    tokens: list[list[int]] = field(default_factory=list)
    continued: list[list[int]] = field(default_factory=list)


def family(kind: str, shown: str) -> str:
    """``causal-lm``, ``encoder`` or ``reranker`` for a kind of ``llmrec.models``.

    Raises:
        InputError: A model of another kind.
    """
    found = {"causal-lm": "causal-lm", "sentence-encoder": "encoder", "text-encoder": "encoder", "reranker": "reranker"}
    if kind not in found:
        step = "Give a language model, a text encoder or a reranker (llmrec models show REF)."
        raise InputError(f"{shown}: is of the kind {kind}", next_step=step)
    return found[kind]


def read_texts(path: str | Path | None) -> tuple[str, ...]:
    """Texts to compare on: one a line of a file, or our own.

    Raises:
        InputError: No such file, not UTF-8, or no texts in it.
    """
    if path is None:
        return TEXTS
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        step = "Give a UTF-8 file with one text a line."
        raise InputError(f"{path}: cannot be read ({error})", next_step=step) from error
    texts = tuple(line.strip() for line in lines if line.strip())
    if not texts:
        raise InputError(f"{path}: holds no text", next_step="Give a UTF-8 file with one text a line.")
    return texts


def open_model(path: Path, kind: str, shown: str, *, dtype: str = "float32", **settings: Any) -> Opened:
    """Load a model as its own library does, on the processor.

    Args:
        path: Its folder.
        kind: A kind of ``family``.
        shown: Its name in messages.
        dtype: In which precision its weights are held and multiplied.
        settings: Passed on to ``from_pretrained``.

    Raises:
        ModelError: It cannot be loaded.
    """
    import torch
    from safetensors import SafetensorError

    settings = {"dtype": getattr(torch, dtype), "use_safetensors": True, **settings}
    try:
        with quiet():
            if kind == "causal-lm":
                from transformers import AutoModelForCausalLM, AutoTokenizer

                both: Any = AutoModelForCausalLM.from_pretrained(
                    path, local_files_only=True, trust_remote_code=False, output_loading_info=True, **settings
                )
                model, loaded = both
                if loaded["missing_keys"]:  # transformers makes them up and goes on
                    raise ValueError(f"without the weights {', '.join(sorted(loaded['missing_keys'])[:3])}")
                return Opened(kind, model.eval(), AutoTokenizer.from_pretrained(path, local_files_only=True))
            from sentence_transformers import CrossEncoder, SentenceTransformer

            maker: Any = CrossEncoder if kind == "reranker" else SentenceTransformer
            opened = maker(
                str(path), device="cpu", local_files_only=True, trust_remote_code=False, model_kwargs=settings
            )
            return Opened(kind, opened.eval(), opened.tokenizer)
    except (OSError, ValueError, KeyError, RuntimeError, ImportError, TypeError, SafetensorError) as error:
        step = "Give a whole model with safetensors weights and its tokenizer."
        raise ModelError(f"{shown}: cannot be loaded: {first_line(error)}", next_step=step) from error


def answers_of(opened: Opened, texts: Sequence[str], *, threads: int | None = None) -> Answers:
    """Run texts through a model; a reranker is given each text with the one after it.

    Raises:
        TrainingError: Something in the answers is no number.
    """
    import torch

    from llmrec.llm.hardware import choose_threads, torch_threads

    with torch_threads(choose_threads(threads)), torch.inference_mode():
        if opened.kind == "encoder":
            vectors = opened.model.encode(list(texts), batch_size=8, show_progress_bar=False, convert_to_numpy=True)
            answers = Answers([np.asarray(row, dtype=np.float32) for row in vectors])
        elif opened.kind == "reranker":
            scores = opened.model.predict(pairs_of(texts), batch_size=8, show_progress_bar=False)
            answers = Answers([np.atleast_1d(np.asarray(row, dtype=np.float32)) for row in scores])
        else:
            answers = _of_language_model(opened, texts)
    if not all(np.isfinite(row).all() for row in answers.rows):
        step = "Take bfloat16, or float32, which reach further than float16."
        raise TrainingError("the model answers with numbers that are none (overflow)", next_step=step)
    return answers


def pairs_of(texts: Sequence[str]) -> list[tuple[str, str]]:
    """Each text with the one after it; the last with the first."""
    return list(zip(texts, [*texts[1:], texts[0]], strict=True))


def likeness(kind: str, before: Answers, after: Answers) -> dict[str, Any]:
    """How far the answers of two models lie apart; ``JUDGED`` names the number that counts."""
    if kind == "causal-lm":
        return _of_logits(before, after)
    if kind == "reranker":
        apart = [float(np.abs(a - b).max()) for a, b in zip(before.rows, after.rows, strict=True)]
        return {"texts": len(apart), "score_difference": max(apart)}
    a, b = (np.stack(answers.rows).astype(np.float64) for answers in (before, after))
    cosines = (a * b).sum(1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))
    return {
        "texts": len(a),
        "cosine_loss": max(0.0, float(1 - cosines.min())),
        "cosine_mean": float(cosines.mean()),
        "largest_difference": float(np.abs(a - b).max()),
    }


def refuse_drift(kind: str, numbers: dict[str, Any], tolerance: float | None, what: str, step: str) -> dict[str, Any]:
    """Add the judgement to the numbers, or refuse.

    Raises:
        InputError: A tolerance below 0.
        TrainingError: The models lie further apart than the tolerance.
    """
    name, usual = JUDGED[kind]
    limit = usual if tolerance is None else tolerance
    if not limit >= 0:
        raise InputError(f"tolerance {limit}: below nothing", next_step=f"Leave it out for {usual}.")
    if not numbers[name] <= limit:
        raise TrainingError(
            f"{what}: its answers drift by {name} {numbers[name]:.3g}, more than {limit:g}; nothing was written",
            next_step=step,
        )
    return {"judged_by": name, "tolerance": limit, **numbers}


def first_line(error: BaseException) -> str:
    """What an error of another library says, in one line."""
    return str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__


def _of_language_model(opened: Opened, texts: Sequence[str]) -> Answers:
    import torch

    model, tokenizer = opened.model, opened.tokenizer
    rows, tokens, continued = [], [], []
    for number, text in enumerate(texts):
        ids = prompt_ids(tokenizer, text)
        batch = torch.tensor([ids])
        logits = model(input_ids=batch, attention_mask=torch.ones_like(batch), use_cache=False).logits
        rows.append(logits[0].float().numpy())
        tokens.append(ids)
        if number < 4:
            written = model.generate(
                input_ids=batch,
                attention_mask=torch.ones_like(batch),
                max_new_tokens=CONTINUED,
                do_sample=False,
                temperature=None,
                top_p=None,
                top_k=None,
                pad_token_id=tokenizer.pad_token_id or tokenizer.eos_token_id or 0,
            )
            continued.append(written[0, len(ids) :].tolist())
    return Answers(rows, tokens, continued)


def prompt_ids(tokenizer: Any, text: str) -> list[int]:
    """The text as a user's message where the model has a chat template, else as it is."""
    if getattr(tokenizer, "chat_template", None):
        text = tokenizer.apply_chat_template(
            [{"role": "user", "content": text}], tokenize=False, add_generation_prompt=True
        )
        return tokenizer(text, add_special_tokens=False)["input_ids"][:MOST_TOKENS]
    return tokenizer(text)["input_ids"][:MOST_TOKENS]


def _of_logits(before: Answers, after: Answers) -> dict[str, Any]:
    # what a chat template puts before every text says nothing about any, and weighs more than short texts do
    shared = min(shared_start(before.tokens), min(map(len, before.tokens)) - 1)
    kls, same = [], []
    loss: dict[str, list[float]] = {"before": [], "after": []}
    for ids, a, b in zip(before.tokens, before.rows, after.rows, strict=True):
        # a quantised model may have rows of logits for tokens that do not exist
        width = min(a.shape[1], b.shape[1])
        first = max(0, shared - 1)  # the position that foretells the first token of the text's own
        p, q = _log_softmax(a[first:, :width]), _log_softmax(b[first:, :width])
        kls.append((np.exp(p) * (p - q)).sum(1))
        same.append(p.argmax(1) == q.argmax(1))
        following = np.array(ids[first + 1 :], dtype=np.int64)
        for name, log in (("before", p), ("after", q)):
            loss[name] += (-log[np.arange(len(following)), following]).tolist()
    numbers: dict[str, Any] = {
        "texts": len(kls),
        "tokens": int(sum(len(k) for k in kls)),
        "kl": max(0.0, float(np.concatenate(kls).mean())),
        "kl_worst": float(np.concatenate(kls).max()),
        "top1": float(np.concatenate(same).mean()),
    }
    for name, values in loss.items():
        numbers[f"perplexity_{name}"] = float(np.exp(np.mean(values))) if values else None
    if before.continued and after.continued:
        equal = sum(a == b for a, b in zip(before.continued, after.continued, strict=True))
        numbers |= {"continued": len(before.continued), "continued_tokens": CONTINUED, "continued_alike": equal}
    return numbers


def shared_start(rows: Sequence[Sequence[int]]) -> int:
    """With how many tokens all rows begin alike; 0 for a single row."""
    if len(rows) < 2:
        return 0
    columns = zip(*rows, strict=False)
    return next((i for i, column in enumerate(columns) if len(set(column)) > 1), min(map(len, rows)))


def _log_softmax(logits: NDArray[np.float32]) -> NDArray[np.float64]:
    wide = logits.astype(np.float64)
    wide -= wide.max(axis=1, keepdims=True)
    return wide - np.log(np.exp(wide).sum(axis=1, keepdims=True))
