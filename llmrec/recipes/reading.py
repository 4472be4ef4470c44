"""A recipe file to a checked recipe: every fault at once, each with its line.

::

    recipe = load_recipe("summarize-lora.yaml", ["training.epochs=1", "method.rank=8"])
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, get_args

import yaml
from pydantic import BaseModel, ValidationError

from llmrec.errors import InputError
from llmrec.recipes.checks import cross_faults
from llmrec.recipes.schema import Recipe, TaskName
from llmrec.recipes.strict import Fault, Kind, Place, dotted, line_of, nearest, read_source, read_yaml, refusal, told

_EXAMPLES = "'llmrec recipes list' names examples to copy from."
KIND = Kind("recipe", f"Correct the recipe; {_EXAMPLES}", f"Correct the YAML; {_EXAMPLES}")


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
        near = nearest(str(path), known)
        step = f"Did you mean {near!r}?" if near else "Give a .yaml file, or a name of 'llmrec recipes list'."
        raise InputError(f"{path}: no such recipe", next_step=step)
    return parse_recipe(read_source(source, KIND), changes, shown=str(path))


def parse_recipe(text: str, changes: Sequence[str] = (), *, shown: str = "recipe") -> Recipe:
    """Check a recipe that is at hand as text; see :func:`load_recipe`."""
    data, lines, faults = read_yaml(text, shown, KIND)
    for change in changes:
        faults += _apply(data, change, lines)
    recipe: Recipe | None = None
    found: list[Fault] = []
    try:
        recipe = Recipe.model_validate(data)
    except ValidationError as error:
        found = [told(entry, data, _unknown) for entry in error.errors()]
    if recipe is not None:
        found = list(cross_faults(recipe))
    faults += [(line_of(where, lines), f"{dotted(where)}: {what}") for where, what in found]
    if faults or recipe is None:
        raise refusal(shown, faults, KIND)
    return recipe


def dump_recipe(recipe: Recipe) -> str:
    """The recipe as YAML, with every key of its task written out: what was run, whatever the defaults become."""
    data = json.loads(recipe.model_dump_json(exclude={*get_args(TaskName)} - {recipe.task}))
    data["method"] = {key: value for key, value in data["method"].items() if value is not None}
    return yaml.safe_dump(data, sort_keys=False, allow_unicode=True, width=110)


def _apply(data: dict[str, Any], change: str, lines: dict[Place, int]) -> list[tuple[str, str]]:
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


def _unknown(where: Place) -> str:
    """What to say of a key that the schema does not know: the nearest key here, or the section that has it."""
    here = _section(where[:-1])
    key = str(where[-1])
    near = nearest(key, here)
    homes = [name for name, fields in _sections().items() if key in fields and name]
    if homes and key not in here:
        return f"unknown key; it belongs under {' or '.join(homes)}"
    if near:
        return f"unknown key; did you mean {near!r}?"
    homes_of = {f"{name}.{field}": field for name, fields in _sections().items() if name for field in fields}
    far = nearest(key, homes_of.values())
    if far:
        return f"unknown key; did you mean {' or '.join(name for name, field in homes_of.items() if field == far)}?"
    return f"unknown key; {dotted(where[:-1]) or 'a recipe'} has {', '.join(sorted(here))}"


def _sections() -> dict[str, set[str]]:
    sections = {"": set(Recipe.model_fields)}
    for name, field in Recipe.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            sections[name] = set(field.annotation.model_fields)
    return sections


def _section(where: Place) -> set[str]:
    return _sections().get(str(where[0]) if where else "", set())
