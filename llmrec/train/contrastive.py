"""The contrastive loss: each query is to be nearer to its product than to the other products of its batch.

InfoNCE (van den Oord et al. 2018, arXiv 1807.03748) over cosines, in both directions if wanted. What a batch holds by
chance and is right all the same counts for nothing: known matches, variants, and products that the untrained model
takes for near-duplicates of the right one (the idea of arXiv 2606.01504). sentence-transformers' own loss knows no such
mask; with nothing masked the two are equal. Large batches go by its gradient cache (Gao et al. 2021, arXiv 2101.06983).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


@dataclass
class Truth:
    """What is right for what, by the numbers of rows and items. A row is one pair that is trained on.

    Attributes:
        item: int64 ``[rows]``, the right item of each row.
        negatives: int64 ``[rows, k]``, its hard negatives.
        known: For each row, the groups of all items that are known to match its query.
        group: int64 ``[items]``; items of one group are variants of one product.
        vectors: float32 ``[items, d]``, unit length, by the untrained model; None: near-duplicates are not looked for.
        above: Cosine from which an item is taken for a near-duplicate.
    """

    item: NDArray[np.int64]
    negatives: NDArray[np.int64]
    known: Sequence[Sequence[int]]
    group: NDArray[np.int64]
    vectors: NDArray[np.float32] | None = None
    above: float = 1.0
    masked: bool = True

    def hidden(self, rows: NDArray[np.int64], columns: int) -> NDArray[np.bool_]:
        """Which of a batch's documents count for nothing, for each of its queries.

        Args:
            rows: int64 ``[b]``, the rows of the batch.
            columns: Documents of a row: the right one and ``columns - 1`` negatives.

        Returns:
            bool ``[b, b * columns]``: all right items, then all first negatives, and so on. A query's own right item
            is never hidden; the same item elsewhere in the batch always is.
        """
        own = self.item[rows]
        items = np.concatenate([own, *(self.negatives[rows, k] for k in range(columns - 1))])
        hidden = own[:, None] == items
        if self.masked:
            groups = self.group[items]
            for place, row in enumerate(rows):
                for known in self.known[row]:
                    hidden[place] |= groups == known
            if self.vectors is not None:
                # identical texts come out a rounding error below 1
                hidden |= self.vectors[own] @ self.vectors[items].T >= self.above - 1e-6
        hidden[np.arange(len(rows)), np.arange(len(rows))] = False
        return hidden


def contrastive_loss(
    model: Any, truth: Truth, *, temperature: float, symmetric: bool, chunk: int | None, dims: Sequence[int] = ()
) -> Any:
    """The loss as sentence-transformers' trainer wants it; the labels of a batch are the numbers of its rows.

    Args:
        model: The ``SentenceTransformer`` that is trained.
        temperature: Cosines are divided by this.
        symmetric: Whether products look for their queries too.
        chunk: Texts that go through the model at once, by gradient cache; None: all of the batch.
        dims: Lengths at which cut vectors are trained as well (Matryoshka, Kusupati et al. 2022, arXiv 2205.13147);
            the mean of all is the loss.
    """
    import torch
    from sentence_transformers.base.losses.gradcache import CachedLossMixin
    from sentence_transformers.sentence_transformer.losses import MatryoshkaLoss
    from torch.nn.functional import cross_entropy, normalize

    class Contrastive(CachedLossMixin, torch.nn.Module):
        """See the module."""

        def __init__(self) -> None:
            super().__init__()
            self.model = model
            self.mini_batch_size = chunk or 0
            self.uses_gradient_cache = chunk is not None

        def forward(self, sentence_features: Any, labels: Any) -> Any:
            features = list(sentence_features)
            if self.uses_gradient_cache:
                return self.forward_cached(features, labels)
            return self.calculate_loss([[self.model(column)["sentence_embedding"]] for column in features], labels)

        def calculate_loss(self, reps: Any, labels: Any = None, *, with_backward: bool = False) -> Any:
            device = reps[0][0].device
            with torch.autocast(device.type, enabled=False):
                queries, *documents = [normalize(torch.cat(parts).float(), dim=-1) for parts in reps]
                hidden = torch.from_numpy(truth.hidden(labels.cpu().numpy(), len(documents))).to(device)
                scores = queries @ torch.cat(documents).T / temperature
                scores = scores.masked_fill(hidden, -torch.inf)
                targets = torch.arange(len(queries), device=device)
                loss = cross_entropy(scores, targets)
                if symmetric:
                    loss = (loss + cross_entropy(scores[:, : len(queries)].T, targets)) / 2
            if with_backward:
                loss.backward()
                loss = loss.detach()
            return loss

        def get_config_dict(self) -> dict[str, Any]:
            return {"temperature": temperature, "symmetric": symmetric, "chunk": chunk}

    loss: Any = Contrastive()
    if not dims:
        return loss
    lengths = sorted({*dims, int(model.get_embedding_dimension())}, reverse=True)
    return MatryoshkaLoss(model, loss, lengths, matryoshka_weights=[1 / len(lengths)] * len(lengths))
