"""A filter (``llmrec.index.filters``) in the language of the store, kept to while it searches.

Each comparison has a form there that keeps the same products as ``llmrec.index.facets``, since the payload was folded
when it was written; what has none is refused and never left out.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from llmrec.errors import InputError
from llmrec.index.facet_values import folded, levels_of
from llmrec.index.filters import All, AnyOf, Compare, Filter, Money, Not
from llmrec.index.remote.payload import TEXTS, YES, bounded, joined, key_of, point_of

if TYPE_CHECKING:
    from qdrant_client import models

_ORDERS = {"<": "lt", "<=": "lte", ">": "gt", ">=": "gte"}


def translated(wanted: Filter, currencies: Sequence[str]) -> models.Filter:
    """The filter as the store reads it.

    Args:
        wanted: The filter.
        currencies: Those of the catalog, folded: where there are several, a price has to name one.

    Raises:
        InputError: A price without its currency, in a catalog of several; or a comparison without a form there.
    """
    from qdrant_client import models

    match wanted:
        case Not(part):
            return models.Filter(must_not=[translated(part, currencies)])
        case All(parts):
            return models.Filter(must=[translated(part, currencies) for part in parts])
        case AnyOf(parts):
            return models.Filter(should=[translated(part, currencies) for part in parts])
        case Compare(field="price"):
            return _price(wanted, currencies)
        case Compare(field="in_stock", operator="true"):
            return _all(_equal("in_stock", YES))
        case Compare(field="in_stock", operator="exists"):
            return _exists("in_stock")
        case Compare(field="category"):
            return _category(wanted)
        case Compare(field="id", operator="=="):
            # a product without an id to speak of has none that could be asked for
            ids: list[Any] = [point_of(str(value)) for value in wanted.values if str(value).strip()]
            return _all(models.HasIdCondition(has_id=ids))
        case Compare(field="attributes" | "extra"):
            return _open_field(wanted)
        case Compare(field=name) if name in (*TEXTS, "id", "currency"):
            return _text(wanted, name)
    raise _refused(wanted)


def _text(wanted: Compare, key: str) -> models.Filter:
    from qdrant_client import models

    match wanted.operator:
        case "exists":
            return _exists(key)
        case "contains":
            piece = str(wanted.values[0])
            return _contains(key, piece if wanted.field == "id" else folded(piece))
        case "==":
            texts = [folded(value) for value in wanted.values if isinstance(value, str)]
            return _all(_field(key, match=models.MatchAny(any=texts))) if texts else _none()
    raise _refused(wanted)


def _open_field(wanted: Compare) -> models.Filter:
    from qdrant_client import models

    key, numbers = key_of(wanted.field, wanted.key), key_of(wanted.field, wanted.key, number=True)
    if wanted.operator in _ORDERS:
        return _all(_range(numbers, wanted.operator, float(wanted.values[0])))  # type: ignore[arg-type]
    if wanted.operator == "==":
        equal = [_range(numbers, "==", value) for value in wanted.values if isinstance(value, float)]
        return models.Filter(should=[_text(wanted, key), *equal])
    return _text(wanted, key)


def _price(wanted: Compare, currencies: Sequence[str]) -> models.Filter:
    from qdrant_client import models

    if wanted.operator == "exists":
        return _exists("price")
    if wanted.operator not in (*_ORDERS, "=="):
        raise _refused(wanted)
    parts: list[Any] = []
    for value in wanted.values:
        if isinstance(value, Money):
            price = _range("price", wanted.operator, value.amount)
            parts.append(models.Filter(must=[price, _equal("currency", folded(value.currency))]))
        elif len(currencies) > 1:
            step = f"Name one: price {wanted.operator} {value:g} {currencies[0].upper()}."
            raise InputError(f"the catalog has prices in {', '.join(currencies).upper()}", next_step=step)
        else:
            parts.append(_range("price", wanted.operator, float(value)))
    return models.Filter(should=parts)


def _category(wanted: Compare) -> models.Filter:
    from qdrant_client import models

    if wanted.operator == "exists":
        return _exists("path")
    if wanted.operator == "contains":
        return _contains("levels", folded(str(wanted.values[0])))
    if wanted.operator not in ("==", "under"):
        raise _refused(wanted)
    asked = [levels for value in wanted.values if (levels := levels_of(str(value)))]
    if not asked:
        return _none()
    if wanted.operator == "==":
        return _all(_field("path", match=models.MatchAny(any=[joined(levels) for levels in asked])))
    return models.Filter(should=[_under(levels) for levels in asked])


def _under(levels: tuple[str, ...]) -> models.Filter:
    from qdrant_client import models

    # the index of levels narrows it down; whether they stand one after the other is looked up in what is left
    steps = [_equal("levels", level) for level in dict.fromkeys(levels)]
    whole = [_field("path", match=models.MatchSubstring(substring=joined(levels)))] if len(levels) > 1 else []
    return models.Filter(must=[*steps, *whole])


def _range(key: str, operator: str, number: float) -> models.FieldCondition:
    from qdrant_client import models

    number = bounded(number)
    if operator == "==":
        return _field(key, range=models.Range(gte=number, lte=number))
    return _field(key, range=models.Range(**{_ORDERS[operator]: number}))


def _exists(key: str) -> models.Filter:
    from qdrant_client import models

    return models.Filter(must_not=[models.IsEmptyCondition(is_empty=models.PayloadField(key=key))])


def _contains(key: str, piece: str) -> models.Filter:
    from qdrant_client import models

    return _all(_field(key, match=models.MatchSubstring(substring=piece))) if piece else _exists(key)


def _equal(key: str, value: str) -> models.FieldCondition:
    from qdrant_client import models

    return _field(key, match=models.MatchValue(value=value))


def _field(key: str, **condition: Any) -> models.FieldCondition:
    from qdrant_client import models

    return models.FieldCondition(key=key, **condition)


def _all(*conditions: Any) -> models.Filter:
    from qdrant_client import models

    return models.Filter(must=list(conditions))


def _none() -> models.Filter:
    """What no product fits."""
    from qdrant_client import models

    return _all(models.HasIdCondition(has_id=[]))


def _refused(wanted: Compare) -> InputError:
    what = f"{wanted.operator!r} of {wanted.field} has no form in Qdrant"
    return InputError(what, next_step="Ask the index folder, or filter by another field.")
