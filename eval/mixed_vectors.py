"""A million vectors that lie as those of product texts do: real texts embedded, and spread by real differences.

Titles, descriptions and their sentences of the sets under ``LLMREC_DATA`` are encoded. A vector that is drawn from them
lies between a text and one of its nearest, moved by the difference of two near texts elsewhere: what tells one product
of a kind from another. Queries are texts that nothing was drawn from.
"""

from __future__ import annotations

import csv
import json
import os
import re
import sys
from pathlib import Path
from typing import Any

import numpy as np

#: Nearest among which a partner is drawn, and how far a vector moves towards it and by a difference, at most.
NEAR, TOWARDS, BY = 8, 0.7, 0.7
#: Characters of a text that are read, and fewest of one that counts.
LONGEST, SHORTEST = 240, 12


def texts(data: Path) -> list[str]:
    """The distinct texts of products under ``data``, sorted."""
    found: set[str] = set()
    for path in sorted(
        [*data.glob("er_products/*/*.csv"), *data.glob("er_magellan_pairs/*/*"), *data.glob("wdc*/*.csv")]
    ):
        if path.suffix == ".csv":
            with open(path, encoding="utf-8", errors="replace", newline="") as file:
                for row in csv.reader(file):
                    for cell in row:
                        found.update(_pieces(cell))
        elif path.suffix == ".txt":
            for line in path.read_text(encoding="utf-8", errors="replace").splitlines():
                for cell in re.split(r"\t|COL \w+ VAL ", line):
                    found.update(_pieces(cell))
    items = json.loads((data / "amazon_scientific_sid" / "Scientific.item.json").read_text(encoding="utf-8"))
    for item in items.values():
        for value in item.values():
            for cell in value if isinstance(value, list) else [value]:
                found.update(_pieces(str(cell)))
    return sorted(found)


def _pieces(text: str) -> list[str]:
    sentences = re.split(r"(?<=[.!?])\s+|\n", text)
    pieces = [text, *sentences] if len(sentences) > 1 else [text]
    tidy = (" ".join(piece.split())[:LONGEST] for piece in pieces)
    return [piece for piece in tidy if len(piece) >= SHORTEST and re.search(r"[A-Za-z]{3}.*\s", piece)]


def encoded(data: Path, kept: Path) -> Any:
    """Vectors of the texts by starter:minilm, float32 ``[n, 384]``; kept in a file, since it takes some minutes."""
    if kept.exists():
        return np.load(kept)
    from llmrec.embed import load_encoder

    found = sorted(texts(data), key=len)
    encoder = load_encoder("starter:minilm", batch_size=64)
    vectors = []
    for start in range(0, len(found), 2048):
        vectors.append(encoder.encode(found[start : start + 2048]))
        print(f"encoded {start + len(vectors[-1])} of {len(found)}", file=sys.stderr, flush=True)
    every = np.concatenate(vectors)
    # a text of digits and one of spaces apart can have one vector
    every = np.unique(every, axis=0)
    np.save(kept, every)
    return every


def draw(known: Any, count: int, queries: int, seed: int) -> tuple[Any, Any]:
    """Vectors, float32 ``[count, d]``, and queries, float32 ``[queries, d]``, all of unit length."""
    import faiss

    rng = np.random.default_rng(seed)
    order = rng.permutation(len(known))
    asked, base = known[order[:queries]], np.ascontiguousarray(known[order[queries:]])
    near = faiss.knn(base, base, NEAR + 1, metric=faiss.METRIC_INNER_PRODUCT)[1]
    found = np.empty((count, known.shape[1]), dtype=np.float32)
    for start in range(0, count, 65_536):
        size = min(65_536, count - start)
        i, a = rng.integers(len(base), size=(2, size))
        j, b = (near[rows, rng.integers(1, NEAR + 1, size)] for rows in (i, a))
        t, s = rng.uniform(0, TOWARDS, (size, 1)), rng.uniform(0, BY, (size, 1))
        moved = base[i] + t * (base[j] - base[i]) + s * (base[a] - base[b])
        found[start : start + size] = moved / np.linalg.norm(moved, axis=1, keepdims=True)
    return found, np.ascontiguousarray(asked)


if __name__ == "__main__":
    print(len(texts(Path(os.environ["LLMREC_DATA"]))))
