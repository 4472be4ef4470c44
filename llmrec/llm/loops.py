"""A way out of loops: small models, asked for their likeliest next token, say the same words over and over.

On ten real products SmolLM2-135M ends eight answers in a loop ("100 complete, 100 complete, 100 complete, …") that
runs to the limit of tokens and hides the fields after it. The guard ends the line the second time round; a row that
keeps looping is ended. It looks at the row's own tokens alone, so answers stay the same alone and in a batch.
"""

from __future__ import annotations

from collections.abc import Sequence

#: Longest phrase, in tokens, that is looked for.
LONGEST = 32
#: Fewest tokens that must be said again: a short phrase may rightly come twice.
FEWEST = 8


def in_loop(tokens: Sequence[int], longest: int = LONGEST, fewest: int = FEWEST) -> bool:
    """Whether the tokens end in a phrase that was just said, word for word, right before.

    A phrase of ``p`` tokens counts once ``max(p, fewest)`` tokens repeat those ``p`` places before them.
    """
    size = len(tokens)
    for period in range(1, min(longest, size // 2) + 1):
        again = max(period, fewest)
        if size >= period + again and tokens[-again:] == tokens[-again - period : -period]:
            return True
    return False


class LoopGuard:
    """Watches one row; after ``patience`` broken loops it gives up on it."""

    def __init__(self, newline: int | None, patience: int = 4) -> None:
        self.newline, self.patience = newline, patience
        self.broken = 0
        self._since = 0

    def correct(self, tokens: Sequence[int]) -> int | None:
        """The token to put next in place of the model's own, if its tokens so far are in a loop."""
        if not in_loop(tokens[self._since :]):
            return None
        self.broken += 1
        self._since = len(tokens)
        return self.newline

    @property
    def hopeless(self) -> bool:
        """Whether the row is to be ended."""
        return self.broken > (self.patience if self.newline is not None else 0)
