"""What every encoder promises: unit vectors in input order, the same alone and in a batch, nothing cut in silence."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

from llmrec.embed import TextEncoder, load_encoder
from llmrec.errors import InputError, ModelError
from llmrec.models.pull import known
from llmrec.seams import Encoder

TEXTS = ["acme trail running shoe", "red", "", "the camera of a the camera of a", "blue shoe 42", "unheard-of words"]


class Letters:
    """A backend of two dimensions: how many ``a`` and how many ``b``."""

    dimension = 2
    max_length: int | None = 4

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def token_counts(self, texts: Sequence[str]) -> list[int]:
        return [len(text) for text in texts]

    def embed(self, texts: Sequence[str], prompt: str) -> np.ndarray:
        self.batches.append(list(texts))
        return np.array([[text.count("a"), text.count("b")] for text in texts], dtype=np.float32)


def letters(backend: Letters, **prompts: str) -> TextEncoder:
    both = {"query": "", "document": "", **prompts}
    return TextEncoder(backend, reference="letters", digest="0", prompts=both, pooling="mean", batch_size=2)


def test_batches_hold_texts_of_like_length_and_the_order_comes_back() -> None:
    backend = Letters()
    vectors = letters(backend).encode(["a", "bbbb", "aaa", "ab", ""])
    assert backend.batches == [["bbbb", "aaa"], ["ab", "a"], [""]]
    half = 0.5**0.5
    np.testing.assert_allclose(vectors, [[1, 0], [0, 1], [1, 0], [half, half], [half, half]], rtol=1e-6)
    assert vectors.dtype == np.float32


def test_no_texts_give_no_vectors() -> None:
    assert letters(Letters()).encode([]).shape == (0, 2)


def test_prompts_go_before_texts_by_kind() -> None:
    backend = Letters()
    encoder = letters(backend, query="b")
    np.testing.assert_allclose(encoder.encode(["a"], kind="query"), [[0.5**0.5] * 2], rtol=1e-6)
    np.testing.assert_allclose(encoder.encode(["a"]), [[1, 0]])


def test_what_is_cut_is_counted_and_told_once(caplog: pytest.LogCaptureFixture) -> None:
    encoder = letters(Letters())
    with caplog.at_level(logging.WARNING, logger="llmrec"):
        encoder.encode(["aaaaa", "aaaa", "aaaaaaa"])
        encoder.encode(["bbbbb"])
    assert encoder.truncated == 3
    assert [record.getMessage() for record in caplog.records] == [
        "letters: 2 of 3 texts are longer than 4 tokens and were cut (the longest has 7); "
        "a larger max_length sees more where the model allows it"
    ]


def test_vectors_that_are_not_numbers_are_refused() -> None:
    class Broken(Letters):
        def embed(self, texts: Sequence[str], prompt: str) -> np.ndarray:
            return np.full((len(texts), 2), np.nan, dtype=np.float32)

    with pytest.raises(ModelError, match=r"2 of 2 vectors are not numbers"):
        letters(Broken()).encode(["a", "b"])


def test_a_single_text_and_an_unknown_kind_are_refused() -> None:
    with pytest.raises(InputError, match="list of texts"):
        letters(Letters()).encode("one text")
    with pytest.raises(InputError, match="kind='title'"):
        letters(Letters()).encode(["a"], kind="title")


@pytest.mark.parametrize("model", ["bert", "llama"])
@pytest.mark.parametrize("pooling", ["mean", "last", "cls"])
def test_a_text_has_the_same_vector_alone_and_in_a_batch(
    model: str, pooling: str, request: pytest.FixtureRequest
) -> None:
    encoder = load_encoder(str(request.getfixturevalue(model)), pooling=pooling)
    assert isinstance(encoder, Encoder)
    together = encoder.encode(TEXTS)
    alone = np.concatenate([encoder.encode([text]) for text in TEXTS])
    np.testing.assert_allclose(together, alone, atol=1e-5)
    np.testing.assert_allclose(np.linalg.norm(together, axis=1), 1, atol=1e-6)
    assert together.shape == (len(TEXTS), encoder.dimension) == (6, 16)


def test_last_token_pooling_of_a_decoder_sees_the_whole_text(llama: Path) -> None:
    encoder = load_encoder(str(llama), pooling="last")
    one, other, same_end = encoder.encode(["red shoe", "blue shoe", "red shoe"])
    assert np.abs(one - same_end).max() < 1e-6
    assert np.abs(one - other).max() > 1e-3


def test_cut_texts_keep_their_beginning(bert: Path) -> None:
    encoder = load_encoder(str(bert), max_length=5)
    long, short = encoder.encode(["acme trail running shoe red blue", "acme trail running"])
    np.testing.assert_allclose(long, short, atol=1e-6)  # [CLS] and [SEP] leave room for three words
    assert encoder.truncated == 1


@pytest.mark.parametrize("pooling", ["last", "mean"])
def test_a_real_language_model_encodes_the_same_alone_and_in_a_batch(pooling: str) -> None:
    if known("starter:smollm2-135m") is None:
        pytest.skip("starter:smollm2-135m is not in the cache (llmrec models pull)")
    encoder = load_encoder("starter:smollm2-135m", pooling=pooling)
    texts = ["Acme Trail 2 running shoe, blue, 42", "a camera", "", "Linksys EtherFast 8-Port 10/100 Switch"]
    together = encoder.encode(texts)
    np.testing.assert_allclose(together, np.concatenate([encoder.encode([text]) for text in texts]), atol=1e-4)


def test_a_real_encoder_puts_like_things_together() -> None:
    if known("starter:minilm") is None:
        pytest.skip("starter:minilm is not in the cache (llmrec models pull)")
    encoder = load_encoder("starter:minilm")
    query = encoder.encode(["something to run in on a forest path"], kind="query")[0]
    shoe, camera = encoder.encode(["trail running shoe for men", "compact digital camera with zoom"])
    assert query @ shoe > 0.3 > query @ camera
    assert (encoder.dimension, encoder.max_length, encoder.pooling) == (384, 256, "mean")
