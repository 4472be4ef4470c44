"""Is a match worth showing? The calibrated decision on catalogs from which a fifth of the products was taken.

    python eval/match_decision.py                 # both tables, five draws of what is taken
    python eval/match_decision.py --draws 1

Listings of one shop are matched with the other's table (``er_products``). The matched listings are parted in halves by
the components of their matches; of a fifth of the components of both halves the right products are taken out of the
catalog, an index is built of the rest, and listings are matched with it as contents. One half calibrates (without those
whose products were taken: lists without the right products stand for them, at a share of .2), the other is measured.
Told are, over the draws: expected calibration error in ten bins of equal count; precision and
coverage of what is answered at ``--min-precision``, of all listings and of those whose product is there; and the same
for a bar on the raw first score, chosen on the calibrating half for the same precision. Intervals are over components.
Writes ``eval/results/match_decision.json``.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from finetune_retrieval import TABLES, Table, read_table
from machines import machine

from llmrec.embed import load_encoder
from llmrec.errors import InputError
from llmrec.index import Index
from llmrec.match import Calibration, Matcher, MatchSettings, calibrate
from llmrec.match.decision import bars, calibration_error
from llmrec.records import Content

TARGET = Path(__file__).parent / "results" / "match_decision.json"
TAKEN = 0.2
RESAMPLES = 2000
#: Parts of the calibrating half whose products are taken out at once, for the bar on the raw score.
PARTS = 3


class Answer(NamedTuple):
    """A listing of the measured half."""

    component: str
    there: bool
    right: bool
    score: float
    probability: float
    answered: bool
    by_score: bool


def content(table: Table, listing: str) -> Content:
    own = table.left[listing]
    return Content(listing, "search", title=own.title, caption=" ".join(filter(None, [own.description, own.brand])))


def one_draw(table: Table, encoder: Any, precision: float, seed: int) -> tuple[list[Answer], dict[str, Any]]:
    """The measured half's answers, and what the calibration says of itself."""
    rng = np.random.default_rng([7, seed])
    components = sorted(set(table.component.values()))
    order = [components[i] for i in rng.permutation(len(components))]
    half = set(order[: len(order) // 2])
    taken = {components[i] for i in rng.permutation(len(components))[: int(TAKEN * len(components))]}
    gone = {id for listing, ids in table.qrels.items() if table.component[listing] in taken for id in ids}
    with tempfile.TemporaryDirectory() as work:
        index = Index.build(Path(work) / "index", [p for id, p in table.right.items() if id not in gone], encoder)
        matcher = Matcher(index)
        learned = [id for id in table.qrels if table.component[id] in half and table.component[id] not in taken]
        contents = [content(table, listing) for listing in learned]
        made = calibrate(matcher, contents, {id: table.qrels[id] for id in learned}, absent=TAKEN, seed=seed)
        made.save(Path(work) / "calibration")
        made = Calibration.load(Path(work) / "calibration")
        bar = _score_bar(matcher, contents, {id: set(table.qrels[id]) for id in learned}, precision)
        asked = [listing for listing in table.qrels if table.component[listing] not in half]
        try:
            judged = Matcher(index, calibration=made, min_precision=precision, settings=MatchSettings(k=1, evidence=0))
        except InputError as error:
            print(f"{table.name}, draw {seed}: {error.message}", file=sys.stderr)
            judged = Matcher(index, calibration=made, settings=MatchSettings(k=1, evidence=0))
        answers = []
        for listing, match in zip(asked, judged.match([content(table, one) for one in asked]), strict=True):
            best = match.products[0] if match.products else None
            right = best is not None and best.product_id in table.qrels[listing]
            there = table.component[listing] not in taken
            probability = float(best.probability or 0.0) if best else 0.0
            score = best.score if best else float("-inf")
            answers.append(
                Answer(
                    table.component[listing],
                    there,
                    right,
                    score,
                    probability,
                    match.no_match.decision is False,
                    score >= bar,
                )
            )
    return answers, {"seed": seed, **made.decider.measured}


def _score_bar(matcher: Matcher, contents: list[Content], right: dict[str, set[str]], precision: float) -> float:
    """The bar on the raw score that the calibrating half gives for a precision, by the same rule and the same lists."""
    scores, truth, weights = [], [], []
    lists = [(one, hits, 1 - TAKEN) for one, (hits, _) in zip(contents, matcher.lists(contents), strict=True)]
    for number in range(PARTS):
        part = contents[number::PARTS]
        thinned = matcher.over(matcher.index.without({id for one in part for id in right[one.id]}))  # type: ignore[attr-defined]
        lists += [(one, hits, TAKEN) for one, (hits, _) in zip(part, thinned.lists(part), strict=True)]
    for one, hits, weight in lists:
        if hits:
            scores.append(hits[0].score)
            truth.append(hits[0].product_id in right[one.id])
            weights.append(weight)
    found = bars(np.array(scores), np.array(truth), np.array(weights))
    return next((bar.probability for bar in found if bar.precision >= precision - 1e-9), float("inf"))


def told(answers: list[Answer]) -> dict[str, Any]:
    """Every figure with a 95% interval over components."""
    components = sorted({answer.component for answer in answers})
    place = {name: i for i, name in enumerate(components)}
    member = np.array([place[answer.component] for answer in answers])
    columns = {field: np.array([getattr(answer, field) for answer in answers]) for field in Answer._fields[1:]}

    def figures(weight: Any) -> list[float]:
        right, there = columns["right"].astype(float), columns["there"].astype(float)
        found = [calibration_error(columns["probability"], columns["right"], weight)]
        for field in ("answered", "by_score"):
            said = columns[field].astype(float)
            shown = (weight * said).sum()
            found += [
                (weight * said * right).sum() / shown if shown else float("nan"),
                shown / weight.sum(),
                (weight * said * there).sum() / (weight * there).sum(),
            ]
        return [*found, (weight * right * there).sum() / (weight * there).sum()]

    names = ["calibration_error"]
    names += [f"{by}_{what}" for by in ("decided", "by_score") for what in ("precision", "coverage", "of_those_there")]
    names += ["recall@1 of those there"]
    point = figures(np.ones(len(answers)))
    rng = np.random.default_rng(0)
    counts = rng.multinomial(len(components), np.full(len(components), 1 / len(components)), size=RESAMPLES)
    drawn = np.array([figures(np.maximum(count[member], 1e-9)) for count in counts])
    found = {}
    for name, value, column in zip(names, point, drawn.T, strict=True):
        known = column[np.isfinite(column)]
        ends = np.quantile(known, [0.025, 0.975]) if len(known) else (None, None)
        # a bar that answers nothing has no precision
        rounded = [round(float(v), 4) if v is not None and np.isfinite(v) else None for v in (value, *ends)]
        found[name] = dict(zip(("value", "low", "high"), rounded, strict=True))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--tables", nargs="+", default=list(TABLES), choices=list(TABLES))
    parser.add_argument("--encoder", default="starter:minilm")
    parser.add_argument("--min-precision", type=float, default=0.95)
    parser.add_argument("--draws", type=int, default=5)
    parser.add_argument("--first", type=int, default=0, help="number of the first draw; others were used for choosing")
    parser.add_argument("--out", type=Path, default=TARGET)
    chosen = parser.parse_args()
    data = Path(os.environ.get("LLMREC_DATA", "")) / "er_products"
    if "LLMREC_DATA" not in os.environ or not data.is_dir():
        print(
            "error: LLMREC_DATA has no er_products\n  next: eval/README.md says where they come from", file=sys.stderr
        )
        sys.exit(2)
    encoder = load_encoder(chosen.encoder)
    command = " ".join(["python", "eval/match_decision.py", *sys.argv[1:]])
    result: dict[str, Any] = {"command": command, "machine": machine(), "encoder": chosen.encoder}
    result |= {"min_precision": chosen.min_precision, "taken": TAKEN, "tables": {}}
    for name in chosen.tables:
        table = read_table(data / name, name)
        answers: list[Answer] = []
        draws = []
        for seed in range(chosen.first, chosen.first + chosen.draws):
            own, about = one_draw(table, encoder, chosen.min_precision, seed)
            answers += own
            draws.append({**about, **{key: figure["value"] for key, figure in told(own).items()}})
            print(json.dumps(draws[-1]), file=sys.stderr, flush=True)
        result["tables"][name] = {"answers": len(answers), **told(answers), "draws": draws}
        print(f"\n{name}: {len(answers)} answers of {chosen.draws} draws")
        for key, figure in told(answers).items():
            value, low, high = ("–" if v is None else f"{v:.3f}" for v in figure.values())
            print(f"  {key:28} {value} [{low}, {high}]", flush=True)
    chosen.out.write_text(json.dumps(result, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
