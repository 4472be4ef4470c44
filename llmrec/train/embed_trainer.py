"""sentence-transformers' trainer with our batches and checks, and checkpoints that hold only what is trained."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from llmrec.errors import TrainingError
from llmrec.train.product_batches import ProductBatches

#: Weights of a checkpoint, beside transformers' own files of optimizer, schedule and random state.
WEIGHTS = "trained.safetensors"


def embed_trainer(
    model: Any,
    arguments: dict[str, Any],
    loss: Any,
    rows: tuple[list[dict[str, Any]], list[dict[str, Any]]],
    *,
    lengths: Sequence[int],
    products: Sequence[str],
    grouped: bool,
    callbacks: list[Any],
) -> Any:
    """The trainer, a ``StepsMixin``, not started.

    Args:
        rows: Training and dev rows: ``query``, ``positive``, ``negative_0`` …, and the row's number as ``label``.
        lengths: Tokens of the training rows.
        products: Their products: none stands twice in a batch.
        grouped: Whether rows of like length come together.
    """
    from datasets import Dataset
    from safetensors.torch import load_file, save_file
    from sentence_transformers import SentenceTransformerTrainer, SentenceTransformerTrainingArguments

    from llmrec.train.checkpoints import trained_weights
    from llmrec.train.steps import StepsMixin

    class Trainer(StepsMixin, SentenceTransformerTrainer):  # type: ignore[misc]
        """See the module."""

        def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
            """None: our own card is written at the end."""

        def get_batch_sampler(self, dataset: Any, batch_size: int, *args: Any, **kwargs: Any) -> Any:
            if dataset is not self.train_dataset:
                return super().get_batch_sampler(dataset, batch_size, *args, **kwargs)
            self._sampler = ProductBatches(lengths, products, batch_size, seed=self.args.seed, grouped=grouped)
            return self._sampler

        def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
            folder = Path(output_dir or self.args.output_dir)
            folder.mkdir(parents=True, exist_ok=True)
            save_file(trained_weights(self.accelerator.unwrap_model(self.model)), folder / WEIGHTS)

        def _load_from_checkpoint(self, checkpoint_path: str, *args: Any) -> None:
            path = Path(checkpoint_path) / WEIGHTS
            if not path.is_file():
                step = "Start anew in another output."
                raise TrainingError(f"{checkpoint_path}: holds no {WEIGHTS}", next_step=step)
            own = dict(self.model.named_parameters())
            for name, value in load_file(path).items():
                own[name].data.copy_(value)

    train, dev = rows
    return Trainer(
        model=model,
        args=SentenceTransformerTrainingArguments(**arguments),
        train_dataset=Dataset.from_list(train),
        eval_dataset=Dataset.from_list(dev) if dev else None,
        loss=loss,
        callbacks=callbacks,
    )
