"""Answers as small models really write them; the first ones are SmolLM2-135M's own, word for word."""

from __future__ import annotations

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.prompting import parse_intent, parse_intents, parse_judgement, parse_summary
from llmrec.prompting.answers import LONGEST, UNREADABLE
from llmrec.prompting.schema import INTENT, SUMMARY

WHOLE = {
    "headline": "trail shoe",
    "summary": "A light trail shoe.",
    "highlights": ("4 mm lugs", "8 mm drop"),
    "attributes": {"colour": "blue", "size": "42"},
}


def read(text: str, **options) -> dict:
    parsed = parse_summary(text, **options)
    return {name: getattr(parsed, name) for name in WHOLE}


def test_smollm2_toaster_oven() -> None:
    answer = (
        " stainless steel toaster oven\n"
        "Attributes: model = TOB195; voltage = 19.5 V; oven timer = 12 hours; recipe book; stainless steel finish\n"
        "Highlights: oven; oven timer; oven temperature; oven timer; oven timer; oven timer; oven\n"
        "Summary: A stainless steel toaster oven with a built-"
    )
    parsed = parse_summary(answer, prefix="Type:", cut=True)
    assert parsed.headline == "stainless steel toaster oven"
    assert parsed.attributes == {"model": "TOB195", "voltage": "19.5 V", "oven timer": "12 hours"}
    assert parsed.highlights == ("oven", "oven timer", "oven temperature")
    assert parsed.summary == "A stainless steel toaster oven with a"
    assert parsed.problems == (
        "attributes: 2 parts without a value dropped",
        "highlights: repeated text dropped",
        "summary: cut off",
    )


def test_smollm2_without_the_labels_asked_for() -> None:
    answer = (
        " Canon Easy Photo Pack - 1335B001\nCombines Ink And Paper Into One Cartridge / Dye-Sublimination Technology\n"
    )
    parsed = parse_summary(answer, prefix="Type:")
    assert parsed.headline == "Canon Easy Photo Pack - 1335B001"
    assert parsed.summary == "Combines Ink And Paper Into One Cartridge / Dye-Sublimination Technology"
    assert parsed.problems == ("summary: taken from text without a label",)


def test_smollm2_in_a_loop() -> None:
    answer = (
        " battery tester\nSummary: 12 months warranty. 30 days money back. 12 months warranty. 30 days money back.\n"
        "Attributes: size 42; weight 270 g; size 42\nAttributes: battery tester\nType: battery tester\n"
    )
    parsed = parse_summary(answer, prefix="Type:")
    assert parsed.summary == "12 months warranty. 30 days money back."
    assert parsed.attributes == {"size": "42", "weight": "270 g"}
    assert parsed.problems == (
        "headline: repeated line dropped",
        "attributes: repeated line dropped",
        "attributes: repeated text dropped",
        "summary: repeated text dropped",
    )


@pytest.mark.parametrize(
    "answer",
    [
        "Type: trail shoe\nSummary: A light trail shoe.\nHighlights: 4 mm lugs; 8 mm drop\n"
        "Attributes: colour = blue; size = 42",
        "Sure! Here is the summary:\n\n**Type:** trail shoe\n**Summary:** A light trail shoe.\n"
        "**Highlights:**\n- 4 mm lugs\n- 8 mm drop\n\n**Attributes:**\n* Colour: blue\n* Size: 42\n",
        "1. Type: trail shoe\n2. Summary: A light trail shoe.\n3. Highlights: 4 mm lugs, 8 mm drop\n"
        "4. Attributes: colour: blue, size: 42",
        "# Headline：trail shoe\nSUMMARY: A light trail shoe.\nfeatures: 4 mm lugs\n\n• 8 mm drop\nSpecs:\n"
        "Colour: blue\nSize: 42",
    ],
    ids=["as asked", "markdown", "numbered, commas", "other labels"],
)
def test_labelled_lines(answer: str) -> None:
    assert read(answer) == WHOLE


JSON = json.dumps({**WHOLE, "highlights": list(WHOLE["highlights"])})


