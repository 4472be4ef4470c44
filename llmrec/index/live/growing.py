"""Arrays that grow at their end while readers hold what was there before.

What was once given out never changes: an array that is full is copied into one of twice the size, and the old one
stays with whoever holds it. So one thread may append while others read, without a lock.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

Scalar = TypeVar("Scalar", bound=np.generic)


class Growing(Generic[Scalar]):
    """An array ``[n, …]`` of which ``n`` grows.

    Args:
        dtype: Of its elements.
        row: Shape of one of its rows.
    """

    __slots__ = ("_data", "count")

    def __init__(self, dtype: type[Scalar], row: tuple[int, ...] = ()) -> None:
        self._data: NDArray[Scalar] = np.zeros((4, *row), dtype=dtype)
        self.count = 0

    def append(self, value: Any) -> None:
        """Add one row."""
        if self.count == len(self._data):
            grown = np.zeros((2 * self.count, *self._data.shape[1:]), dtype=self._data.dtype)
            grown[: self.count] = self._data
            self._data = grown
        self._data[self.count] = value
        self.count += 1

    def first(self, count: int) -> NDArray[Scalar]:
        """The first ``count`` rows, ``[count, …]``."""
        return self._data[:count]

    def all(self) -> NDArray[Scalar]:
        """All rows that there are by now."""
        # the count first: by then the array holds at least so many
        count = self.count
        return self._data[:count]
