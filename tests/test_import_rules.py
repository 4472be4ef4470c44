"""Rooms import downwards only, and never a room of their own floor (the table of the design)."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "llmrec"
ONE, TWO = {"records", "errors", "seams"}, {"storage", "recipes", "models"}
THREE = {"catalog", "video", "prompting", "llm", "embed", "index"}
FOUR = {"summarize", "match", "train"}
MAY_IMPORT = {
    **dict.fromkeys(ONE, ONE - {"seams"}),
    **dict.fromkeys(TWO, ONE),
    **dict.fromkeys(THREE, ONE | TWO),
    **dict.fromkeys(FOUR, ONE | TWO | THREE),
    # a training measures what it has made; evaluate sees files and numbers, never models
    "train": ONE | TWO | THREE | {"evaluate"},
    "evaluate": ONE | TWO,
    "batch": ONE | TWO | THREE | FOUR,
    "serve": ONE | TWO | THREE | FOUR,
    "api": ONE | TWO | THREE | FOUR | {"evaluate", "batch", "serve"},
    "demo": ONE | TWO | THREE | FOUR | {"evaluate", "batch", "serve", "api"},
    "cli": ONE | TWO | THREE | FOUR | {"evaluate", "batch", "serve", "api", "demo"},
}
NO_TORCH = ONE | TWO - {"models"} | {"catalog", "prompting", "evaluate"}
#: Torch through and through, and themselves imported only where they are used.
LATE = {"train/fused.py": "llmrec.train.fused"}
HEAVY = {"torch", "transformers", "sentence_transformers", "faiss", "av", "cv2", "peft", "onnxruntime", "matplotlib"}


def imports(path: Path, *, top_level: bool = False) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    nodes = tree.body if top_level else ast.walk(tree)
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Import):
            names.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            names.update({f"{node.module}.{a.name}" for a in node.names} if node.module == "llmrec" else {node.module})
    return names


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_flow_downward(path: Path) -> None:
    room = path.relative_to(PACKAGE).parts[0].removesuffix(".py")
    if room in {"__init__", "__main__"}:
        return
    ours = {name.split(".")[1] for name in imports(path) if name.startswith("llmrec.")} - {room, "__version__"}
    assert ours <= MAY_IMPORT[room], f"{room} may not import {sorted(ours - MAY_IMPORT[room])}"
    if room in NO_TORCH:
        assert not {name.split(".")[0] for name in imports(path)} & {"torch", "transformers"}
    if room == "cli" and path.name not in {"__init__.py", "manners.py"}:
        siblings = {n for n in imports(path) if n.startswith("llmrec.cli.")} - {"llmrec.cli.manners"}
        assert not siblings, f"{path.name} imports a sibling: {siblings}"
    at_once = imports(path, top_level=True)
    if path.relative_to(PACKAGE).as_posix() not in LATE:
        assert not {name.split(".")[0] for name in at_once} & HEAVY, "heavy import at module level"
    assert not {name for name in at_once if name.startswith(tuple(LATE.values()))}, "to be imported where it is used"
