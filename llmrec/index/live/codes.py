"""Model numbers of a catalog that changes."""

from __future__ import annotations

from bisect import insort
from collections.abc import Iterable
from functools import cached_property
from typing import TYPE_CHECKING

import numpy as np

from llmrec.index.codes import CodeBook, beginning_with, is_code
from llmrec.index.lexical import RARE_COUNT, Lexical
from llmrec.index.live.growing import Growing

if TYPE_CHECKING:
    from numpy.typing import NDArray


class Codes:
    """The model numbers of the products that came after those of a version; grows, for one writing thread."""

    def __init__(self, title: Lexical) -> None:
        self._title = title
        self._seen: dict[str, int] = {}
        self.carriers: Growing[np.bool_] = Growing(np.bool_)
        self.sorted: list[str] = []

    def append(self, title: Iterable[str], whole: Iterable[str]) -> None:
        """Add a product by the words of its title and of its whole text."""
        named = [word for word in title if is_code(word)]
        self.carriers.append(any(self._is_rare(word) for word in named))
        for word in whole:
            if word not in self._seen and is_code(word):
                self._seen[word] = 0
                insort(self.sorted, word)
        for word in named:
            self._seen[word] = self._seen.get(word, 0) + 1

    def _is_rare(self, word: str) -> bool:
        known = word in self._title.vocabulary
        return (not known or self._title.is_rare(word)) and self._seen.get(word, 0) < RARE_COUNT


class LiveCodeBook(CodeBook):
    """The model numbers as they are at one moment; ``count`` products came after those of the version."""

    def __init__(self, base: CodeBook, added: Codes | None, title: Lexical, whole: Lexical, count: int) -> None:
        super().__init__(title, whole)
        self._base, self._added, self._count = base, added, count

    def _kin(self, code: str) -> list[str]:
        return super()._kin(code) + beginning_with(code, self._added.sorted if self._added else ())

    @cached_property
    def codes(self) -> list[str]:
        """Those of the version, sorted."""
        return self._base.codes

    @cached_property
    def carriers(self) -> NDArray[np.bool_]:
        """The products whose title names one that few others name, bool ``[n]``."""
        if self._added is None:
            return self._base.carriers
        return np.concatenate([self._base.carriers, self._added.carriers.first(self._count)])
