"""Where the shipped prompts lie: beside the package in a checkout, inside it in a wheel."""

from __future__ import annotations

from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import Path


def prompt_folder() -> Traversable:
    """The folder of shipped prompts."""
    packaged = files("llmrec") / "_data" / "prompts"
    # a checkout or an editable install: the prompts lie beside the package
    return packaged if packaged.is_dir() else Path(__file__).parents[2] / "prompts"


def shipped() -> dict[str, Traversable]:
    """Name to file of every shipped prompt."""
    folder = prompt_folder()
    if not folder.is_dir():
        return {}
    found = [entry for entry in folder.iterdir() if entry.name.endswith(".yaml")]
    return {entry.name.removesuffix(".yaml"): entry for entry in sorted(found, key=lambda entry: entry.name)}
