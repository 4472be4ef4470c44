"""Claims tied to the words that back them, worked out by hand; what nothing backs is dropped and named."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.prompting import ground_intent, ground_summary, parse_summary
from llmrec.prompting.answers import ParsedIntent, ParsedSummary
from llmrec.prompting.spans import find_literal, find_words, words
from llmrec.prompting.support import content_pieces
from llmrec.records import Content, IntentSupport, Product, Support, TimedText

SHOE = Product(
    "s1",
    "Acme Trail 2 running shoe, blue, size 42",
    description="Light trail shoe with 4 mm lugs and a recycled mesh upper. Weight 270 g, 1,300 sold.",
    brand="Acme",
    category=("Shoes", "Running"),
    attributes={"colour": "blue", "drop": "8 mm"},
)
#           0         1         2         3         4         5         6         7
#           0123456789012345678901234567890123456789012345678901234567890123456789012345
# title     Acme Trail 2 running shoe, blue, size 42
# descr.    Light trail shoe with 4 mm lugs and a recycled mesh upper. Weight 270 g, 1,300 sold.


def test_words_are_compared_without_case_plural_or_number_format() -> None:
    assert [w.form for w in words("Shoes, 1,300 Watts; 2.0 Ah; 4,5 kg; 18V; eight glass")] == (
        ["shoe", "1300", "watt", "2", "ah", "4.5", "kg", "18", "v", "8", "glass"]
    )
    assert [(w.start, w.end) for w in words("a 12V")] == [(0, 1), (2, 4), (4, 5)]


def test_literal_spans_end_at_words() -> None:
    assert find_literal("RUNNING  shoe", SHOE.title) == (13, 25)
    assert find_literal("run", SHOE.title) is None
    assert find_literal("42", SHOE.title) == (38, 40)
    assert find_literal("öl", "Kettensägenöl Bio") is None
    assert find_literal("急須", "常滑風 急須 360ml") == (4, 6)
    assert find_literal("  ", "a") is None


def test_the_shortest_stretch_with_all_words() -> None:
    #               0123456789012345678901234567890
    assert find_words("mesh lugs", "mesh x x x lugs of mesh", 1.0) == (11, 23, 1.0)
    # two of three words; the numbers must all be there
    assert find_words("red mesh lugs", "lugs, mesh", 0.6) == (0, 10, 2 / 3)
    assert find_words("red mesh lugs", "lugs, mesh", 0.7) is None
    assert find_words("5 mesh lugs", "lugs, mesh", 0.1) is None
    assert find_words("colour blue", "sky blue", 1.0, frozenset({"colour"})) == (4, 8, 1.0)
    assert find_words("", "a", 0.0) is None


def test_a_summary_keeps_what_the_product_says() -> None:
    parsed = ParsedSummary(
        headline="running shoe",
        summary="A light trail shoe with a recycled mesh upper, 99 colours. It weighs 300 g.",
        highlights=("4 mm lugs", "recycled rubber sole from Italy", "colour blue"),
        attributes={"size": "42", "weight": "270 g", "width": "42", "voltage": "18 V", "drop": "8", "sold": "1300"},
        problems=("before",),
    )
    checked, support = ground_summary(parsed, SHOE)
    assert checked.headline == "running shoe"
    assert checked.summary == "A light trail shoe with a recycled mesh upper"
    assert checked.highlights == ("4 mm lugs", "colour blue")
    # 42 stands by "size" and by no "width"; 8 is what the product's own drop begins with
    assert checked.attributes == {"size": "42", "weight": "270 g", "drop": "8", "sold": "1300"}
    assert checked.problems == (
        "before",
        "highlights: not in the product, dropped: recycled rubber sole from Italy",
        "attributes: not in the product, dropped: width = 42",
        "attributes: not in the product, dropped: voltage = 18 V",
        "summary: not in the product, dropped: 99 colours.",
        "summary: not in the product, dropped: It weighs 300 g.",
    )
    assert support == (
        Support("running shoe", "title", 13, 25),
        Support("4 mm lugs", "description", 22, 31),
        Support("colour blue", "attributes.colour", 0, 4),
        Support("size = 42", "title", 38, 40),
        Support("weight = 270 g", "description", 66, 71),
        Support("drop = 8", "attributes.drop", 0, 1),
        Support("sold = 1300", "description", 73, 78),
        Support("A light trail shoe with a recycled mesh upper", "description", 0, 57),
    )


def test_what_was_copied_from_the_example_is_dropped() -> None:
    example = "Type: cordless drill\nHighlights: two-speed; LED work light"
    parsed = ParsedSummary("cordless shoe", "A cordless trail shoe.", ("light drill", "trail shoe"))
    checked, _ = ground_summary(parsed, SHOE, example)
    assert (checked.headline, checked.summary, checked.highlights) == ("", "", ("trail shoe",))
    # without the example it is only another word for the kind of product
    assert ground_summary(parsed, SHOE)[0].headline == "cordless shoe"


def test_an_injected_answer_is_not_believed() -> None:
    parsed = parse_summary("BANANA")
    checked, support = ground_summary(parsed, SHOE)
    assert (checked.summary, support) == ("", ())
    assert "summary: not in the product, dropped: BANANA" in checked.problems


CLIP = Content(
    "c1",
    "video",
    title="trail night",
    hashtags=("acme",),
    timed_text=(
        TimedText(1.0, 4.0, "these are the Acme trail two in blue", "speech"),
        TimedText(4.0, 6.0, "the drop is eight millimetres", "speech"),
        TimedText(2.0, 3.0, "SIZE 42 | 89 EUR", "screen"),
    ),
)


def test_an_intent_keeps_what_the_content_says_and_when() -> None:
    parsed = ParsedIntent(
        product_type="trail shoe",
        brand="Acme",
        attributes={"colour": "blue", "size": "42", "drop": "8", "model": "KD-180", "make": "Acme"},
        query="Acme trail 2, blue, size 42, size 43, blue",
    )
    checked, support = ground_intent(parsed, CLIP)
    assert (checked.product_type, checked.brand) == ("trail shoe", "Acme")
    assert checked.attributes == {"colour": "blue", "size": "42", "drop": "8"}
    assert checked.query == "Acme trail 2, blue, size 42"
    assert checked.problems == (
        "product_type: in other words than the content's: trail shoe",
        "attributes: not in the content, dropped: model = KD-180",
        "attributes: the product again, dropped: make",
        "query: not in the content, dropped: size 43",
    )
    assert support == (
        IntentSupport("Acme", "hashtags", "acme", None, None),
        IntentSupport("colour = blue", "speech", "blue", 1.0, 4.0),
        IntentSupport("size = 42", "screen", "42", 2.0, 3.0),
        IntentSupport("drop = 8", "speech", "eight", 4.0, 6.0),
    )


def test_an_intent_without_a_sentence_gets_one_of_its_own_fields() -> None:
    checked, support = ground_intent(ParsedIntent("trail", "Acme", {"colour": "blue"}), CLIP)
    assert checked.query == "Acme trail, blue"
    assert checked.problems == ("query: put together from the other fields",)
    assert support[-1] == IntentSupport("Acme trail, blue", "speech", "Acme trail two in blue", 1.0, 4.0)
    assert ground_intent(ParsedIntent(), CLIP)[0].query == ""
    # what the product's name says already is not said again
    again = ParsedIntent("acme trail two", "Acme", {"colour": "blue", "model": "trail two"})
    assert ground_intent(again, CLIP)[0].query == "acme trail two, blue"


def test_pieces_of_a_content() -> None:
    assert content_pieces(CLIP)[:3] == [
        ("title", "trail night", None, None),
        ("hashtags", "acme", None, None),
        ("speech", "these are the Acme trail two in blue", 1.0, 4.0),
    ]


TEXT = st.text(st.sampled_from("ab12 .,;-急é"), max_size=24)


@settings(max_examples=200, deadline=None)
@given(TEXT, TEXT, TEXT, st.dictionaries(TEXT, TEXT, max_size=2))
def test_spans_lie_in_their_fields_and_numbers_are_the_products(one, two, three, attributes) -> None:
    product = Product("p", one, description=two, attributes=attributes)
    parsed = ParsedSummary(three, f"{three}. {one}", (three, two), {"a": three, **attributes})
    checked, support = ground_summary(parsed, product)
    texts = {"title": one, "description": two, **{f"attributes.{name}": value for name, value in attributes.items()}}
    for backed in support:
        assert 0 <= backed.start < backed.end <= len(texts[backed.field])
    known = {w.form for text in (*texts.values(), *attributes) for w in words(text)}
    for text in (checked.headline, checked.summary, *checked.highlights, *checked.attributes.values()):
        assert all(word.form in known for word in words(text) if word.number)
