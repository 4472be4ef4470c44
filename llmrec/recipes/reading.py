"""A recipe file to a checked recipe: every fault at once, each with its line.

::

    recipe = load_recipe("summarize-lora.yaml", ["training.epochs=1", "method.rank=8"])
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from llmrec.errors import InputError
from llmrec.recipes.checks import Fault, cross_faults
from llmrec.recipes.schema import Recipe, TaskName

#: A recipe is a page or two: a file beyond this is something else.
MAX_BYTES = 1_000_000

Path_ = tuple[str | int, ...]


def load_recipe(path: str | Path, changes: Sequence[str] = ()) -> Recipe:
    """Read and check a recipe.

    Args:
        path: A YAML file, or the name of a shipped recipe.
        changes: ``key.of.section=value`` each, the value in YAML.

    Raises:
        InputError: Not readable, not YAML, or faults in it: all are listed with their lines.
    """
    from llmrec.recipes.shipped import shipped_recipes

    known = shipped_recipes()
    source = known.get(str(path), Path(path))
    if not source.is_file():
        near = _nearest(str(path), known)
        step = f"Did you mean {near!r}?" if near else "Give a .yaml file, or a name of 'llmrec recipes list'."
        raise InputError(f"{path}: no such recipe", next_step=step)
    try:
        if source.stat().st_size > MAX_BYTES:
            raise InputError(f"{path}: larger than a recipe can be", next_step="Give a recipe in YAML.")
        text = source.read_bytes().decode("utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "not UTF-8 text"
        raise InputError(f"{path}: {reason}", next_step="Give a recipe in YAML.") from error
    return parse_recipe(text, changes, shown=str(path))


def parse_recipe(text: str, changes: Sequence[str] = (), *, shown: str = "recipe") -> Recipe:
    """Check a recipe that is at hand as text; see :func:`load_recipe`."""
    data, lines, faults = _read(text, shown)
    for change in changes:
        faults += _apply(data, change, lines)
    recipe: Recipe | None = None
    found: list[Fault] = []
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        found = [_told(entry, data) for entry in error.errors()]
    if recipe is not None:
        found = list(cross_faults(recipe))
    told = faults + [(_line(where, lines), f"{_dotted(where)}: {what}") for where, what in found]
    if told or recipe is None:
        ordered = sorted(dict.fromkeys(told), key=lambda fault: (fault[0] == "--set", _as_number(fault[0])))
        listed = "\n".join(f"  {f'line {place}' if place.isdigit() else place}: {what}" for place, what in ordered)
        count = f"{len(ordered)} fault{'s' if len(ordered) != 1 else ''}"
        step = "Correct the recipe; 'llmrec recipes list' names examples to copy from."
        raise InputError(f"{shown}: {count} in the recipe\n{listed}", next_step=step)
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML, with every key of its task written out: what was run, whatever the defaults become."""
    data = json.loads(recipe.model_dump_json(exclude={*get_args(TaskName)} - {recipe.task}))
    data["method"] = {key: value for key, value in data["method"].items() if value is not None}
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)


def _read(text: str, shown: str) -> tuple[dict[str, Any], dict[Path_, int], list[tuple[str, str]]]:
    """The file's data, the line of each key, and keys that stand twice."""
    step = "Correct the YAML; 'llmrec recipes list' names examples to copy from."
    try:
        for token in yaml.scan(text, Loader=yaml.SafeLoader):
            if isinstance(token, yaml.AnchorToken | yaml.AliasToken):
                line = token.start_mark.line + 1
                raise InputError(f"{shown}: line {line}: a recipe has no anchors", next_step="Write the value out.")
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        data = yaml.safe_load(text)
    except (yaml.YAMLError, RecursionError, ValueError) as error:
        mark = getattr(error, "problem_mark", None)
        at = f": line {mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).splitlines()[0]
        raise InputError(f"{shown}{at}: not YAML: {problem}", next_step=step) from error
    if not isinstance(data, dict) or node is None:
        raise InputError(f"{shown}: not a recipe: it holds no keys", next_step=step)
    lines: dict[Path_, int] = {}
    twice: list[tuple[str, str]] = []
    for where, line in _walk(node, ()):
        if where in lines:
            twice.append((str(line), f"{_dotted(where)}: stands twice (first in line {lines[where]})"))
        lines.setdefault(where, line)
    return data, lines, twice


