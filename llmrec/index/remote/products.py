"""The products of a collection, remembered for a while: what is found is shown, and found again."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from threading import Lock

import msgspec

from llmrec.index.remote.store import Store
from llmrec.records import Product

#: Products that are remembered.
REMEMBERED = 20_000


class Products:
    """Reads products by the ids of their points; any thread may ask."""

    def __init__(self, store: Store, collection: str) -> None:
        self._store, self._collection = store, collection
        self._known: OrderedDict[str, Product] = OrderedDict()
        self._lock = Lock()

    def read(self, points: Iterable[str]) -> dict[str, Product]:
        """The products of points; those that are not there are left out."""
        points = list(points)
        with self._lock:
            found = {point: self._known[point] for point in points if point in self._known}
        missing = [point for point in points if point not in found]
        if missing:
            for point, payload in self._store.read(self._collection, missing, ["record"]).items():
                found[point] = msgspec.json.decode(payload["record"], type=Product)
        with self._lock:
            for point, product in found.items():
                self._known[point] = product
                self._known.move_to_end(point)
            while len(self._known) > REMEMBERED:
                self._known.popitem(last=False)
        return found
