"""Qrels in and out: which products are right for which content, and how right.

TREC qrels (content, iteration, product, grade), a table of pairs, or JSON Lines::

    clip-1 0 B07 2                                  TREC; "clip-9 0 - 0" says that clip-9 has no product
    D1|D2                                           a table: any of tab , ; | # between the cells, header or none
    206|216                                         an empty product cell says that the content has no product
    {"content_id": "clip-1", "product_id": "B07"}   JSON Lines; also "product_ids": [...], and "relevance": 2

A content whose products all have grade 0 or less, or that has none, is one for which "no match" is right.
"""

from __future__ import annotations

import gzip
import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from itertools import chain, islice
from pathlib import Path
from typing import Any, TypeAlias

from llmrec.errors import InputError
from llmrec.evaluate.lines import DELIMITERS, fault, json_rows, shown, sniff_delimiter, suffix, table_rows, text_lines
from llmrec.evaluate.ranking import Qrels
from llmrec.evaluate.runs import check_id
from llmrec.storage import atomic_file

Entry: TypeAlias = tuple[int, str, "str | None", int]
Lines: TypeAlias = Iterable[tuple[int, str]]

#: Stands in a TREC file for the product of a content that has none.
NONE_MARK = "-"

_CONTENT = ("content_id", "content", "query_id", "query-id", "qid", "query", "topic", "d1", "id_a", "id1", "left",
            "left_id", "id_left", "ltable_id")  # fmt: skip
_PRODUCT = ("product_id", "product", "product_ids", "products", "relevant", "corpus-id", "doc_id", "docid", "docno",
            "item_id", "pid", "d2", "id_b", "id2", "right", "right_id", "id_right", "rtable_id")  # fmt: skip
_GRADE = ("relevance", "rel", "grade", "label", "score", "match")
_ID_LIKE = re.compile(r"id[A-Z_]\w*|\w+[ _-]ids?|\w*[a-z]I[dD]|id", re.ASCII)
_STEP = "Give TREC lines (content 0 product grade), a table with a content and a product column, or JSON Lines."


def read_qrels(source: str | Path) -> dict[str, dict[str, int]]:
    """Read qrels; the form is told by the file's name and first lines (``.gz`` too, ``-`` is standard input).

    Returns:
        Content id to product id to grade; a content for which no match is expected maps to an empty dict, or to one
        without a grade above 0.

    Raises:
        InputError: Missing, empty or malformed, or two grades for one pair; names the file and the line.
    """
    lines = text_lines(source)
    head = list(islice(lines, 200))
    if not head:
        raise InputError(f"{shown(source)}: holds no qrels", next_step=_STEP)
    entries = _parser(source, head)(source, chain(head, lines))
    qrels: dict[str, dict[str, int]] = {}
    for number, content_id, product_id, grade in entries:
        if not content_id:
            raise fault(source, number, "the content id is empty", _STEP)
        grades = qrels.setdefault(content_id, {})
        if not product_id:
            continue
        if grades.setdefault(product_id, grade) != grade:
            reason = f"content {content_id!r}, product {product_id!r}: grades {grades[product_id]} and {grade}"
            raise fault(source, number, reason, "Keep one grade for a pair.")
    if not qrels:
        raise InputError(f"{shown(source)}: holds no qrels", next_step=_STEP)
    return qrels


def write_qrels(target: str | Path, qrels: Qrels) -> int:
    """Write TREC qrels; a content without products is written as one line with product ``-`` and grade 0.

    Args:
        target: A path (``.gz`` is packed), or ``-`` for standard output.

    Returns:
        How many lines were written.

    Raises:
        InputError: An id is empty or has white space.
        StorageError: The disk refused.
    """
    lines = []
    for content_id, grades in qrels.items():
        for product_id, grade in (grades or {NONE_MARK: 0}).items():
            lines.append(f"{check_id(content_id)} 0 {check_id(product_id)} {int(grade)}\n")
    text = "".join(lines)
    if str(target) == "-":
        sys.stdout.write(text)
        return len(lines)
    with atomic_file(target) as file:
        file.write(gzip.compress(text.encode(), mtime=0) if str(target).endswith(".gz") else text.encode())
    return len(lines)


def _parser(source: str | Path, head: list[tuple[int, str]]) -> Any:
    kind, first = suffix(source), head[0][1]
    if kind in (".jsonl", ".ndjson", ".json") or (first.lstrip().startswith("{") and kind not in (".csv", ".tsv")):
        return _json_entries
    # a .tsv may be TREC as well, as MS MARCO's qrels are
    if len(first.split()) == 4 and _is_int(first.split()[3]) and (kind != ".csv" or "," not in first):
        return _trec_entries
    if kind not in (".csv", ".tsv") and len(first.split()) > 1 and "\t" not in first:
        return _trec_entries
    delimiter = sniff_delimiter([line for _, line in head]) or next((d for d in DELIMITERS if d in first), None)
    if delimiter is None:
        return _trec_entries
    return lambda source, lines: _table_entries(source, lines, delimiter)


