"""YAML that is held against a schema, every fault with its line; recipes and rules of matching are read so.

::

    kind = Kind("recipe", "Correct the recipe.", "Correct the YAML.")
    data, lines, faults = read_yaml(read_source("r.yaml", kind), "r.yaml", kind)
    raise refusal("r.yaml", faults, kind)
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from difflib import get_close_matches
from pathlib import Path
from typing import Any, NamedTuple

import yaml
from pydantic import BaseModel, ConfigDict

from llmrec.errors import InputError

#: A recipe is a page or two: a file beyond this is something else.
MAX_BYTES = 1_000_000

#: Where a value stands: the keys of sections and the places in lists that lead to it.
Place = tuple[str | int, ...]
#: Where something is wrong, and what.
Fault = tuple[Place, str]


class Section(BaseModel):
    """Part of a file: unknown keys are refused and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True, protected_namespaces=(), allow_inf_nan=False)


class Kind(NamedTuple):
    """What a file is called in messages, and what to do about its faults, and about YAML that is none."""

    noun: str
    correct: str
    copy: str


def read_source(path: str | Path, kind: Kind) -> str:
    """The text of a file.

    Raises:
        InputError: It cannot be read, is too large, or is not UTF-8.
    """
    step = f"Give a {kind.noun} in YAML."
    try:
        if Path(path).stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than a {kind.noun} can be", next_step=step)
        return Path(path).read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"{path}: {reason}", next_step=step) from error


def read_yaml(text: str, shown: str, kind: Kind) -> tuple[dict[str, Any], dict[Place, int], list[tuple[str, str]]]:
    """The file's data, the line of each key, and as faults (line, what) the keys that stand twice.

    Raises:
        InputError: Not YAML, no keys, or anchors, by which a small file can mean a huge one.
    """
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
                line = token.start_mark.line + 1
                raise InputError(
                    f"{shown}: line {line}: a {kind.noun} has no anchors", next_step="Write the value out."
                )
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f": line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{shown}{at}: not YAML: {problem}", next_step=kind.copy) from error
    if not isinstance(data, dict) or node is None:
        raise InputError(f"{shown}: not a {kind.noun}: it holds no keys", next_step=kind.copy)
    lines: dict[Place, int] = {}
    twice: list[tuple[str, str]] = []
    for where, line in _walk(node, ()):
        if where in lines:
            twice.append((str(line), f"{dotted(where)}: stands twice (first in line {lines[where]})"))
        lines.setdefault(where, line)
    return data, lines, twice


def _walk(node: yaml.Node, path: Place) -> Iterator[tuple[Place, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            where = (*path, str(key.value))
            yield where, key.start_mark.line + 1
            yield from _walk(value, where)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*path, number), value.start_mark.line + 1
            yield from _walk(value, (*path, number))


def told(entry: Any, data: Any, unknown: Callable[[Place], str]) -> Fault:
    """A fault that pydantic found, in our words; ``unknown`` says what is to be said of a key that is not known."""
    kind, value = entry["type"], entry.get("input")
    # the branches of a union end the path with the name of a type
    where = entry["loc"][: _depth(entry["loc"], data)] if kind != "missing" else entry["loc"]
    if kind == "extra_forbidden":
        return where, unknown(where)
    if kind == "missing":
        return where, "is missing"
    if kind == "literal_error":
        expected = entry["ctx"]["expected"]
        near = nearest(str(value), [word.strip("' ") for word in expected.replace(" or ", ",").split(",")])
        return where, f"{value!r} is not one of {expected}" + (f" (did you mean {near!r}?)" if near else "")
    message = entry["msg"].removeprefix("Value error, ")
    return where, f"{value!r}: {message[0].lower()}{message[1:]}" if not isinstance(value, dict) else message


def _depth(loc: Place, data: Any) -> int:
    """How much of a path is keys of the file; what follows names the branch of a union."""
    for depth, part in enumerate(loc):
        held = isinstance(data, dict) and part in data
        if not held and not (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            return depth
        data = data[part]
    return len(loc)


def refusal(shown: str, faults: Sequence[tuple[str, str]], kind: Kind) -> InputError:
    """The error that lists all faults (line or other place, what), in the order of the file."""
    ordered = sorted(dict.fromkeys(faults), key=lambda fault: (fault[0] == "--set", _as_number(fault[0])))
    listed = "\n".join(f"  {f'line {place}' if place.isdigit() else place}: {what}" for place, what in ordered)
    count = f"{len(ordered)} fault{'s' if len(ordered) != 1 else ''}"
    return InputError(f"{shown}: {count} in the {kind.noun}\n{listed}", next_step=kind.correct)


def line_of(where: Place, lines: Mapping[Place, int]) -> str:
    """The line of a key, or of the nearest that holds it; a line 0 was given on the command line."""
    for end in range(len(where), 0, -1):
        if where[:end] in lines:
            return str(lines[where[:end]]) if lines[where[:end]] else "--set"
    return "the file"


def nearest(word: str, known: Iterable[object]) -> str | None:
    """The known word that looks most like one, if any does."""
    found = get_close_matches(word, [str(name) for name in known], n=1, cutoff=0.6)
    return found[0] if found else None


def dotted(where: Place) -> str:
    """A place as it is written: ``training.epochs``."""
    return ".".join(map(str, where))


def _as_number(place: str) -> int:
    return int(place) if place.isdigit() else 0
