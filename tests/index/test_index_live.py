"""A live index: after any changes it is the catalog that it should be, for readers old and new."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule
from PIL import Image

from llmrec.errors import ArtefactError, InputError
from llmrec.index import Index
from llmrec.index.lexical import Lexical
from llmrec.index.live.compacting import compact
from llmrec.index.live.follower import Follower
from llmrec.index.live.writing import IndexWriter, Written
from llmrec.index.verifying import rollback, verify
from llmrec.records import Price, Product, ProductSummary, Query
from tests.fakes import FakeEncoder, FakeImageEncoder

WORDS, CODES = ["red", "blue", "shoe", "hat", "wool", "tin"], ["ixus80", "coolpix95"]
ids = st.sampled_from([f"p{i}" for i in range(8)])
#: Of one length each, so that the average length, which stays until an index is compacted, is that of a new one.
titles = st.tuples(st.sampled_from(CODES), *[st.sampled_from(WORDS)] * 2).map(" ".join)
products = st.builds(
    Product,
    id=ids,
    title=titles,
    price=st.builds(Price, amount=st.integers(1, 9).map(float)),
    brand=st.sampled_from(["", "acme"]),
)
lists = st.lists(products, max_size=4, unique_by=lambda product: product.id)


class LiveIndexes(RuleBasedStateMachine):
    """Two writers, a reader that stays open, and a dictionary that is the truth."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.path = Path(self.folder.name) / "i"

    def teardown(self) -> None:
        self.folder.cleanup()

    @initialize(first=lists.filter(bool))
    def build(self, first: list[Product]) -> None:
        self.reader = Index.build(self.path, first, FakeEncoder(), dense="exact")
        self.true = {product.id: product for product in first}
        self.writers = [IndexWriter(self.path, FakeEncoder()) for _ in range(2)]
        self.held = [(self.reader, list(self.true))]

    @rule(new=lists, who=st.integers(0, 1))
    def put(self, new: list[Product], who: int) -> None:
        written = self.writers[who].put(new)
        changed = [product for product in new if self.true.get(product.id) != product]
        assert written.unchanged == len(new) - len(changed)
        assert written.added == sum(product.id not in self.true for product in changed)
        for product in changed:  # what is replaced comes last, as new products do
            self.true.pop(product.id, None)
            self.true[product.id] = product

    @rule(gone=st.lists(ids, max_size=3, unique=True), who=st.integers(0, 1))
    def remove(self, gone: list[str], who: int) -> None:
        there = [id for id in gone if id in self.true]
        if len(there) < len(gone):
            with pytest.raises(InputError, match="no product"):
                self.writers[who].remove(gone)
        assert self.writers[who].remove(gone, missing_ok=True) == len(there)
        for id in there:
            del self.true[id]

    @rule()
    def compact(self) -> None:
        if self.true:
            assert compact(self.path)["products"] == len(self.true)

    @rule()
    def open_anew(self) -> None:
        self.reader = Index.open(self.path, FakeEncoder())

    @rule()
    def hold(self) -> None:
        self.held = [*self.held[-2:], (self.reader, self.reader.ids)]

    @invariant()
    def the_reader_sees_what_there_is(self) -> None:
        self.reader = index = self.reader.latest()
        assert (index.ids, len(index)) == (list(self.true), len(self.true))
        assert index.products == list(self.true.values())
        assert all(index.product(id) == product for id, product in self.true.items())
        cheap = 'price < 5 and brand == "acme"'
        assert index.ids_where(cheap) == [
            p.id for p in self.true.values() if p.brand and p.price is not None and p.price.amount < 5
        ]

    @invariant()
    def words_and_vectors_find_as_in_a_new_index(self) -> None:
        queries = [Query("red shoe"), Query("ixus80 tin"), Query("hat of blue wool")]
        fresh = Lexical.build([product.title for product in self.true.values()] or [""])
        vectors = FakeEncoder().encode([product.title for product in self.true.values()])
        by_words = self.reader.search_by("bm25:title", queries, 20)
        near = self.reader.search_by("dense:title", queries, 20)
        for query, words, close in zip(queries, by_words, near, strict=True):
            scores = fresh.scores(fresh.words(query.text))[: len(self.true)]
            expected = {id: float(s) for id, s in zip(self.true, scores, strict=True) if s > 0}
            assert {hit.product_id: hit.score for hit in words} == pytest.approx(expected, rel=1e-5)
            cosines = vectors @ FakeEncoder().encode([query.text])[0] if self.true else []
            assert {hit.product_id: hit.score for hit in close} == pytest.approx(
                dict(zip(self.true, map(float, cosines), strict=True)), abs=1e-5
            )
        found = {hit.product_id for hits in self.reader.search(queries, 20) for hit in hits}
        assert found == (set(self.true) if self.true else set())
        pieces = {hit.product_id for hit in self.reader.search_pieces([("ixus8", 0.9)], 20)}
        assert pieces >= {id for id, product in self.true.items() if "ixus80" in product.title}
        assert pieces <= set(self.true)

    @invariant()
    def who_looks_at_an_earlier_moment_sees_that(self) -> None:
        for index, then in self.held:
            assert index.ids == then
            assert {hit.product_id for hit in index.search_by("dense", [Query("red")], 20)[0]} == set(then)