def _trec_entries(source: str | Path, lines: Lines) -> Iterator[Entry]:
    for number, line in lines:
        cells = line.split("\t")
        cells = cells if len(cells) == 4 else line.split()
        if len(cells) != 4:
            raise fault(source, number, f"{len(cells)} columns where TREC qrels have 4", _STEP)
        content_id, _, product_id, text = cells
        grade = _grade(source, number, text)
        yield number, content_id, None if product_id == NONE_MARK and grade <= 0 else product_id, grade


def _table_entries(source: str | Path, lines: Lines, delimiter: str) -> Iterator[Entry]:
    rows = table_rows(source, lines, delimiter)
    number, first = next(rows)
    columns = _columns(source, number, first)
    if columns is None:
        columns = (0, 1, 2 if len(first) > 2 else None)
        rows = chain([(number, first)], rows)
    content, product, grade = columns
    for number, row in rows:
        if len(row) != len(first):
            raise fault(source, number, f"{len(row)} cells where the first row has {len(first)}", _STEP)
        value = _grade(source, number, row[grade]) if grade is not None else 1
        yield number, row[content], row[product] or None, value


def _columns(source: str | Path, number: int, header: list[str]) -> tuple[int, int, int | None] | None:
    """Places of content, product and grade if the row is a header, else None."""
    names = [cell.lower() for cell in header]

    def place(known: tuple[str, ...]) -> int | None:
        return next((names.index(name) for name in known if name in names), None)

    if len(header) < 2:
        raise fault(source, number, "one column only", _STEP)
    content, product, grade = place(_CONTENT), place(_PRODUCT), place(_GRADE)
    if content is None and product is None:
        # a header such as idAbt,idBuy
        return (0, 1, grade) if all(_ID_LIKE.fullmatch(cell) for cell in header[:2]) else None
    left = [i for i in range(len(header)) if i not in (content, product, grade)]
    if content is None or product is None:
        # one name is known and the other is the shop's own: it can only be the column that is left
        if len(left) != 1:
            missing = "content_id" if content is None else "product_id"
            raise fault(source, number, f"no {missing} among {header}", "Name the columns content_id and product_id.")
        content, product = (left[0], product) if content is None else (content, left[0])
    assert content is not None and product is not None
    return content, product, grade


def _json_entries(source: str | Path, lines: Lines) -> Iterator[Entry]:
    for number, row in json_rows(source, lines):
        content_key = next((key for key in _CONTENT if key in row), None)
        product_key = next((key for key in _PRODUCT if key in row), None)
        if content_key is None or product_key is None:
            missing = "content_id" if content_key is None else "product_id"
            step = 'Name both; a content without a product has "product_id": null.'
            raise fault(source, number, f"has no {missing}", step)
        content_id = _id(source, number, row[content_key])
        grade_key = next((key for key in _GRADE if key in row), None)
        default = _grade(source, number, row[grade_key]) if grade_key else 1
        pairs = _json_products(source, number, row[product_key], default)
        yield from ((number, content_id, product_id, grade) for product_id, grade in pairs or [(None, 0)])


def _json_products(source: str | Path, number: int, value: Any, default: int) -> list[tuple[str | None, int]]:
    if value is None:
        return []
    if isinstance(value, Mapping):
        return [(str(product_id), _grade(source, number, grade)) for product_id, grade in value.items()]
    if isinstance(value, list):
        return [(_id(source, number, item), default) for item in value]
    return [(_id(source, number, value), default)]


def _id(source: str | Path, number: int, value: Any) -> str:
    if isinstance(value, str) or (isinstance(value, int) and not isinstance(value, bool)):
        return str(value).strip()
    raise fault(source, number, f"{value!r} is not an id", "Give ids as texts or whole numbers.")


def _grade(source: str | Path, number: int, value: Any) -> int:
    text = str(value).strip().lower()
    known = {"true": 1, "false": 0, "yes": 1, "no": 0}
    if text in known:
        return known[text]
    try:
        if float(text) == int(float(text)):
            return int(float(text))
    except (ValueError, OverflowError):
        pass
    raise fault(source, number, f"the grade {value!r} is not a whole number", "Give a whole number; 0 is not relevant.")


def _is_int(text: str) -> bool:
    return re.fullmatch(r"[+-]?[0-9]+", text) is not None
