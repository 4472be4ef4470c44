"""HTML out, entities decoded, nothing else touched."""

from __future__ import annotations

import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.catalog.text import clean_block, clean_line, has_markup


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("<p>Kettle&nbsp;1.7&amp;nbsp;l<br>steel", "Kettle 1.7 l\nsteel"),
        ("for rooms < 20 m² and > 5 m²", "for rooms < 20 m² and > 5 m²"),
        ("x<y and y>z <b>bold</b> a < b", "x<y and y>z bold a < b"),
        ("<b and c> d", "<b and c> d"),
        ("H<sub>2</sub>O", "H2O"),
        ("AT&T, R&D &copy=1 &copy;", "AT&T, R&D &copy=1 ©"),
        ("&lt;b&gt;twice escaped&lt;/b&gt; &amp;amp;", "twice escaped &"),
        ("<script>alert('<p>')</script>seen<style>p{}</style><!-- <b>not</b> -->", "seen"),
        ("<SCRIPT>never closed", "never closed"),
        ('<a href="x" title="a > b">link</a>', "link"),
        ("<img src=x alt=it's>broken attribute", "broken attribute"),
        ("<ul><li>one<li>two</ul><table><td>x</td><td>y</td>", "one\ntwo\nx\ny"),
        ("a\r\n\r\n\r\n  b\t c", "a\n\nb c"),
        ("", ""),
    ],
)
def test_clean_block(raw: str, clean: str) -> None:
    assert clean_block(raw) == clean
    assert clean_line(raw) == " ".join(clean.split())


_PIECES = [*"ab <>&;/\n\"'=#x", "<p>", "</b>", "&amp;", "&lt;", "&gt;", "<!--", "-->", "<script>", "</script"]


@given(st.lists(st.sampled_from(_PIECES)).map("".join))
def test_cleaning_twice_changes_nothing(text: str) -> None:
    once = clean_block(text)
    assert clean_block(once) == once
    assert not has_markup(once)


@pytest.mark.parametrize("piece", ["<!--", "<b ", '<a x="', "<script>", "&amp;", "<p x=1 ", "<p\t", "&#38;", "<" * 9])
def test_hostile_texts_cost_linear_time(piece: str) -> None:
    start = time.process_time()
    clean_block(piece * 30_000)
    assert time.process_time() - start < 3
