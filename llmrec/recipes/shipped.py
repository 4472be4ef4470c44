"""The recipes that come with llmrec: files beside this one."""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "shipped"


def shipped_recipes() -> dict[str, Path]:
    """Name to file of each shipped recipe, sorted by name."""
    return {path.stem: path for path in sorted(FOLDER.glob("*.yaml"))}
