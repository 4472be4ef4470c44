"""Every record round-trips through JSON Lines and Parquet; a damaged file names its line."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec import records
from llmrec.errors import InputError
from llmrec.records import Content, Evidence, Keyframe, Match, Price, Product, RankedProduct, Span, TimedText
from llmrec.storage import read_jsonl, read_records, write_records

text = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
number = st.floats(allow_nan=False, allow_infinity=False)
free = st.recursive(st.none() | st.booleans() | number | text, lambda inner: st.lists(inner, max_size=3), max_leaves=4)
products = st.builds(
    Product,
    id=text,
    title=text,
    description=text,
    category=st.lists(text, max_size=3).map(tuple),
    attributes=st.dictionaries(text, text, max_size=3),
    price=st.none() | st.builds(Price, amount=number, currency=text),
    images=st.lists(text, max_size=2).map(tuple),
    extra=st.dictionaries(text, free, max_size=3),
)
no_function_scope = settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@no_function_scope
@given(rows=st.lists(products, min_size=1, max_size=5))
@pytest.mark.parametrize("name", ["rows.jsonl", "rows.jsonl.gz", "rows.parquet"])
def test_products_round_trip(tmp_path: Path, name: str, rows: list[Product]) -> None:
    assert write_records(tmp_path / name, rows, Product) == len(rows)
    assert list(read_records(tmp_path / name, Product)) == rows


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.parquet"])
def test_nested_records_round_trip(tmp_path: Path, name: str) -> None:
    spoken = TimedText(0.5, 2.0, "the blue one", "speech", 0.9)
    frames = (Keyframe(1.0, "f.jpg"), Keyframe(2.0, "g.jpg", 1, b"\x00\x3c"))
    content = Content("c", "video", hashtags=("a",), timed_text=(spoken,), keyframes=frames, image_encoder="d")
    evidence = (Evidence("speech", 0.5, 2.0, "blue", "title"), Evidence("vision", 1.0, 1.0, "", "images", "f.jpg"))
    match = Match("c", (RankedProduct("p", 1, 0.5, None, evidence, (Span(0.5, 2.0),)),))
    for record in (content, match):
        write_records(tmp_path / name, [record], type(record))
        assert list(read_records(tmp_path / name, type(record))) == [record]


def test_wire_form_is_the_documented_one() -> None:
    match = Match("c", (RankedProduct("p", 1, 0.5, None, (Evidence("title", None, None, "blue", "title"),)),))
    assert msgspec.json.decode(msgspec.json.encode(match)) == {
        "content_id": "c",
        "products": [
            {
                "product_id": "p",
                "rank": 1,
                "score": 0.5,
                "probability": None,
                "evidence": [{"source": "title", "start": None, "end": None, "text": "blue", "field": "title"}],
                "shown": [],
            }
        ],
        "no_match": {"decision": None, "probability": None, "possible": None},
        "reranked": None,
    }
    assert msgspec.json.encode(Product("1", "mug")) == b'{"id":"1","title":"mug"}'


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "holds no records"),
        (b"\n \n", "holds no records"),
        (b'{"id":"1","title":"a"}\n{"id":2,"title":"b"}\n', "line 2"),
        (b'{"id":"1"}\n', "title"),
        (b"\x00\x01\x02\n", "binary"),
        (b'{"id":"1","title":"\xff"}\n', "line 1"),
        (b"[" * 100_000, "line 1"),
        (b'{"id":"1","title":"' + b"a" * (9 << 20) + b'"}', "longer than"),
    ],
)
def test_bad_json_lines_name_the_line(tmp_path: Path, data: bytes, expected: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_bytes(data)
    with pytest.raises(InputError, match=expected) as caught:
        list(read_jsonl(path, Product))
    assert "bad.jsonl" in caught.value.message


def test_a_byte_order_mark_is_no_fault(tmp_path: Path) -> None:
    path = tmp_path / "bom.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"id":"1","title":"a"}\r\n')
    assert list(read_jsonl(path, Product)) == [Product("1", "a")]


@pytest.mark.parametrize("data", [b"", b"PAR1", b"PAR1" + b"\x00" * 64 + b"PAR1"])
def test_damaged_parquet_is_an_input_error(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "bad.parquet"
    path.write_bytes(data)
    with pytest.raises(InputError, match=r"bad\.parquet"):
        list(read_records(path, Product))


def test_parquet_of_another_record_names_what_is_missing(tmp_path: Path) -> None:
    write_records(tmp_path / "m.parquet", [Match("c")], Match)
    with pytest.raises(InputError, match=r"row 1: .*`id`"):
        list(read_records(tmp_path / "m.parquet", Product))


def test_all_records_are_frozen() -> None:
    structs = [r for r in vars(records).values() if isinstance(r, type) and issubclass(r, msgspec.Struct)]
    assert len(structs) > 15
    assert all(struct.__struct_config__.frozen for struct in structs)
