"""Which of the products that were found fit a filter, whatever index they come from."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from llmrec.index.facets import Facets
from llmrec.index.where import parse
from llmrec.records import Product
from llmrec.storage.parquet import to_arrow

#: Products of which it is remembered whether they fit, for each filter.
REMEMBERED = 50_000


class Fitting:
    """Holds products against filters (``llmrec.index.where``); what was asked before is remembered.

    Args:
        product: Gives a product by its id.
    """

    def __init__(self, product: Callable[[str], Product]) -> None:
        self._product = product
        self._known: dict[str, dict[str, bool]] = {}

    def __call__(self, where: str, ids: Sequence[str]) -> list[bool]:
        """Whether each product fits.

        Raises:
            InputError: A price without its currency, among products of several.
        """
        known = self._known.setdefault(where, {})
        if len(known) > REMEMBERED:
            known.clear()
        if asked := [id for id in dict.fromkeys(ids) if id not in known]:
            table = to_arrow(map(self._product, asked), Product)
            known.update(zip(asked, Facets(table.select, len(asked)).keep(parse(where)).tolist(), strict=True))
        return [known[id] for id in ids]
