"""A training that is killed, interrupted or runs out of disk goes on as if nothing had been."""

from __future__ import annotations

import errno
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from killed import start
from tiny_trainings import Place

from llmrec.errors import InputError, StorageError, TrainingError
from llmrec.recipes import parse_recipe
from llmrec.train import finetune, steps
from llmrec.train.checkpoints import Best, last_checkpoint, seal

KILL = signal.SIGKILL


@pytest.mark.parametrize(
    ("changes", "ends"),
    [
        # mid-epoch with a half line of the log; while the next checkpoint is written; right after one
        (["method.dropout=0.2", "training.save_every=4"], [("step", 7), ("saving", 12), ("saved", 16)]),
        # a checkpoint falls on the end of an epoch, before the evaluation there; and after the last step
        (["training.save_every=6", "method.dropout=0.2"], [("evaluated", 6), ("saved", 12), ("trained", 18)]),
        # evaluations within an epoch choose the best; one of them was noted, its checkpoint never whole
        (
            ["evaluation.every=2", "evaluation.metric=loss", "training.save_every=3", "training.group_by_length=false"],
            [("step", 5), ("saving", 9), ("evaluated", 12)],
        ),
        # the training ends early, in the middle of an epoch, and is killed when all but the measure is done
        (
            ["evaluation.every=2", "evaluation.patience=2", "training.save_every=2", "training.keep=1"],
            [("saving", 4), ("trained", 6)],
        ),
    ],
    ids=["mid-epoch", "end of an epoch", "within an epoch", "early stopping"],
)
def test_killed_and_gone_on_is_the_same_to_the_bit(
    tiny: Path, tmp_path: Path, changes: list[str], ends: list[tuple[str, int]]
) -> None:
    whole, broken = Place(tmp_path / "whole", tiny), Place(tmp_path / "broken", tiny)
    whole.train(changes)
    for number, (point, at) in enumerate(ends):
        assert start(broken.text, changes, number > 0, point, at, KILL) == -KILL
        assert not (broken.run / "adapter").exists()
    broken.train(changes, resume=True)
    assert broken.log() == whole.log()
    assert len({row[0] for row in whole.log() if row[2]}) == len([row for row in whole.log() if row[2]])
    assert broken.weights() == whole.weights()


def test_a_signal_saves_and_the_run_goes_on_the_same(tiny: Path, tmp_path: Path) -> None:
    changes = ["method.dropout=0.2", "training.epochs=2"]
    whole, broken = Place(tmp_path / "whole", tiny), Place(tmp_path / "broken", tiny)
    assert start(broken.text, changes, False, "step", 6, signal.SIGTERM) == 130
    assert {path.name for path in (broken.run / "checkpoints").glob("c*-*")} == {"checkpoint-6", "checkpoint-7"}
    with pytest.raises(InputError, match="holds a training that was begun"):
        broken.train(changes)
    with pytest.raises(InputError, match=r"another method\.dropout \(0\.2 then, None now\), training\.epochs"):
        broken.train([], resume=True)
    broken.train(changes, resume=True)
    whole.train(changes)
    assert broken.log() == whole.log()
    assert broken.weights() == whole.weights()


