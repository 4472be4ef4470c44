"""What a generator has done since it was loaded."""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from llmrec.records import Completion


class Usage(msgspec.Struct):
    """Counts over all calls; ``seconds`` are of the clock."""

    conversations: int = 0
    prompt_tokens: int = 0
    new_tokens: int = 0
    #: Conversations whose prompt was cut to fit.
    truncated: int = 0
    #: Loops that were broken (see ``loops.py``).
    loops: int = 0
    seconds: float = 0.0

    def add(self, done: Sequence[Completion], seconds: float) -> None:
        """Count some answers."""
        self.conversations += len(done)
        self.prompt_tokens += sum(answer.prompt_tokens for answer in done)
        self.new_tokens += sum(answer.new_tokens for answer in done)
        self.truncated += sum(answer.truncated_prompt_tokens > 0 for answer in done)
        self.seconds += seconds
