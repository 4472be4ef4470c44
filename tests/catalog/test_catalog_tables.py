"""Delimited tables: dialects found, bad rows told by row and line, the others kept."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.catalog import Catalog
from llmrec.catalog.decoding import Decoder
from llmrec.catalog.delimited import Table
from llmrec.catalog.dialect import Dialect, read_delimiter, sniff
from llmrec.catalog.rejects import RejectLog
from llmrec.errors import InputError
from llmrec.records import Price


def rows(text: str, delimiter: str | None = None) -> tuple[list[tuple[int, int | None, list[str]]], RejectLog]:
    decoder, log = Decoder(), RejectLog()
    table = Table("t.csv", decoder.lines(io.BytesIO(text.encode())), decoder, log, delimiter)
    found = [(row.number, row.line, row.values) for row in table]
    log.flush()
    return found, log


@pytest.mark.parametrize("mark", [",", "\t", ";", "|", "#", "^", "~", "\x01"])
def test_every_delimiter_is_found(mark: str) -> None:
    text = mark.join(["id", "title", "price"]) + "\n" + mark.join(["1", "a title: plain / with, marks", "3"]) + "\n"
    text = text.replace(", marks", " marks") if mark == "," else text
    assert sniff(text.splitlines(keepends=True)).delimiter == mark


def test_commas_in_descriptions_do_not_make_a_comma_table() -> None:
    sample = ["id|name|description\n", "1|Kettle|big, blue, steel\n", "2|Pan|flat, black, iron\n"]
    assert sniff(sample) == Dialect("|")


def test_quotes_that_are_escaped_by_backslash() -> None:
    found, log = rows('id,title\n1,"a \\"big\\", red pan"\n2,"b \\"c\\""\n')
    assert [values for _, _, values in found] == [["1", 'a "big", red pan'], ["2", 'b "c"']]
    assert not log.rejected


def test_a_table_that_does_not_quote() -> None:
    found, log = rows('id\ttitle\n1\t"Slim" jeans\n2\t24" screen\n3\t"Big\n')
    assert [values[1] for _, _, values in found] == ['"Slim" jeans', '24" screen', '"Big']
    assert not log.rejected and not log.warned


def test_what_excel_writes_first() -> None:
    assert rows("sep=;\nid;title\n1;a\n")[0] == [(1, 3, ["1", "a"])]


def test_rows_and_lines_are_counted_apart() -> None:
    found, _ = rows('id,title\n\n1,"two\nlines"\n\n2,b\n')
    assert found == [(1, 3, ["1", "two\nlines"]), (2, 6, ["2", "b"])]


def test_rows_of_another_width_are_rejected() -> None:
    found, log = rows("id,title,price\n1,a,2\n2,b\n3,c,4,5\n4,d,6,,\n,,\n5,e,7\n")
    assert [values[0] for _, _, values in found] == ["1", "4", "", "5"]
    assert [(r.row, r.line, r.reason) for r in log.held] == [(2, 3, "too_few_columns"), (3, 4, "too_many_columns")]
    assert log.held[0].raw == "2,b" and "2 columns where the header has 3" in log.held[0].detail


def test_a_quote_that_never_closes_costs_one_row() -> None:
    body = "".join(f"{i},title {i}\n" for i in range(3, 3000))
    found, log = rows('id,title\n1,"a"\n2,"never closed, "really"\n' + body)
    assert [number for number, _, _ in found] == [1, *range(3, 3000)]
    assert [(r.row, r.line, r.reason) for r in log.held] == [(2, 3, "bad_quoting")]


def test_a_quote_that_opens_in_the_last_row() -> None:
    found, log = rows('id,title\n1,"a"\n2,"b\n')
    assert [values for _, _, values in found] == [["1", "a"], ["2", '"b']]
    assert log.warned == {"bad_quoting": 1} and not log.rejected


def test_a_file_of_nothing_but_open_quotes_is_read_in_time() -> None:
    found, log = rows("id,title\n" + '1,"a,b\n' * 20_000)
    assert not found and log.rejected == {"bad_quoting": 20_000}


def test_a_lone_carriage_return_in_a_row() -> None:
    found, log = rows("id,title\n1,a\rb\n2,c\n")
    assert [values for _, _, values in found] == [["1", "a b"], ["2", "c"]]
    assert log.warned == {"bad_quoting": 1}


def test_nul_bytes_and_endless_lines_cost_their_row() -> None:
    found, log = rows("id,title\n1,a\0b\n2," + "x" * 12_000_000 + "\n3,c\n" + "4," + "y" * 8_500_000 + "\n5,e\n")
    assert [values for _, _, values in found] == [["3", "c"], ["5", "e"]]
    assert [(r.row, r.line, r.reason) for r in log.held] == [
        (1, 2, "nul_bytes"),
        (2, 3, "line_too_long"),
        (4, 5, "line_too_long"),
    ]


@pytest.mark.parametrize("text", ["", "\n\n", "x" * 12_000_000])
def test_a_table_without_header_is_refused(text: str) -> None:
    with pytest.raises(InputError, match=r"t\.csv"):
        rows(text)


@pytest.mark.parametrize(("given", "mark"), [(";", ";"), ("tab", "\t"), ("\\t", "\t"), ("pipe", "|")])
def test_delimiters_as_users_write_them(given: str, mark: str) -> None:
    assert read_delimiter(given) == mark


@pytest.mark.parametrize("given", ["", "ab", '"', "\n", "a", " "])
def test_what_cannot_be_a_delimiter_is_refused(given: str) -> None:
    with pytest.raises(InputError, match="cannot be a delimiter"):
        read_delimiter(given)


CELL = st.text(alphabet=st.characters(exclude_characters="\0\r", exclude_categories=["Cs"]), max_size=20)


@settings(max_examples=200, deadline=None)
@given(
    st.sampled_from([",", "\t", ";", "|", "#"]),
    st.lists(st.tuples(CELL, CELL), max_size=8),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
    st.booleans(),
)
def test_what_csv_writes_comes_back(mark: str, cells: list[tuple[str, str]], quoting: int, told: bool) -> None:
    text = io.StringIO()
    writer = csv.writer(text, delimiter=mark, quoting=quoting, lineterminator="\n")  # type: ignore[arg-type]
    writer.writerow(["id", "title", "stock"])
    for number, (title, stock) in enumerate(cells):
        writer.writerow([number, title, stock])
    found, log = rows(text.getvalue(), mark if told else None)
    assert [values for _, _, values in found] == [[str(i), *pair] for i, pair in enumerate(cells)]
    assert not log.rejected and not log.warned


def test_a_table_to_products(tmp_path: Path) -> None:
    path = tmp_path / "shop.csv"
    path.write_text(
        'sku;Name;Beschreibung;Preis;Kategorie;Farbe;Bild;Lager\n'
        'A1;"Kessel <b>1,7&nbsp;l</b>";<p>Stahl</p><p>leise</p>;1.299,00 €;Haus > Küche;rot;https://x/1.jpg;12\n',
        encoding="cp1252",
    )  # fmt: skip
    catalog = Catalog.read(path, language="de")
    (product,) = catalog
    assert (product.id, product.title, product.description) == ("A1", "Kessel 1,7 l", "Stahl\nleise")
    assert product.price == Price(1299.0, "EUR") and product.category == ("Haus", "Küche")
    assert product.attributes == {"Farbe": "rot"} and product.images == ("https://x/1.jpg",)
    assert product.extra == {"Lager": "12"} and product.language == "de"
    (file,) = catalog.report.files
    assert (file.encoding, file.delimiter, file.rows, file.unmapped) == ("cp1252", ";", 1, ["Lager"])
