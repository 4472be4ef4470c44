"""Is an index whole, and does it find what it holds? And the version before, where the present one does not please."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from llmrec.errors import ArtefactError, InputError
from llmrec.index.folder import (
    FORMAT,
    KIND,
    REMEDY,
    WAIT,
    building,
    current_version,
    delta_of,
    point_to,
    version_numbers,
)
from llmrec.index.index import Index
from llmrec.index.live.following import Following
from llmrec.index.parts import BaseParts
from llmrec.records import Query
from llmrec.storage import read_manifest
from llmrec.storage.journal import Journal

#: Products that are searched for by their own words and vectors.
SAMPLED = 200
#: A product is found when it is among the first so many, or scores what the last of them does: titles repeat.
WITHIN = 10


def verify(path: str | Path, *, sample: int = SAMPLED, seed: int = 0) -> dict[str, Any]:
    """Check the files of an index against their hashes, their counts against one another, and search for what is there.

    Args:
        path: The index.
        sample: Products that are searched for: by their title's words, and by their own vectors in each field.
        seed: Of the draw.

    Returns:
        ``path``, ``version``, ``products``, ``since`` (what was changed), ``bytes``, ``sampled``, and in ``found`` for
        each retriever the share of the sampled products that are found; those without words, or without a vector, are
        left out of that.

    Raises:
        ArtefactError: Not an index, damaged, or its counts do not agree.
    """
    index = Index.open(path, check=True)
    titles = [product.title for product in index.each_product()]
    if len(titles) != len(index):
        step = "Build the index again."
        raise ArtefactError(f"{path}: has {len(titles)} products, not {len(index)} as it says", next_step=step)
    counted = len(index)
    drawn = np.sort(np.random.default_rng(seed).choice(counted, min(sample, counted), replace=False))
    by_words = _by_words(index, drawn.tolist(), titles)
    found = {"bm25:title": by_words, **index.vectors_found(index.rows[drawn], WITHIN)}
    told = index.info()
    return {
        "path": str(path),
        "version": told["version"],
        "products": counted,
        "since": told["since"],
        "bytes": told["bytes"],
        "sampled": len(drawn),
        "found": {name: share for name, share in found.items() if share is not None},
    }


def _by_words(index: Index, drawn: Sequence[int], titles: Sequence[str]) -> float | None:
    asked = [titles[place] for place in drawn if titles[place].strip()]
    hits = index.search_by("bm25:title", [Query(title) for title in asked], WITHIN)
    # a title without letters and digits finds nothing
    pairs = [(title, own) for title, own in zip(asked, hits, strict=True) if own]
    if not pairs:
        return None

    def plain(title: str) -> str:
        return " ".join(title.casefold().split())

    there = {id: plain(title) for id, title in zip(index.ids, titles, strict=True)}
    return float(np.mean([any(there[hit.product_id] == plain(title) for hit in own) for title, own in pairs]))


def rollback(path: str | Path) -> tuple[str, str]:
    """Make the version before the present one the current one, with what was written to it before that took its place.

    The present one stays until the next build.

    Returns:
        The version that was left, and the one that is current now.

    Raises:
        ArtefactError: Not an index, or the version before is damaged.
        InputError: There is none, or another process builds the index.
    """
    path = Path(path)
    current_version(path)  # before a lock is looked for in what is no index
    with building(path):
        current = current_version(path)
        before = max((n for n in version_numbers(path / "versions") if n < int(current.name)), default=None)
        if before is None:
            step = "Build the index again from the catalog that it should hold."
            raise InputError(f"{path}: no version before {current.name} is kept", next_step=step)
        # a reader must not be led into a damaged one
        version = path / "versions" / f"{before:04d}"
        manifest = read_manifest(version, kind=KIND, format_version=FORMAT, check=True, remedy=REMEDY)
        Following(version, BaseParts.load(version, manifest), manifest)
        with Journal.open(delta_of(current), wait=WAIT):
            point_to(path, version)
    return current.name, version.name
