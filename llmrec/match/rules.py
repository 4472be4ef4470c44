"""The rules of a shop: products that are never shown, shown sooner or later, or only so often.

::

    version: 1
    rules:
      - name: nothing that is sold out
        action: ban
        where: in_stock exists and not in_stock     # docs/filters.md
      - name: house brand first in lives
        action: boost
        where: brand == "Acme"
        by: 1.0                                     # standard deviations of the list's scores
        contents: [live, video]
      - name: at most two of a brand
        action: cap
        field: brand
        most: 2

``load_rules`` reads such a file and tells all its faults at once; ``llmrec.match.steering`` keeps to them.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal, get_args

from pydantic import BeforeValidator, Field, ValidationError, field_validator

from llmrec.errors import InputError
from llmrec.index.where import parse
from llmrec.recipes.schema import Float, Positive
from llmrec.recipes.strict import (
    Fault,
    Kind,
    Place,
    Section,
    dotted,
    line_of,
    nearest,
    read_source,
    read_yaml,
    refusal,
    told,
)
from llmrec.records import ContentKind

_SCHEMA = "docs/rules.md says what it may hold."
KIND = Kind("rule file", f"Correct the file; {_SCHEMA}", f"Correct the YAML; {_SCHEMA}")

Action = Literal["ban", "boost", "cap"]

#: Keys that a rule of each action must have, and those that it may have; ``name`` and ``contents`` any may.
NEEDS: dict[str, tuple[str, ...]] = {"ban": ("where",), "boost": ("where", "by"), "cap": ("most",)}
TAKES: dict[str, tuple[str, ...]] = {"ban": ("where",), "boost": ("where", "by"), "cap": ("where", "field", "most")}
_MEANS = {
    "where": "the products that it is for",
    "by": "how far, in standard deviations of the list's scores",
    "most": "how many may be shown",
}


def _listed(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


def _sequence(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise ValueError("not a list of rules")
    return value


def _one(value: Any) -> Any:
    if isinstance(value, bool):  # which is equal to 1
        raise ValueError("not a version")
    return value


class Rule(Section):
    """One rule; which keys go together ``NEEDS`` and ``TAKES`` say."""

    #: As it is called in matches.
    name: Annotated[str, Field(min_length=1, max_length=200)]
    action: Action
    #: The products that it is for, in the language of ``llmrec.index.where``; a cap without one is for all.
    where: str | None = None
    #: The kinds of content that it is for.
    contents: Annotated[tuple[ContentKind, ...], BeforeValidator(_listed), Field(min_length=1)] = get_args(ContentKind)
    #: Of a boost: standard deviations of the list's scores; below 0 it demotes.
    by: Float | None = None
    #: Of a cap: what counts is products that have this in common; without it, those that fit ``where``.
    field: Literal["brand", "category"] | None = None
    #: Of a cap: so many of them are shown at most.
    most: Positive | None = None

    @field_validator("where")
    @classmethod
    def _readable(cls, value: str | None) -> str | None:
        if value is not None:
            try:
                parse(value)
            except InputError as error:
                raise ValueError(f"{error.message.splitlines()[0].rstrip(':')}. {error.next_step}") from error
        return value


class Rules(Section):
    """The rules of a file, in its order."""

    version: Annotated[Literal[1], BeforeValidator(_one)]
    rules: Annotated[tuple[Rule, ...], BeforeValidator(_sequence)]

    def of(self, action: Action, kind: ContentKind) -> list[Rule]:
        """The rules of an action that are for a kind of content."""
        return [rule for rule in self.rules if rule.action == action and kind in rule.contents]

    def allowed(self, kind: ContentKind, where: str | None = None) -> str | None:
        """The filter for contents of a kind: ``where``, and nothing that is banned; None: all products."""
        return every(where, *(f"not ({rule.where})" for rule in self.of("ban", kind)))


def every(*filters: str | None) -> str | None:
    """A filter for what fits all of them; None where there is none."""
    given = [own for own in filters if own is not None]
    return given[0] if len(given) == 1 else " and ".join(f"({own})" for own in given) or None


def load_rules(path: str | Path) -> Rules:
    """Read and check a rule file.

    Raises:
        InputError: Not readable, not YAML, or faults in it: all are listed with their lines.
    """
    return parse_rules(read_source(path, KIND), shown=str(path))


def parse_rules(text: str, *, shown: str = "rules") -> Rules:
    """Check rules that are at hand as text; see ``load_rules``."""
    data, lines, faults = read_yaml(text, shown, KIND)
    found = list(_cross_faults(data))
    rules: Rules | None = None
    try:
        rules = Rules.model_validate(data)
    except ValidationError as error:
        found += [told(entry, data, _unknown) for entry in error.errors()]
    for allowed in {rules.allowed(kind) for kind in get_args(ContentKind)} - {None} if rules else ():
        try:
            parse(str(allowed))
        except InputError as error:
            found.append((("rules",), f"all bans taken together: {error.message.splitlines()[0]}"))
    faults += [(line_of(where, lines), f"{_called(where, data)}{what}") for where, what in found]
    if faults or rules is None:
        raise refusal(shown, faults, KIND)
    return rules


def _cross_faults(data: dict[str, Any]) -> Iterator[Fault]:
    """What no single key can be wrong about; told beside what single keys are wrong about."""
    rules = data.get("rules")
    names: dict[str, int] = {}
    for number, rule in enumerate(rules if isinstance(rules, list) else ()):
        if not isinstance(rule, dict):
            continue
        place: Place = ("rules", number)
        if isinstance(name := rule.get("name"), str) and names.setdefault(name, number) != number:
            yield (*place, "name"), "another rule has this name"
        action = rule.get("action")
        if action not in NEEDS:
            continue
        for key in NEEDS[action]:
            if rule.get(key) is None:
                yield (*place, key), f"is missing: {_MEANS[key]}"
        if action == "cap" and rule.get("field") is None and rule.get("where") is None:
            yield (*place, "field"), "is missing: brand or category; or give the products that are counted as 'where'"
        for key in ("where", "by", "field", "most"):
            if key not in TAKES[action] and rule.get(key) is not None:
                owners = " and ".join(other for other, keys in TAKES.items() if key in keys)
                yield (*place, key), f"means nothing for the action {action} (it belongs to {owners})"
        if action == "boost" and rule.get("by") in (0, 0.0) and rule["by"] is not False:
            yield (*place, "by"), "0 does nothing"


def _unknown(where: Place) -> str:
    known = Rule.model_fields if len(where) > 1 else Rules.model_fields
    near = nearest(str(where[-1]), known)
    return f"unknown key; did you mean {near!r}?" if near else f"unknown key; there are {', '.join(known)}"


def _called(where: Place, data: dict[str, Any]) -> str:
    """A place by the name of its rule: a reader does not count them."""
    if len(where) < 2 or where[0] != "rules":
        return f"{dotted(where)}: "
    number, rest = where[1], where[2:]
    assert isinstance(number, int)
    rule = data["rules"][number]
    name = rule.get("name") if isinstance(rule, dict) else None
    shown = f"rule {name!r}" if isinstance(name, str) and name else f"rule {number + 1}"
    return f"{shown}: {dotted(rest)}: " if rest else f"{shown}: "
