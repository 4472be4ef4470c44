"""BM25 and what a field knows of a query, with numbers worked out by hand."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest

from llmrec.errors import ArtefactError
from llmrec.index.lexical import Lexical

TEXTS = ["red shoe", "red red hat", "", "blue shoe fz18"]


def idf(frequency: int, count: int = 4) -> float:
    return math.log(1 + (count - frequency + 0.5) / (frequency + 0.5))


def tf(times: int, length: int) -> float:
    average = (2 + 3 + 0 + 5) / 4  # "fz18" is three words: itself, "fz" and "18"
    return times / (times + 1.2 * (0.25 + 0.75 * length / average))


def test_scores_are_bm25_as_lucene_has_it() -> None:
    field = Lexical.build(TEXTS)
    scores = field.scores(field.words("red shoe"))
    expected = [
        idf(2) * tf(1, 2) + idf(2) * tf(1, 2),
        idf(2) * tf(2, 3),
        0.0,
        idf(2) * tf(1, 5),
    ]
    np.testing.assert_allclose(scores, expected, rtol=1e-5)
    np.testing.assert_allclose(field.scores(field.words("fz18"))[3], (2 + 1 + 1) * idf(1) * tf(1, 5), rtol=1e-5)


def test_known_is_the_share_of_the_query_by_rarity() -> None:
    field = Lexical.build(TEXTS)
    assert field.known(field.words("red shoe")) == 1.0
    assert field.known(field.words("red zebra")) == pytest.approx(idf(2) / (idf(2) + idf(0)))
    assert field.known(field.words("zebra")) == 0.0
    assert field.known(field.words("")) == 0.0


def test_rare_codes() -> None:
    texts = [f"fz18 a{i}b77" for i in range(10)]
    field = Lexical.build(texts)
    assert field.has_rare_code(field.words("an a3b77"))
    assert not field.has_rare_code(field.words("an fz18"))  # all have it
    assert not field.has_rare_code(field.words("an a4444"))  # none has it
    assert not field.has_rare_code(field.words("shoe"))


def test_a_saved_field_gives_the_same_scores(tmp_path: Path) -> None:
    field = Lexical.build(TEXTS)
    field.save(tmp_path)
    again = Lexical.load(tmp_path, len(TEXTS))
    query = "the red shoe FZ-18"
    np.testing.assert_array_equal(again.scores(again.words(query)), field.scores(field.words(query)))
    assert len(again) == 4
    assert again.rows("shoe").tolist() == [0, 3]


@pytest.mark.parametrize("texts", [[""], ["", "!!!"], ["shoe"]])
def test_texts_without_words_are_never_found(texts: list[str], tmp_path: Path) -> None:
    Lexical.build(texts).save(tmp_path)
    field = Lexical.load(tmp_path, len(texts))
    for query in ("hat", "", " "):
        assert not field.scores(field.words(query)).any()


def test_files_that_do_not_fit_are_refused(tmp_path: Path) -> None:
    Lexical.build(TEXTS).save(tmp_path)
    with pytest.raises(ArtefactError, match="does not fit"):
        Lexical.load(tmp_path, 5)
    (tmp_path / "vocab.index.json").write_text("{")
    with pytest.raises(ArtefactError, match="cannot be read"):
        Lexical.load(tmp_path, 4)


def test_pickled_arrays_are_refused(tmp_path: Path) -> None:
    Lexical.build(TEXTS).save(tmp_path)
    np.save(tmp_path / "data.csc.index.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(ArtefactError, match="cannot be read"):
        Lexical.load(tmp_path, 4)
