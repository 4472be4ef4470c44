"""Tiny models with random weights, as folders on disk, and a cache of the test's own."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file


@pytest.fixture(autouse=True)
def own_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Path:
    """Every test has an empty cache, unless it is marked as one that uses the real one."""
    cache = tmp_path / "cache"
    if "real_cache" not in request.fixturenames:
        monkeypatch.setenv("LLMREC_CACHE", str(cache))
        for name in ("HF_ENDPOINT", "HF_HUB_OFFLINE", "LLMREC_OFFLINE"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    return cache


@pytest.fixture
def real_cache() -> None:
    """Asks for the user's own cache, for tests on starters that were pulled before."""


@pytest.fixture
def bert(tmp_path: Path) -> Path:
    """A folder that looks like a tiny BERT: two tensors and a config."""
    return model_folder(tmp_path / "bert", {"architectures": ["BertModel"], "model_type": "bert"})


def model_folder(folder: Path, config: dict) -> Path:
    folder.mkdir(parents=True)
    (folder / "config.json").write_text(json.dumps(config))
    save_file(
        {"a": np.arange(6, dtype=np.float32).reshape(2, 3), "b": np.ones(4, dtype=np.float32)},
        folder / "model.safetensors",
    )
    (folder / "README.md").write_text("---\nlanguage: en\nlicense: apache-2.0\n---\n# A model\n")
    return folder
