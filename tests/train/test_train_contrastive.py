from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from llmrec.train.contrastive import Truth, contrastive_loss


def truth(**changes: Any) -> Truth:
    """Four rows with right items 0 to 3, item 4 as negative of all; items 2 and 3 are of one group."""
    settings: dict[str, Any] = {
        "item": np.arange(4),
        "negatives": np.full((4, 1), 4),
        "known": [[0], [1], [2], [2]],
        "group": np.array([0, 1, 2, 2, 3]),
    }
    return Truth(**{**settings, **changes})


def test_variants_are_hidden_and_what_is_right_never() -> None:
    hidden = truth().hidden(np.arange(4), 2)
    assert hidden.shape == (4, 8)
    assert [tuple(at) for at in np.argwhere(hidden)] == [(2, 3), (3, 2)]


def test_other_known_products_of_a_query_are_hidden() -> None:
    hidden = truth(known=[[0, 1, 3], [1], [2], [2]]).hidden(np.array([0, 1]), 2)
    assert hidden.tolist() == [[False, True, True, True], [False, False, False, False]]


def test_near_duplicates_by_the_untrained_model_are_hidden_from_the_bound_on() -> None:
    # cosines of item 0 with 1 and 2: 0.8 and 0
    vectors = np.array([[1, 0], [0.8, 0.6], [0, 1], [0, 1], [0.6, 0.8]], dtype=np.float32)
    apart = {"known": [[0], [1], [2], [3]], "group": np.arange(5), "vectors": vectors}
    rows = np.array([0, 1, 2])
    assert truth(**apart, above=0.8).hidden(rows, 1).tolist() == [[0, 1, 0], [1, 0, 0], [0, 0, 0]]
    assert not truth(**apart, above=0.81).hidden(rows, 1).any()
    # item 4 is the negative: its cosine with item 1 is 0.96, with item 2 0.8, with item 0 0.6
    assert truth(**apart, above=0.81).hidden(rows, 2)[:, 3:].tolist() == [[0] * 3, [1] * 3, [0] * 3]


def test_without_a_mask_only_the_same_item_is_hidden() -> None:
    rows = truth(item=np.array([0, 0, 2, 3]), masked=False)
    assert np.argwhere(rows.hidden(np.arange(4), 1)).tolist() == [[0, 1], [1, 0]]


class Table:
    """Stands for a SentenceTransformer: a linear layer over one-hot texts."""

    @staticmethod
    def make(dimension: int = 6) -> Any:
        import torch

        class Model(torch.nn.Module):
            def __init__(self) -> None:
                super().__init__()
                torch.manual_seed(0)
                self.layer = torch.nn.Linear(12, dimension)

            def forward(self, features: Any) -> Any:
                return {**features, "sentence_embedding": torch.tanh(self.layer(features["input_ids"]))}

            def get_embedding_dimension(self) -> int:
                return dimension

        return Model()


def features(count: int = 4) -> list[dict[str, Any]]:
    import torch

    generator = torch.Generator().manual_seed(1)
    return [{"input_ids": torch.randn(count, 12, generator=generator)} for _ in range(3)]


def apart() -> Truth:
    """Nothing of these matches anything else."""
    return truth(known=[[0], [1], [2], [3]], group=np.arange(8), negatives=np.arange(4, 8)[:, None])


def both(loss: Any, model: Any, labels: Any) -> tuple[float, Any]:
    model.zero_grad()
    value = loss([dict(column) for column in features()], labels)
    value.backward()
    return float(value.detach()), model.layer.weight.grad.clone()


@pytest.mark.parametrize("symmetric", [False, True])
def test_with_nothing_masked_it_is_sentence_transformers_own(symmetric: bool) -> None:
    import torch
    from sentence_transformers.sentence_transformer.losses import MultipleNegativesRankingLoss

    model, labels = Table.make(), torch.arange(4)
    own = contrastive_loss(model, apart(), temperature=0.05, symmetric=symmetric, chunk=None)
    directions: Any = ("query_to_doc", "doc_to_query") if symmetric else ("query_to_doc",)
    theirs = MultipleNegativesRankingLoss(model, scale=20, directions=directions, partition_mode="per_direction")
    (value, gradient), (expected, other) = both(own, model, labels), both(theirs, model, labels)
    assert value == pytest.approx(expected, abs=1e-5)
    assert torch.allclose(gradient, other, atol=1e-5)


@pytest.mark.parametrize("dims", [(), (2,)])
@pytest.mark.parametrize("known", [truth(), apart()])
def test_the_gradient_cache_changes_no_gradient(known: Truth, dims: tuple[int, ...]) -> None:
    import torch

    model, labels = Table.make(), torch.arange(4)
    settings: dict[str, Any] = {"temperature": 0.05, "symmetric": True, "dims": dims}
    whole = both(contrastive_loss(model, known, chunk=None, **settings), model, labels)
    chunks = both(contrastive_loss(model, known, chunk=3, **settings), model, labels)
    assert chunks[0] == pytest.approx(whole[0], abs=1e-5)
    assert torch.allclose(chunks[1], whole[1], atol=1e-5)
    assert float(whole[1].abs().max()) > 1e-3


def test_a_masked_document_gets_no_gradient() -> None:
    """Query 0 and its product, and another product of the same group: nothing is left to learn from."""
    import torch

    model = Table.make()
    known = truth(item=np.array([0, 1]), negatives=np.zeros((2, 0), dtype=np.int64), known=[[0], [0]],
                  group=np.zeros(2, dtype=np.int64))  # fmt: skip
    loss = contrastive_loss(model, known, temperature=0.05, symmetric=True, chunk=None)
    value = loss([dict(column) for column in features(2)[:2]], torch.arange(2))
    assert float(value) == pytest.approx(0.0, abs=1e-7)


def test_the_loss_by_hand() -> None:
    """Cosines 1 and 0 at a temperature of 1: -log(e / (e + 1))."""
    import torch

    class Same(torch.nn.Module):
        def forward(self, given: Any) -> Any:
            return {"sentence_embedding": given["input_ids"]}

    known = truth(item=np.array([0, 1]), negatives=np.zeros((2, 0), dtype=np.int64), known=[[0], [1]])
    loss = contrastive_loss(Same(), known, temperature=1.0, symmetric=True, chunk=None)
    column = {"input_ids": torch.eye(2)}
    assert float(loss([column, column], torch.arange(2))) == pytest.approx(np.log(1 + np.exp(-1)), abs=1e-6)
