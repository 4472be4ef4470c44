"""Searching an index through its public face, with a fake encoder."""

from __future__ import annotations

from pathlib import Path

import pytest

from llmrec.errors import InputError
from llmrec.index import Index
from llmrec.records import Product, ProductSummary, Query
from llmrec.seams import Retriever
from tests.fakes import FakeEncoder

PRODUCTS = [
    Product(id="shoe-42", title="Acme Trail 2 running shoe, 42", brand="Acme", category=("Sport", "Shoes")),
    Product(id="shoe-43", title="Acme Trail 2 running shoe, 43", brand="Acme", category=("Sport", "Shoes")),
    Product(id="hat", title="Wool hat", description="Knitted in Wales.", attributes={"colour": "blue"}),
    Product(id="player", title="Sony Turntable PSLX350H", description="Belt drive, 33 and 45 RPM."),
    Product(id="player-2", title="Sony Turntable PSLX450", description="Belt drive, 33 and 45 RPM."),
    Product(id="bag", title="防水 背包", description="轻便 旅行 背包"),
    Product(id="mug", title="แก้วน้ำ สแตนเลส"),
    Product(id="bare", title=""),
]


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return Index.build(tmp_path_factory.mktemp("shop") / "index", PRODUCTS, FakeEncoder())


def best(index: Index, text: str, title: str = "", retriever: str = "hybrid") -> str | None:
    hits = index.search_by(retriever, [Query(text=text, title=title)], 1)[0]
    return hits[0].product_id if hits else None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("wool hat", "hat"),
        ("knitted in wales", "hat"),
        ("blue hat", "hat"),
        ("acme trail size 43", "shoe-43"),
        ("the p s l x three fifty h by sony", "player"),
        ("SONY PSLX35OH", "player"),
        ("turntable pslx-450", "player-2"),
        ("背包", "bag"),
        ("แก้วน้ำ", "mug"),
    ],
)
@pytest.mark.parametrize("retriever", ["hybrid", "bm25"])
def test_products_are_found(index: Index, text: str, expected: str, retriever: str) -> None:
    assert best(index, text, retriever=retriever) == expected


def test_an_index_is_a_retriever(index: Index) -> None:
    assert isinstance(index, Retriever)
    assert index.retrievers == ("bm25:title", "bm25:whole", "dense:title", "dense:whole", "bm25", "dense", "hybrid")


@pytest.mark.parametrize(
    "retriever", ["bm25:title", "bm25:whole", "dense:title", "dense:whole", "bm25", "dense", "hybrid"]
)
def test_hits_are_sorted_named_and_as_many_as_asked(index: Index, retriever: str) -> None:
    for k in (1, 2, 50):
        hits = index.search_by(retriever, [Query(text="acme sony wool running turntable")], k)[0]
        assert 1 <= len(hits) <= min(k, len(PRODUCTS))
        assert {hit.retriever for hit in hits} == {retriever}
        assert [(-hit.score, hit.product_id) for hit in hits] == sorted((-hit.score, hit.product_id) for hit in hits)
        assert len({hit.product_id for hit in hits}) == len(hits)


def test_ties_are_broken_by_id(tmp_path: Path) -> None:
    same = [Product(id=id, title="red shoe") for id in ("b", "c", "a", "d")]
    index = Index.build(tmp_path / "index", [*same, Product(id="e", title="hat")], FakeEncoder())
    for retriever in index.retrievers:
        hits = index.search_by(retriever, [Query(text="shoe")], 3)[0]
        assert [hit.product_id for hit in hits] == ["a", "b", "c"], retriever


def test_words_find_only_what_shares_a_word(index: Index) -> None:
    found = index.search_by("bm25", [Query(text="turntable"), Query(text="zebra"), Query(text="wool zebra")], 10)
    assert [{hit.product_id for hit in hits} for hits in found] == [{"player", "player-2"}, set(), {"hat"}]


def test_the_title_is_searched_in_titles_and_the_text_in_the_whole(index: Index) -> None:
    assert best(index, "knitted", title="sony", retriever="bm25:title") in {"player", "player-2"}
    assert best(index, "knitted", title="sony", retriever="bm25:whole") == "hat"
    assert best(index, "", title="wool hat") == "hat"
    assert best(index, "belt drive rpm", title="PSLX450") == "player-2"


def test_empty_queries_find_nothing_and_do_not_disturb_others(index: Index) -> None:
    for retriever in index.retrievers:
        empty, blank, hat = index.search_by(retriever, [Query(text=""), Query(text=" \n"), Query(text="wool hat")], 3)
        assert (empty, blank) == ([], [])
        assert hat[0].product_id == "hat"
    assert index.search([], 5) == []


def test_a_batch_gives_what_single_queries_give(index: Index) -> None:
    queries = [Query(text="wool hat"), Query(text=""), Query(text="sony", title="turntable"), Query(text="42")]
    assert index.search(queries, 5) == [index.search([query], 5)[0] for query in queries]


