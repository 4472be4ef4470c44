"""How much likelier one word is than another as a model's answer: one look at the model for each question.

::

    word_odds(generator, [(Message("user", "Is a mug a cup? Answer yes or no."),)])     # float64[1], log odds of yes

p(yes) against p(no) as the next token scores a pair better than a written answer does (Nogueira et al. 2020, arXiv
2003.06713; Zhuang et al. 2023, 2310.14122).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from llmrec.records import Conversation, GenerationSettings
from llmrec.seams import Generator

if TYPE_CHECKING:
    from numpy.typing import NDArray

#: Prompts that are read at a time.
BATCH = 16
#: Log odds beyond which nothing is told: what a written answer without probabilities is worth.
MOST = 12.0


def word_odds(
    generator: Generator, conversations: Sequence[Conversation], words: tuple[str, str] = ("yes", "no")
) -> NDArray[np.float64]:
    """Log odds of the first word against the second, float64 ``[n]``, in input order.

    A local model is read at its next token, a server is asked for its likeliest ones, and anything else answers in
    writing: the first word is ``MOST``, the second ``-MOST``, and neither is 0.

    Raises:
        InputError: A conversation that does not fit the model.
        GenerationError: The model or its server failed.
    """
    from llmrec.llm.server import OpenAIGenerator

    if not conversations:
        return np.zeros(0)
    if isinstance(generator, OpenAIGenerator):
        shares = generator.likeliest(conversations)
        return np.array([_odds(own, words) for own in shares])
    if hasattr(generator, "model") and hasattr(generator, "tokenizer"):
        return _local(generator, conversations, words)
    said = generator.generate(conversations, GenerationSettings(max_new_tokens=3))
    return np.array([_odds({completion.text: 1.0}, words) for completion in said])


def _odds(shares: dict[str, float], words: tuple[str, str]) -> float:
    """From the probabilities of some first tokens, which may be the words with a space or in capitals."""
    found = [sum(p for text, p in shares.items() if _same(text, word)) for word in words]
    if not any(found):
        return 0.0
    least = np.exp(-MOST)
    return float(np.clip(np.log(max(found[0], least) / max(found[1], least)), -MOST, MOST))


def _same(text: str, word: str) -> bool:
    return text.strip(" \n\t.,!*\"'").lower() == word


def _local(generator: Any, conversations: Sequence[Conversation], words: tuple[str, str]) -> NDArray[np.float64]:
    from llmrec.llm.chat import ChatEncoder
    from llmrec.llm.hardware import torch_threads

    chat = ChatEncoder(generator.tokenizer)
    prompts = [chat.encode(conversation, generator.context - 1)[0] for conversation in conversations]
    ids = tuple(first_token(generator.tokenizer, word) for word in words)
    with torch_threads(generator.threads):
        return next_token_odds(generator.model, prompts, ids, pad=generator.tokenizer.pad_token_id or 0)


def first_token(tokenizer: Any, word: str) -> int:
    """The token that an answer of this word begins with, where it stands alone."""
    return int(tokenizer.encode(word, add_special_tokens=False)[0])


def next_token_odds(
    model: Any, prompts: Sequence[Sequence[int]], tokens: tuple[int, ...], *, pad: int
) -> NDArray[np.float64]:
    """Log odds of the first token against the second after each prompt, float64 ``[n]``; padded on the left."""
    import torch

    order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
    found = np.zeros(len(prompts))
    # peft knows no positions beside a prompt that was learned
    learned_prompt = bool(getattr(getattr(model, "active_peft_config", None), "is_prompt_learning", False))
    with torch.inference_mode():
        for start in range(0, len(order), BATCH):
            some = order[start : start + BATCH]
            longest = max(len(prompts[i]) for i in some)
            ids = torch.tensor([[pad] * (longest - len(prompts[i])) + list(prompts[i]) for i in some])
            mask = torch.tensor([[0] * (longest - len(prompts[i])) + [1] * len(prompts[i]) for i in some])
            batch = {"input_ids": ids.to(model.device), "attention_mask": mask.to(model.device)}
            if not learned_prompt:
                # positions of the words, not of the padding: what stands beside a prompt does not count
                batch["position_ids"] = (batch["attention_mask"].cumsum(-1) - 1).clamp(min=0)
            logits = model(**batch, use_cache=False, logits_to_keep=1).logits[:, -1, list(tokens)].float()
            found[some] = (logits[:, 0] - logits[:, 1]).cpu().numpy()
    return found
