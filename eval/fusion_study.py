"""Which fusion of words and vectors holds up on tables that it was not chosen on.

    python eval/fusion_study.py [--queries 400] [--encoders starter:minilm starter:potion-base-8m] [--cache DIR]

Every table of ``fusion_study_tables.py`` is indexed and searched with every encoder. For each: R@1, R@10 and MRR of
the parts (BM25 and vectors; title, whole text, both), of reciprocal rank fusion, of the plain sum of z-scores and of
the default, and a paired test of the default against the part that did best *on that table*, which no one can know
beforehand. Then the default's constants are chosen again with each source held out. Writes
``eval/results/fusion_study.json`` and ``fusion_study_tables.md``; what came of it is told in ``eval/fusion_study.md``.
Encoding takes most of the time: ``--cache`` keeps it.
"""

from __future__ import annotations

import argparse
import hashlib
import itertools
import json
import os
import random
import sys
import tempfile
from collections import defaultdict
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from fusion_study_tables import Table, tables

from llmrec.embed import load_encoder
from llmrec.evaluate.intervals import bootstrap_means, paired_test
from llmrec.index import Index
from llmrec.index.fusion import Candidates, Weights, plain_sum, rrf, zscore
from llmrec.index.scoring import Asked, candidates, nearest
from llmrec.index.searching import DEPTH
from llmrec.seams import Encoder

PARTS = ("bm25:title", "bm25:whole", "bm25", "dense:title", "dense:whole", "dense")
GRID = {
    "title_beside_title": (1.0, 1.5),
    "title": (1.5, 2.0),
    "known": (0.0, 0.5, 1.0),
    "lead_power": (0.0, 0.5, 1.0),
    "dense": (0.7, 1.0, 1.4),
    "beside_code": (0.3, 1.0),
    "other_code": (0.5, 0.7, 1.0),
}


class Case(NamedTuple):
    """A query's candidates, which of them are true, and the place of each in the order of ids."""

    found: Candidates
    true: np.ndarray
    places: np.ndarray


class Cached:
    """An encoder whose vectors are kept on disk, and which reads foreign words as what they mean."""

    def __init__(self, encoder: Encoder, folder: Path | None) -> None:
        self.reference, self.digest, self.dimension = encoder.reference, encoder.digest, encoder.dimension
        self._encoder, self._folder, self.meant = encoder, folder, dict[str, str]()
        self._path = folder / f"{encoder.digest[:16]}.npz" if folder else None
        self._known: dict[str, np.ndarray] = {}
        if self._path and self._path.exists():
            held = np.load(self._path, allow_pickle=False)
            self._known = dict(zip(held["keys"].tolist(), held["vectors"], strict=True))

    def encode(self, inputs: Sequence[str], *, kind: str = "document") -> np.ndarray:
        texts = [self.meant.get(text, text) for text in inputs]
        keys = [hashlib.sha256(f"{kind} {text}".encode()).hexdigest()[:24] for text in texts]
        new = {key: text for key, text in zip(keys, texts, strict=True) if key not in self._known}
        if new:
            self._known.update(zip(new, self._encoder.encode(list(new.values()), kind=kind), strict=True))
        return np.stack([self._known[key] for key in keys])

    def save(self) -> None:
        """Write all vectors to the cache folder, if there is one."""
        if self._path:
            self._path.parent.mkdir(parents=True, exist_ok=True)
            np.savez(self._path, keys=np.array(list(self._known)), vectors=np.stack(list(self._known.values())))


def cases(table: Table, encoder: Cached, most: int) -> list[Case]:
    """Index a table and gather the scores of the candidates of at most ``most`` of its queries."""
    encoder.meant = table.meant
    chosen = sorted(random.Random(0).sample(range(len(table.queries)), min(most, len(table.queries))))
    with tempfile.TemporaryDirectory() as work:
        index = Index.build(Path(work) / "index", table.products, encoder)
        asked = [Asked(table.queries[i]) for i in chosen]
        close = nearest(asked, index._dense, encoder, DEPTH)
        gathered = []
        for i, query, near in zip(chosen, asked, close, strict=True):
            rows, found = candidates(query, index._lexical, index._dense, near, index._codes, DEPTH)
            true = np.array([index.ids[row] in table.relevant[i] for row in rows], dtype=bool)
            gathered.append(Case(found, true, index._table.places[rows]))
        return gathered


