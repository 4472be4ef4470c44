"""The whole import: duplicates, rejects, reports, what is written and what is not; and its commands."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

from llmrec.catalog import Catalog, NothingKeptError, Reject, import_catalog
from llmrec.cli import app
from llmrec.errors import InputError, LlmrecError
from llmrec.records import Price, Product
from llmrec.storage import read_jsonl, read_records

CSV = "id,title,price,note\n1,a,5,x\n2,,,\n1,again,6,\n,no id,,\n,,,\n3,c,call,\n4,d,5-9,\n"


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    (tmp_path / "shop.csv").write_text(CSV)
    return tmp_path / "shop.csv"


def rejects(path: Path) -> list[Reject]:
    return list(read_jsonl(path, Reject))


def test_every_row_is_either_kept_or_rejected_with_its_reason(shop: Path) -> None:
    out = shop.parent / "products.jsonl"
    report = import_catalog([shop], out)
    assert list(read_records(out, Product)) == [
        Product("1", "a", price=Price(5.0), extra={"note": "x"}),
        Product("3", "c"),
        Product("4", "d", price=Price(5.0)),
    ]
    assert (report.read, report.kept, report.rejected_total, report.duplicates) == (7, 3, 4, 1)
    assert report.rejected == {"missing_title": 1, "duplicate_id": 1, "missing_id": 1, "empty_row": 1}
    assert report.warnings == {"bad_price": 1, "price_repaired": 1}
    found = rejects(shop.parent / "products.rejects.jsonl")
    assert [(r.row, r.line, r.field, r.reason, r.kept) for r in found] == [
        (2, 3, "title", "missing_title", False),
        (4, 5, "id", "missing_id", False),
        (5, 6, "", "empty_row", False),
        (6, 7, "price", "bad_price", True),
        (7, 8, "price", "price_repaired", True),
        (3, 4, "id", "duplicate_id", False),
    ]
    assert all(r.file == str(shop) for r in found)
    assert found[1].raw == "title='no id'" and found[3].raw == "call"
    assert "row 1" in found[-1].detail


@pytest.mark.parametrize(
    ("policy", "kept"),
    [("first", [("1", "a"), ("2", "b")]), ("last", [("2", "b"), ("1", "d")]),
     ("rename", [("1", "a"), ("2", "b"), ("1#2", "c"), ("1#3", "d")])],
)  # fmt: skip
def test_duplicates(tmp_path: Path, policy: Any, kept: list[tuple[str, str]]) -> None:
    (tmp_path / "a.csv").write_text("id,title\n1,a\n2,b\n")
    (tmp_path / "b.csv").write_text("id,title\n1,c\n1,\n1,d\n")
    catalog = Catalog.read(tmp_path, duplicates=policy)
    assert [(product.id, product.title) for product in catalog] == kept
    assert catalog.report.read == 5 and catalog.report.kept == len(kept)
    assert catalog.report.duplicates == {"first": 2, "last": 2, "rename": 0}[policy]
    assert catalog.report.renamed == (2 if policy == "rename" else 0)


def test_a_renamed_id_does_not_meet_one_that_is_there(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,title\n1,a\n1#2,b\n1,c\n1#3,d\n")
    assert [p.id for p in Catalog.read(tmp_path / "a.csv", duplicates="rename")] == ["1", "1#2", "1#3", "1#3#2"]


def test_duplicates_as_an_error_write_nothing(shop: Path) -> None:
    with pytest.raises(InputError, match=r"shop.csv, row 3: id '1' was given before, in .*shop.csv, row 1"):
        import_catalog([shop], shop.parent / "p.jsonl", duplicates="error")
    assert [path.name for path in shop.parent.iterdir()] == ["shop.csv"]


def test_an_id_that_had_to_be_cleaned_is_told(tmp_path: Path) -> None:
    rows = '"a\nb",One\n  c  ,Two\nd&amp;e,Three\nf  g,Four\nh,Five\n'
    table = tmp_path / "shop.csv"
    table.write_text(f"id,title\n{rows}", encoding="utf-8")
    report = import_catalog([table], tmp_path / "out.jsonl")
    assert (report.kept, report.rejected_total, report.warnings) == (5, 0, {"id_changed": 3})
    told = rejects(tmp_path / "out.rejects.jsonl")
    assert [(r.row, r.detail, r.raw, r.kept) for r in told] == [
        (1, "cleaned to 'a b'", "a\nb", True),
        (3, "cleaned to 'd&e'", "d&amp;e", True),
        (4, "cleaned to 'f g'", "f  g", True),
    ]


def test_a_title_from_the_description_and_ids_from_rows(tmp_path: Path) -> None:
    (tmp_path / "tea.csv").write_text("title,description\n,A kettle of steel\n,,\nb,\n")
    catalog = Catalog.read(tmp_path / "tea.csv", id_from_row=True)
    assert [(p.id, p.title) for p in catalog] == [("tea-1", "A kettle of steel"), ("tea-3", "b")]
    assert catalog.report.warnings == {"title_from_description": 1}
    assert [r.reason for r in catalog.rejects] == ["title_from_description", "empty_row"]


def test_rows_that_go_on_with_the_product_before(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("Handle,Title,Variant SKU\nmug,Mug,m1\nmug,,m2\nmug,,m3\npan,Pan,p\n")
    catalog = Catalog.read(tmp_path / "a.csv")
    assert [product.id for product in catalog] == ["mug", "pan"]
    assert catalog.report.rejected == {"continued_row": 2}


def test_the_rejects_are_written_even_when_nothing_is_kept(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,title\n,a\n,b\n")
    with pytest.raises(NothingKeptError, match=r"none of its 2 rows can be used \(missing_id 2\)") as caught:
        import_catalog([tmp_path / "a.csv"], tmp_path / "out.jsonl")
    assert caught.value.exit_code == 2 and "--map id=COLUMN" in caught.value.next_step
    assert not (tmp_path / "out.jsonl").exists()
    assert len(rejects(tmp_path / "out.rejects.jsonl")) == 2


def test_what_was_there_stays_when_the_import_fails(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("id,title\n1,a\n")
    (tmp_path / "b.csv").write_text("D1,D2\n1,2\n")
    (tmp_path / "out.jsonl").write_text("before")
    with pytest.raises(InputError, match=r"b.csv: no column for the product id among: D1, D2"):
        import_catalog([tmp_path / "a.csv", tmp_path / "b.csv"], tmp_path / "out.jsonl")
    assert (tmp_path / "out.jsonl").read_text() == "before"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a.csv", "b.csv", "out.jsonl"]


@pytest.mark.parametrize(
    ("name", "data", "words"),
    [
        ("empty.csv", b"", "is empty"),
        ("blank.csv", b"\n \n", "is empty"),
        ("header.csv", b"id,title\n", "no products"),
        ("photo.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), "PNG image"),
        ("book.csv", b"PK\x03\x04" + bytes(99), "Excel workbook"),
        ("noise.csv", bytes(range(256)) * 40, "binary"),
        ("noid.csv", b"name,price\na,1\n", "no column for the product id among: name, price"),
        ("notitle.csv", b"id,price\n1,1\n", "no column for the product title among: id, price"),
        ("cut.csv.gz", b"\x1f\x8b\x08\x00\x00", "cannot be read"),
        ("line.csv", b"x" * 10_000_000, "first row cannot be read .*longer than"),
    ],
)
def test_files_that_are_no_catalog(tmp_path: Path, name: str, data: bytes, words: str) -> None:
    (tmp_path / name).write_bytes(data)
    with pytest.raises(InputError, match=words) as caught:
        import_catalog([tmp_path / name], tmp_path / "out.jsonl")
    assert name in caught.value.message and caught.value.next_step
    assert not (tmp_path / "out.jsonl").exists()


def test_folders(tmp_path: Path) -> None:
    (tmp_path / "shop" / "part").mkdir(parents=True)
    (tmp_path / "shop" / "a.csv").write_text("id,title\n1,a\n")
    (tmp_path / "shop" / "part" / "b.jsonl").write_text('{"id":"2","title":"b"}\n')
    (tmp_path / "shop" / "README.md").write_text("hello")
    (tmp_path / "shop" / "_SUCCESS").write_text("")
    catalog = Catalog.read(tmp_path / "shop")
    assert [product.id for product in catalog] == ["1", "2"]
    assert catalog.report.ignored == [str(tmp_path / "shop" / "README.md")]
    empty = tmp_path / "none"
    empty.mkdir()
    with pytest.raises(InputError, match="holds no catalog file"):
        Catalog.read(empty)
    with pytest.raises(InputError, match="No such file"):
        Catalog.read(tmp_path / "gone.csv")


@pytest.mark.parametrize(
    "options", [{"duplicates": "both"}, {"encoding": "utf-9"}, {"delimiter": "ab"}, {"currency": "euro"}]
)
def test_options_that_mean_nothing(shop: Path, options: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        Catalog.read(shop, **options)


def test_a_catalog_can_be_read_again(shop: Path) -> None:
    catalog = Catalog.read(shop)
    assert list(catalog) == list(catalog)
    assert catalog.report.kept == 3 and len(catalog.rejects) == 6


def test_a_reader_that_leaves_early(shop: Path) -> None:
    catalog = Catalog.read(shop)
    assert next(iter(catalog)).id == "1"


PIECES = [b"id", b"title", b",", b'"', b"\n", b"\r", b"\0", b"{", b"}", b":", b"[", b"]", b"1", b"\\", b"\t", b"\xe9"]
PIECES += [b"\xff\xfe", b"\xef\xbb\xbf"]


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from(["a.csv", "a.json", "a.jsonl", "a", "a.tsv"]),
    st.one_of(
        st.binary(max_size=300),
        st.text(max_size=200).map(lambda text: ("id,title\n" + text).encode("utf-8", "replace")),
        st.lists(st.sampled_from(PIECES), max_size=60).map(b"".join),
    ),
)
def test_any_bytes_give_products_or_an_error_of_ours(tmp_path: Path, name: str, data: bytes) -> None:
    (tmp_path / name).write_bytes(data)
    try:
        report = import_catalog([tmp_path / name], tmp_path / "out.jsonl", id_from_row=True)
    except LlmrecError as error:
        assert error.message and error.next_step
    else:
        assert report.kept + report.rejected_total == report.read == sum(file.rows for file in report.files)
        assert len(list(read_records(tmp_path / "out.jsonl", Product))) == report.kept


def llmrec(*arguments: object, input: bytes = b"") -> Any:
    return CliRunner().invoke(app, ["catalog", *map(str, arguments)], input=input)


def test_the_commands(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(shop.parent)
    done = llmrec("import", "shop.csv", "-o", "p.parquet", "--rejects", "r.jsonl", "--json", "--currency", "eur")
    assert done.exit_code == 0, done.output
    assert json.loads(done.stdout)["kept"] == 3 and len(rejects(Path("r.jsonl"))) == 6
    assert next(iter(read_records("p.parquet", Product))).price == Price(5.0, "EUR")
    text = llmrec("import", "shop.csv", "-o", "p.jsonl").stdout
    assert "read 7 rows: kept 3, rejected 4\n  rejected, duplicate_id: 1\n" in text
    assert "columns: id = id, title = title, price = price" in text and "kept in extra: note" in text

    shown = llmrec("show", "p.parquet", "3", "--json")
    assert json.loads(shown.stdout)["products"] == [{"id": "3", "title": "c"}]
    assert "1  a\n  price: 5 EUR" in llmrec("show", "p.parquet", "-n", "1").stdout
    assert llmrec("show", "p.parquet", "9").exit_code == 2

    piped = llmrec("import", "-", "-o", "-", "--map", "title=note", "--map", "attributes.t=title", input=CSV.encode())
    assert piped.stdout == '{"id":"1","title":"x","attributes":{"t":"a"},"price":{"amount":5.0}}\n'
    assert "read 7 rows: kept 1" in piped.stderr


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["import", "gone.csv", "-o", "p.jsonl"], "No such file"),
        (["import", "shop.csv", "-o", "p.jsonl", "--map", "title"], "FIELD=COLUMN"),
        (["import", "shop.csv", "-o", "p.jsonl", "--map", "title=tilte"], "nearest: title"),
        (["import", "shop.csv", "-o", "-", "--json"], "standard output"),
        (["import", "shop.csv", "-o", "p.jsonl", "--rejects", "p.jsonl"], "one file"),
        (["import", "shop.csv", "-o", "p.jsonl", "--duplicates", "both"], "duplicates"),
        (["import", "shop.csv", "-o", "p.jsonl", "--duplicates", "error"], "row 3: id '1' was given before"),
        (["import", "-", "-", "-o", "p.jsonl"], "twice"),
    ],
)
def test_commands_that_cannot_be(shop: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], words: str) -> None:
    monkeypatch.chdir(shop.parent)
    done = llmrec(*arguments)
    assert done.exit_code == 2 and words in done.stderr and "next:" in done.stderr
    assert done.stdout == "" and [path.name for path in shop.parent.iterdir()] == ["shop.csv"]


@pytest.mark.parametrize("name", ["p.jsonl", "p.parquet"])
def test_a_full_disk_leaves_nothing(tmp_path: Path, tiny_disk: Callable[[str], Path], name: str) -> None:
    rows = "".join(f"{i},{os.urandom(40).hex()}\n" for i in range(5000))
    (tmp_path / "a.csv").write_text("id,title\n" + rows)
    disk = tiny_disk("64k")
    done = llmrec("import", tmp_path / "a.csv", "-o", disk / name)
    assert done.exit_code == 2 and "no space left" in done.stderr
    assert list(disk.iterdir()) == []


def test_what_a_pipe_reads_first_it_can_leave(shop: Path) -> None:
    code = f"from llmrec.cli import app; app(['catalog', 'import', {str(shop)!r}, '-o', '-'])"
    command = f"{sys.executable} -c {shlex.quote(code)} | head -c 5"
    done = subprocess.run(["bash", "-c", command], capture_output=True, timeout=120)
    assert done.stdout == b'{"id"' and b"Traceback" not in done.stderr
