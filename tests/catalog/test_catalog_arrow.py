"""Parquet, Arrow and datasets folders; what llmrec wrote comes back exactly."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from llmrec.catalog import Catalog, import_catalog
from llmrec.errors import InputError
from llmrec.records import Price, Product
from llmrec.storage import write_records

TABLE = pa.table(
    {
        "id": [1, 2, 3],
        "name": ["a", "b", None],
        "price": [1.5, None, 2.0],
        "tags": [["x"], [], None],
        "image": [{"bytes": b"abc", "path": "a.jpg"}, None, None],
        "category": pa.array(["A > B", "A", None]).dictionary_encode(),
    }
)


def check(catalog: Catalog) -> None:
    products = list(catalog)
    assert [(p.id, p.title, p.price) for p in products] == [("1", "a", Price(1.5)), ("2", "b", None)]
    assert products[0].category == ("A", "B") and products[0].images == ("a.jpg",)
    assert products[0].extra == {"tags": ["x"]} and products[1].extra == {"tags": []}
    assert [(r.row, r.reason) for r in catalog.rejects] == [(0, "binary_column"), (3, "missing_title")]


def test_parquet(tmp_path: Path) -> None:
    pq.write_table(TABLE, tmp_path / "a.parquet", row_group_size=2)
    check(Catalog.read(tmp_path / "a.parquet"))
    (tmp_path / "a.parquet").rename(tmp_path / "a.bin")  # what it is counts, not its name
    check(Catalog.read(tmp_path / "a.bin"))


def stream(path: Path, table: pa.Table) -> None:
    with pa.OSFile(str(path), "wb") as sink, pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)


def saved(folder: Path, tables: list[pa.Table]) -> Path:
    folder.mkdir(parents=True)
    names = [f"data-{i:05d}-of-{len(tables):05d}.arrow" for i in range(len(tables))]
    for name, table in zip(names, tables, strict=True):
        stream(folder / name, table)
    (folder / "state.json").write_text(json.dumps({"_data_files": [{"filename": name} for name in names]}))
    (folder / "dataset_info.json").write_text("{}")
    return folder


def test_arrow_streams_and_files(tmp_path: Path) -> None:
    stream(tmp_path / "a.arrow", TABLE)
    check(Catalog.read(tmp_path / "a.arrow"))
    with pa.OSFile(str(tmp_path / "b.feather"), "wb") as sink, pa.ipc.new_file(sink, TABLE.schema) as writer:
        writer.write_table(TABLE)
    check(Catalog.read(tmp_path / "b.feather"))


def test_folders_of_datasets(tmp_path: Path) -> None:
    one = saved(tmp_path / "one", [TABLE.slice(0, 1), TABLE.slice(1, 1)])
    assert [product.id for product in Catalog.read(one)] == ["1", "2"]
    both = tmp_path / "both"
    saved(both / "train", [TABLE.slice(0, 1)])
    saved(both / "test", [TABLE.slice(1, 1)])
    (both / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    catalog = Catalog.read(both)
    assert [product.id for product in catalog] == ["1", "2"]
    assert [file.format for file in catalog.report.files] == ["arrow", "arrow"]


def test_a_datasets_folder_that_lacks_a_file(tmp_path: Path) -> None:
    folder = saved(tmp_path / "one", [TABLE])
    (folder / "data-00000-of-00001.arrow").unlink()
    with pytest.raises(InputError, match="missing from the datasets folder"):
        Catalog.read(folder)


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow"])
@pytest.mark.parametrize("cut", [0.3, 0.9])
def test_damaged_files(tmp_path: Path, name: str, cut: float) -> None:
    path = tmp_path / name
    pq.write_table(TABLE, path) if name == "a.parquet" else stream(path, TABLE)
    path.write_bytes(path.read_bytes()[: int(path.stat().st_size * cut)])
    with pytest.raises(InputError, match="cannot be read as"):
        list(Catalog.read(path))


def test_damaged_names_and_texts(tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": ["1"], "title": ["a kettle"]}), tmp_path / "a.parquet", compression="none")
    data = (tmp_path / "a.parquet").read_bytes()
    for word in (b"title", b"a kettle"):
        (tmp_path / "b.parquet").write_bytes(data.replace(word, b"\xac" + word[1:]))
        with pytest.raises(InputError, match="cannot be read as Parquet"):
            list(Catalog.read(tmp_path / "b.parquet"))


def test_offsets_that_point_outside_are_met_before_they_are_followed(tmp_path: Path) -> None:
    stream(tmp_path / "a.arrow", pa.table({"id": ["1"], "title": ["a kettle"]}))
    data = (tmp_path / "a.arrow").read_bytes()
    offsets, text = bytes([8, 0, 0, 0]), b"a kettle"
    assert data.count(offsets + text) == 1
    (tmp_path / "a.arrow").write_bytes(data.replace(offsets + text, bytes([255, 255, 255, 127]) + text))
    with pytest.raises(InputError, match="cannot be read as Arrow"):
        list(Catalog.read(tmp_path / "a.arrow"))


def test_text_named_parquet(tmp_path: Path) -> None:
    (tmp_path / "a.parquet").write_text("id,title\n1,a\n")
    with pytest.raises(InputError, match="is not Parquet"):
        Catalog.read(tmp_path / "a.parquet")


TEXT = st.text(alphabet=st.characters(exclude_categories=["Cs"], exclude_characters="<&"), max_size=12)
NAME = TEXT.filter(lambda text: text.strip() != "")
PRODUCT = st.builds(
    Product,
    id=NAME,
    title=NAME,
    description=TEXT,
    brand=TEXT,
    category=st.lists(TEXT, max_size=3).map(tuple),
    attributes=st.dictionaries(TEXT, TEXT, max_size=3),
    price=st.none() | st.builds(Price, st.floats(allow_nan=False, allow_infinity=False), TEXT),
    images=st.lists(TEXT, max_size=2).map(tuple),
    url=TEXT,
    language=TEXT,
    extra=st.dictionaries(
        TEXT, st.none() | st.booleans() | st.integers(-(2**53), 2**53) | TEXT | st.lists(TEXT), max_size=3
    ),
)


@pytest.mark.parametrize("name", ["a.jsonl", "a.jsonl.gz", "a.parquet"])
@settings(max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(products=st.lists(PRODUCT, min_size=1, max_size=5, unique_by=lambda product: product.id))
def test_what_llmrec_wrote_comes_back_exactly(tmp_path: Path, name: str, products: list[Product]) -> None:
    write_records(tmp_path / name, products, Product)
    catalog = Catalog.read(tmp_path / name)
    assert list(catalog) == products
    assert not catalog.rejects


def test_what_was_imported_is_imported_again_unchanged(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(
        "id,title,description,price,note\n1,a & b,<p>x &amp;lt; y</p>,$5,n\n2, <i>c</i>,,x,\n"
    )
    import_catalog([tmp_path / "a.csv"], tmp_path / "a.jsonl")
    import_catalog([tmp_path / "a.jsonl"], tmp_path / "b.parquet")
    import_catalog([tmp_path / "b.parquet"], tmp_path / "c.jsonl")
    assert (tmp_path / "a.jsonl").read_bytes() == (tmp_path / "c.jsonl").read_bytes()
    assert (tmp_path / "c.rejects.jsonl").read_bytes() == b""


def test_options_apply_to_files_of_our_own_too(tmp_path: Path) -> None:
    write_records(tmp_path / "a.jsonl", [Product("1", "a", "long title", price=Price(5.0))], Product)
    (product,) = Catalog.read(tmp_path / "a.jsonl", mapping={"title": "description"}, currency="eur", language="de")
    assert product == Product("1", "long title", price=Price(5.0, "EUR"), language="de", extra={"title": "a"})
