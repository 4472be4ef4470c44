"""Answers by ``model.generate``: the way for models that ``decode_batch`` is not right for.

Sliding windows, recurrent layers and adapters that learn a prompt are handled there by those who wrote them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from llmrec.llm.sampling import Chooser


def hf_decode_batch(
    model: Any,
    prompts: Sequence[Sequence[int]],
    *,
    chooser: Chooser,
    max_new_tokens: int,
    end: Callable[[int, list[int]], bool],
    pad: int,
) -> list[list[int]]:
    """Answer prompts; arguments and result as in ``decode_batch``."""
    import torch
    from transformers import GenerationConfig, LogitsProcessor, StoppingCriteria

    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad)
    mask = torch.zeros((len(prompts), width), dtype=torch.long)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    rows = list(range(len(prompts)))
    ended: dict[int, int] = {}

    class Choose(LogitsProcessor):
        def __call__(self, input_ids: Any, scores: Any) -> Any:
            forced = torch.full_like(scores, float("-inf"))
            return forced.scatter(1, chooser.choose(scores, rows).unsqueeze(1), 0.0)

    class End(StoppingCriteria):
        def __call__(self, input_ids: Any, scores: Any, **kwargs: Any) -> Any:
            for row, tokens in enumerate(input_ids[:, -taken(input_ids) :].tolist()):
                if row not in ended and end(row, tokens):
                    ended[row] = len(tokens)
            return torch.tensor([row in ended for row in rows], device=input_ids.device)

    def taken(input_ids: Any) -> int:
        return input_ids.shape[1] - width

    out = model.generate(
        input_ids=ids.to(model.device),
        attention_mask=mask.to(model.device),
        # what is not set here is filled in from the model's own configuration, and must not change the answers
        generation_config=GenerationConfig(
            max_new_tokens=max_new_tokens,
            do_sample=False,
            num_beams=1,
            repetition_penalty=1.0,
            no_repeat_ngram_size=0,
            pad_token_id=pad,
        ),
        logits_processor=[Choose()],
        stopping_criteria=[End()],
    )
    return [answer[: ended.get(row, max_new_tokens)] for row, answer in enumerate(out[:, width:].tolist())]