LiveIndexes.TestCase.settings = settings(
    max_examples=12, stateful_step_count=12, deadline=None, suppress_health_check=list(HealthCheck)
)
TestLiveIndexes = LiveIndexes.TestCase


def shop(path: Path, **options: object) -> Index:
    catalog = [Product("a", "red shoe"), Product("b", "blue hat", brand="acme")]
    return Index.build(path, catalog, FakeEncoder(), **options)  # type: ignore[arg-type]


def test_a_change_is_seen_by_whoever_asks_for_the_latest(tmp_path: Path) -> None:
    index = shop(tmp_path / "i")
    assert index.latest() is index
    writer = IndexWriter(tmp_path / "i", FakeEncoder())
    assert writer.add([Product("c", "tin toy"), Product("a", "red shoe")]) == Written(1, 0, 1)
    newer = index.latest()
    assert newer is not index and newer.latest() is newer
    assert [hit.product_id for hit in newer.search([Query("tin toy")], 1)[0]] == ["c"]
    assert index.search_by("bm25", [Query("tin toy")], 1) == [[]]
    assert (
        newer.version_digest
        != index.version_digest
        == Index.build(tmp_path / "j", index.products, FakeEncoder()).version_digest
    )
    assert newer.info()["since"] == {"added": 1, "gone": 0} and newer.info()["counts"]["products"] == 3
    told = verify(tmp_path / "i")
    assert told["products"] == 3 and set(told["found"].values()) == {1.0}
    compact(tmp_path / "i")
    assert newer.latest().info()["since"] == {"added": 0, "gone": 0}
    assert newer.latest().info()["version"] == "0002"


def test_an_index_without_some_products_stays_as_it_is(tmp_path: Path) -> None:
    thinned = shop(tmp_path / "i").without(["b"])
    IndexWriter(tmp_path / "i", FakeEncoder()).add([Product("c", "tin toy")])
    assert thinned.latest() is thinned and thinned.ids == ["a"]
    assert Index.open(tmp_path / "i", FakeEncoder()).without(["a", "c"]).ids == ["b"]


