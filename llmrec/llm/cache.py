"""Keys and values with room to grow.

transformers' own cache copies all keys and values of all rows for each new token (a fifth of the time of a step of
SmolLM2 with 24 rows of 300 tokens); with room at their end a token is written in place.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

#: Tokens of room that are made at once.
ROOM = 64


def roomy_cache(config: Any) -> Any:
    """A dynamic cache for a model of full attention, whose layers have room."""
    from transformers import DynamicCache

    cache = DynamicCache(config=config)
    cache.layers = [_layer_class()() for _ in cache.layers]
    return cache


def repeated(cache: Any, config: Any, rows: int) -> Any:
    """A cache in which each of ``rows`` rows begins with the one row of ``cache``."""
    out = roomy_cache(config)
    for place, layer in enumerate(cache.layers):
        # expanded, not copied: the copy is made when room is
        out.update(layer.keys.expand(rows, -1, -1, -1), layer.values.expand(rows, -1, -1, -1), place)
    return out


def merged(caches: list[Any], config: Any, shared: int, width: int) -> Any:
    """One cache of all rows of some, each moved to the right so that all end at ``width``.

    The first ``shared`` tokens stay where they are; the gap behind them is zero, and is masked by the caller.
    """
    import torch

    def widened(states: list[Any]) -> Any:
        parts = []
        for one in states:
            gap = one.new_zeros((*one.shape[:2], width - one.shape[2], one.shape[3]))
            parts.append(torch.cat([one[:, :, :shared], gap, one[:, :, shared:]], dim=2))
        return torch.cat(parts)

    out = roomy_cache(config)
    for place in range(len(out.layers)):
        layers = [cache.layers[place] for cache in caches]
        out.update(widened([layer.keys for layer in layers]), widened([layer.values for layer in layers]), place)
        for layer in layers:  # as soon as they are merged: all of them twice may be more than there is
            layer.keys = layer.values = None
            layer.room = {}
    return out


@lru_cache(maxsize=1)
def _layer_class() -> type:
    import torch
    from transformers.cache_utils import DynamicLayer

    class RoomyLayer(DynamicLayer):
        def __init__(self, **kwargs: Any) -> None:
            super().__init__(**kwargs)
            self.room: dict[str, torch.Tensor] = {}

        def update(self, key_states: Any, value_states: Any, *args: Any, **kwargs: Any) -> tuple[Any, Any]:
            self.dtype, self.device, self.is_initialized = key_states.dtype, key_states.device, True
            self.keys = self._append("keys", key_states)
            self.values = self._append("values", value_states)
            return self.keys, self.values

        def _append(self, name: str, new: Any) -> Any:
            old, room = getattr(self, name), self.room.get(name)
            length = 0 if old is None else old.shape[-2]
            total = length + new.shape[-2]
            if room is None or room.shape[-2] < total:
                room = new.new_empty((*new.shape[:-2], total + ROOM, new.shape[-1]))
                if length:
                    room[..., :length, :] = old
                self.room[name] = room
            room[..., length:total, :] = new
            return room[..., :total, :]

        def batch_select_indices(self, indices: Any) -> None:
            super().batch_select_indices(indices)
            self.room = {}

    return RoomyLayer
