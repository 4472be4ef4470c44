"""What a task brings to a training: its data, its model, its trainer, its measure. ``run`` does the rest."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from llmrec.models import ModelFolder
from llmrec.recipes import Recipe
from llmrec.train.batches import epoch_order, padded
from llmrec.train.chosen import Chosen


@dataclass
class Splits:
    """Examples to learn from, to choose by, and to measure once. What an example is, the task knows."""

    train: Sequence[Any]
    dev: Sequence[Any] = ()
    test: Sequence[Any] = ()


@dataclass
class Lengths:
    """Tokens of the training examples, and what became of those beyond the limit."""

    tokens: list[int]
    trained: list[int]
    cut: int = 0
    dropped: int = 0
    #: Number of each example's prompt, where some prompts have several answers; else empty.
    prompts: list[int] = field(default_factory=list)


@dataclass
class Measured:
    """A model on some examples.

    Attributes:
        values: Metric to one value an example, in order: what intervals and paired tests are made of.
        scores: For pairs, the score of each; F1 is made of all of them together.
        threshold: For pairs, where F1 was best on the dev pairs.
        outputs: What the model wrote, for the first few.
    """

    values: dict[str, list[float]] = field(default_factory=dict)
    scores: list[float] = field(default_factory=list)
    labels: list[bool] = field(default_factory=list)
    threshold: float | None = None
    outputs: list[str] = field(default_factory=list)
    #: Values that are no means over the examples (F1).
    whole: dict[str, float] = field(default_factory=dict)
    #: What each part of a matcher says alone: name to scores and threshold.
    parts: dict[str, tuple[list[float], float]] = field(default_factory=dict)

    def mean(self, metric: str) -> float:
        """The metric over all examples."""
        if metric in self.whole:
            return self.whole[metric]
        values = self.values[metric]
        return sum(values) / len(values)

    def means(self) -> dict[str, float]:
        """All metrics over all examples."""
        return {name: self.mean(name) for name in [*self.values, *self.whole]}


class TrainingTask(ABC):
    """A task of a recipe. The methods are called in this order, each once but ``measure``."""

    #: ``adapter`` or ``encoder`` or ``reranker``: what the finished folder is.
    kind = "adapter"
    #: Modules that the trainer will import: their memory is no part of the training's.
    libraries: tuple[str, ...] = ("transformers.trainer",)

    def __init__(self, recipe: Recipe, model: ModelFolder, chosen: Chosen) -> None:
        self.recipe, self.folder, self.chosen = recipe, model, chosen
        self.model: Any = None
        self.splits = Splits([])

    @abstractmethod
    def read(self) -> Splits:
        """Read and check all examples; the weights are not needed yet.

        Raises:
            InputError: A file, row or field that cannot be used.
        """

    def settle(self) -> None:  # noqa: B027
        """Choose anew, now that the examples are known, what was left to us."""

    @abstractmethod
    def lengths(self) -> Lengths:
        """Tokens of each training example as it will be trained on."""

    def micro_batches(self, epoch: int = 0) -> list[list[int]]:
        """The examples that go through the model together, in the order of an epoch."""
        training, lengths = self.recipe.training, self.lengths()
        order = epoch_order(
            lengths.tokens,
            training.batch_size,
            seed=training.seed,
            epoch=epoch,
            grouped=training.group_by_length,
            prompts=lengths.prompts,
        )
        size = self.chosen.micro_batch_size
        return [order[i : i + size] for i in range(0, len(order), size)]

    def at_once(self) -> int:
        """Most tokens that go through the model together, padding included; the model is loaded."""
        lengths = self.lengths().tokens
        return max(padded(lengths, batch) for batch in self.micro_batches())

    @abstractmethod
    def shown(self, count: int) -> list[str]:
        """The first training examples as the model sees them, what is trained marked."""

    @abstractmethod
    def load(self) -> Any:
        """Load the model with what is trained on top."""

    @abstractmethod
    def trainer(self, arguments: dict[str, Any], callbacks: list[Any]) -> Any:
        """The trainer, a ``StepsMixin``, not started."""

    @abstractmethod
    def measure(self, examples: Sequence[Any], *, base: bool = False) -> Measured:
        """Measure the present model, or the untrained one beneath."""

    @abstractmethod
    def save(self, folder: Path) -> None:
        """Write the model or adapter in its library's own layout."""