def test_add_and_update_keep_to_what_they_are_asked(tmp_path: Path) -> None:
    shop(tmp_path / "i")
    writer = IndexWriter(tmp_path / "i", FakeEncoder())
    with pytest.raises(InputError, match="has another product 'a' already"):
        writer.add([Product("c", "tin toy"), Product("a", "green shoe")])
    with pytest.raises(InputError, match="no product 'd' to update"):
        writer.update([Product("a", "green shoe"), Product("d", "tin toy")])
    with pytest.raises(InputError, match="products 1 and 2 have one id: 'd'"):
        writer.put([Product("d", "tin"), Product("d", "toy")])
    with pytest.raises(InputError, match="has no id"):
        writer.put([Product("", "tin")])
    assert Index.open(tmp_path / "i").ids == ["a", "b"]
    assert writer.update([Product("a", "green shoe"), Product("b", "blue hat", brand="acme")]) == Written(0, 1, 1)
    assert writer.index.product("a").title == "green shoe" and writer.index.ids == ["b", "a"]
    with pytest.raises(InputError, match="needs its encoder"):
        IndexWriter(tmp_path / "i").add([Product("d", "tin toy")])
    with pytest.raises(ArtefactError, match="other weights or settings"):
        IndexWriter(tmp_path / "i", FakeEncoder(salt="x"))


def test_summaries_live_on(tmp_path: Path) -> None:
    path = tmp_path / "i"
    written = {id: ProductSummary(id, "", f"{id} keeps rain off") for id in ("a", "c")}
    shop(path, summaries=[written["a"]])
    writer = IndexWriter(path, FakeEncoder())
    writer.add([Product("c", "tin toy")], written)
    assert writer.add([Product("c", "tin toy")], written) == Written(0, 0, 1)
    assert writer.update([Product("b", "blue hat", brand="acme")], {"b": written["a"]}).replaced == 1
    for index in (writer.index, Index.open(path, FakeEncoder())):
        found = index.search_by("bm25", [Query("rain")], 5)[0]
        assert {hit.product_id for hit in found} == {"a", "b", "c"}
    compact(path)
    index = Index.open(path, FakeEncoder())
    assert {hit.product_id for hit in index.search_by("bm25", [Query("rain")], 5)[0]} == {"a", "b", "c"}
    assert index.summary("c") == written["c"] and index.info()["counts"]["summarized"] == 3


def test_pictures_live_too(tmp_path: Path) -> None:
    for name in ("red", "green", "blue"):
        Image.new("RGB", (8, 8), name).save(tmp_path / f"{name}.png")
    path = tmp_path / "i"
    colours = np.eye(3, dtype=np.float32)
    catalog = [Product("a", "red thing", images=("red.png",)), Product("b", "plain")]
    options = {"image_encoder": FakeImageEncoder(), "images_root": tmp_path}
    index = Index.build(path, catalog, None, **options)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="needs its image encoder"):
        IndexWriter(path).add(catalog)
    writer = IndexWriter(path, **options)  # type: ignore[arg-type]
    writer.add([Product("c", "thing", images=("blue.png", "green.png"))])
    writer.update([Product("a", "thing", images=("green.png",))])

    def first(of: Index) -> list[str]:
        return [hits[0].product_id for hits in of.search_pictures(colours, 3, "vision:images")]

    assert first(index)[0] == "a" and first(index.latest())[1:] == ["a", "c"]
    assert {hit.product_id for hit in index.latest().search_pictures(colours[2:], 3)[0]} == {"a", "b", "c"}
    compact(path)
    assert first(index.latest())[1:] == ["a", "c"]
    assert index.latest().info()["pictures"]["embedded"] == 3
    writer.remove(["a"])
    assert all(h.product_id != "a" for hits in writer.index.search_pictures(colours, 3) for h in hits)


def test_prices_of_two_currencies_are_not_compared_unnamed(tmp_path: Path) -> None:
    index = Index.build(tmp_path / "i", [Product("a", "shoe", price=Price(10, "EUR"))], None)
    IndexWriter(tmp_path / "i").add([Product("b", "shoe", price=Price(10, "USD"))])
    assert index.count("price < 20") == 1
    with pytest.raises(InputError, match="prices in EUR, USD"):
        index.latest().count("price < 20")
    assert index.latest().ids_where("price < 20 USD") == ["b"]


