"""What the words of a query count, with numbers worked out by hand."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.index.query_words import lookalike, query_words


class Everything:
    """A catalog that has every word."""

    def __contains__(self, word: object) -> bool:
        return True


def test_a_word_said_often_counts_its_square_root_and_function_words_a_tenth() -> None:
    found = query_words("the red red red red shoe of the", Everything())
    assert found.weights == pytest.approx({"the": 0.1 * 2**0.5, "red": 2.0, "shoe": 1.0, "of": 0.1})
    assert found.unknown == 0


def test_model_numbers_count_double_and_long_numbers_half_more() -> None:
    expected = {"fz18k": 2.0, "fz": 1.0, "18": 1.0, "k": 1.0, "fz18": 2.0, "2765": 1.5, "x9": 1.0, "500": 1.0}
    assert query_words("fz18k 2765 x9 500", set(expected)).weights == pytest.approx(expected)


def test_words_that_the_catalog_lacks_are_summed_without_function_words() -> None:
    found = query_words("the red zebra ab12 shoe shoe", {"red"})
    assert found.weights == {"red": 1.0}
    # zebra 1, ab12 2 and its parts ab and 12 1 each, shoe twice
    assert found.unknown == pytest.approx(1 + 2 + 1 + 1 + 2**0.5)


def test_a_query_of_function_words_alone_keeps_them() -> None:
    assert query_words("The Who", Everything()).weights == {"the": 1.0, "who": 1.0}


@pytest.mark.parametrize(
    ("said", "number"),
    [
        ("the p s l x three fifty h", "pslx350h"),
        ("f z eighteen", "fz18"),
        ("f z one eight", "fz18"),
        ("d m c dash fz 18", "fz18"),
        ("model a twenty two", "a22"),
        ("model a twenty", "a20"),
        ("el six nine eight five b", "el6985b"),
    ],
)
def test_a_model_number_that_was_spelt_out_is_put_together(said: str, number: str) -> None:
    assert query_words(said, {number}).weights == {number: 2.0 if len(number) > 3 else 1.0}


def test_nothing_is_put_together_that_the_catalog_lacks() -> None:
    assert query_words("f z one eight", {"fz19", "f", "z"}).weights == {"f": 1.0, "z": 1.0}


def test_what_was_misread_off_a_screen_is_read_anew() -> None:
    forms: dict[str, list[str]] = {}
    for word in ("pslx350h", "sony", "psl"):
        forms.setdefault(lookalike(word), []).append(word)
    found = query_words("S0NY PSLX35OH", {"sony", "pslx350h"}, lambda form: forms.get(form, []))
    assert found.weights == {"sony": 1.0, "pslx350h": 2.0}


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("das ist die kamera mit der tasche", ["kamera", "tasche"]),
        ("хорошая сумка для вас и для нас", ["хорошая", "сумка"]),
        ("hat for men door mat", ["hat", "men", "door", "mat"]),
        ("die cast car", ["die", "cast", "car"]),
    ],
)
def test_function_words_are_those_of_the_querys_language(text: str, kept: list[str]) -> None:
    weights = query_words(text, Everything()).weights
    assert [word for word, weight in weights.items() if weight >= 1] == kept


@given(st.text(max_size=120))
def test_any_query_gives_weights_above_zero_for_words_of_the_catalog(text: str) -> None:
    found = query_words(text, {"a", "12", "shoe"})
    assert set(found.weights) <= {"a", "12", "shoe"}
    assert all(weight > 0 for weight in found.weights.values())
    assert found.unknown >= 0
