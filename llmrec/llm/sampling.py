"""The next token of each row: the likeliest, or drawn with a generator of the row's own.

Each conversation's generator is seeded from the seed and the conversation's tokens, so what it is given does not depend
on which others happen to run beside it. The same conversation twice in one call gets the same answer; for another
answer give another seed.
"""

from __future__ import annotations

from collections.abc import Sequence
from hashlib import sha256
from typing import TYPE_CHECKING

from llmrec.llm.loops import LoopGuard

if TYPE_CHECKING:
    import torch

    from llmrec.records import GenerationSettings


class Chooser:
    """Chooses tokens for rows that are named by their place in the batch.

    Args:
        prompts: Token ids of each row's prompt.
        settings: Temperature, nucleus and seed.
        newline: The token that ends a line, with which loops are broken; None ends a looping row.
        guard: Whether loops are broken at all.
    """

    def __init__(
        self,
        prompts: Sequence[Sequence[int]],
        settings: GenerationSettings,
        *,
        newline: int | None = None,
        guard: bool = True,
    ) -> None:
        import torch

        self._said: list[list[int]] = [[] for _ in prompts]
        self._guards = [LoopGuard(newline) for _ in prompts] if guard else []
        self.temperature, self.top_p = settings.temperature, settings.top_p
        self._generators = []
        if self.temperature > 0:
            for prompt in prompts:
                digest = sha256(f"{settings.seed}:{','.join(map(str, prompt))}".encode()).digest()
                # 63 bits: torch seeds are signed
                seed = int.from_bytes(digest[:8], "big") >> 1
                self._generators.append(torch.Generator().manual_seed(seed))

    def choose(self, logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """The next tokens, int64 ``[n]`` on the logits' device, for ``logits`` ``[n, vocabulary]`` of ``rows``."""
        import torch

        tokens = self._draw(logits, rows).tolist()
        for place, row in enumerate(rows):
            said = self._said[row]
            correction = self._guards[row].correct(said) if self._guards else None
            if correction is not None:
                tokens[place] = correction
            said.append(tokens[place])
        return torch.tensor(tokens, device=logits.device)

    def hopeless(self, row: int) -> bool:
        """Whether a row does nothing but loop and is to be ended."""
        return bool(self._guards) and self._guards[row].hopeless

    @property
    def loops(self) -> int:
        """Loops broken so far, over all rows."""
        return sum(guard.broken for guard in self._guards)

    def _draw(self, logits: torch.Tensor, rows: Sequence[int]) -> torch.Tensor:
        """Nucleus sampling as in Holtzman et al., "The Curious Case of Neural Text Degeneration" (2020)."""
        import torch

        if self.temperature <= 0:
            return logits.argmax(dim=-1)
        odds = torch.softmax(logits.float().cpu() / self.temperature, dim=-1)
        if self.top_p < 1:
            ordered, order = odds.sort(dim=-1, descending=True, stable=True)
            beyond = ordered.cumsum(dim=-1) - ordered >= self.top_p
            odds = odds.scatter(-1, order, ordered.masked_fill(beyond, 0.0))
        draws = [torch.multinomial(odds[i], 1, generator=self._generators[row]) for i, row in enumerate(rows)]
        return torch.cat(draws).to(logits.device)
