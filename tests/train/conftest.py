"""A tiny chat model on disk, and recipes over it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from tiny_trainings import make_model, make_tokenizer, recipe_text, write_rows

from llmrec.recipes import Recipe, parse_recipe


@pytest.fixture(scope="session")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a tiny Llama."""
    folder = tmp_path_factory.mktemp("models") / "tiny"
    make_model("llama").save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture
def tiny_recipe(tiny: Path, tmp_path: Path) -> Callable[..., Recipe]:
    """A recipe over the tiny model and 24 examples, 4 of dev, changed by ``key=value``; its run is ``tmp_path/run``."""
    write_rows(tmp_path / "train.jsonl", 24)
    write_rows(tmp_path / "dev.jsonl", 4, first=100)
    text = recipe_text(tiny, tmp_path)

    def make(*changes: str) -> Recipe:
        return parse_recipe(text, changes)

    return make