@pytest.mark.parametrize(
    "answer",
    [
        JSON,
        f"Here you go:\n```json\n{JSON}\n```\nAnything else?",
        JSON.replace("]", ",]").replace("}", ",}"),
        JSON.replace('"', "'"),
        JSON.replace('"headline"', "headline").replace('"size"', "size"),
        f'{{"product": {JSON}}}',
        f"[{JSON}]",
        '{"Type": "trail shoe", "Summary": "A light trail shoe.", "Highlights": "4 mm lugs; 8 mm drop",'
        ' "Attributes": [{"name": "colour", "value": "blue"}, {"size": 42}]}',
        '{"headline": "trail shoe", "summary": "A light\n trail shoe.", "highlights": ["4 mm lugs" "8 mm drop"],'
        ' "attributes": ["colour: blue", "size = 42"]}',
        f"<think>They want JSON: {{}}</think>{JSON}<|im_end|>",
    ],
    ids=["plain", "fenced", "commas", "quotes", "bare", "wrapped", "array", "flat", "line break", "thinking"],
)
def test_json(answer: str) -> None:
    assert read(answer) == WHOLE


def test_json_cut_off() -> None:
    cut = '{"headline": "trail shoe", "highlights": ["4 mm lugs", "8 mm dr'
    parsed = parse_summary(cut, cut=True)
    assert (parsed.headline, parsed.highlights) == ("trail shoe", ("4 mm lugs",))
    assert parsed.problems == ("answer: JSON cut off", "highlights: cut off", "summary: missing")


def test_an_apostrophe_does_not_end_a_single_quoted_text() -> None:
    assert (
        parse_summary("{'summary': 'It's the runner's shoe', 'headline': 'shoe'}").summary == "It's the runner's shoe"
    )


def test_markup_and_texts_without_a_word_are_nothing() -> None:
    parsed = parse_summary("Type: <b>shoe</b>\nSummary: 1.8")
    assert (parsed.headline, parsed.summary) == ("shoe", "")
    assert parsed.problems == ("summary: text without a word dropped", "summary: missing")


def test_prose_is_the_summary_and_nothing_is_unreadable() -> None:
    parsed = parse_summary("This shoe is light.\nIt is blue.")
    assert parsed.summary == "This shoe is light. It is blue."
    assert parsed.problems == ("summary: taken from text without a label",)
    for nothing in ("", "\n\n", "```\n```", "{}", "<|im_end|>", "***"):
        assert parse_summary(nothing).problems[0] == UNREADABLE


def test_what_is_too_long_is_cut_and_said() -> None:
    many = "; ".join(f"fact number {i}" for i in range(20))
    parsed = parse_summary(f"Type: {'shoe ' * 60}\nHighlights: {many}\nSummary: s")
    assert len(parsed.headline) <= SUMMARY["headline"].max_chars
    assert len(parsed.highlights) == SUMMARY["highlights"].max_items
    assert "headline: longer than 160 characters, cut" in parsed.problems
    assert "highlights: 12 items too many dropped" in parsed.problems


def test_intents() -> None:
    answer = (
        " glass cleaner, magnetic glass cleaner\nSearch: magnetic glass cleaner, small\nBrand: 42\nAttributes: size = 5"
    )
    parsed = parse_intent(answer, prefix="Product:")
    assert (parsed.product_type, parsed.query) == ("glass cleaner", "magnetic glass cleaner, small")
    assert (parsed.brand, parsed.attributes) == ("", {"size": "5"})
    assert "product_type: more than one name, the first kept" in parsed.problems
    prose = parse_intent("A blue kettle.\nBuy it.")
    assert (prose.query, prose.problems) == ("A blue kettle.", ("query: taken from text without a label",))
    # a model that begins anew in place of going on
    assert parse_intent("Product: kettle\nSearch: blue kettle", prefix="Product:").product_type == "kettle"


def products(answer: str, **kwargs) -> list[tuple[str, str, str]]:
    return [(p.product_type, p.brand, p.query) for p in parse_intents(answer, **kwargs)]


KETTLE, MUG = ("kettle", "Acme", "blue Acme kettle"), ("mug", "", "mug")


@pytest.mark.parametrize(
    "answer",
    [
        " kettle\nSearch: blue Acme kettle\nBrand: Acme\n\nProduct: mug\nSearch: mug\nBrand:",
        "Product: kettle\nSearch: blue Acme kettle\nBrand: Acme\nProduct: mug\nSearch: mug",
        "**Product:** kettle\nBrand: Acme\nSearch: blue Acme kettle\n\n- Product: mug\n- Search: mug",
        '[{"product": "kettle", "brand": "Acme", "search": "blue Acme kettle"}, {"product": "mug", "search": "mug"}]',
        '{"all": [{"type": "kettle", "brand": "Acme", "query": "blue Acme kettle"}, {"item": "mug", "query": "mug"}]}',
    ],
    ids=["begun", "anew", "markdown", "array", "object"],
)
def test_several_products_of_one_answer(answer: str) -> None:
    assert products(answer, prefix="Product:") == [KETTLE, MUG]


