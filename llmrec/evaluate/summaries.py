"""Summaries held against references, against the products they are about, and by themselves.

::

    {"id": "B07", "text": "A light running shoe …"}           a summary; or a ProductSummary of the wire form
    {"id": "B07", "references": ["…", "…", "…"]}               references; or a table with an id and reference columns

    evaluate_summaries(read_summaries("s.jsonl"), read_references("r.csv")).rouge["rougeL"].value
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import msgspec
import numpy as np

from llmrec.errors import InputError
from llmrec.evaluate.faithfulness import record_estimates
from llmrec.evaluate.intervals import PERMUTATIONS, RESAMPLES, bootstrap_means, holm, paired_test
from llmrec.evaluate.lines import fault, read_rows, shown, suffix
from llmrec.evaluate.results import Comparison, Settings, SummaryEvaluation, SummaryLine
from llmrec.evaluate.rouge import COLUMNS, KINDS, Rouge
from llmrec.records import Product, ProductSummary
from llmrec.storage import read_parquet

_IDS = ("id", "product_id", "content_id", "group_id", "asin")
_TEXTS = ("text", "summary", "prediction")
_REFERENCE = re.compile(r"(gold|ref|reference|references|summ|summary|summaries)[ _-]?\d*")
#: Longest text that a report shows.
_SHOWN = 600


def read_summaries(source: str | Path) -> list[ProductSummary]:
    """Read summaries: ProductSummary records (JSON Lines, Parquet), or rows with ``id`` and ``text`` (JSON Lines, CSV).

    Raises:
        InputError: Missing, empty or malformed, or an id given twice; names the file and the line.
    """
    if suffix(source) == ".parquet":
        rows: Iterable[tuple[int, ProductSummary]] = enumerate(read_parquet(source, ProductSummary), start=1)
    else:
        rows = ((number, _summary(source, number, row)) for number, row in read_rows(source))
    summaries: dict[str, ProductSummary] = {}
    for number, summary in rows:
        if summary.product_id in summaries:
            step = "Give one summary for a product."
            raise fault(source, number, f"product {summary.product_id!r} stands twice", step)
        summaries[summary.product_id] = summary
    if not summaries:
        raise InputError(f"{shown(source)}: holds no summaries", next_step="Give one summary a line.")
    return list(summaries.values())


def read_references(source: str | Path) -> dict[str, list[str]]:
    """Read references: id to one or more texts.

    JSON Lines with ``id`` and ``reference`` or ``references``; or a table with an id column and one or more columns
    such as ``reference``, ``reference_2``, ``summ1``. Rows of one id are taken together; empty references are left out.

    Raises:
        InputError: Missing, empty or malformed, or an id without a reference; names the file and the line.
    """
    references: dict[str, list[str]] = {}
    step = "Give an 'id' and a 'reference' (or 'references', 'reference_1', …) in every row."
    for number, row in read_rows(source):
        columns = [name for name in row if _REFERENCE.fullmatch(name)]
        if not columns:
            raise fault(source, number, f"no reference among {sorted(row)}", step)
        values = [row[name] for name in columns]
        flat = [text for value in values for text in (value if isinstance(value, list) else [value])]
        if not all(isinstance(text, str) for text in flat if text is not None):
            raise fault(source, number, "a reference is not a text", step)
        texts = [text for text in flat if text and text.strip()]
        if not texts:
            raise fault(source, number, "the reference is empty", step)
        references.setdefault(_row_id(source, number, row), []).extend(texts)
    if not references:
        raise InputError(f"{shown(source)}: holds no references", next_step=step)
    return references


def evaluate_summaries(
    summaries: Iterable[ProductSummary] | Mapping[str, str],
    references: Mapping[str, Sequence[str]] | None = None,
    *,
    catalog: Iterable[Product] | None = None,
    baseline: Iterable[ProductSummary] | Mapping[str, str] | None = None,
    stem: bool = False,
    over: Literal["mean", "max"] = "mean",
    worst: int = 15,
    confidence: float = 0.95,
    resamples: int = RESAMPLES,
    permutations: int = PERMUTATIONS,
    seed: int = 0,
    name: str = "",
    baseline_name: str = "",
) -> SummaryEvaluation:
    """Score summaries.

    Args:
        summaries: Records, or product id to text.
        references: Product id to reference texts; a product without a summary scores 0. None: no ROUGE.
        catalog: The products, for the measures of faithfulness; a stream is read once.
        baseline: Other summaries of the same products, compared by ROUGE per product.
        stem: Porter-stem English words, as published ROUGE values mostly do.
        over: How several references are taken together.
        worst: How many of the lowest summaries are kept.
        seed: Of the resampling.

    Raises:
        InputError: None of the references is of a product that was summarised, or an empty input.
    """
    records = _records(summaries)
    if not records:
        raise InputError("no summaries to score", next_step="Give one summary a line.")
    settings = Settings(confidence, resamples, permutations, seed)
    options: dict[str, Any] = {"confidence": confidence, "resamples": resamples, "seed": seed}
    result = SummaryEvaluation(len(records), 0, settings, name=name)
    measured = record_estimates(list(records.values()), catalog, **options)
    result = msgspec.structs.replace(result, records=measured)
    if references is None:
        return result
    if not references.keys() & records.keys():
        step = "Check that both files use the same product ids."
        raise InputError("no reference is of a product that was summarised", next_step=step)

    scorer = Rouge(stem=stem, over=over)
    ids = list(references)
    values = np.stack([scorer.score(_text(records.get(id)), references[id]) for id in ids])
    rouge = dict(zip(COLUMNS, bootstrap_means(values, **options), strict=True))
    comparison = {}
    if baseline is not None:
        others = _records(baseline)
        kinds = [COLUMNS.index(kind) for kind in KINDS]
        differences = (values - np.stack([scorer.score(_text(others.get(id)), references[id]) for id in ids]))[:, kinds]
        p_values = [paired_test(column, permutations=permutations, seed=seed) for column in differences.T]
        rows = zip(KINDS, bootstrap_means(differences, **options), p_values, holm(p_values), strict=True)
        comparison = {kind: Comparison(difference, p, adjusted) for kind, difference, p, adjusted in rows}

    lowest = sorted(zip(values[:, COLUMNS.index("rougeL")].tolist(), ids, strict=True))[:worst]
    return msgspec.structs.replace(
        result,
        scored=len(ids),
        rouge=rouge,
        baseline=baseline_name,
        comparison=comparison,
        without_reference=len(records.keys() - references.keys()),
        missing=len(references.keys() - records.keys()),
        references=over,
        stemmed=stem,
        worst=tuple(_line(id, score, records.get(id), references[id][0]) for score, id in lowest),
    )


def _records(summaries: Iterable[ProductSummary] | Mapping[str, str]) -> dict[str, ProductSummary]:
    if isinstance(summaries, Mapping):
        return {id: ProductSummary(id, "", text) for id, text in summaries.items()}
    return {summary.product_id: summary for summary in summaries}


def _text(record: ProductSummary | None) -> str:
    return record.summary if record else ""


def _line(id: str, score: float, record: ProductSummary | None, reference: str) -> SummaryLine:
    return SummaryLine(id, score, _cut(_text(record)), _cut(reference), record.problems if record else ())


def _cut(text: str) -> str:
    return text if len(text) <= _SHOWN else text[: _SHOWN - 1] + "…"


def _summary(source: str | Path, number: int, row: dict[str, Any]) -> ProductSummary:
    if "product_id" in row and "headline" in row:
        try:
            return msgspec.convert(row, ProductSummary)
        except msgspec.ValidationError as error:
            step = "Give one JSON ProductSummary a line (README, 'Wire form')."
            raise fault(source, number, f"not as expected: {error}", step) from error
    text = next((row[name] for name in _TEXTS if name in row), None)
    if not isinstance(text, str):
        step = "Give an 'id' and a 'text' in every row, or ProductSummary records."
        raise fault(source, number, f"no text among {sorted(row)}", step)
    return ProductSummary(_row_id(source, number, row), "", text)


def _row_id(source: str | Path, number: int, row: dict[str, Any]) -> str:
    value = next((row[name] for name in _IDS if name in row), None)
    if isinstance(value, bool) or not isinstance(value, str | int) or not str(value).strip():
        step = "Give an 'id' (or 'product_id') in every row."
        raise fault(source, number, f"no id among {sorted(row)}", step)
    return str(value).strip()
