"""Do sets of answers hold the right one as often as was asked, and how long are they?

    python eval/match_conformal.py                              # both tables, three draws of what is taken
    python eval/match_conformal.py --tables abt_buy --draws 1

As ``match_decision.py``: listings of one shop are matched with the other's table (``er_products``), of a fifth of the
components of both halves the right products are taken out of the catalog, one half of the listings calibrates (at
``absent`` .2), the other is measured: the right answer is its product, or "no match" where that was taken. Twice: with
the sets of what is said of the calibrating listings out of fold, and with those of the .4 of them that were held out.
Told are, for each ``--alpha``, the share of measured listings whose set holds the right answer, of those whose product
is there and of those whose product was taken, and how many answers a set has; intervals are over components. Writes
``eval/results/match_conformal.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from finetune_retrieval import TABLES, Remembering, Table, read_table
from machines import machine
from match_decision import RESAMPLES, TAKEN, content

from llmrec.embed import load_encoder
from llmrec.index import Index
from llmrec.match import Calibration, Matcher, MatchSettings, calibrate
from llmrec.records import Hit, Query

TARGET = Path(__file__).parent / "results" / "match_conformal.json"
ALPHAS = (0.05, 0.1, 0.2)
HOLD_OUT = 0.4


class Once:
    """An index that is asked for each query once, by however many calibrations."""

    def __init__(self, index: Any) -> None:
        self._index = index
        self._found: dict[Any, Any] = {}
        self._thinned: dict[frozenset[str], Once] = {}

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def __len__(self) -> int:
        return len(self._index)

    def search(self, queries: Sequence[Query], k: int, where: str | None = None) -> list[list[Hit]]:
        new = [query for query in dict.fromkeys(queries) if (query, k) not in self._found]
        for query, hits in zip(new, self._index.search(new, k, where) if new else [], strict=True):
            self._found[query, k] = hits
        return [self._found[query, k] for query in queries]

    def standing(self, queries: Sequence[Query], ids: Sequence[Sequence[str]], where: str | None = None) -> list[Any]:
        keys = [(query, tuple(own)) for query, own in zip(queries, ids, strict=True)]
        new = [key for key in dict.fromkeys(keys) if key not in self._found]
        if new:
            said = self._index.standing([query for query, _ in new], [own for _, own in new], where)
            self._found.update(zip(new, said, strict=True))
        return [self._found[key] for key in keys]

    def without(self, ids: Iterable[str]) -> Once:
        gone = frozenset(ids)
        if gone not in self._thinned:
            self._thinned[gone] = Once(self._index.without(gone))
        return self._thinned[gone]


class Answer(NamedTuple):
    """A listing of the measured half."""

    component: str
    there: bool
    held: bool
    size: int


def one_draw(table: Table, encoder: Any, seed: int) -> dict[str, list[Answer]]:
    """The measured half's answers, by how the sets were made and alpha."""
    rng = np.random.default_rng([7, seed])
    components = sorted(set(table.component.values()))
    order = [components[i] for i in rng.permutation(len(components))]
    half = set(order[: len(order) // 2])
    taken = {components[i] for i in rng.permutation(len(components))[: int(TAKEN * len(components))]}
    gone = {id for listing, ids in table.qrels.items() if table.component[listing] in taken for id in ids}
    learned = [id for id in table.qrels if table.component[id] in half and table.component[id] not in taken]
    asked = [listing for listing in table.qrels if table.component[listing] not in half]
    found: dict[str, list[Answer]] = {}
    with tempfile.TemporaryDirectory() as work:
        products = [product for id, product in table.right.items() if id not in gone]
        index: Any = Once(Index.build(Path(work) / "index", products, encoder))
        contents = [content(table, listing) for listing in learned]
        qrels = {listing: table.qrels[listing] for listing in learned}
        for how, hold_out in (("out of fold", 0.0), ("held out", HOLD_OUT)):
            made = calibrate(Matcher(index), contents, qrels, absent=TAKEN, seed=seed, hold_out=hold_out)
            for alpha in ALPHAS:
                found[f"{how}, alpha {alpha}"] = measured(table, index, made, alpha, asked, taken)
    return found


def measured(
    table: Table, index: Any, made: Calibration, alpha: float, asked: list[str], taken: set[str]
) -> list[Answer]:
    """Every listing's set."""
    matcher = Matcher(index, calibration=made, alpha=alpha, settings=MatchSettings(evidence=0))
    answers = []
    for listing, match in zip(asked, matcher.match([content(table, one) for one in asked]), strict=True):
        there = table.component[listing] not in taken
        none = match.no_match.possible is True
        held = any(own.product_id in table.qrels[listing] for own in match.products) if there else none
        answers.append(Answer(table.component[listing], there, held, len(match.products) + none))
    return answers


def told(answers: list[Answer]) -> dict[str, Any]:
    """Every figure with a 95% interval over components."""
    components = sorted({answer.component for answer in answers})
    place = {name: i for i, name in enumerate(components)}
    member = np.array([place[answer.component] for answer in answers])
    held, there, size = (np.array([getattr(a, field) for a in answers], float) for field in ("held", "there", "size"))

    def figures(weight: Any) -> list[float]:
        return [
            np.average(held, weights=weight),
            np.average(held, weights=weight * there),
            np.average(held, weights=weight * (1 - there)),
            np.average(size, weights=weight),
            np.average(size == 1, weights=weight),
        ]

    rng = np.random.default_rng(0)
    counts = rng.multinomial(len(components), np.full(len(components), 1 / len(components)), size=RESAMPLES)
    drawn = np.array([figures(np.maximum(count[member], 1e-9)) for count in counts])
    names = ("held", "held of those there", "held of those taken", "answers", "single")
    ends = np.quantile(drawn, [0.025, 0.975], axis=0).T
    return {
        name: [round(float(v), 4) for v in (value, *end)]
        for name, value, end in zip(names, figures(np.ones(len(answers))), ends, strict=True)
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--encoder", default="starter:minilm")
    parser.add_argument("--draws", type=int, default=3)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw")
    parser.add_argument("--out", type=Path, default=TARGET)
    chosen = parser.parse_args()
    data = Path(os.environ.get("LLMREC_DATA", "")) / "er_products"
    if "LLMREC_DATA" not in os.environ or not data.is_dir():
        print(
            "error: LLMREC_DATA has no er_products\n  next: eval/README.md says where they come from", file=sys.stderr
        )
        sys.exit(2)
    encoder = Remembering(load_encoder(chosen.encoder))
    result: dict[str, Any] = json.loads(chosen.out.read_text(encoding="utf-8")) if chosen.out.is_file() else {}
    result |= {"command": "python eval/match_conformal.py", "machine": machine(), "encoder": chosen.encoder}
    for name in chosen.tables:
        table = read_table(data / name, name)
        answers: dict[str, list[Answer]] = {}
        for seed in range(chosen.first, chosen.first + chosen.draws):
            for how, own in one_draw(table, encoder, seed).items():
                answers.setdefault(how, []).extend(own)
                print(f"{name}, draw {seed}, {how}: {json.dumps(told(own))}", file=sys.stderr, flush=True)
        found = {how: told(own) for how, own in answers.items()}
        count = len(next(iter(answers.values())))
        result.setdefault("tables", {})[name] = {"answers": count, "draws": chosen.draws, **found}
        chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")
        print(f"\n{name}: {count} answers of {chosen.draws} draws")
        for how, figures in found.items():
            print(
                f"  {how:24s} " + "  ".join(f"{key} {v} [{a}, {b}]" for key, (v, a, b) in figures.items()), flush=True
            )


if __name__ == "__main__":
    main()
