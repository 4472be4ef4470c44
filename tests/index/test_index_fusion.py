"""Fusions, with numbers worked out by hand."""

from __future__ import annotations

import numpy as np
import pytest

from llmrec.index.fusion import Candidates, Weights, plain_sum, rrf, sureness, zscore


def floats(*values: float) -> np.ndarray:
    return np.array(values, dtype=np.float32)


def both(parts: dict[str, np.ndarray], **facts: object) -> Candidates:
    return Candidates(parts, parts, **facts)  # type: ignore[arg-type]


def test_rrf() -> None:
    found = both({"bm25:title": floats(9, 5, 5, 1), "dense:title": floats(0.1, 0.4, 0.2, 0.3)})
    expected = [1 / 61 + 1 / 64, 1 / 62 + 1 / 61, 1 / 62 + 1 / 63, 1 / 64 + 1 / 62]
    np.testing.assert_allclose(rrf(found), expected, rtol=1e-6)


def test_plain_sum() -> None:
    found = both({"bm25:title": floats(2, -1), "bm25:whole": floats(1, 1), "dense:whole": floats(0.5, 3)})
    np.testing.assert_allclose(plain_sum(found), [3.5, 3.0])


def test_sureness_is_the_lead_over_the_next_nine() -> None:
    assert sureness(floats(3.0, 2.0, 1.0)) == pytest.approx(1.5 / 0.8)
    assert sureness(floats(*[2.0] * 10, -50.0)) == pytest.approx(0.3)  # no lead; the eleventh does not count
    assert sureness(floats(9.0, 1.0)) == pytest.approx(3.0)
    assert sureness(floats(3.0, 2.0, 1.0), coded=True) == pytest.approx(0.3 * 1.5 / 0.8)
    assert sureness(floats(3.0)) == pytest.approx(0.3)
    assert sureness(floats(3.0, 1.4), Weights(lead_power=0.5, dense=2.0)) == pytest.approx(2 * 2**0.5)


PARTS = {
    "bm25:title": floats(4, 2),
    "bm25:whole": floats(3, 1),
    "dense:title": floats(1, 2.6),
    "dense:whole": floats(1, 1),
}


def test_zscore_of_a_query_without_a_title() -> None:
    # dense means 1 and 1.8: lead 0.8, so vectors count 1; half of the query is known
    found = both(PARTS, known=0.25)
    np.testing.assert_allclose(zscore(found), [0.5 * (2 * 4 + 3) + 3, 0.5 * (2 * 2 + 1) + 2 * 2.6 + 1], rtol=1e-5)


def test_zscore_of_a_query_with_a_title_and_a_model_number() -> None:
    found = both(PARTS, titled=True, coded=True)
    expected = [1.5 * 4 + 3 + 0.3 * (1.5 + 1), 1.5 * 2 + 1 + 0.3 * (1.5 * 2.6 + 1)]
    np.testing.assert_allclose(zscore(found), expected, rtol=1e-5)


def test_a_product_of_another_model_number_loses_a_part_but_never_gains() -> None:
    parts = {"bm25:title": floats(4, 4, -4, -4)}
    found = both(parts, other=np.array([False, True, False, True]))
    np.testing.assert_allclose(zscore(found), [8, 0.7 * 8, -8, -8], rtol=1e-6)


def test_each_side_alone() -> None:
    words = {name: z for name, z in PARTS.items() if name.startswith("bm25")}
    np.testing.assert_allclose(zscore(both(words)), [11, 5])
    vectors = {name: z for name, z in PARTS.items() if name.startswith("dense")}
    np.testing.assert_allclose(zscore(both(vectors)), [3, 6.2], rtol=1e-6)
