"""Files of labelled pairs of offers, in the forms that such data come in.

One pair of each::

    COL title VAL canon eos 6d COL price VAL 999<tab>COL title VAL eos-6d body COL price VAL <tab>1
    {"left": {"title": "Canon EOS 6D", "price": 999}, "right": "eos-6d body", "label": 1}
    left_title,left_price,right_title,right_price,label
    prompt,completion        with "Entity 1: 'Canon EOS 6D'. Entity 2: 'eos-6d body'.",Yes
    ltable_id,rtable_id,label     beside tableA.csv and tableB.csv

as Ditto, we, WDC LSPC, TailorMatch and DeepMatcher write them. What is inside a file decides, not its name.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from llmrec.errors import InputError
from llmrec.prompting.pairs import Offer, ditto_columns, offer_fields
from llmrec.train.files import MAX_ROW, SAVE_AS_UTF8, rows, sample_path

_LABELS = ("label", "completion", "match", "is_match", "gold")
_SIDES = (("left", "right"), ("ltable", "rtable"), ("a", "b"))
_SUFFIXED = (("left", "right"), ("a", "b"), ("1", "2"))
_ENTITIES = re.compile(r"Entity 1: (['\"])(.*)\1\.?\s+Entity 2: (['\"])(.*)\3\.?\s*$", re.DOTALL)
_YES, _NO = frozenset({"1", "1.0", "true", "yes", "match"}), frozenset({"0", "0.0", "false", "no", "non-match"})
_STEP = (
    "Give left<tab>right<tab>label, or JSON Lines or a CSV with left, right and label (0 or 1); in a CSV left_title, "
    "left_price … too."
)


class LabelledPair(NamedTuple):
    """Two offers, and whether they are of one product; ``line`` is where the pair stands in its file."""

    left: Offer
    right: Offer
    label: bool
    line: int


def read_labelled_pairs(name: str | Path) -> list[LabelledPair]:
    """Read all the pairs of a file.

    Args:
        name: A path, or ``sample:NAME`` for a file of the shipped examples.

    Raises:
        InputError: Missing, empty, in none of the forms, or with a row that is not a pair; names the file and the line.
    """
    path, shown = sample_path(str(name)), str(name)
    tabbed = _tabbed(path, shown)
    return list(_tab_rows(path, shown) if tabbed else _table_rows(path, shown))


def _tabbed(path: Path, shown: str) -> bool:
    """Whether the first row is ``left<tab>right<tab>label``, without a header."""
    for _, line in _lines(path, shown):
        cells = line.split("\t")
        return not line.lstrip().startswith("{") and len(cells) == 3 and _label(cells[2]) is not None
    raise InputError(f"{shown}: holds no pairs", next_step=_STEP)


def _lines(path: Path, shown: str) -> Iterator[tuple[int, str]]:
    try:
        with open(path, encoding="utf-8-sig", newline="\n") as file:
            for number, line in enumerate(iter(lambda: file.readline(MAX_ROW + 1), ""), 1):
                if len(line) > MAX_ROW:
                    raise InputError(f"{shown}, line {number}: longer than a row can be", next_step=_STEP)
                if line.strip():
                    yield number, line.rstrip("\r\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{shown}: not UTF-8 text ({error.reason})", next_step=SAVE_AS_UTF8) from error
    except OSError as error:
        step = "Check the path and its permissions."
        raise InputError(f"{shown}: {error.strerror or error}", next_step=step) from error


def _tab_rows(path: Path, shown: str) -> Iterator[LabelledPair]:
    for number, line in _lines(path, shown):
        cells = line.split("\t")
        if len(cells) != 3:
            raise InputError(f"{shown}, line {number}: {len(cells)} cells, not left, right and label", next_step=_STEP)
        left, right = (ditto_columns(cell) or cell.strip() for cell in cells[:2])
        yield _pair(shown, number, left, right, cells[2])


def _table_rows(path: Path, shown: str) -> Iterator[LabelledPair]:
    tables: tuple[dict[str, Offer], dict[str, Offer]] | None = None
    for number, raw in rows(path, shown):
        row = {str(key).strip().lower(): value for key, value in raw.items()}
        label = next((row[key] for key in _LABELS if key in row), None)
        if label is None:
            raise InputError(f"{shown}, line {number}: no label among {sorted(row)}", next_step=_STEP)
        if "ltable_id" in row and "rtable_id" in row and "ltable_title" not in row and "ltable_name" not in row:
            tables = tables or (_offers(path, "tableA.csv"), _offers(path, "tableB.csv"))
            sides = [_looked_up(shown, number, tables[i], row[key]) for i, key in enumerate(("ltable_id", "rtable_id"))]
        else:
            sides = _sides(shown, number, row)
        yield _pair(shown, number, sides[0], sides[1], label)


def _offers(path: Path, name: str) -> dict[str, Offer]:
    table = path.parent / name
    if not table.is_file():
        raise InputError(f"{table}: no such file", next_step=f"Put {name} beside {path.name}, whose ids it explains.")
    return {str(row.get("id")): {k: v for k, v in row.items() if k != "id"} for _, row in rows(table, str(table))}


def _looked_up(shown: str, number: int, table: Mapping[str, Offer], key: Any) -> Offer:
    if str(key) not in table:
        raise InputError(f"{shown}, line {number}: no offer has the id {key!r}", next_step="Check the id.")
    return table[str(key)]


def _sides(shown: str, number: int, row: Mapping[str, Any]) -> list[Offer]:
    """The two offers of a row, by the form that its columns have."""
    if "prompt" in row:
        found = _ENTITIES.search(str(row["prompt"]))
        if not found:
            reason = "its prompt does not end in Entity 1: '…'. Entity 2: '…'"
            raise InputError(f"{shown}, line {number}: {reason}", next_step=_STEP)
        return [found[2], found[4]]
    for names in _SIDES:
        if all(name in row for name in names):
            return [_offer(shown, number, name, row[name]) for name in names]
        sides = [{k.removeprefix(f"{name}_"): v for k, v in row.items() if k.startswith(f"{name}_")} for name in names]
        if all(sides):
            return list(sides)
    for names in _SUFFIXED:
        sides = [{k.removesuffix(f"_{name}"): v for k, v in row.items() if k.endswith(f"_{name}")} for name in names]
        if all(sides):
            return list(sides)
    raise InputError(f"{shown}, line {number}: no two offers among {sorted(row)}", next_step=_STEP)


def _offer(shown: str, number: int, name: str, value: Any) -> Offer:
    if isinstance(value, str):
        return ditto_columns(value) or value
    if isinstance(value, dict):
        return value
    raise InputError(f"{shown}, line {number}: {name} is neither a text nor an object", next_step=_STEP)


def _label(value: Any) -> bool | None:
    text = str(value).strip().rstrip(".").lower()
    return True if text in _YES else False if text in _NO else None


def _pair(shown: str, number: int, left: Offer, right: Offer, label: Any) -> LabelledPair:
    said = _label(label)
    if said is None:
        raise InputError(f"{shown}, line {number}: the label {label!r} is neither 0 nor 1", next_step=_STEP)
    if not offer_fields(left).text and not offer_fields(right).text:
        raise InputError(f"{shown}, line {number}: neither offer says anything", next_step=_STEP)
    return LabelledPair(left, right, said, number)
