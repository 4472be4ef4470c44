"""Pairs of offers: their words held against each other, the texts of a matcher, the features."""

from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.prompting.pair_features import PairFeatures
from llmrec.prompting.pair_words import compare, is_code, is_number, measures, pair_words
from llmrec.prompting.pairs import OfferFields, PairTexts, ditto_columns, offer_fields, pair_texts
from llmrec.records import Price, Product

SAMPLE = 'canon eos 6d eos-6d 24-105mm 8 GB 8gb dvd-3800bdci dvd 3800 bdci é 防水 " 2.5'
WORDS = st.lists(st.sampled_from(SAMPLE.split()))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("KX-TG1032S kxtg1032s", ["kxtg1032s", "kxtg1032s"]),
        ("CC-9011133-WW", ["cc9011133ww"]),
        ("EF 24-105mm f/4.0", ["ef", "24", "105mm", "f", "4"]),
        ("5-port, 3-pack built-in", ["5port", "3pack", "built", "in"]),
        ('3,5" 4 TB 7200RPM', ["3.5inch", "4tb", "7200rpm"]),
        ("27.5''", ["27.5inch"]),
        ("$1,299.00", ["1299"]),
        ("13.5 Megapixel", ["13.5mp"]),
        ('"Größe"@de', ["große".replace("ß", "ss")]),
        ("plays 5 in 1", ["plays", "5", "in", "1"]),
        ("スマホ 防水", ["スマホ", "防水"]),
        ("", []),
    ],
)
def test_words(text: str, words: list[str]) -> None:
    assert pair_words(text) == words


def test_compare_finds_model_numbers_in_pieces_and_puts_digits_first() -> None:
    compared = compare("Denon DVD-3800BDCI player 1 TB", "denon dvd 3800 bdci 2TB black")
    assert compared.same == ("dvd3800bdci", "denon")
    assert compared.left == ("1tb", "player")
    assert compared.right == ("2tb", "black")


def test_kinds_of_words() -> None:
    assert [is_code(w) for w in ("dvd3800bdci", "26135", "2007", "8gb", "512gb", "canon")] == [True, True] + [False] * 4
    assert [is_number(w) for w in ("2007", "3.5", "8gb")] == [True, True, False]
    assert measures(["8gb", "16gb", "2.5inch", "canon", "10"]) == {"gb": {"8", "16"}, "inch": {"2.5"}}


@given(WORDS, WORDS)
def test_compare_is_the_same_turned_round(left: list[str], right: list[str]) -> None:
    one, other = compare(" ".join(left), " ".join(right)), compare(" ".join(right), " ".join(left))
    assert (one.left, one.right, sorted(one.same)) == (other.right, other.left, sorted(other.same))


@given(st.text(max_size=60))
def test_a_text_shares_all_its_words_with_itself(text: str) -> None:
    compared = compare(text, text)
    assert compared.left == compared.right == ()
    assert set(compared.same) == set(pair_words(text))


def test_offers_of_every_kind() -> None:
    wanted = OfferFields("EOS 6D", "Canon", "body only", 999.0)
    assert (
        offer_fields("COL title VAL EOS  6D COL brand VAL Canon COL note VAL body only COL price VAL $ 999.00")
        == wanted
    )
    assert offer_fields({"id": 7, "Name": "EOS 6D", "manufacturer": "Canon", "x": "body only", "price": 999}) == wanted
    product = Product(
        id="7", title="EOS 6D", brand="Canon", description="body only", price=Price(999.0, "EUR"), extra={"n": 1}
    )
    assert offer_fields(product) == wanted
    assert offer_fields(" EOS  6D ") == OfferFields("EOS 6D")
    # no column is called title: the first that says something
    assert offer_fields({"isbn": None, "song": "Help!", "album": "Help"}) == OfferFields("Help!", "", "Help")
    assert offer_fields({"title": "a", "price": math.nan, "brand": None}) == OfferFields("a")
    assert offer_fields({"title": "a", "price": "1,299.50 EUR"}).price == 1299.5
    assert offer_fields({}) == OfferFields("")
    assert offer_fields("COL title VAL  COL price VAL ") == OfferFields("")


def test_ditto_columns() -> None:
    assert ditto_columns("COL name VAL a COL b COL price VAL ") == {"name": "a COL b", "price": ""}
    assert ditto_columns("I said COL name VAL a") is None
    assert ditto_columns("plain") is None


def test_pair_texts() -> None:
    left = {"name": "Denon DVD-3800BDCI black", "description": "denon blu-ray player", "price": "$1,999.00"}
    texts = pair_texts(left, "COL name VAL denon 2930ci player COL price VAL 448.0")
    assert texts == PairTexts(
        "denon dvd3800bdci black ; blu ray player $ 1999 | only: dvd3800bdci black",
        "denon 2930ci player $ 448 | only: 2930ci | same: denon player",
    )
    assert pair_texts(left, "x", hints=False).right == "x"
    assert pair_texts("", "") == PairTexts("| only:", "| only:  | same:")


def test_long_offers_are_cut() -> None:
    many = " ".join(f"word{i}x" for i in range(500))
    texts = pair_texts({"title": many, "description": many.replace("word", "term")}, many)
    assert [len(text.split()) for text in texts] == [32 + 1 + 16 + 2, 32 + 2 + 2 + 10]


def test_features_by_hand() -> None:
    features = PairFeatures.fit(["canon eos 6d", "canon eos 70d", "canon ixus"])
    row = dict(zip(features.names, features.rows([("canon eos 6d", "canon 6d 8gb")])[0], strict=True))

    def weight(offers: int) -> float:
        return math.log(4 / (offers + 1)) + 0.1

    same = weight(3) + weight(1)  # canon is in all three, 6d in one
    assert row["title_weight_same"] == pytest.approx(same)
    assert row["title_weight_jaccard"] == pytest.approx(same / (same + weight(2) + weight(0)))
    assert row["title_jaccard"] == pytest.approx(2 / 4)
    assert (row["title_unit_one_side"], row["title_unit_conflict"]) == (1, 0)
    assert row["title_rarest_only_more"] == pytest.approx(weight(0))
    assert row["price_ratio"] == row["brand_less"] == -1


def test_features_of_columns() -> None:
    features = PairFeatures.fit(["a"])
    left = {"title": "EOS 6D", "brand": "Canon", "price": 200}
    row = dict(zip(features.names, features.rows([(left, {"title": "canon camera", "price": 100})])[0], strict=True))
    assert row["price_ratio"] == pytest.approx(math.log(2))
    assert (row["brand_less"], row["brand_more"]) == (-1, 1)
    assert row["all_same"] == 1
    assert row["title_same"] == 0


@given(st.text(max_size=40), st.text(max_size=40))
def test_features_are_finite_and_symmetric(left: str, right: str) -> None:
    rows = PairFeatures.fit([left, "canon 6d"]).rows([(left, right), (right, left)])
    assert np.isfinite(rows).all()
    assert np.array_equal(rows[0], rows[1])


def test_features_come_back_from_json() -> None:
    features = PairFeatures.fit(["canon eos 6d", {"title": "canon", "price": 3}])
    again = PairFeatures.from_state(json.loads(json.dumps(features.state())))
    pairs = [("canon 6d", "eos 6d 8 gb")]
    assert np.array_equal(features.rows(pairs), again.rows(pairs))
    assert again.rows([]).shape == (0, len(PairFeatures.names))
    with pytest.raises(ValueError, match="version 0"):
        PairFeatures.from_state({"version": 0})