def reciprocal(case: Case, scores: np.ndarray) -> float:
    """1 / rank of the best true product, ties broken by id; 0 where none is among the candidates."""
    if not case.true.any():
        return 0.0
    order = np.lexsort((case.places, -scores))
    return 1.0 / (1 + int(np.flatnonzero(case.true[order])[0]))


def part(name: str) -> Callable[[Candidates], np.ndarray]:
    """The scores of one part: a retriever over one field, or the sum of its z-scores over both."""
    if ":" in name:
        return lambda found: found.raw[name]
    return lambda found: np.sum([z for key, z in found.z.items() if key.startswith(name)], axis=0)


METHODS: dict[str, Callable[[Candidates], np.ndarray]] = {
    **{name: part(name) for name in PARTS}, "rrf": rrf, "sum": plain_sum, "zscore": zscore
}  # fmt: skip


def measure(gathered: list[Case]) -> dict[str, Any]:
    """R@1, R@10 and MRR of every method with intervals, and the default against the best part."""
    values = {
        name: np.array([reciprocal(case, score(case.found)) for case in gathered]) for name, score in METHODS.items()
    }
    best = max(PARTS, key=lambda name: values[name].mean())
    rows = {}
    for name, found in values.items():
        columns = np.stack([found == 1, found >= 0.1, found], axis=1).astype(float)
        estimates = bootstrap_means(columns, resamples=1000)
        rows[name] = {
            key: [round(float(x), 4) for x in (e.value, e.low, e.high)]
            for key, e in zip(("R@1", "R@10", "MRR"), estimates, strict=True)
        }
    against = {
        name: {
            "difference": round(float((values[name] - values[best]).mean()), 4),
            "p": round(paired_test(values[name] - values[best]), 4),
        }
        for name in ("rrf", "sum", "zscore")
    }
    return {"queries": len(gathered), "rows": rows, "best_part": best, "against_best_part": against}


def held_out(gathered: dict[tuple[str, str, str], list[Case]], most: int) -> dict[str, Any]:
    """Choose the constants with each source held out; score what was chosen, and what is shipped, on that source."""
    small = {key: case[:most] for key, case in gathered.items()}
    floor = {
        key: max(np.mean([reciprocal(c, METHODS[name](c.found)) for c in cs]) for name in PARTS)
        for key, cs in small.items()
    }

    def differences(score: Callable[[Candidates], np.ndarray]) -> dict[tuple[str, str, str], float]:
        return {
            key: float(np.mean([reciprocal(c, score(c.found)) for c in cs])) - floor[key] for key, cs in small.items()
        }

    def worth(found: dict[tuple[str, str, str], float], without: str) -> float:
        by_source = defaultdict(list)
        for (source, _, _), value in found.items():
            if source != without:
                by_source[source].append(value if value > 0 else 2 * value)
        return float(np.mean([np.mean(values) for values in by_source.values()]))

    tried = {}
    for choice in itertools.product(*GRID.values()):
        weights = Weights()._replace(**dict(zip(GRID, choice, strict=True)))
        tried[weights] = differences(lambda found, weights=weights: zscore(found, weights))  # type: ignore[misc]
    fixed = {"shipped": differences(zscore), "sum": differences(plain_sum), "rrf": differences(rrf)}
    result = {}
    for source in sorted({source for source, _, _ in small}):
        chosen = max(tried, key=lambda weights: worth(tried[weights], source))
        rows = {"chosen": tried[chosen], **fixed}
        of_source = {name: [value for key, value in found.items() if key[0] == source] for name, found in rows.items()}
        result[source] = {
            "constants": {name: getattr(chosen, name) for name in GRID},
            **{name: {"mean": round(float(np.mean(v)), 4), "worst": round(min(v), 4)} for name, v in of_source.items()},
        }
    return result


