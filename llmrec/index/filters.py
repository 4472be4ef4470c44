"""A filter as structures, and as text again; ``llmrec.index.where`` reads the text."""

from __future__ import annotations

from typing import Any, Literal

import msgspec

Operator = Literal["==", "<", "<=", ">", ">=", "contains", "under", "exists", "true"]


class Money(msgspec.Struct, frozen=True):
    """An amount in a currency: ``50 EUR``."""

    amount: float
    currency: str


class Compare(msgspec.Struct, frozen=True):
    """A field beside values, of which one must fit; ``exists`` and ``true`` take none."""

    field: str
    operator: Operator
    values: tuple[str | float | Money, ...] = ()
    #: Of ``attributes`` and ``extra``: the name of the one that is meant.
    key: str = ""


class Not(msgspec.Struct, frozen=True):
    """What does not fit ``part``."""

    part: Filter


class All(msgspec.Struct, frozen=True):
    """What fits every part."""

    parts: tuple[Filter, ...]


class AnyOf(msgspec.Struct, frozen=True):
    """What fits one of the parts."""

    parts: tuple[Filter, ...]


Filter = Compare | Not | All | AnyOf


def as_text(found: Filter) -> str:
    """A filter as text that ``parse`` reads back to an equal one."""
    match found:
        case Not(Compare(operator="exists") as part):
            return f"{_name(part)} missing"
        case Not(part):
            return f"not ({as_text(part)})"
        case All(parts):
            return " and ".join(f"({as_text(part)})" for part in parts)
        case AnyOf(parts):
            return " or ".join(f"({as_text(part)})" for part in parts)
        case Compare(operator="true"):
            return _name(found)
        case Compare(operator="exists"):
            return f"{_name(found)} exists"
        case Compare(operator="==", values=values) if len(values) != 1:
            return f"{_name(found)} in [{', '.join(map(_literal, values))}]"
    return f"{_name(found)} {found.operator} {_literal(found.values[0])}"


def _name(found: Compare) -> str:
    return f"{found.field}[{_literal(found.key)}]" if found.key else found.field


def _literal(value: Any) -> str:
    if isinstance(value, Money):
        return f"{value.amount!r} {value.currency}"
    if isinstance(value, float):
        return repr(value)
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
