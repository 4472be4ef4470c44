"""An index in a store finds what the index folder finds: on the client's local form, and on the engine of a server."""

from __future__ import annotations

import itertools
import random
import sys
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from llmrec.errors import ArtefactError, InputError, MissingExtraError, StorageError
from llmrec.index import Index
from llmrec.index.remote import Layout, RemoteIndex, push
from llmrec.index.remote.address import parse_address
from llmrec.index.remote.changing import put, remove
from llmrec.index.remote.store import BESIDE, Store
from llmrec.match import Matcher
from llmrec.records import Content, Price, Product, Query
from tests.fakes import FakeEncoder

WORDS = ["red", "blue", "enamel", "steel", "wool", "mug", "tent", "lamp", "shoe", "hat", "bag", "running", "trail"]
WORDS += ["camping", "kitchen", "kids", "large"]
SHOP = "qdrant+file:store/shop"


def catalog(count: int = 300, seed: int = 0) -> list[Product]:
    """Products of few words, so that many share some; one in three names a model number."""
    rng = random.Random(seed)
    found = []
    for number in range(count):
        code = f" ax{1000 + number}w" if number % 3 == 0 else ""
        title = " ".join(rng.sample(WORDS, 3)) + code
        brand, price = rng.choice(["Acme", "Globex", ""]), Price(rng.randint(1, 99), "EUR")
        text = " ".join(rng.choices(WORDS, k=rng.randint(0, 12)))
        found.append(Product(f"p{number:03d}", title, text, brand, ("Home", rng.choice(WORDS)), price=price))
    return found


QUERIES = [Query("red enamel mug"), Query("lamp ax1003w camping"), Query("the trail", title="running shoe"), Query("")]
QUERIES += [Query("quux"), Query("ax1000 ax-1006-w mug")]


@pytest.fixture(params=["local", "engine"])
def client(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Any]:
    """A store: the client's own form, and the engine with a graph over the vectors."""
    qdrant = pytest.importorskip("qdrant_client", reason="pip install 'llmrec[qdrant]'")
    if request.param == "engine":
        pytest.importorskip("qdrant_edge", reason="pip install qdrant-edge-py")
        from tests.index.edge import EdgeClient

        made: Any = EdgeClient(tmp_path / "edge", graph=20)
    else:
        made = qdrant.QdrantClient(":memory:")
    yield made
    made.close()


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    return Index.build(tmp_path_factory.mktemp("built") / "shop.index", catalog(), FakeEncoder())


@pytest.fixture
def stored(index: Index, client: Any) -> RemoteIndex:
    assert push(index.path, SHOP, client=client)["sent"] == 300
    return RemoteIndex.open(SHOP, FakeEncoder(), client=client)


@pytest.mark.parametrize("where", [None, 'brand == "Acme" and price < 50'])
def test_every_retriever_finds_what_the_folder_finds(index: Index, stored: RemoteIndex, where: str | None) -> None:
    assert stored.retrievers == index.retrievers
    for name in index.retrievers:
        wide = index.search_by(name, QUERIES, 100, where)
        for query, ours, theirs in zip(QUERIES, wide, stored.search_by(name, QUERIES, 10, where), strict=True):
            scores = {hit.product_id: hit.score for hit in ours}
            assert [h.score for h in theirs] == pytest.approx([h.score for h in ours[:10]], abs=1e-4), (name, query)
            assert [scores[h.product_id] for h in theirs] == pytest.approx([h.score for h in theirs], abs=1e-4)


def test_products_stand_as_in_the_folder(index: Index, stored: RemoteIndex) -> None:
    ids = [[hit.product_id for hit in hits] for hits in index.search(QUERIES, 5)]
    for ours, theirs in zip(index.standing(QUERIES, ids), stored.standing(QUERIES, ids), strict=True):
        assert theirs.parts == ours.parts and (theirs.known, theirs.coded) == (ours.known, ours.coded)
        assert theirs.z == pytest.approx(ours.z, abs=1e-4)
        assert theirs.other.tolist() == ours.other.tolist()


def test_a_matcher_takes_it_as_it_takes_the_folder(index: Index, stored: RemoteIndex) -> None:
    contents = [Content("a", "search", title="blue lamp ax1003w"), Content("b", "post", caption="a wool hat")]
    for ours, theirs in zip(Matcher(index).match(contents), Matcher(stored).match(contents), strict=True):
        assert theirs.products[0].product_id == ours.products[0].product_id
        assert theirs.products[0].evidence == ours.products[0].evidence


