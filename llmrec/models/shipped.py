"""The adapters that come with llmrec: ``adapter:NAME`` is ``adapters/NAME`` of the project or of the wheel."""

from __future__ import annotations

from pathlib import Path

ADAPTER_PREFIX = "adapter:"


def shipped_adapters() -> dict[str, Path]:
    """Name to folder of each adapter that is shipped, in order of their names."""
    package = Path(__file__).parents[1]
    packaged = package / "_data" / "adapters"
    root = packaged if packaged.is_dir() else package.parent / "adapters"
    return {path.parent.name: path.parent for path in sorted(root.glob("*/adapter_config.json"))}
