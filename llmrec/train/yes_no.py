"""``task: rerank`` by a language model that answers yes or no; its score is how much likelier yes is.

The answer is one word, and one look at the model scores a pair: p(yes) against p(no) as the next token (Nogueira et
al. 2020, arXiv 2003.06713; Zhuang et al. 2023, 2310.14122).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np

from llmrec.evaluate.detection import best_threshold
from llmrec.prompting.pairs import pair_texts
from llmrec.records import Conversation, Message
from llmrec.train.answers import Answer
from llmrec.train.pair_files import LabelledPair
from llmrec.train.pair_measure import measured_pairs
from llmrec.train.rerank import read_pair_splits
from llmrec.train.summarize import SummarizeTask
from llmrec.train.task import Measured, Splits
from llmrec.train.tokens import IGNORED

QUESTION = "Are these two offers the same product? Answer yes or no."


class YesNoTask(SummarizeTask):
    """Learns the answers by the loss on that one word; measured by F1 at the threshold that is best on dev."""

    kind = "adapter"
    _threshold = 0.5

    def read(self) -> Splits:
        pairs = read_pair_splits(self.recipe)
        hints, swap = self.recipe.rerank.hints, self.recipe.rerank.swap
        train = list(pairs.train)
        if swap:
            train += [pair._replace(left=pair.right, right=pair.left) for pair in pairs.train]
        self.splits = Splits(*([_answer(pair, hints) for pair in part] for part in (train, pairs.dev, pairs.test)))
        return self.splits

    def measure(self, examples: Sequence[Answer], *, base: bool = False) -> Measured:
        scores = self.scores(examples, base=base)
        labels = [example.answer == "yes" for example in examples]
        if examples is not self.splits.test:
            self._threshold = best_threshold(np.array(labels), np.array(scores))
        return measured_pairs(scores, labels, self._threshold)

    def scores(self, examples: Sequence[Answer], *, base: bool = False) -> list[float]:
        """p(yes) against p(no) for each example, in input order."""
        import torch

        from llmrec.llm.hardware import torch_threads

        yes, no = (self.encoder.encode(examples[0].conversation, word, 10**6) for word in ("yes", "no"))
        words = [next(label for label in tokens.labels if label != IGNORED) for tokens in (yes, no)]
        prompts = [self.encoder.chat.encode(e.conversation, self.chosen.max_tokens - 2)[0] for e in examples]
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        found = np.zeros(len(prompts))
        model, training = self.model, self.model.training
        without = model.disable_adapter() if base and hasattr(model, "disable_adapter") else nullcontext()
        pad = self.tokenizer.pad_token_id
        model.eval()
        with without, torch_threads(self.chosen.threads), torch.inference_mode():
            for start in range(0, len(order), 16):
                some = order[start : start + 16]
                longest = max(len(prompts[i]) for i in some)
                ids = torch.tensor([[pad] * (longest - len(prompts[i])) + prompts[i] for i in some])
                mask = torch.tensor([[0] * (longest - len(prompts[i])) + [1] * len(prompts[i]) for i in some])
                batch = {"input_ids": ids.to(self.chosen.device), "attention_mask": mask.to(self.chosen.device)}
                logits = model(**batch, use_cache=False, logits_to_keep=1).logits[:, -1, words].float()
                found[some] = torch.softmax(logits, dim=-1)[:, 0].cpu().numpy()
        model.train(training)
        return found.tolist()


def pair_conversation(left: str, right: str) -> Conversation:
    """The question about two offers; their texts are data between fences."""
    text = f"Offer A:\n<data>\n{left}\n</data>\nOffer B:\n<data>\n{right}\n</data>\n{QUESTION}"
    return (Message("user", text),)


def _answer(pair: LabelledPair, hints: bool) -> Answer:
    from llmrec.prompting.untrusted import clean

    texts = pair_texts(pair.left, pair.right, hints=hints)
    word = "yes" if pair.label else "no"
    name = f"line {pair.line}"
    return Answer(name, name, pair_conversation(clean(texts.left), clean(texts.right)), word, (word,))