def report(results: dict[str, Any]) -> str:
    """The study as tables: one line a table and encoder, then the held-out choices."""
    lines = [
        "R@1/R@10/MRR. *best part*: the best of BM25 and vectors over title, whole text and both on that table. Last",
        "column: MRR of the default less that of the best part, and the paired p-value; bold: worse with p < .05.",
        "",
        "| encoder | table | queries | bm25 | dense | rrf | sum | default | best part | default - best part |",
        "|---|---|---|---|---|---|---|---|---|---|",
    ]
    for reference, found in results["tables"].items():
        for name, row in found.items():
            best, last = row["best_part"], row["against_best_part"]["zscore"]
            cells = [_three(row["rows"][method]) for method in ("bm25", "dense", "rrf", "sum", "zscore")]
            verdict = f"{last['difference']:+.3f} (p {last['p']:.3f})"
            worse = last["difference"] < 0 and last["p"] < 0.05
            cells += [f"{best} {_three(row['rows'][best])}", f"**{verdict}**" if worse else verdict]
            lines.append(f"| {reference.split(':')[-1]} | {name} | {row['queries']} | " + " | ".join(cells) + " |")
    lines += [
        "",
        "Each source held out: mean (and worst) difference in MRR to the best part, over the tables of that source.",
        "",
        "| source held out | chosen on the others | shipped | sum | rrf | constants chosen on the others |",
        "|---|---|---|---|---|---|",
    ]
    for source, row in results["held_out"].items():
        four = (row[name] for name in ("chosen", "shipped", "sum", "rrf"))
        cells = [f"{found['mean']:+.4f} ({found['worst']:+.3f})" for found in four]
        constants = ", ".join(f"{name} {value}" for name, value in row["constants"].items())
        lines.append(f"| {source} | " + " | ".join(cells) + f" | {constants} |")
    return "\n".join(lines) + "\n"


def _three(row: dict[str, list[float]]) -> str:
    return "/".join(f"{row[key][0]:.3f}" for key in ("R@1", "R@10", "MRR"))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--encoders", nargs="+", default=["starter:minilm", "starter:potion-base-8m"])
    parser.add_argument("--queries", type=int, default=400, help="most queries of a table that are asked")
    parser.add_argument("--grid-queries", type=int, default=100, help="most of them that constants are chosen on")
    parser.add_argument("--cache", type=Path, help="folder in which vectors are kept")
    chosen = parser.parse_args()
    data = Path(os.environ.get("LLMREC_DATA", ""))
    if not (data / "er_products").is_dir():
        print("error: LLMREC_DATA names no folder with er_products\n  next: see eval/README.md", file=sys.stderr)
        sys.exit(2)
    results: dict[str, Any] = {
        "command": "python eval/fusion_study.py",
        "seed": 0,
        "shipped": Weights()._asdict(),
        "tables": {},
    }
    gathered: dict[tuple[str, str, str], list[Case]] = {}
    for reference in chosen.encoders:
        encoder = Cached(load_encoder(reference), chosen.cache)
        results["tables"][reference] = {}
        for table in tables(data):
            found = gathered[table.source, table.name, reference] = cases(table, encoder, chosen.queries)
            row = results["tables"][reference][table.name] = measure(found)
            last = row["against_best_part"]["zscore"]
            difference = f"{last['difference']:+.4f} p {last['p']:.3f}"
            print(f"{reference} {table.name:36s} {row['best_part']:11s} {difference}", flush=True)
        encoder.save()
    results["held_out"] = held_out(gathered, chosen.grid_queries)
    folder = Path(__file__).parent / "results"
    (folder / "fusion_study.json").write_text(json.dumps(results, indent=1) + "\n", encoding="utf-8")
    (folder / "fusion_study_tables.md").write_text(report(results), encoding="utf-8")


if __name__ == "__main__":
    main()
