"""ROUGE: as rouge-score on English, right where rouge-score sees nothing."""

from __future__ import annotations

import csv
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrec.evaluate.rouge import COLUMNS, KINDS, Rouge, UnicodeTokenizer

DATA = os.environ.get("LLMREC_DATA")


def google(stem: bool, prediction: str, references: list[str]) -> np.ndarray:
    from rouge_score.rouge_scorer import RougeScorer

    scorer = RougeScorer(list(KINDS), use_stemmer=stem)
    scores = [scorer.score(reference, prediction) for reference in references]
    rows = [[getattr(s[k], part) for k in KINDS for part in ("fmeasure", "precision", "recall")] for s in scores]
    return np.mean(rows, axis=0)


@pytest.mark.parametrize("stem", [False, True])
def test_equal_to_rouge_score_on_ascii(stem: bool) -> None:
    scorer = Rouge(stem=stem)

    @given(st.text(st.characters(max_codepoint=127), max_size=60), st.text("abc ing's-2\n", max_size=60))
    @settings(deadline=None, max_examples=100)
    def check(prediction: str, reference: str) -> None:
        np.testing.assert_array_equal(scorer.score(prediction, [reference]), google(stem, prediction, [reference]))

    check()


@pytest.mark.skipif(not DATA, reason="LLMREC_DATA is not set")
@pytest.mark.parametrize("stem", [False, True])
def test_equal_to_rouge_score_on_fewsum(stem: bool) -> None:
    path = Path(str(DATA)) / "fewsum_amazon" / "val.csv"
    if not path.is_file():
        pytest.skip(f"{path} is not there")
    with open(path, encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file, delimiter="\t"))
    scorer, ours = Rouge(stem=stem), []
    for row in rows:
        first = " ".join(row[f"rev{i}"].split(".")[0] + "." for i in range(1, 9))
        references = [row[f"summ{i}"] for i in (1, 2, 3)]
        ours.append(scorer.score(first, references))
        np.testing.assert_allclose(ours[-1], google(stem, first, references), atol=1e-12)
    if stem:
        f = dict(zip(COLUMNS, np.mean(ours, axis=0), strict=True))
        assert [round(100 * f[kind], 2) for kind in KINDS] == [28.92, 5.24, 15.59]


@pytest.mark.parametrize(
    ("text", "tokens"),
    [
        ("Café au lait, 250 ml!", ["café", "au", "lait", "250", "ml"]),
        ("e\u0301te\u0301 = été", ["été", "été"]),  # composed or not, the same word
        ("don’t it's", ["don", "t", "it", "s"]),
        ("蓝色T恤2件", ["蓝", "色", "t", "恤", "2", "件"]),
        ("東京タワー", ["東", "京", "タ", "ワ", "ー"]),
        ("ＡＢＣ１２ ｶﾞ", ["abc12", "ガ"]),  # full and half width
        ("ที่นอน น้ำ", ["ที่", "น", "อ", "น", "น้ำ"]),  # marks and sara am stay on their consonant
        ("ລາວ ນ້ຳ", ["ລ", "າ", "ວ", "ນ້ຳ"]),
        ("ខ្មែរ", ["ខ្មែ", "រ"]),  # the subscript consonant stays below
        ("हिन्दी कपड़े", ["हिन्दी", "कपड़े"]),
        ("حِذاء جـــديد", ["حِذاء", "جديد"]),  # the stretching sign has no meaning
        ("می\u200cخواهم", ["میخواهم"]),
        ("한국어 문장", ["한국어", "문장"]),
        ("m² ½ №5", ["m", "5"]),
        ("a\u200bb", ["a", "b"]),
        ("\u0301 😀\ufe0f", []),
    ],
)
def test_tokens(text: str, tokens: list[str]) -> None:
    assert UnicodeTokenizer().tokenize(text) == tokens


@given(st.text(max_size=40))
@settings(deadline=None, max_examples=150)
def test_any_text_is_tokenised_and_equals_itself(text: str) -> None:
    tokens = UnicodeTokenizer(stem=True).tokenize(text)
    assert all(tokens)
    score = Rouge().score(text, [text])[0]
    assert score == (1.0 if UnicodeTokenizer().tokenize(text) else 0.0)


@pytest.mark.parametrize(
    ("prediction", "reference", "unigrams", "longest"),
    [
        ("我喜欢猫", "我喜欢狗", 3 / 4, 3 / 4),
        ("กาแฟดำ", "กาแฟนม", 4 / 6, 4 / 6),  # ก า แ ฟ ดำ against ก า แ ฟ น ม: 2·4 / (5 + 6) in F
        ("حذاء رياضي أزرق", "حذاء رياضي أحمر", 2 / 3, 2 / 3),
        ("रसोई का चाकू", "चाकू रसोई का", 1.0, 2 / 3),
    ],
)
def test_other_scripts_by_hand(prediction: str, reference: str, unigrams: float, longest: float) -> None:
    scores = dict(zip(COLUMNS, Rouge().score(prediction, [reference]), strict=True))
    assert scores["rouge1_recall"] == pytest.approx(unigrams)
    assert scores["rougeL_recall"] == pytest.approx(longest)


def test_several_references() -> None:
    references = ["a b c d", "a x y z"]
    mean = dict(zip(COLUMNS, Rouge().score("a b c d", references), strict=True))
    best = dict(zip(COLUMNS, Rouge(over="max").score("a b c d", references), strict=True))
    assert mean["rouge1"] == pytest.approx((1 + 1 / 4) / 2)
    assert mean["rouge2"] == pytest.approx(1 / 2)
    assert best["rouge1"] == best["rougeL_recall"] == 1.0


def test_stemming_touches_english_only() -> None:
    assert UnicodeTokenizer(stem=True).tokenize("running Läufing shoes") == ["run", "läufing", "shoe"]
