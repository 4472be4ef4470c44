"""Several products of one content: where it is cut, what each part is asked, what becomes one intent."""

from __future__ import annotations

from pathlib import Path

from hypothesis import example, given
from hypothesis import strategies as st

from llmrec.records import Content, GenerationSettings, Intent, IntentSupport, TimedText
from llmrec.summarize import IntentWriter, parts_of
from llmrec.summarize.intents import told
from tests.fakes import FakeGenerator

KETTLE = "this kettle has a gooseneck spout and the kettle boils in four minutes"
MAT = "now the yoga mat is six millimetres thick and the mat does not slip"


def said(*texts: str, seconds: float = 5.0) -> tuple[TimedText, ...]:
    return tuple(TimedText(i * seconds, (i + 1) * seconds, text, "speech") for i, text in enumerate(texts))


def test_a_long_content_is_cut_where_the_words_change() -> None:
    pieces = said(*[KETTLE] * 4, *[MAT] * 4)
    banner = TimedText(3.0, 25.0, "ALL HALF PRICE", "screen")
    content = Content("c", "live", title="evening", caption="links below", timed_text=(*pieces, banner))
    first, second, written = parts_of(content)
    assert first.timed_text == (pieces[0], banner, *pieces[1:4])
    assert second.timed_text == (banner, *pieces[4:])  # it still stands there
    assert (first.title, first.caption, first.kind) == ("evening", "", "live")
    assert (written.caption, written.timed_text) == ("links below", ())


def test_a_short_content_is_one_part() -> None:
    content = Content("c", "video", timed_text=said(*[KETTLE] * 4))
    assert parts_of(content) == [content]
    search = Content("s", "search", title="kettle " * 200)
    assert parts_of(search) == [search]


def test_a_content_of_hours_has_few_parts() -> None:
    content = Content("c", "live", timed_text=said(*(f"{KETTLE} number {i}" for i in range(1600))))
    parts = parts_of(content)
    assert 32 <= len(parts) <= 128
    assert tuple(piece for part in parts for piece in part.timed_text) == content.timed_text


@given(st.lists(st.integers(1, 90), min_size=1, max_size=30))
@example([1, 74, 1])
@example([20, 80, 20])
def test_parts_hold_everything_once_in_order(lengths: list[int]) -> None:
    content = Content(
        "c", "video", timed_text=said(*(" ".join(f"w{i}" for _ in range(n)) for i, n in enumerate(lengths)))
    )
    parts = parts_of(content)
    assert tuple(piece for part in parts for piece in part.timed_text) == content.timed_text
    for part in parts:
        counts = [len(piece.text.split()) for piece in part.timed_text]
        assert sum(counts[:-1]) <= 75  # a part is over at the piece that fills it


class Seller(FakeGenerator):
    """Answers to the data, which stands before the beginning of the answer."""

    def generate(self, conversations, settings):
        return super().generate([one[:-1] for one in conversations], settings)


def answer(text: str) -> str:
    if "kettle" in text:
        return " kettle\nSearch: gooseneck kettle\nBrand: Acme\nAttributes: time = four minutes"
    return " yoga mat\nSearch: yoga mat, six millimetres" if "mat" in text else " nothing"


def test_each_product_gets_an_intent_with_its_times() -> None:
    live = Content("live", "live", timed_text=said(*[KETTLE] * 8, *[MAT] * 4))
    clip = Content("clip", "video", timed_text=said(MAT))
    model = Seller(answer)
    writer = IntentWriter(model)
    (kettle, mat), (other,) = writer.intents([live, clip])
    assert len(model.asked) == 4  # two parts about the kettle, one about the mat, the clip
    assert (kettle.query, kettle.start, kettle.end) == ("gooseneck kettle", 0.0, 40.0)
    assert kettle.attributes == {"time": "four minutes"}
    assert (kettle.brand, kettle.problems) == ("", ("brand: not in the content, dropped: Acme",))
    assert (mat.query, mat.start, mat.end) == ("yoga mat, six millimetres", 40.0, 60.0)
    assert all(40.0 <= one.start < 60.0 for one in mat.support)
    assert (other.content_id, other.start, other.end) == ("clip", 0.0, 5.0)
    assert writer.report.as_dict()["written"] == 2


def test_several_products_of_one_part_are_where_their_words_are() -> None:
    clip = Content("c", "video", title="my finds", timed_text=said("a gooseneck kettle", "and a yoga mat", "bye"))
    model = FakeGenerator("Product: kettle\nSearch: gooseneck kettle\n\nProduct: mat\nSearch: yoga mat\n")
    ((kettle, mat),) = IntentWriter(model, "shopping-intents").intents([clip])
    assert (kettle.query, kettle.start, kettle.end) == ("gooseneck kettle", 0.0, 5.0)
    assert (mat.query, mat.start, mat.end) == ("yoga mat", 5.0, 10.0)


def test_a_product_shown_again_later_is_told_again() -> None:
    def intent(query: str, start: float, brand: str = "", **attributes: str) -> Intent:
        support = (IntentSupport(query, "speech", query, start, start + 1),)
        return Intent("c", "", brand, attributes, query, support, (f"p{start:g}",), start, start + 5)

    empty = Intent("c", problems=("unreadable: x",))
    found = told(
        [
            intent("blue kettle", 0, colour="blue"),
            intent("Kettles blue, 1 l", 5, "Acme", size="1 l"),
            empty,
            intent("yoga mat", 10),
            intent("blue kettle", 15, "Acme"),
            intent("blue kettle", 20, "Kestrel"),
        ]
    )
    assert [(i.query, i.start, i.end) for i in found] == [
        ("blue kettle", 0, 10),
        ("yoga mat", 10, 15),
        ("blue kettle", 15, 20),
        ("blue kettle", 20, 25),
    ]
    assert (found[0].brand, found[0].attributes) == ("Acme", {"colour": "blue", "size": "1 l"})
    assert len(found[0].support) == 2 and found[0].problems == ("p0", "p5")
    assert told([empty, empty]) == (empty,)


def test_an_interrupted_run_goes_on(tmp_path: Path) -> None:
    contents = [Content(str(i), "video", timed_text=said(KETTLE if i % 2 else MAT)) for i in range(4)]
    target = tmp_path / "intents.jsonl"
    first = IntentWriter(Seller(answer))
    with first.ledger(target) as ledger:
        stream = first.intents(contents, 2, ledger)
        begun = [next(stream), next(stream)]
    second = IntentWriter(Seller(answer))
    with second.ledger(target) as ledger:
        again = list(second.intents(contents, 2, ledger))
    assert again[:2] == begun and second.resumed == 2 and len(second.generator.asked) == 2
    other = IntentWriter(Seller(answer), settings=GenerationSettings(max_new_tokens=9))
    with other.ledger(target) as ledger:
        assert not ledger.done
