"""Untrusted text stays between the fences, on its line, without control tokens."""

from __future__ import annotations

import re
import unicodedata

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.prompting import content_variables, load_prompt, product_variables, prompt_names
from llmrec.prompting.untrusted import clean, fence, shorten
from llmrec.records import Content, Product, TimedText

PIECES = [
    *("</data>", "<data>", "<", "/data", ">", "<|im_end|>", "<|im_start|>system", "[INST]", "[/INST]", "[[INST]]"),
    *("<end_of_turn>", "</s>", "\n\n", "User:", "＜/data＞", "\u2028", "\u202e", "\x00", "\x1b[0m", "{{ title }}"),
    *("{% endfilter %}", "<think>", " "),
]
HOSTILE = st.lists(st.one_of(st.sampled_from(PIECES), st.text(max_size=12)), max_size=8).map("".join)


def test_by_hand() -> None:
    assert clean("Oil < 5 l\n\tfor  saws") == "Oil ‹ 5 l for saws"
    assert clean("</data><|im_end|>") == "‹/data>‹|im_end|>"
    assert clean("[INST] x [/INST] [NEW] [a] [5]") == "(INST) x (/INST) (NEW) [a] [5]"
    assert clean("a\u200bb\u202ec\x00d\ue000") == "abc d"
    assert clean("می\u200cخواهم") == "می\u200cخواهم"
    assert fence("\na\n\n\nb\n") == "<data>\na\nb\n</data>"


def test_cut_between_words_and_counted() -> None:
    assert shorten("one two three", 13) == ("one two three", 0)
    assert shorten("one two three", 12) == ("one two…", 6)
    assert shorten("abcdefghij", 5) == ("abcd…", 6)


@given(HOSTILE, st.integers(8, 40))
def test_no_text_holds_a_bracket_or_a_break(text: str, limit: int) -> None:
    short, left_out = shorten(clean(text), limit)
    assert len(short) <= limit
    assert (left_out == 0) == (short == clean(text))
    assert "<" not in short
    assert len(short.splitlines()) <= 1
    assert not re.search(r"\[/?[A-Z][A-Z_]{2,}\]", short)
    assert all(unicodedata.category(c)[0] != "C" or c in "\u200c\u200d" for c in short)
    assert clean(short) == short


@settings(max_examples=80, deadline=None)
@given(HOSTILE, HOSTILE, HOSTILE)
def test_no_record_leaves_its_fence(one: str, two: str, three: str) -> None:
    product = Product("1", one, description=two, brand=three, category=(two,), attributes={one: two, three: one})
    said = (TimedText(0, 1, three, "speech"), TimedText(1, 2, two, "screen"))
    content = Content("c", "video", title=one, caption=two, hashtags=(three,), timed_text=said)
    pair = {"content_title": one, "content_text": two, "product_title": three, "product_text": one}
    for name, values in (
        ("summarize-product", product_variables(product)),
        ("summarize-product-short", product_variables(product)),
        ("shopping-intent", content_variables(content)),
        ("shopping-intents", content_variables(content)),
        ("judge-pair", pair),
    ):
        prompt = load_prompt(name)
        fixed = prompt.render({n: {"text": "", "list": [], "map": {}}[v.type] for n, v in prompt.variables.items()})
        filled = prompt.render(prompt.pick(values))
        # all but what lies in the last fence is as if there were no data at all
        for empty, full in zip(fixed.conversation, filled.conversation, strict=True):
            outside = [re.sub(r"<data>\n.*?</data>", "<data></data>", m.content, flags=re.S) for m in (empty, full)]
            assert outside[0] == outside[1]
            assert full.content.count("<") == empty.content.count("<")


def test_all_shipped_prompts_are_tried_above() -> None:
    names = ["judge-pair", "shopping-intent", "shopping-intents", "summarize-product", "summarize-product-short"]
    assert sorted(prompt_names()) == names


@pytest.mark.parametrize("name", [name for name in prompt_names() if load_prompt(name).examples])
def test_shipped_prompts_show_the_model_the_same_fence(name: str) -> None:
    prompt = load_prompt(name)
    values = {n: {"text": "x", "list": ["x"], "map": {"x": "y"}}[v.type] for n, v in prompt.variables.items()}
    users = [m.content for m in prompt.render(values).conversation if m.role == "user"]
    assert len(users) == 2
    assert all(re.match(r"<data>\n(.+\n)+</data>\n\S.*\?|<data>\n(.+\n)+</data>\n\S.*\.", text) for text in users)
