"""Several answers to each prompt, of which the one most like the others is taken: minimum Bayes risk decoding.

A small model's likeliest words are often too few: it is sure of no next word, so ending wins. Drawn answers have the
lengths of those it learned, and what it makes up differs from draw to draw while what it read does not. The answer with
the highest mean chrF to the rest is the consensus (Kumar and Byrne 2004; Eikema and Aziz, arXiv 2108.04718; chrF:
Popovic 2015)::

    generator = ConsensusGenerator(load_generator("starter:smollm2-135m"), candidates=8)
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import msgspec

from llmrec.errors import InputError
from llmrec.records import Completion, Conversation, GenerationSettings
from llmrec.seams import Generator

#: Temperature of the draws where the settings are greedy: below 1 a small model strays less.
TEMPERATURE = 0.7
#: Longest run of characters that is compared, and how much more finding counts than adding nothing (chrF2).
LONGEST, BETA = 6, 2.0


class ConsensusGenerator:
    """Asks another generator several times with seeds of its own and keeps the answer that the others bear out.

    Args:
        generator: Any generator; it is asked ``candidates`` times, so it takes as many times as long.
        candidates: Answers that are drawn for each conversation; 1 changes nothing.

    Raises:
        InputError: ``candidates`` under 1.
    """

    def __init__(self, generator: Generator, candidates: int) -> None:
        if candidates < 1:
            raise InputError(f"candidates is {candidates}", next_step="Give a whole number from 1.")
        self._generator = generator
        self.candidates = candidates
        self.reference, self.adapter = generator.reference, generator.adapter
        digest = getattr(generator, "digest", "")
        #: What manifests hold of the weights, and of the draws: other draws, other answers.
        self.digest = digest if candidates == 1 else f"{digest or generator.reference} best of {candidates}"

    def generate(self, conversations: Sequence[Conversation], settings: GenerationSettings) -> list[Completion]:
        """Answer each conversation; the answers come in input order, the same for the same seed.

        Raises:
            GenerationError: The model or its server failed.
        """
        if self.candidates == 1:
            return self._generator.generate(conversations, settings)
        drawn = []
        for number in range(self.candidates):
            temperature = settings.temperature or TEMPERATURE
            # seeds of other calls lie close together: far enough apart that no two share a draw
            seed = settings.seed * 1_000_003 + number
            again = msgspec.structs.replace(settings, temperature=temperature, seed=seed)
            drawn.append(self._generator.generate(conversations, again))
        return [answers[consensus([a.text for a in answers])] for answers in zip(*drawn, strict=True)]

    @property
    def usage(self) -> object:
        """What the generator beneath has counted, over all draws."""
        return getattr(self._generator, "usage", None)


def consensus(texts: Sequence[str]) -> int:
    """Place of the text that is most like the others on average; the first of equals."""
    grams = [_grams(text) for text in texts]
    means = [sum(chrf(own, other) for j, other in enumerate(grams) if j != i) for i, own in enumerate(grams)]
    return max(range(len(texts)), key=lambda i: means[i])


def _grams(text: str) -> list[Counter[str]]:
    """Runs of 1 to ``LONGEST`` characters, without case and spaces."""
    folded = "".join(text.casefold().split())
    return [Counter(folded[i : i + n] for i in range(len(folded) - n + 1)) for n in range(1, LONGEST + 1)]


def chrf(found: Sequence[Counter[str]], wanted: Sequence[Counter[str]]) -> float:
    """chrF of one text for another, 0 to 1, from their ``_grams``; 1 for two empty ones."""
    if not found[0] or not wanted[0]:
        return float(not found[0] and not wanted[0])
    precision, recall, orders = 0.0, 0.0, 0
    for own, other in zip(found, wanted, strict=True):
        if own and other:
            shared = sum((own & other).values())
            precision += shared / own.total()
            recall += shared / other.total()
            orders += 1
    precision, recall = precision / orders, recall / orders
    return (1 + BETA**2) * precision * recall / (BETA**2 * precision + recall) if precision + recall else 0.0
