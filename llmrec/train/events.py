"""What transformers' trainer calls as it goes on, without importing it."""

from __future__ import annotations

from typing import Any


class Listener:
    """A ``TrainerCallback`` by its methods alone: an event that a class does not name is let pass."""

    def __getattr__(self, name: str) -> Any:
        if name.startswith("on_"):
            return _pass
        raise AttributeError(name)


def _pass(*args: Any, **kwargs: Any) -> None:
    return None
