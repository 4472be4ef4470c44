"""What was written to a live index becomes part of a new version, while it is searched and written to."""

from __future__ import annotations

from bisect import bisect_left
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
from numpy.typing import NDArray

from llmrec.errors import InputError
from llmrec.index.build import Made, texts_of, write_version
from llmrec.index.folder import delta_of
from llmrec.index.live.delta import Change, Drop, from_entries, to_entries
from llmrec.index.live.following import Following
from llmrec.index.opening import read_settings, read_version
from llmrec.index.parts import BaseParts, Parts
from llmrec.index.pictures import PictureCounts, PictureVectors
from llmrec.storage.journal import Journal, JournalTail


def compact(path: str | Path, *, check: bool = True) -> dict[str, Any]:
    """Build a new version from the present one and what was written to it; nothing is encoded anew.

    The index is searched and written to meanwhile. What is written while the new version is built goes on in its
    journal; only the moment in which it takes over keeps writers waiting.

    Args:
        path: The index.
        check: Compare the hashes of all files first.

    Returns:
        ``path``, ``version``, ``products``, ``added`` and ``gone`` since the version before, ``carried`` (changes that
        came while it was built); ``version`` is the present one where nothing was written.

    Raises:
        ArtefactError: Not an index, or damaged.
        InputError: Another process builds or compacts it, or no product is left.
        StorageError: The disk refused; the index is as it was.
    """
    path = Path(path)
    version, manifest = read_version(path, check=check)
    base = BaseParts.load(version, manifest)
    following = Following(version, base, manifest)
    parts, position = following.parts, following.position
    start, rows = len(base.table), np.flatnonzero(~parts.is_gone)
    told = {"added": len(parts.table) - start, "gone": len(parts.gone)}
    carried = 0

    def carry(journal: Journal) -> None:
        nonlocal carried
        tail = JournalTail(delta_of(version), start=position)
        changes = from_entries(tail.read(), str(tail.path))
        journal.append(to_entries(renumbered(changes, rows, len(parts.table))))
        carried = len(changes)

    if not len(rows):
        raise InputError(f"{path}: all its products are gone", next_step="Add some before it is compacted.")
    if parts is not base:
        write_version(path, _made(parts, rows, manifest), read_settings(manifest), carry, expected=version)
        version = read_version(path, check=False)[0]
    return {"path": str(path), "version": version.name, "products": len(rows), **told, "carried": carried}


def renumbered(changes: list[Change], rows: NDArray[np.int64], end: int) -> list[Change]:
    """Changes to an index, as changes to one whose products are ``rows`` of it.

    Args:
        changes: In order, all that came after the first ``end`` rows.
        rows: The rows that stayed, ascending.
        end: Rows that there were, those that were gone among them.
    """
    kept = rows.tolist()

    def now(row: int) -> int:
        return len(kept) + row - end if row >= end else bisect_left(kept, row)

    return [
        Drop(now(change.row))
        if isinstance(change, Drop)
        else msgspec.structs.replace(change, replaces=now(change.replaces))
        if change.replaces >= 0
        else change
        for change in changes
    ]


def _made(parts: Parts, rows: NDArray[np.int64], manifest: dict[str, Any]) -> Made:
    products = parts.table.records
    ids = parts.table.ids_of(rows.tolist())
    summaries = {id: parts.summaries[row] for id, row in zip(ids, rows.tolist(), strict=True) if row in parts.summaries}
    vectors = {field: dense.take(rows) for field, dense in parts.dense.items()}
    pictures = counts = None
    if parts.pictures is not None:
        own, titles = parts.pictures.rows, parts.pictures.titles
        shown = np.flatnonzero(~parts.is_gone[own])
        places = np.searchsorted(rows, own[shown])
        images = parts.pictures.images.take(shown)
        pictures = PictureVectors(places, images, None if titles is None else titles.take(rows))
        told = {**manifest["pictures"], "embedded": len(shown), "products": len(np.unique(places))}
        counts = PictureCounts(**told)
    cut = int(manifest["counts"]["texts_cut"])
    texts = texts_of(products, summaries, read_settings(manifest).text)
    return Made(products, texts, summaries, vectors, pictures, counts, manifest["models"], cut)