def _walk(node: yaml.Node, path: Path_) -> Iterator[tuple[Path_, int]]:
    if isinstance(node, yaml.MappingNode):
        for key, value in node.value:
            where = (*path, str(key.value))
            yield where, key.start_mark.line + 1
            yield from _walk(value, where)
    elif isinstance(node, yaml.SequenceNode):
        for number, value in enumerate(node.value):
            yield (*path, number), value.start_mark.line + 1
            yield from _walk(value, (*path, number))


def _apply(data: dict[str, Any], change: str, lines: dict[Path_, int]) -> list[tuple[str, str]]:
    """Set one key from ``--set``; its line becomes 0, which is told as ``--set``."""
    name, equals, text = change.partition("=")
    keys = tuple(key.strip() for key in name.split("."))
    if not equals or not all(keys):
        return [("--set", f"{change!r} is not of the form key.of.section=value")]
    try:
        value = yaml.safe_load(text)
    except yaml.YAMLError:
        value = text
    place = data
    for key in keys[:-1]:
        inner = place.setdefault(key, {})
        if inner is None:
            inner = place[key] = {}
        if not isinstance(inner, dict):
            return [("--set", f"{change!r}: {key} is a value, not a section")]
        place = inner
    place[keys[-1]] = value
    lines[keys] = 0
    return []


def _told(entry: Any, data: dict[str, Any]) -> Fault:
    """A fault in our words."""
    kind, value = entry["type"], entry.get("input")
    # the branches of a union end the path with the name of a type
    where = entry["loc"][: _depth(entry["loc"], data)] if kind != "missing" else entry["loc"]
    if kind == "extra_forbidden":
        return where, _unknown(where)
    if kind == "missing":
        return where, "is missing"
    if kind == "literal_error":
        near = _nearest(
            str(value), [word.strip("' ") for word in entry["ctx"]["expected"].replace(" or ", ",").split(",")]
        )
        return where, f"{value!r} is not one of {entry['ctx']['expected']}" + (
            f" (did you mean {near!r}?)" if near else ""
        )
    message = entry["msg"].removeprefix("Value error, ")
    return where, f"{value!r}: {message[0].lower()}{message[1:]}" if not isinstance(value, dict) else message


def _depth(loc: Path_, data: Any) -> int:
    """How much of a path is keys of the file; what follows names the branch of a union."""
    for depth, part in enumerate(loc):
        held = isinstance(data, dict) and part in data
        if not held and not (isinstance(data, list) and isinstance(part, int) and part < len(data)):
            return depth
        data = data[part]
    return len(loc)


def _unknown(where: Path_) -> str:
    """What to say of a key that the schema does not know: the nearest key here, or the section that has it."""
    here = _section(where[:-1])
    key = str(where[-1])
    near = _nearest(key, here)
    homes = [name for name, fields in _sections().items() if key in fields and name]
    if homes and key not in here:
        return f"unknown key; it belongs under {' or '.join(homes)}"
    if near:
        return f"unknown key; did you mean {near!r}?"
    dotted = {f"{name}.{field}": field for name, fields in _sections().items() if name for field in fields}
    far = _nearest(key, dotted.values())
    if far:
        return f"unknown key; did you mean {' or '.join(name for name, field in dotted.items() if field == far)}?"
    return f"unknown key; {_dotted(where[:-1]) or 'a recipe'} has {', '.join(sorted(here))}"


def _sections() -> dict[str, set[str]]:
    sections = {"": set(Recipe.model_fields)}
    for name, field in Recipe.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections[name] = set(field.annotation.model_fields)
    return sections


def _section(where: Path_) -> set[str]:
    return _sections().get(str(where[0]) if where else "", set())


def _nearest(word: str, known: Any) -> str | None:
    from difflib import get_close_matches

    found = get_close_matches(word, [str(name) for name in known], n=1, cutoff=0.6)
    return found[0] if found else None


def _line(where: Path_, lines: dict[Path_, int]) -> str:
    for end in range(len(where), 0, -1):
        if where[:end] in lines:
            return str(lines[where[:end]]) if lines[where[:end]] else "--set"
    return "the file"


def _as_number(place: str) -> int:
    return int(place) if place.isdigit() else 0


def _dotted(where: Path_) -> str:
    return ".".join(map(str, where))
