"""What was read on screen is searched by pieces of words."""

from __future__ import annotations

from llmrec.index import Index
from llmrec.match import Matcher, views_of
from llmrec.records import Content, Product, TimedText

UNSURE = TimedText(0.0, 1.0, "HEEZJ", "screen", 0.5)


def test_unsure_text_is_searched_by_pieces_only() -> None:
    said = TimedText(0.0, 1.0, "so crunchy", "speech", 0.9)
    views = {view.group: view for view in views_of(Content("c", "video", timed_text=(UNSURE, said)))}
    assert set(views) == {"whole", "speech", "print"}
    assert views["whole"].query.text == "so crunchy"
    assert views["print"].lines == (("HEEZJ", 0.5),)


def test_a_content_with_nothing_else_is_its_label() -> None:
    assert [view.group for view in views_of(Content("c", "video", timed_text=(UNSURE,)))] == ["label"]
    sure = TimedText(0.0, 1.0, "CHEEZ", "screen", 0.9)
    assert [view.group for view in views_of(Content("c", "video", timed_text=(sure,)))] == ["screen", "label"]


def test_what_was_heard_with_little_confidence_is_searched_as_words() -> None:
    heard = TimedText(0.0, 5.8, "we have green tea, fifty bags", "speech", 0.588)
    views = {view.group: view.query.text for view in views_of(Content("c", "video", timed_text=(heard,)))}
    assert views == {"whole": "we have green tea, fifty bags", "speech": "we have green tea, fifty bags"}


def test_a_misread_package_finds_its_product(tmp_path) -> None:
    products = [Product("c", "Cheez-It crackers"), Product("t", "Twix cookie bar"), Product("k", "Corn flakes")]
    matcher = Matcher(Index.build(tmp_path / "index", products))
    (match,) = matcher.match([Content("clip", "video", timed_text=(UNSURE,))])
    assert match.products[0].product_id == "c"