def test_how_scores_spread_is_known_beyond_those_that_are_asked_for(
    index: Index, stored: RemoteIndex, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmrec.index.remote.scoring.MOMENTS", 20)
    ((_, exact),) = index.scored([QUERIES[0]], depth=20)
    _, found = stored._scored([QUERIES[0]], "hybrid", 20, None)[0]
    for part in ("bm25:title", "bm25:whole"):
        own, theirs = exact.z[part], found.z[part]
        # same slope: a deviation of the right size
        spread = float(np.ptp(theirs) / np.ptp(own)) * float(np.ptp(exact.raw[part]) / np.ptp(found.raw[part]))
        assert spread == pytest.approx(1, abs=0.1)
        assert theirs.max() == pytest.approx(own.max(), rel=0.1)


def test_a_load_that_stops_is_not_taken_for_whole_and_goes_on(
    index: Index, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("llmrec.index.remote.pushing.BATCH", 50)
    written = itertools.count()
    plain = Store.put

    def stopping(self: Store, collection: str, points: Any) -> None:
        if next(written) == 3:
            raise StorageError("gone", next_step="")
        plain(self, collection, points)

    monkeypatch.setattr(Store, "put", stopping)
    with pytest.raises(StorageError, match="gone"):
        push(index.path, SHOP, client=client)
    with pytest.raises(InputError, match="no such index"):
        RemoteIndex.open(SHOP, client=client)
    assert push(index.path, SHOP, client=client)["sent"] == 150
    assert RemoteIndex.open(SHOP, client=client).info()["stored"] == 300
    assert push(index.path, SHOP, client=client)["sent"] == 0


def test_an_index_is_replaced_when_the_new_one_is_whole(index: Index, client: Any, tmp_path: Path) -> None:
    first = push(index.path, SHOP, client=client)["collection"]
    old = RemoteIndex.open(SHOP, FakeEncoder(), client=client)
    folders = [Index.build(tmp_path / f"{n}", catalog(20, n), FakeEncoder()).path for n in (1, 2)]
    with pytest.raises(InputError, match="holds another index"):
        push(folders[0], SHOP, client=client)
    second = push(folders[0], SHOP, replace=True, client=client)["collection"]
    # who has it open goes on with it, and asks for what is there now
    assert old.search(QUERIES[:1], 3)[0] and old.info()["stored"] == 300
    assert old.latest().info()["stored"] == 20 and old.latest().latest().collection == second
    push(folders[1], SHOP, replace=True, keep=False, client=client)
    names = {collection.name for collection in client.get_collections().collections}
    assert len(names) == 2 and not names & {first, second, first + BESIDE, second + BESIDE}


def test_what_is_not_an_index_or_not_whole_is_refused(index: Index, client: Any) -> None:
    from qdrant_client import models

    told = push(index.path, SHOP, client=client)
    with pytest.raises(ArtefactError, match="was built with the encoder"):
        RemoteIndex.open(SHOP, FakeEncoder(32), client=client)
    with pytest.raises(InputError, match="opened without its encoder"):
        RemoteIndex.open(SHOP, client=client).search(QUERIES, 3)
    with pytest.raises(InputError, match="cannot be thinned out"):
        RemoteIndex.open(SHOP, client=client).without(["p001"])
    beside = told["collection"] + BESIDE
    client.upsert(beside, [models.PointStruct(id=1, vector={}, payload={"data": "AAAA"})], wait=True)
    with pytest.raises(ArtefactError, match="damaged"):
        RemoteIndex.open(SHOP, client=client)
    client.delete(beside, models.PointIdsList(points=[0]), wait=True)
    with pytest.raises(ArtefactError, match="is not whole"):
        RemoteIndex.open(SHOP, client=client)
    client.create_collection("taken", vectors_config={})
    with pytest.raises(InputError, match="something else"):
        push(index.path, "qdrant+file:store/taken", client=client)
    with pytest.raises(InputError, match="no field that can be indexed"):
        push(index.path, SHOP, layout=Layout(facets=["colour"]), client=client)


@pytest.mark.parametrize(("status", "ready"), [("green", True), ("grey", True), ("yellow", False)])
def test_a_store_is_waited_for_while_it_works(status: str, ready: bool) -> None:
    assert Store(parse_address(SHOP), Answering(status)).is_ready("shop-1") is ready  # type: ignore[arg-type]


def test_a_store_that_failed_is_not_waited_for() -> None:
    with pytest.raises(StorageError, match="failed to index"):
        Store(parse_address(SHOP), Answering("red")).is_ready("shop-1")  # type: ignore[arg-type]


class Answering:
    """A client of which a collection has a status."""

    def __init__(self, status: str) -> None:
        self._status = status

    def info(self) -> SimpleNamespace:
        return SimpleNamespace(version="1.20.0")

    def get_collection(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(status=SimpleNamespace(value=self._status))


def test_single_products_come_and_go(stored: RemoteIndex) -> None:
    new = Product("new", "quux zx9000k", "a quux of steel", "Acme", ("Home",), price=Price(5, "EUR"))
    late = RemoteIndex.open(SHOP, FakeEncoder(), client=stored.store.client)
    changed = put(stored, [new, Product("p000", "plain tent")])
    assert changed.version_digest == late.latest().version_digest != late.version_digest
    for own in (changed, late.latest()):
        (found, coded, tent) = own.search([Query("quux"), Query("zx-9000-k"), Query("plain tent")], 1)
        assert [found[0].product_id, coded[0].product_id, tent[0].product_id] == ["new", "new", "p000"]
        assert own.product("new") == new and own.product("p000").title == "plain tent"
        assert own.count('brand == "acme" and price == 5 EUR and title contains "quux"') == 1
    # its score is BM25 with the catalog's lengths and a word that one of 300 products has
    counts, length = 1, 2 + 3  # tokens: quux, zx9000k, zx, 9000, k, and zx9000
    expected = np.log(1 + (300 - 1 + 0.5) / 1.5)
    hit = changed.search_by("bm25:title", [Query("quux")], 1)[0][0]
    average = changed.manifest["averages"]["title"]
    assert hit.score == pytest.approx(expected / (1 + 1.2 * (0.25 + 0.75 * (length + counts) / average)), rel=1e-3)
    assert remove(changed, ["new", "nobody"]) == 1
    assert changed.latest().search_by("bm25", [Query("quux")], 3) == [[]]
    with pytest.raises(InputError, match="no product 'new'"):
        late.latest().product("new")
    with pytest.raises(InputError, match="no prices in CHF"):
        put(changed, [Product("x", "hat", price=Price(1, "CHF"))])


def test_a_folder_with_changes_is_compacted_first(client: Any, tmp_path: Path) -> None:
    from llmrec.index.live.compacting import compact
    from llmrec.index.live.writing import IndexWriter

    path = Index.build(tmp_path / "live", catalog(20), None).path
    IndexWriter(path).remove(["p003"])
    with pytest.raises(InputError, match="has changes") as told:
        push(path, SHOP, client=client)
    assert "llmrec index compact" in told.value.next_step
    compact(path)
    assert push(path, SHOP, client=client)["products"] == 19


def test_all_of_it_goes_through_the_clients_http(
    index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("qdrant_client", reason="pip install 'llmrec[qdrant]'")
    pytest.importorskip("qdrant_edge", reason="pip install qdrant-edge-py")
    from tests.index.edge_server import serving

    words = Index.build(tmp_path / "words", catalog(30), None).path
    with serving(tmp_path / "edge", graph=20) as place:
        push(index.path, f"qdrant://{place}/shop", layout=Layout(shards=2, replicas=2, facets=["attributes.a b"]))
        stored = RemoteIndex.open(f"qdrant://{place}/shop", FakeEncoder(), exact=True)
        ours, theirs = index.search(QUERIES, 5, "price > 9"), stored.search(QUERIES, 5, "price > 9")
        assert [[h.score for h in own] for own in theirs] == [
            pytest.approx([h.score for h in own], abs=1e-4) for own in ours
        ]
        assert sorted(stored.ids) == sorted(index.ids)
        assert sorted(stored.ids_where("price < 20")) == sorted(index.ids_where("price < 20"))
        assert put(stored, [Product("new", "quux")]).search([Query("quux")], 1)[0][0].product_id == "new"
        assert remove(stored, ["new"]) == 1 and stored.latest().count("price exists") == 300
        with pytest.raises(StorageError, match="answers 404"):
            stored.store.count("nowhere")
        # and the commands
        shop = f"qdrant://{place}/words"
        assert run("index", "push", words, "--to", shop, "--json") == 0
        assert run("index", "push", index.path, "--to", shop) == 2
        assert run("index", "search", shop, "enamel mug", "--where", 'brand == "Acme"') == 0
        assert run("index", "info", shop) == 0
        out = capsys.readouterr().out
        assert '"sent":30' in out and "rank  score" in out and f"{shop}: 30 products" in out
        (tmp_path / "asked.jsonl").write_text('{"id":"a","kind":"search","title":"ax1003w"}\n')
        matched = ["-o", tmp_path / "found.jsonl", "--run", tmp_path / "run.trec", "--where", "price > 0"]
        assert run("match", tmp_path / "asked.jsonl", "--index", shop, *matched) == 0
        assert (tmp_path / "run.trec").read_text().startswith("a Q0 p003 1 ")


def run(*words: object) -> int:
    from typer.testing import CliRunner

    from llmrec.cli import app

    result = CliRunner().invoke(app, [str(word) for word in words])
    print(result.output)
    return result.exit_code


def test_without_the_client_the_way_to_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "qdrant_client", None)
    with pytest.raises(MissingExtraError) as told:
        RemoteIndex.open("qdrant://localhost/shop")
    assert "pip install 'llmrec[qdrant]'" in told.value.next_step


def test_a_server_that_is_not_there_or_too_old_is_told() -> None:
    qdrant = pytest.importorskip("qdrant_client", reason="pip install 'llmrec[qdrant]'")
    with pytest.raises(InputError, match="does not answer"):
        RemoteIndex.open("qdrant://127.0.0.1:9/shop")

    class Old(qdrant.QdrantClient):
        def info(self) -> Any:
            return type("Info", (), {"version": "1.19.2"})

    with pytest.raises(InputError, match=r"1\.19\.2"):
        RemoteIndex.open(SHOP, client=Old(":memory:"))
