"""Files of examples: every form, every fault with its line; products never on both sides of a split."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.train.answers import read_answers
from llmrec.train.files import hold_out, refuse_shared, sample_path

PRODUCT = {"id": "mug-1", "title": "Enamel mug", "brand": "Nord"}
SUMMARY = {"headline": "Blue mug", "summary": "A mug of enamel."}


def write(folder: Path, *rows: Any) -> str:
    path = folder / "rows.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return str(path)


def test_every_form(tmp_path: Path) -> None:
    chat = [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "Q"}]
    name = write(
        tmp_path,
        {"product": PRODUCT, "summary": SUMMARY},
        {"product": PRODUCT, "summary": "A mug.", "id": "x", "group": "g"},
        {"prompt": "Title: mug", "completion": " A mug. ", "references": ["Mug.", "Cup."]},
        "",
        {"messages": [*chat, {"role": "assistant", "content": "A"}]},
    )
    first, second, third, fourth = read_answers(name, None)
    assert (first.id, first.group) == ("mug-1", "mug-1")
    assert "Enamel mug" in first.conversation[-1].content or "Enamel mug" in first.conversation[-2].content
    assert "A mug of enamel." in first.answer and first.prompt is not None
    assert (second.id, second.group) == ("x", "g")
    assert (third.id, third.group, third.answer, third.references) == ("line 3", "line 3", "A mug.", ("Mug.", "Cup."))
    assert [m.role for m in fourth.conversation] == ["system", "user"]
    assert (fourth.id, fourth.answer, fourth.references) == ("line 5", "A", ("A",))


def test_a_table(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    path.write_text('\ufeffprompt,completion\n"Two\nlines",A\nB,C\n', encoding="utf-8")
    first, second = read_answers(str(path), None)
    assert (first.conversation[0].content, first.answer, second.answer) == ("Two\nlines", "A", "C")


@pytest.mark.parametrize(
    ("row", "fault"),
    [
        ("{", "line 2: not JSON"),
        ("[1]", "line 2: not a JSON object"),
        ({"text": "x"}, "line 2: has neither product, messages nor prompt among text"),
        ({"prompt": "x"}, "line 2: no 'completion'"),
        ({"prompt": "x", "completion": 3}, "line 2: prompt and completion are texts"),
        ({"prompt": "x", "completion": " "}, "line 2: the answer is empty"),
        ({"prompt": "x", "completion": "y", "references": "z"}, "line 2: references: a list"),
        ({"product": {"id": "1"}, "summary": "s"}, "line 2: .*title"),
        ({"product": PRODUCT, "summary": {"headline": "h", "summary": ""}}, "line 2: the summary is empty"),
        ({"product": PRODUCT}, "line 2: no 'summary'"),
        ({"messages": [{"role": "user", "content": "x"}]}, "line 2: messages: the last is not the assistant's"),
        ({"messages": "x"}, "line 2: "),
        ("[" * 100_000, "line 2: not JSON"),
    ],
)
def test_faults_name_their_line(tmp_path: Path, row: Any, fault: str) -> None:
    name = write(tmp_path, {"prompt": "a", "completion": "b"}, row)
    with pytest.raises(InputError, match=fault) as caught:
        read_answers(name, None)
    assert caught.value.next_step


@pytest.mark.parametrize(
    ("name", "data", "fault"),
    [
        ("a.jsonl", b"", "holds no examples"),
        ("a.jsonl", b"\xff\xfe\x00", "not UTF-8"),
        ("a.csv", b"prompt,completion\na\n", "line 2: not as long as the header"),
        ("a.csv", b'prompt,completion\n"a,b\n', "not a table"),
    ],
)
def test_files_that_are_none(tmp_path: Path, name: str, data: bytes, fault: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=fault):
        read_answers(str(tmp_path / name), None)


def test_paths(tmp_path: Path) -> None:
    for name, fault in (("none.jsonl", "no such file"), (str(tmp_path), "is a folder"), ("sample:../x", "outside")):
        with pytest.raises(InputError, match=fault):
            sample_path(name)


@given(st.lists(st.sampled_from("abcdefghij"), min_size=1), st.floats(0, 0.99), st.integers(0, 5))
def test_a_group_is_never_on_both_sides(groups: list[str], share: float, seed: int) -> None:
    rows = list(enumerate(groups))
    group: Callable[[tuple[int, str]], str] = lambda row: row[1]  # noqa: E731
    train, dev = hold_out(rows, share, group, seed=seed)
    assert sorted(train + dev) == rows
    assert not {g for _, g in train} & {g for _, g in dev}
    refuse_shared(train, dev, group, "dev")
    # more examples move none of those that were there
    more, _ = hold_out([*rows, (len(rows), "new")], share, group, seed=seed)
    assert [row for row in more if row[1] != "new"] == train


def test_shared_products_are_refused() -> None:
    with pytest.raises(InputError, match=r"data.test: 1 of its products are in data.train \(b"):
        refuse_shared(["a", "b"], ["b", "c"], str, "test")


def test_the_share_is_about_right() -> None:
    _, dev = hold_out([str(i) for i in range(2000)], 0.1, str, seed=0)
    assert 160 < len(dev) < 240
