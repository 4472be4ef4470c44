"""Runs in and out: TREC run files, and the matches that ``llmrec match`` writes.

A line of a TREC run: content, ``Q0``, product, rank, score, tag::

    clip-1 Q0 B07 1 3.125 llmrec

Read are also Match records as JSON Lines or Parquet. Order follows the scores, never the rank column.
"""

from __future__ import annotations

import gzip
import math
import sys
from collections.abc import Iterable, Iterator
from itertools import chain
from pathlib import Path

import msgspec
import numpy as np

from llmrec.errors import InputError
from llmrec.evaluate.lines import fault, shown, suffix, text_lines
from llmrec.evaluate.ranking import Run, ranked
from llmrec.records import Match, RankedProduct
from llmrec.storage import atomic_file, read_parquet

_STEP = "Give six columns: content Q0 product rank score tag; or Match records as .jsonl or .parquet."


def read_run(source: str | Path) -> dict[str, dict[str, float]]:
    """Read a run: content id to product id to score. See ``read_matches``."""
    return run_from_matches(read_matches(source))


def read_matches(source: str | Path) -> list[Match]:
    """Read a TREC run (``.gz`` too) or Match records (JSON Lines, Parquet), told apart by name and first line.

    Returns:
        Matches in file order, products best first; those from a TREC run carry no evidence.

    Raises:
        InputError: Missing, empty or malformed; a content or a product given twice; names the file and the line.
    """
    if suffix(source) == ".parquet":
        records: Iterable[tuple[int, Match]] = enumerate(read_parquet(source, Match), start=1)
        return _checked(source, records, "row")
    lines = text_lines(source)
    first = next(lines, None)
    if first is None:
        raise InputError(f"{shown(source)}: holds no run", next_step=_STEP)
    lines = chain([first], lines)
    if suffix(source) in (".jsonl", ".ndjson", ".json") or first[1].lstrip().startswith("{"):
        return _checked(source, _decoded(source, lines), "line")
    return _read_trec(source, lines)


def run_from_matches(matches: Iterable[Match]) -> dict[str, dict[str, float]]:
    """Content id to product id to score.

    Raises:
        InputError: A content, or a product of one content, stands twice.
    """
    run: dict[str, dict[str, float]] = {}
    for match in matches:
        products = {product.product_id: product.score for product in match.products}
        if match.content_id in run or len(products) < len(match.products):
            what = "the content" if match.content_id in run else "a product"
            step = "Give one match for each content, each product once."
            raise InputError(f"matches, content {match.content_id!r}: {what} stands twice", next_step=step)
        run[match.content_id] = products
    return run


def write_run(target: str | Path, run: Run, *, tag: str = "llmrec", untie: bool = False) -> int:
    """Write a TREC run, products best first; the file appears whole or not at all.

    Args:
        target: A path (``.gz`` is packed), or ``-`` for standard output.
        run: Content id to products and scores; contents without products leave no line.
        tag: The run's name in the last column.
        untie: Lower equal scores by the smallest step that single precision has, so that trec_eval, which breaks ties
            by the larger id, orders the products as we do.

    Returns:
        How many lines were written.

    Raises:
        InputError: An id is empty or has white space, which the format cannot hold.
        StorageError: The disk refused.
    """
    text = "".join(_trec_lines(run, tag, untie))
    raw = text.encode()
    if str(target) == "-":
        sys.stdout.write(text)
        return text.count("\n")
    with atomic_file(target) as file:
        file.write(gzip.compress(raw, mtime=0) if str(target).endswith(".gz") else raw)
    return text.count("\n")


def check_id(value: str) -> str:
    """An id that a TREC file can hold.

    Raises:
        InputError: It is empty or has white space.
    """
    if not value or value.split() != [value]:
        step = "Keep the run as JSON Lines, or use ids without white space."
        raise InputError(f"id {value!r} cannot stand in a TREC file", next_step=step)
    return value


def _read_trec(source: str | Path, lines: Iterable[tuple[int, str]]) -> list[Match]:
    run: dict[str, dict[str, float]] = {}
    for number, line in lines:
        cells = line.split("\t")
        cells = cells if len(cells) == 6 else line.split()
        if len(cells) != 6:
            raise fault(source, number, f"{len(cells)} columns where a TREC run has 6", _STEP)
        content_id, _, product_id, _, score_text, _ = cells
        try:
            score = float(score_text)
        except ValueError:
            score = math.nan
        if not math.isfinite(score):
            raise fault(source, number, f"the score {score_text!r} is not a finite number", _STEP)
        products = run.setdefault(content_id, {})
        if product_id in products:
            step = "Give each product once for a content."
            raise fault(source, number, f"product {product_id!r} stands twice for content {content_id!r}", step)
        products[product_id] = score
    return [
        Match(content_id, tuple(RankedProduct(p, rank, s) for rank, (p, s) in enumerate(ranked(products), start=1)))
        for content_id, products in run.items()
    ]


def _decoded(source: str | Path, lines: Iterable[tuple[int, str]]) -> Iterator[tuple[int, Match]]:
    decoder = msgspec.json.Decoder(Match)
    for number, line in lines:
        try:
            yield number, decoder.decode(line)
        except (msgspec.DecodeError, RecursionError) as error:
            step = "Give one JSON Match a line (README, 'Wire form'), or correct this line."
            raise fault(source, number, f"not as expected: {error}", step) from error


def _checked(source: str | Path, records: Iterable[tuple[int, Match]], unit: str) -> list[Match]:
    seen: set[str] = set()
    matches = []
    for number, match in records:
        ids = [product.product_id for product in match.products]
        reason = ""
        if match.content_id in seen:
            reason = f"content {match.content_id!r} stands twice"
        elif len(set(ids)) < len(ids):
            reason = f"a product stands twice for content {match.content_id!r}"
        elif not all(math.isfinite(product.score) for product in match.products):
            reason = f"a score of content {match.content_id!r} is not a finite number"
        if reason:
            step = "Give one match for each content, each product once, with finite scores."
            raise InputError(f"{shown(source)}, {unit} {number}: {reason}", next_step=step)
        seen.add(match.content_id)
        matches.append(match)
    if not matches:
        raise InputError(f"{shown(source)}: holds no matches", next_step=_STEP)
    return matches


def _trec_lines(run: Run, tag: str, untie: bool) -> Iterator[str]:
    check_id(tag)
    for content_id, products in run.items():
        scored = ranked(products, content_id)
        scores = _untied(scored) if untie else [repr(float(score)) for _, score in scored]
        for rank, ((product_id, _), score) in enumerate(zip(scored, scores, strict=True), start=1):
            yield f"{check_id(content_id)} Q0 {check_id(product_id)} {rank} {score} {tag}\n"


def _untied(scored: list[tuple[str, float]]) -> list[str]:
    texts, last = [], np.float32(np.inf)
    for _, score in scored:
        value = np.float32(min(max(score, -1e38), 1e38))
        last = value if value < last else np.nextafter(last, np.float32(-np.inf))
        texts.append(str(last))
    return texts