def test_a_disk_that_fills_up_leaves_the_last_checkpoint(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changes = ["training.epochs=1", "training.save_every=2"]
    whole, broken = Place(tmp_path / "whole", tiny), Place(tmp_path / "broken", tiny)

    def full(folder: Path, step: int) -> None:
        if step == 4:
            raise OSError(errno.ENOSPC, "No space left on device", str(folder / "manifest.json"))
        seal(folder, step=step)

    with monkeypatch.context() as patched:
        patched.setattr(steps, "seal", full)
        with pytest.raises(StorageError, match="no space left on the disk") as caught:
            broken.train(changes)
    assert "--resume" in caught.value.next_step
    assert [path.name for path in (broken.run / "checkpoints").glob("c*-*")] == ["checkpoint-2"]
    broken.train(changes, resume=True)
    whole.train(changes)
    assert broken.log() == whole.log()


def test_a_small_disk(tiny: Path, tmp_path: Path, tiny_disk: Callable[[str], Path]) -> None:
    place = Place(tmp_path / "place", tiny)
    disk = tiny_disk("600k")
    changes = ["training.epochs=1", "training.save_every=1", f"output={disk}/run", "training.keep=9"]
    with pytest.raises(StorageError, match="no space left"):
        place.train(changes)
    kept = last_checkpoint(disk / "run" / "checkpoints", clear=False)
    assert kept is not None
    assert not list(disk.rglob("*.partial"))
    assert {path.name for path in (disk / "run" / "checkpoints").glob("c*-*")} >= {kept.name}
    assert all((path / "manifest.json").is_file() for path in (disk / "run" / "checkpoints").glob("c*-*"))


def test_a_loss_that_is_no_number_names_the_last_good_checkpoint(tiny: Path, tmp_path: Path) -> None:
    import torch
    from transformers import TrainerCallback

    from llmrec.train import run

    place = Place(tmp_path / "place", tiny)

    class Poison(TrainerCallback):
        def on_step_end(self, args: Any, state: Any, control: Any, **kwargs: Any) -> None:
            if state.global_step == 5:
                next(p for p in kwargs["model"].parameters() if p.requires_grad).data.fill_(torch.nan)

    recipe = parse_recipe(place.text, ["training.save_every=2", "training.epochs=1"])
    inner = run._trainer
    try:
        run._trainer = lambda task, arguments, heard: inner(task, arguments, [*heard, Poison()])
        with pytest.raises(TrainingError, match="step 6: the loss is nan; the last good checkpoint is checkpoint-4"):
            finetune(recipe)
    finally:
        run._trainer = inner
    assert last_checkpoint(place.run / "checkpoints") is not None
    assert not (place.run / "adapter").exists()


def test_gradients_that_vanish_after_an_evaluation_end_the_training(
    tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from llmrec.train.summarize import SummarizeTask

    place = Place(tmp_path / "place", tiny)
    load = SummarizeTask.load

    def forgetful(self: SummarizeTask) -> Any:
        """Once used without gradients, the last layer lets none through, as NF4 layers of bitsandbytes did."""
        import torch

        model = load(self)
        seen = []

        def forward(module: Any, inputs: Any, output: torch.Tensor) -> torch.Tensor:
            if not torch.is_grad_enabled():
                seen.append(1)
            return output.detach() + 0 * output if seen else output

        model.get_base_model().model.norm.register_forward_hook(forward)
        return model

    monkeypatch.setattr(SummarizeTask, "load", forgetful)
    with pytest.raises(TrainingError, match="step 7: no gradient reaches the trained weights"):
        place.train(["training.epochs=2"])


def test_checkpoints_hold_no_code(tiny: Path, tmp_path: Path) -> None:
    import torch

    place = Place(tmp_path / "place", tiny)
    place.train(["training.epochs=1"])
    (folder,) = (place.run / "checkpoints").glob("c*-*")
    assert not (folder / "training_args.bin").exists()
    for path in [*folder.glob("*.pt"), *folder.glob("*.pth")]:
        if path.name != "rng_state.pth":  # numpy's state, whose types transformers allows by name
            assert torch.load(path, weights_only=True)
    assert str(tmp_path) not in (folder / "adapter_config.json").read_text().replace(str(tiny), "")


def test_best_is_what_was_best_by_then(tmp_path: Path) -> None:
    import torch

    model = torch.nn.Linear(1, 1, bias=False)
    best = Best(tmp_path, greater=True)
    for step, value in ((2, 0.5), (4, 0.4), (6, 0.7), (8, 0.7)):
        model.weight.data.fill_(step)
        if best.add(step, value):
            best.save({"weight": model.weight.data.clone()}, step)
    assert best.best == (6, 0.7)
    assert best.since == 1
    best.prune(4)  # a checkpoint after step 4 is there: going on from it needs the best of then
    assert sorted(path.name for path in tmp_path.glob("weights-*")) == ["weights-2", "weights-6"]
    best.restore(model)
    assert float(model.weight.detach()) == 6
    again = Best(tmp_path, greater=True)
    again.load(4)
    again.forget_after(4)
    again.restore(model)
    assert (again.best, float(model.weight.detach())) == ((2, 0.5), 2)
    again.prune(6)
    assert [path.name for path in tmp_path.glob("weights-*")] == ["weights-2"]


def test_half_written_checkpoints_go(tmp_path: Path) -> None:
    for step in (2, 4, 6):
        (tmp_path / f"checkpoint-{step}").mkdir()
        (tmp_path / f"checkpoint-{step}" / "weights").write_text("w" * step)
    (tmp_path / "checkpoint-best").mkdir()
    seal(tmp_path / "checkpoint-2", step=2)
    seal(tmp_path / "checkpoint-4", step=4)
    (tmp_path / "checkpoint-4" / "weights").write_text("v" * 4)
    assert last_checkpoint(tmp_path) == tmp_path / "checkpoint-2"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["checkpoint-2", "checkpoint-best"]
