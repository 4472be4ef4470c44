"""A ledger keeps what was finished, through kills, torn lines and changed settings."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmrec.errors import InputError
from llmrec.records import Product
from llmrec.storage import Ledger, fingerprint


def test_an_interrupted_job_goes_on(tmp_path: Path) -> None:
    out = tmp_path / "out.jsonl"
    with pytest.raises(KeyboardInterrupt), Ledger(out, Product, "s") as ledger:
        ledger.add("a", Product("a", "one"))
        ledger.add("b", Product("b", "two"))
        raise KeyboardInterrupt
    with ledger.path.open("ab") as file:
        file.write(b'{"key":"c","record":{"id":"c","ti')  # killed in the middle of a line
    with Ledger(out, Product, "s") as again:
        assert again.done == {"a": Product("a", "one"), "b": Product("b", "two")}
        again.add("c", Product("c", "three"))
    with Ledger(out, Product, "s") as third:
        assert list(third.done) == ["a", "b", "c"]
        third.finish()
    assert list(tmp_path.iterdir()) == []


def test_two_runs_to_one_output_do_not_tear_each_other(tmp_path: Path) -> None:
    with Ledger(tmp_path / "o", Product, "s") as ledger:
        ledger.add("a", Product("a", "one"))
        with pytest.raises(InputError, match="o: another run is writing it"), Ledger(tmp_path / "o", Product, "t"):
            pass
        with Ledger(tmp_path / "p", Product, "s"):  # another output is another ledger
            ledger.add("b", Product("b", "two"))
    with Ledger(tmp_path / "o", Product, "s") as after:
        assert list(after.done) == ["a", "b"]


def test_other_settings_start_anew(tmp_path: Path) -> None:
    with Ledger(tmp_path / "o", Product, "s") as ledger:
        ledger.add("a", Product("a", "one"))
    assert Ledger(tmp_path / "o", Product, "other").done == {}
    assert Ledger(tmp_path / "o", Product, "s", resume=False).done == {}


@pytest.mark.parametrize("data", [b"", b"\x00\xff", b"[]\n", b'{"settings":"s"}\n{}\n', b'{"settings":"s"}\n3\n'])
def test_a_damaged_ledger_is_an_empty_one(tmp_path: Path, data: bytes) -> None:
    (tmp_path / ".o.progress").write_bytes(data)
    assert Ledger(tmp_path / "o", Product, "s").done == {}


def test_fingerprints_depend_on_the_value_alone() -> None:
    assert fingerprint({"a": 1, "b": 2}, Product("1", "x")) == fingerprint({"b": 2, "a": 1}, Product("1", "x"))
    assert fingerprint({"a": 1}) != fingerprint({"a": 2})
