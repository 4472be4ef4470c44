"""Views, fusion and the matcher, with the figures worked out by hand."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.match import Matcher, MatchSettings, fuse_views, views_of
from llmrec.match.views import Window, distinct, windows
from llmrec.match.watching import watch_contents, watched
from llmrec.records import Content, ContentKind, Hit, Intent, Product, Query, TimedText
from tests.fakes import FakeRetriever

PRODUCTS = {
    "mug": Product("mug", "blue enamel mug"),
    "pot": Product("pot", "blue enamel pot"),
    "tent": Product("tent", "two person tent"),
}


class Shelf:
    """An index of fakes."""

    def __init__(self) -> None:
        self._found = FakeRetriever({id: product.title for id, product in PRODUCTS.items()})
        self.asked: list[Query] = []

    def search(self, queries: Sequence[Query], k: int, where: str | None = None) -> list[list[Hit]]:
        self.asked.extend(queries)
        return self._found.search(queries, k)

    def product(self, product_id: str) -> Product:
        return PRODUCTS[product_id]


def test_a_search_is_one_view() -> None:
    views = views_of(Content("c", "search", title="blue mug", hashtags=("#sale",)))
    assert [(v.group, v.query) for v in views] == [("whole", Query("blue mug \nsale", "blue mug"))]


def test_a_video_has_a_view_for_each_source() -> None:
    said, shown = TimedText(0, 1, "a mug", "speech"), TimedText(0, 1, "€5", "screen")
    content = Content("c", "video", title="Look!", timed_text=(said, shown, said))
    intents = [Intent("c", query="enamel mug", start=0.0, end=1.0), Intent("c"), Intent("c", query="pot")]
    views = views_of(content, intents)
    assert [v.group for v in views] == ["whole", "screen", "speech", "title", "print", "intent", "intent"]
    assert views[2].query == Query("a mug")
    assert views[3].query == Query("Look!")
    assert views[4].lines == (("€5", 0.9),)
    assert (views[5].query, views[5].start, views[5].end) == (Query("enamel mug"), 0.0, 1.0)


def test_what_viewers_write_stands_for_itself() -> None:
    said, asked = TimedText(0, 1, "a mug", "speech"), TimedText(0, 0, "is the pot in stock?", "chat")
    views = {view.group: view.query.text for view in views_of(Content("c", "live", timed_text=(asked, said)))}
    assert (views["whole"], views["chat"]) == ("a mug", "is the pot in stock?")
    (whole, chat) = views_of(Content("c", "live", timed_text=(asked,)))
    assert whole.query.text == chat.query.text == "is the pot in stock?"


def test_long_speech_is_cut_into_overlapping_windows() -> None:
    pieces = [TimedText(float(i), i + 1.0, f"w{i} x{i}", "speech") for i in range(10)]
    assert windows(pieces, size=8, long=20) == []
    found = windows(pieces, size=8, long=19)
    assert found[0] == Window("w0 x0 w1 x1 w2 x2 w3 x3", 0.0, 4.0)
    assert found[1] == Window("w2 x2 w3 x3 w4 x4 w5 x5", 2.0, 6.0)
    assert found[-1].text.endswith("w9 x9") and found[-1].end == 10.0


@given(st.lists(st.integers(1, 30), max_size=30), st.integers(1, 40))
def test_windows_cover_every_piece(lengths: list[int], size: int) -> None:
    pieces = [TimedText(float(i), i + 1.0, f"p{i} " + "w " * (n - 1), "chat") for i, n in enumerate(lengths)]
    found = " ".join(window.text for window in windows(pieces, size=size, long=0)).split()
    assert {f"p{i}" for i in range(len(lengths))} <= set(found)


def test_distinct_keeps_the_first_spelling() -> None:
    assert distinct(["Sale", "", "SALE ", "mug"]) == ["Sale", "mug"]


def test_fusion_by_hand() -> None:
    whole = [Hit("a", 3.0, "i"), Hit("b", 2.0, "i")]
    speech = [Hit("b", 5.0, "i"), Hit("c", 1.0, "i")]
    fused = fuse_views([("whole", whole), ("speech", speech), ("unknown", whole)], {"whole": 1.0, "speech": 0.5})
    # a: 3 + .5 × 1 (the floor); b: 2 + .5 × 5; c: 2 (the floor) + .5 × 1
    assert [(hit.product_id, hit.score) for hit in fused] == [("b", 4.5), ("a", 3.5), ("c", 2.5)]


def test_of_the_windows_the_best_counts() -> None:
    views = [("window", [Hit("a", 1.0, "i")]), ("window", [Hit("b", 4.0, "i"), Hit("a", 3.0, "i")])]
    assert [(h.product_id, h.score) for h in fuse_views(views, {"window": 1.0})] == [("b", 4.0), ("a", 3.0)]


def test_match_ranks_and_explains() -> None:
    matcher = Matcher(Shelf(), settings=MatchSettings(k=2))
    contents = [Content("1", "search", title="enamel mug"), Content("2", "search", title="tent")]
    first, second = matcher.match(contents)
    assert [(p.product_id, p.rank) for p in first.products] == [("mug", 1), ("pot", 2)]
    assert first.products[0].evidence[0].text == "enamel mug"
    assert second.products[0].product_id == "tent"
    assert first.no_match.decision is None and first.products[0].probability is None


def test_media_is_watched_first_and_the_content_keeps_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "clip.mp4").touch()
    seen: list[Path] = []

    def watch(path: Path, *, id: str, kind: ContentKind) -> Content:
        seen.append(path)
        return Content("other", "video", title="from file", timed_text=(TimedText(1, 2, "a tent", "speech"),))

    matcher = Matcher(Shelf(), watch=watch)
    content = Content("c", "live", caption="hi", media="clip.mp4")
    (match,) = matcher.match([content], folder=tmp_path)
    assert seen == [tmp_path / "clip.mp4"]
    assert match.content_id == "c"
    assert match.products[0].product_id == "tent"
    full = watched(content, watch, tmp_path)
    assert (full.kind, full.caption, full.title) == ("live", "hi", "from file")
    assert watched(full, watch, tmp_path) is full


def test_a_chat_log_beside_media_does_not_pass_for_watching(tmp_path: Path) -> None:
    (tmp_path / "live.mp4").touch()
    chat, said = TimedText(5, 5, "how big?", "chat"), TimedText(1, 2, "a tent", "speech")
    content = Content("c", "live", media="live.mp4", timed_text=(chat,))
    full = watched(content, lambda path, **_: Content("x", "video", timed_text=(said,)), tmp_path)
    assert full.timed_text == (said, chat)


def test_watching_goes_on_where_it_stopped(tmp_path: Path) -> None:
    contents = [Content(name, "video", media=f"{name}.mp4") for name in "abc"] + [Content("q", "search", title="mug")]
    for name in "abc":
        (tmp_path / f"{name}.mp4").write_text(name)
    calls: list[str] = []

    def watch(path: Path, *, id: str, kind: ContentKind) -> Content:
        calls.append(id)
        if calls.count("b") == 1 and id == "b":
            raise KeyboardInterrupt
        return Content(id, kind, timed_text=(TimedText(0, 1, f"this is {id}", "speech"),))

    options = {"folder": tmp_path, "target": tmp_path / "m.jsonl", "settings": "s"}
    with pytest.raises(KeyboardInterrupt):
        list(watch_contents(contents, watch, **options))
    found = list(watch_contents(contents, watch, **options))
    assert calls == ["a", "b", "b", "c"]
    assert [c.timed_text[0].text for c in found[:3]] == ["this is a", "this is b", "this is c"]
    assert found[3] is contents[3]
    assert not list(tmp_path.glob(".*"))


def test_missing_media_names_the_content(tmp_path: Path) -> None:
    matcher = Matcher(Shelf(), watch=lambda path, **_: Content("x", "video"))
    with pytest.raises(InputError, match=r"content 'c': media file .*gone\.mp4 does not exist"):
        list(matcher.match([Content("c", "video", media="gone.mp4")], folder=tmp_path))


def test_media_with_nothing_in_it_leaves_the_content_to_its_own_words(tmp_path: Path) -> None:
    (tmp_path / "silent.wav").write_bytes(b"RIFF")

    def hears_nothing(path: Path, *, id: str, kind: ContentKind) -> Content:
        return Content(id, kind, media=str(path))

    asked = [Content("a", "video", title="blue enamel mug", media="silent.wav")]
    seen = list(watch_contents(asked, hears_nothing, folder=tmp_path, target=tmp_path / "out", settings=""))
    assert seen == [Content("a", "video", title="blue enamel mug")]
    assert next(Matcher(Shelf()).match(seen, folder=tmp_path)).products[0].product_id == "mug"
