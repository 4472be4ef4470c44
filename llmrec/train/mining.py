"""Hard negatives: products that the untrained model ranks high for a query and that are not known to match it.

The first ranks are often right and only unlabelled, so they are left out (Moreira et al. 2024, arXiv 2407.15831). What
words and vectors together rank high (``embed.mine_with: hybrid``; lexical negatives are those of Karpukhin et al. 2020,
arXiv 2004.04906) is what an encoder that will stand beside words has to tell apart.
"""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from llmrec.storage import atomic_file

logger = logging.getLogger(__name__)

#: Queries that are compared with all items at once.
CHUNK = 512
#: Products among which the share of near-duplicates is told, when it is above this.
SAMPLE, MASKED = 1000, 0.1


def mine(
    queries: NDArray[np.float32],
    items: NDArray[np.float32],
    barred: Sequence[NDArray[np.bool_]] | Callable[[int], NDArray[np.bool_]],
    *,
    count: int,
    first: int,
    last: int,
    seed: int,
) -> list[list[int]]:
    """Negatives of each query, drawn from ranks ``first`` to ``last`` (from 1) of the items that are not barred.

    Args:
        queries: float32 ``[n, d]``, unit length.
        items: float32 ``[m, d]``, unit length.
        barred: For a query's number, bool ``[m]``: items that are no negatives of it.
        count: Negatives of a query; fewer where there are not so many.

    Returns:
        Numbers of items, the nearest first. Equal cosines stand in the order of the items.
    """

    def rankings() -> Iterator[NDArray[np.int64]]:
        for start in range(0, len(queries), CHUNK):
            for row in queries[start : start + CHUNK] @ items.T:
                yield np.argsort(-row, kind="stable")

    return draw(rankings(), barred, count=count, first=first, last=last, seed=seed)


def draw(
    rankings: Iterable[NDArray[np.int64]],
    barred: Sequence[NDArray[np.bool_]] | Callable[[int], NDArray[np.bool_]],
    *,
    count: int,
    first: int,
    last: int,
    seed: int,
) -> list[list[int]]:
    """The same from the items as each query has them ranked, the best first; they need not be all."""
    told = barred if callable(barred) else barred.__getitem__
    found = []
    for number, ranking in enumerate(rankings):
        ranked = ranking[~told(number)[ranking]][first - 1 : last]
        places = np.random.default_rng([seed, number]).permutation(len(ranked))[:count]
        found.append(ranked[np.sort(places)].tolist())
    return found


def tell_near(vectors: NDArray[np.float32], above: float) -> None:
    """Warn where so many products are taken for near-duplicates of each other that little is left to learn from."""
    some = vectors[:SAMPLE]
    share = float((some @ some.T >= above).sum() - len(some)) / max(1, len(some) ** 2)
    if share > MASKED:
        what = "of all pairs of products are taken for near-duplicates and teach nothing: raise embed.mask_above"
        logger.warning("%.0f%% %s", 100 * share, what)


def kept(path: Path, identity: Any, make: Callable[[], list[list[int]]]) -> list[list[int]]:
    """What was mined before with the same texts, model and settings; else mined now and kept for a resumed run."""
    digest = hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
    try:
        known = json.loads(path.read_text(encoding="utf-8"))
        if known["digest"] == digest:
            return list(known["negatives"])
    except (OSError, ValueError, KeyError, TypeError):
        pass
    made = make()
    path.parent.mkdir(parents=True, exist_ok=True)
    with atomic_file(path, mode="w") as file:
        json.dump({"digest": digest, "negatives": made}, file)
    return made
