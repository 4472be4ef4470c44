"""What is checked before an index is opened: that it is one, whole, and met by the encoders that made it."""

from __future__ import annotations

from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from llmrec.errors import ArtefactError, InputError
from llmrec.index.build import IndexSettings
from llmrec.index.folder import FORMAT, KIND, REMEDY, current_version
from llmrec.index.fusion import weights_of
from llmrec.index.pictures import PictureCounts
from llmrec.index.texts import FIELDS
from llmrec.seams import Encoder, ImageEncoder
from llmrec.storage import read_manifest


def read_version(path: Path, *, check: bool) -> tuple[Path, dict[str, Any]]:
    """The folder of the current version and its manifest; ``check`` compares the hashes of all files.

    Raises:
        ArtefactError: Not an index, damaged, or of another format.
    """
    version = current_version(path)
    manifest = read_manifest(version, kind=KIND, format_version=FORMAT, check=check, remedy=REMEDY)
    try:
        weights_of(read_settings(manifest).weights)
        int(manifest["counts"]["products"]), manifest["models"]["encoder"], manifest["search"].items()
        [float(manifest["words"][field]) for field in FIELDS]
        if manifest["models"]["image_encoder"]:
            int(manifest["models"]["image_encoder"]["dimension"])
            msgspec.convert(manifest["pictures"], PictureCounts)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ArtefactError(f"{version}: its manifest is not that of an index ({error})", next_step=REMEDY) from error
    return version, manifest


def read_settings(manifest: dict[str, Any]) -> IndexSettings:
    """The settings that an index was built with."""
    return msgspec.convert(manifest["settings"], IndexSettings)


def same_encoder(
    path: Path | str, built: dict[str, Any] | None, given: Encoder | ImageEncoder | None, kind: str
) -> None:
    """Check that an encoder is the one that an index was built with; nothing given or built passes.

    Args:
        path: The index.
        built: What its manifest says of the encoder.
        given: The encoder that it is being opened with.
        kind: ``encoder`` or ``image encoder``.

    Raises:
        ArtefactError: It is another one.
    """
    if given is None or built is None or given.digest == built["digest"]:
        return
    if given.reference == built["reference"]:
        why = f"{built['reference']}, but with other weights or settings (prompts, pooling, length of texts or vectors)"
    else:
        why = f"{built['reference']}, not {given.reference}"
    step = f"Open it with {built['reference']}, or build it again with {given.reference} (--replace)."
    raise ArtefactError(f"{path}: was built with the {kind} {why}", next_step=step)


def told(version: str, manifest: dict[str, Any]) -> dict[str, Any]:
    """What a manifest says of an index: counts, settings, encoders, when it was built, bytes on disk."""
    return {
        "version": version,
        "created": manifest["created"],
        "counts": manifest["counts"],
        "settings": manifest["settings"],
        "encoder": manifest["models"]["encoder"],
        "image_encoder": manifest["models"]["image_encoder"],
        "pictures": manifest["pictures"],
        "search": {
            field: {"factory": own["factory"], "recall": own["recall"]} for field, own in manifest["search"].items()
        },
        "bytes": sum(int(file["bytes"]) for file in manifest["files"].values()),
    }


class Wanted(NamedTuple):
    """Arguments of ``load_encoder``: the reference, and the length that the vectors are cut to, if they are."""

    reference: str
    dimension: int | None


def wanted_encoder(path: Path, asked: str | None) -> Wanted | None:
    """The encoder to open an index with: the one asked for, else its own; None: it has no vectors.

    Raises:
        ArtefactError: Not an index.
        InputError: One is asked for, and the index has no vectors.
    """
    return wanted_of(path, read_version(path, check=False)[1]["models"]["encoder"], asked)


def wanted_of(path: Path | str, built: dict[str, Any] | None, asked: str | None) -> Wanted | None:
    """The same where it is known what the index was built with; None: without vectors.

    Raises:
        InputError: One is asked for, and the index has no vectors.
    """
    if asked and not built:
        step = "Leave the encoder out, or build the index with one."
        raise InputError(f"{path}: holds no vectors, so no encoder is of use", next_step=step)
    if not built:
        return None
    return Wanted(asked or str(built["reference"]), int(built["dimension"]) if built.get("cut") else None)