def test_a_repeated_line_is_not_another_product() -> None:
    (one,) = parse_intents(" kettle\nProduct: kettle\nSearch: blue kettle", prefix="Product:")
    assert (one.product_type, one.query) == ("kettle", "blue kettle")
    assert "product_type: repeated line dropped" in one.problems
    block = " kettle\nSearch: blue kettle\nProduct:"
    assert len(parse_intents(block * 20, prefix="Product:")) == 1  # a loop
    many = "".join(f"Product: kettle {i}\nSearch: kettle {i} blue\n" for i in range(20))
    assert len(parse_intents(many)) == 8


@given(st.text(st.sampled_from('Product: Search Brand[]{}",\n-*1'), max_size=80))
def test_any_answer_gives_an_intent(text: str) -> None:
    assert 1 <= len(parse_intents(text, prefix="Product:")) <= 8


@pytest.mark.parametrize(
    ("answer", "match"),
    [
        (" yes\nReason: same model", True),
        (" No, the sizes are different.", False),
        ("Answer: not the same", False),
        ('{"match": true, "reason": "same"}', True),
        ('{"answer": "no"}', False),
        ("The answer is yes", True),
        (" perhaps", None),
        ("", None),
    ],
)
def test_judgements(answer: str, match: bool | None) -> None:
    parsed = parse_judgement(answer, prefix="Answer:")
    assert parsed.match is match
    assert ("match: neither yes nor no" in parsed.problems) == (match is None)


PIECES = [
    *(
        "{",
        "}",
        "[",
        "]",
        '"',
        "'",
        ":",
        ",",
        "=",
        ";",
        "\n",
        "- ",
        "**",
        "```",
        "```json",
        "\\",
        "\\u12",
        "/",
        "“",
        "’",
    ),
    *("Type:", "Summary", "headline", "attributes", "highlights", "query", "match", "yes", "no", "null", "1.5", "name"),
    *("<think>", "</think>", "<|im_end|>", "\ud800", "\x00", "\u2028", "ไทย", "。", "a b c.", " "),
]
ANSWERS = st.one_of(
    st.text(max_size=200),
    st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=5)), max_size=60).map("".join),
    st.recursive(
        st.one_of(st.none(), st.booleans(), st.floats(), st.text(max_size=5)),
        lambda v: st.one_of(
            st.lists(v, max_size=3), st.dictionaries(st.sampled_from(["headline", "summary", "highlights", "name"]), v)
        ),
    ).map(json.dumps),
)


@settings(max_examples=400, deadline=None)
@given(ANSWERS, st.booleans(), st.sampled_from(["", "Type:", "Answer:"]))
def test_no_answer_raises_or_oversteps(answer: str, cut: bool, prefix: str) -> None:
    summary = parse_summary(answer, cut=cut, prefix=prefix)
    intent = parse_intent(answer, cut=cut, prefix=prefix)
    judgement = parse_judgement(answer, cut=cut, prefix=prefix)
    for parsed, schema in ((summary, SUMMARY), (intent, INTENT)):
        for name, declared in schema.items():
            value = getattr(parsed, name)
            items = [value] if isinstance(value, str) else [*value, *getattr(value, "values", tuple)()]
            assert all(isinstance(item, str) and len(item) <= declared.max_chars for item in items)
            assert all(item == " ".join(item.split()) and item.isprintable() for item in items if item.isascii())
            assert declared.type == "text" or len(value) <= declared.max_items
            assert declared.type == "text" or all(items)
        assert all(isinstance(problem, str) for problem in parsed.problems)
        assert parsed.problems or all(getattr(parsed, n) for n, d in schema.items() if d.required)
    assert judgement.match in (True, False, None)
    json.dumps(summary.problems).encode()


def test_long_answers_take_no_long_time() -> None:
    import time

    started = time.process_time()
    for text in (
        "{" * 50_000,
        "[{" * 50_000,
        '{"a":' * 50_000,
        "a: " * 50_000,
        "x" * 50_000,
        "<think>" * 9_000,
        '"' * 50_000,
    ):
        assert len(parse_summary(text).summary) <= LONGEST
    assert time.process_time() - started < 5
