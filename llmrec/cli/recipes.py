"""``llmrec recipes list | copy | check``: the shipped recipes, and whether one of your own is right."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from llmrec.cli.manners import emit, table, usable_output
from llmrec.errors import InputError

app = typer.Typer(help="Recipes of trainings.", no_args_is_help=True)


def register(root: typer.Typer) -> None:
    """Add the commands to the app."""
    root.add_typer(app, name="recipes")


@app.command("list")
def list_(as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False) -> None:
    """List the shipped recipes."""
    from llmrec.recipes import load_recipe, shipped_recipes

    found = {name: load_recipe(name) for name in shipped_recipes()}
    entries = [
        {"name": name, "task": r.task, "method": r.method.name, "model": r.model, "about": r.about}
        for name, r in found.items()
    ]
    text = table(
        ["name", "task", "method", "about"], [[e["name"], e["task"], e["method"], e["about"]] for e in entries]
    )
    emit({"recipes": entries}, as_json=as_json, text=text)


@app.command()
def copy(
    name: Annotated[str, typer.Argument(help="A name of 'recipes list'.")],
    output: Annotated[str, typer.Option("-o", "--output", help="The file to write (default: NAME.yaml).")] = "",
) -> None:
    """Copy a shipped recipe, with its comments, to change it."""
    from llmrec.recipes import shipped_recipes
    from llmrec.storage import atomic_file

    known = shipped_recipes()
    if name not in known:
        raise InputError(f"{name}: no such recipe", next_step=f"Give one of: {', '.join(known)}.")
    target = Path(output or f"{name}.yaml")
    usable_output(target)
    if target.exists():
        raise InputError(f"{target}: exists already", next_step="Give another name with -o, or remove it.")
    with atomic_file(target, mode="w") as file:
        file.write(known[name].read_text(encoding="utf-8"))
    print(target)


@app.command()
def check(
    recipe: Annotated[str, typer.Argument(metavar="RECIPE", help="A .yaml file, or a name of 'recipes list'.")],
    changes: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a key: training.epochs=1.")
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print one JSON object.")] = False,
) -> None:
    """Check a recipe without running it: all faults at once, with their lines."""
    import json

    from llmrec.recipes import dump_recipe, load_recipe

    loaded = load_recipe(recipe, changes or [])
    emit(json.loads(loaded.model_dump_json()), as_json=as_json, text=dump_recipe(loaded).rstrip())
