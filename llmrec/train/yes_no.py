"""``task: rerank`` by a language model that answers yes or no; its score is how much likelier yes is.

The answer is one word, and one look at the model scores a pair: p(yes) against p(no) as the next token (Nogueira et
al. 2020, arXiv 2003.06713; Zhuang et al. 2023, 2310.14122).
"""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import nullcontext

import numpy as np

from llmrec.evaluate.detection import best_threshold
from llmrec.prompting.pair_question import NO, YES, offers_conversation
from llmrec.train.answers import Answer
from llmrec.train.pair_files import LabelledPair
from llmrec.train.pair_measure import measured_pairs
from llmrec.train.rerank import read_pair_splits
from llmrec.train.summarize import SummarizeTask
from llmrec.train.task import Measured, Splits
from llmrec.train.tokens import IGNORED


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
        labels = [example.answer == YES for example in examples]
        if examples is not self.splits.test:
            self._threshold = best_threshold(np.array(labels), np.array(scores))
        return measured_pairs(scores, labels, self._threshold)

    def scores(self, examples: Sequence[Answer], *, base: bool = False) -> list[float]:
        """p(yes) against p(no) for each example, in input order."""
        from llmrec.llm.hardware import torch_threads
        from llmrec.llm.next_word import next_token_odds

        yes, no = (self.encoder.encode(examples[0].conversation, word, 10**6) for word in (YES, NO))
        first = tuple(next(label for label in tokens.labels if label != IGNORED) for tokens in (yes, no))
        prompts = [self.encoder.chat.encode(e.conversation, self.chosen.max_tokens - 2)[0] for e in examples]
        model, training = self.model, self.model.training
        without = model.disable_adapter() if base and hasattr(model, "disable_adapter") else nullcontext()
        model.eval()
        with without, torch_threads(self.chosen.threads):
            odds = next_token_odds(model, prompts, first, pad=self.tokenizer.pad_token_id)
        model.train(training)
        return (0.5 * (1 + np.tanh(odds / 2))).tolist()


def _answer(pair: LabelledPair, hints: bool) -> Answer:
    word = YES if pair.label else NO
    name = f"line {pair.line}"
    return Answer(name, name, offers_conversation(pair.left, pair.right, hints=hints), word, (word,))