def test_going_back_takes_what_was_written_along(tmp_path: Path) -> None:
    path = tmp_path / "i"
    index = shop(path)
    writer = IndexWriter(path, FakeEncoder())
    writer.add([Product("c", "tin toy")])
    compact(path)
    writer.remove(["a"])
    assert index.latest().ids == ["b", "c"]
    assert rollback(path) == ("0002", "0001")
    assert index.latest().ids == ["a", "b", "c"]
    writer.add([Product("d", "tin hat")])
    assert index.latest().ids == ["a", "b", "c", "d"]
    assert compact(path)["version"] == "0003"
    assert not (path / "versions" / "0002").exists() and index.latest().ids == ["a", "b", "c", "d"]


def test_what_comes_while_an_index_is_compacted_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "i"
    index = shop(path)
    writer = IndexWriter(path, FakeEncoder())
    writer.put([Product("c", "tin toy"), Product("a", "red boot")])
    from llmrec.index.live import compacting

    build = compacting.write_version

    def meanwhile(*args: object, **options: object) -> None:
        writer.put([Product("c", "tin hat"), Product("d", "wool hat")])
        writer.put([Product("d", "wool cap")])
        writer.remove(["b"])
        build(*args, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(compacting, "write_version", meanwhile)
    told = compact(path)
    assert (told["version"], told["products"], told["carried"]) == ("0002", 3, 4)
    for one in (index.latest(), writer.index.latest(), Index.open(path, FakeEncoder())):
        assert [(p.id, p.title) for p in one.products] == [("a", "red boot"), ("c", "tin hat"), ("d", "wool cap")]
    monkeypatch.undo()
    assert compact(path)["products"] == 3 and compact(path)["version"] == "0003"


def test_all_may_go_but_not_be_compacted_away(tmp_path: Path) -> None:
    index = shop(tmp_path / "i")
    IndexWriter(tmp_path / "i", FakeEncoder()).remove(["a", "b"])
    assert index.latest().search([Query("red shoe")], 3) == [[]] and len(index.latest()) == 0
    with pytest.raises(InputError, match="all its products are gone"):
        compact(tmp_path / "i")


def test_a_large_index_finds_around_what_is_gone(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    catalog = [Product(f"p{i}", " ".join(rng.choice(WORDS, 2))) for i in range(3000)]
    index = Index.build(tmp_path / "i", catalog, FakeEncoder(), dense="HNSW16")
    query = Query("red shoe")
    near = [hit.product_id for hit in index.search_by("dense:title", [query], 400)[0]]
    writer = IndexWriter(tmp_path / "i", FakeEncoder())
    writer.remove(near)
    writer.add([Product("new", "red shoe")])
    left = writer.index.search_by("dense:title", [query], 50)[0]
    assert left[0].product_id == "new" and len(left) == 50
    assert not {hit.product_id for hit in left} & set(near)


def test_who_serves_has_the_latest_without_asking(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    index = shop(tmp_path / "i")
    writer = IndexWriter(tmp_path / "i", FakeEncoder())

    def within_seconds(fits: Callable[[], bool]) -> bool:
        until = time.monotonic() + 20
        while not fits() and time.monotonic() < until:
            time.sleep(0.01)
        return fits()

    with Follower(index, every=0.01) as live:
        writer.add([Product("c", "tin toy")])
        assert within_seconds(lambda: "c" in live.index.ids)
        compact(tmp_path / "i")
        assert within_seconds(lambda: live.index.info()["version"] == "0002")
        Index.build(tmp_path / "i", index.products, FakeEncoder(salt="x"), replace=True)
        assert within_seconds(lambda: live.fault is not None)
        assert live.index.ids == ["a", "b", "c"] and "searched on" in caplog.text
        Index.build(tmp_path / "i", index.products, FakeEncoder(), replace=True)
        assert within_seconds(lambda: live.fault is None and live.index.ids == ["a", "b"])
    writer.add([Product("d", "tin toy")])
    assert live.index.ids == ["a", "b"]