def test_one_product_and_products_without_text(tmp_path: Path) -> None:
    one = Index.build(tmp_path / "one", PRODUCTS[:1], FakeEncoder(), dense="hnsw")
    assert [hit.product_id for hit in one.search([Query(text="shoe")], 5)[0]] == ["shoe-42"]
    bare = Index.build(tmp_path / "bare", [Product(id="x", title=""), Product(id="y", title="!!")], FakeEncoder())
    assert bare.info()["counts"]["without_text"] == 1
    assert bare.search_by("bm25", [Query(text="shoe")], 5) == [[]]
    assert {hit.product_id for hit in bare.search([Query(text="shoe")], 5)[0]} == {"x", "y"}


def test_calls_that_make_no_sense_are_refused(index: Index) -> None:
    queries = [Query(text="hat")]
    with pytest.raises(InputError, match="'prise', which is no field"):
        index.search(queries, 5, where="prise < 10")
    with pytest.raises(InputError, match="k=0"):
        index.search(queries, 0)
    with pytest.raises(InputError, match="no retriever 'splade'"):
        index.search_by("splade", queries, 5)
    with pytest.raises(InputError, match="no product 'nobody'"):
        index.product("nobody")


def test_products_lie_beside_the_vectors(index: Index) -> None:
    assert len(index) == len(PRODUCTS)
    assert index.products == PRODUCTS
    assert index.product("hat") == PRODUCTS[2]


def test_without_its_encoder_words_can_still_be_searched(index: Index) -> None:
    opened = Index.open(index.path)
    assert best(opened, "wool hat", retriever="bm25") == "hat"
    with pytest.raises(InputError, match="opened without its encoder") as caught:
        opened.search([Query(text="hat")], 1)
    assert "load_encoder('fake:encoder')" in caught.value.next_step


def test_an_index_without_vectors(tmp_path: Path) -> None:
    built = [
        Index.build(tmp_path / "none", PRODUCTS),
        Index.build(tmp_path / "refused", PRODUCTS, FakeEncoder(), dense="none"),
    ]
    for index in built:
        assert index.info()["encoder"] is None
        assert index.retrievers == ("bm25:title", "bm25:whole", "bm25", "hybrid")
        assert best(index, "PSLX450 turntable") == "player-2"
        assert Index.encoder_reference(index.path) is None


def test_exact_and_graph_search_agree(index: Index, tmp_path: Path) -> None:
    graph = Index.build(tmp_path / "index", PRODUCTS, FakeEncoder(), dense="hnsw")
    ways = [{own["factory"] for own in one.info()["search"].values()} for one in (graph, index)]
    assert ways == [{"HNSW32"}, {"Flat"}]
    queries = [Query(text="blue wool"), Query(text="sony belt drive", title="turntable")]
    for one, other in zip(graph.search(queries, 8), index.search(queries, 8), strict=True):
        assert [hit.product_id for hit in one] == [hit.product_id for hit in other]
        assert [hit.score for hit in one] == pytest.approx([hit.score for hit in other], rel=1e-5)


def test_another_fusion_can_be_chosen_when_opening(index: Index) -> None:
    opened = Index.open(index.path, FakeEncoder(), fusion="rrf")
    top = opened.search([Query(text="wool hat knitted in wales blue")], 1)[0][0]
    assert top.product_id == "hat"
    assert top.score == pytest.approx(4 / 61)  # first for all four parts
    with pytest.raises(InputError, match="fusion='max'"):
        Index.open(index.path, FakeEncoder(), fusion="max")  # type: ignore[arg-type]


SUMMARY = ProductSummary("hat", headline="Cosy beanie", summary="Keeps ears warm.", highlights=("handmade",))


@pytest.mark.parametrize(
    ("text", "beanie", "knitted"),
    [(None, True, True), ("both", True, True), ("summary", True, False), ("product", False, True)],
)
def test_what_is_indexed_of_a_product(tmp_path: Path, text: str | None, beanie: bool, knitted: bool) -> None:
    index = Index.build(tmp_path / "index", PRODUCTS, summaries=[SUMMARY], text=text)  # type: ignore[arg-type]
    assert (best(index, "beanie") == "hat") is beanie
    assert (best(index, "handmade") == "hat") is beanie
    assert (best(index, "knitted") == "hat") is knitted
    assert best(index, "wool hat") == "hat"
    assert best(index, "belt drive") in {"player", "player-2"}  # no summary: its own text stands in
    assert index.info()["counts"]["summarized"] == 1


def test_progress_is_told_while_encoding(tmp_path: Path) -> None:
    told: list[tuple[str, int]] = []

    def progress(items: object, label: str, total: int) -> object:
        told.append((label, total))
        return iter(items)  # type: ignore[call-overload]

    many = [Product(id=str(i), title=f"shoe {i}") for i in range(600)]
    Index.build(tmp_path / "index", many, FakeEncoder(), progress=progress)  # type: ignore[arg-type]
    assert told == [("encoding", 2)]
