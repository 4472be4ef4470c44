"""What happened while summaries or intents were written: how many could be read, what was dropped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any


class Report:
    """Counts over all records that a writer has given out."""

    def __init__(self) -> None:
        self.written = 0
        #: Answers in which no field could be found.
        self.unreadable = 0
        #: Records with at least one claim that stands nowhere in the source (it was dropped).
        self.ungrounded = 0
        #: Records of which the model saw only a part.
        self.shortened = 0
        #: Problems by kind ("attributes: not in the product, dropped").
        self.problems: Counter[str] = Counter()

    def count(self, problems: Iterable[str]) -> None:
        """Count one record by its problems."""
        kinds = [_kind(problem) for problem in problems]
        self.written += 1
        self.unreadable += any(kind.startswith("unreadable") for kind in kinds)
        self.ungrounded += any("not in the " in kind for kind in kinds)
        self.shortened += any("left out of the prompt" in kind for kind in kinds)
        self.problems.update(kinds)

    def as_dict(self) -> dict[str, Any]:
        """All counts, for a machine."""
        counts = {name: getattr(self, name) for name in ("written", "unreadable", "ungrounded", "shortened")}
        return {**counts, "problems": dict(self.problems.most_common())}


def _kind(problem: str) -> str:
    head, dropped, _claim = problem.partition(", dropped: ")
    kind = head + dropped.rstrip(": ")
    if "characters of" in kind:
        return "prompt: characters left out of the prompt"
    if "in other words" in kind:
        return kind.partition(":")[0] + ": in other words than the content's"
    return kind
