"""Files of labelled pairs: each form read, each fault named with its file and line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from llmrec.errors import InputError
from llmrec.prompting.pairs import offer_fields
from llmrec.train.pair_files import read_labelled_pairs


def write(folder: Path, name: str, text: str) -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def told(path: Path) -> list[tuple[str, str, float | None, bool, int]]:
    return [
        (offer_fields(p.left).title, offer_fields(p.right).title, offer_fields(p.left).price, p.label, p.line)
        for p in read_labelled_pairs(path)
    ]


def test_ditto(tmp_path: Path) -> None:
    text = (
        "COL title VAL EOS 6D COL price VAL 999\tCOL title VAL eos-6d COL price VAL \t1\n\nplain\tother \u2028 end\t0\n"
    )
    path = write(tmp_path, "train.txt.small", text)
    assert told(path) == [("EOS 6D", "eos-6d", 999, True, 1), ("plain", "other end", None, False, 3)]


def test_json_lines(tmp_path: Path) -> None:
    rows = [
        {"left": {"title": "EOS 6D", "price": 999}, "right": "eos-6d", "label": 1},
        {"title_left": "a", "title_right": "b", "label": False},
    ]
    path = write(tmp_path, "p.jsonl", "\n".join(map(json.dumps, rows)))
    assert told(path) == [("EOS 6D", "eos-6d", 999, True, 1), ("a", "b", None, False, 2)]


def test_tables(tmp_path: Path) -> None:
    path = write(tmp_path, "p.csv", "left_title,left_price,right_title,label\nEOS 6D,999,eos-6d,1\n")
    assert told(path) == [("EOS 6D", "eos-6d", 999, True, 2)]
    path = write(tmp_path, "p.tsv", "left\tright\tlabel\nEOS 6D\teos-6d\t0\n")
    assert told(path) == [("EOS 6D", "eos-6d", None, False, 2)]


def test_prompt_and_completion(tmp_path: Path) -> None:
    first, second = "Same? Entity 1: 'Traveler's 2\"\" book'. Entity 2: 'x'.", "Entity 1: 'a'. Entity 2: 'b'."
    text = f'prompt,completion\n"{first}",Yes\n{second},No\n'
    assert told(write(tmp_path, "p.csv", text)) == [
        ("Traveler's 2\" book", "x", None, True, 2),
        ("a", "b", None, False, 3),
    ]


def test_ids_beside_two_tables(tmp_path: Path) -> None:
    write(tmp_path, "tableA.csv", "id,title,price\n0,EOS 6D,999\n")
    write(tmp_path, "tableB.csv", "id,title,price\n5,eos-6d,\n")
    path = write(tmp_path, "train.csv", "ltable_id,rtable_id,label\n0,5,1\n")
    assert told(path) == [("EOS 6D", "eos-6d", 999, True, 2)]
    with pytest.raises(InputError, match=r"train.csv, line 2: no offer has the id '6'"):
        read_labelled_pairs(write(tmp_path, "train.csv", "ltable_id,rtable_id,label\n0,6,1\n"))
    (tmp_path / "tableB.csv").unlink()
    with pytest.raises(InputError, match=r"tableB.csv: no such file"):
        read_labelled_pairs(path)


@pytest.mark.parametrize(
    ("name", "text", "fault"),
    [
        ("a.txt", "", "holds no pairs"),
        ("a.txt", "a\tb\t1\na\tb\n", "line 2: 2 cells"),
        ("a.txt", "a\tb\t1\na\tb\t2\n", "line 2: the label '2'"),
        ("a.txt", "a\tb\t1\n \t \t0\n", "line 2: neither offer"),
        ("a.jsonl", '{"left": "a", "right": "b"}', "line 1: no label"),
        ("a.jsonl", '{"left": 3, "right": "b", "label": 1}', "line 1: left is neither"),
        ("a.csv", "x,y,label\n1,2,1\n", "line 2: no two offers"),
        ("a.csv", "prompt,completion\nhello,Yes\n", "line 2: its prompt"),
        ("a.csv", "left,right,label\na,b\n", "line 2: not as long"),
    ],
)
def test_faults(tmp_path: Path, name: str, text: str, fault: str) -> None:
    path = write(tmp_path, name, text)
    with pytest.raises(InputError, match=fault) as error:
        read_labelled_pairs(path)
    assert str(path) in error.value.message


def test_not_text(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"\xff\xfe\t\t1")
    with pytest.raises(InputError, match="not UTF-8"):
        read_labelled_pairs(tmp_path / "a.txt")
    with pytest.raises(InputError, match="no such file"):
        read_labelled_pairs(tmp_path / "b.txt")
