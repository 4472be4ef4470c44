"""What is settled and refused before work starts; the settings of the recipe as those of the trainer."""

from __future__ import annotations

import json
import logging
import warnings
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path

import pytest
from tiny_trainings import Place

from llmrec.errors import InputError
from llmrec.recipes import Recipe, load_recipe
from llmrec.train.arguments import count_steps, evaluation_due, training_arguments
from llmrec.train.chosen import Chosen, choose
from llmrec.train.launch import check_launch, hushed, shards


def settled(recipe: Recipe, processes: int = 1) -> Chosen:
    return choose(recipe, parameters=10**6, context=2048, decoder=True, processes=processes)


def test_a_tracker_that_is_not_installed_is_named(tiny_recipe: Callable[..., Recipe]) -> None:
    from llmrec.train.run import prepare

    missing = next(name for name in ("tensorboard", "wandb", "mlflow") if find_spec(name) is None)
    with pytest.raises(InputError, match=f"training.report_to: {missing} is not installed") as caught:
        prepare(tiny_recipe(f"training.report_to={missing}"))
    assert caught.value.next_step == f"Install it with: pip install {missing}"
    with pytest.raises(InputError, match="no tracker 'tensorbord'") as caught:
        prepare(tiny_recipe("training.report_to=tensorbord"))
    assert "tensorboard" in caught.value.next_step


def test_trackers_are_passed_on(tiny_recipe: Callable[..., Recipe], tmp_path: Path) -> None:
    recipe = tiny_recipe("training.report_to=[tensorboard, mlflow]")
    arguments = training_arguments(recipe, settled(recipe), tmp_path, steps=10, has_dev=True)
    assert arguments["report_to"] == ["tensorboard", "mlflow"]


def test_zero(tiny_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    config = tmp_path / "zero3.json"
    recipe = tiny_recipe(f"training.deepspeed={config}", "evaluation.metric=loss")
    monkeypatch.setattr("llmrec.train.launch.find_spec", lambda name: None)
    with pytest.raises(InputError, match="DeepSpeed is not installed") as caught:
        check_launch(recipe, "loss")
    assert caught.value.next_step == "Install it with: pip install deepspeed"
    monkeypatch.setattr("llmrec.train.launch.find_spec", lambda name: name)
    with pytest.raises(InputError, match=r"zero3.json: no such file"):
        check_launch(recipe, "loss")
    config.write_text("{}")
    check_launch(recipe, "loss")
    with pytest.raises(InputError, match="rougeL is not measured on weights in parts"):
        check_launch(recipe, "rougeL")
    assert training_arguments(recipe, settled(recipe), tmp_path, steps=9, has_dev=True)["deepspeed"] == str(config)


def test_fsdp_is_told_by_the_launcher(tiny_recipe: Callable[..., Recipe], monkeypatch: pytest.MonkeyPatch) -> None:
    recipe = tiny_recipe()
    assert not shards(recipe)
    monkeypatch.setenv("ACCELERATE_USE_FSDP", "true")
    assert shards(recipe)
    with pytest.raises(InputError, match=r"Set evaluation\.metric to loss"):
        check_launch(recipe, "rougeL")


@pytest.mark.parametrize("name", ["summarize-fsdp-gpus", "summarize-zero-gpus"])
def test_recipes_for_several_gpus(name: str, tmp_path: Path) -> None:
    from transformers import TrainingArguments

    recipe = load_recipe(name, ["device=cpu"])
    chosen = settled(recipe, processes=8)
    assert chosen.micro_batch_size * chosen.accumulation * 8 == recipe.training.batch_size == 64
    check = training_arguments(recipe, chosen, tmp_path, steps=1000, has_dev=True)
    assert check.pop("deepspeed") == recipe.training.deepspeed
    arguments = TrainingArguments(**check)
    assert (arguments.bf16, arguments.warmup_steps, arguments.max_grad_norm) == (True, 60, 1.0)
    with pytest.raises(InputError, match="batch_size: 64 over 7 processes"):
        settled(recipe, processes=7)


def test_steps_by_hand(tiny_recipe: Callable[..., Recipe]) -> None:
    # 10 examples in batches of 4: 3 updates an epoch
    recipe = tiny_recipe("training.epochs=2.5")
    assert count_steps(recipe, 10) == 8
    assert [step for step in range(1, 9) if evaluation_due(recipe, 10, step)] == [3, 6, 8]
    assert [step for step in range(1, 9) if evaluation_due(tiny_recipe("evaluation.every=4"), 10, step)] == [4, 8]
    assert not any(evaluation_due(tiny_recipe("evaluation.every=end"), 10, step) for step in range(1, 9))
    assert count_steps(tiny_recipe("training.max_steps=2"), 10) == 2


def test_gradient_checkpointing_changes_no_loss(tiny: Path, tmp_path: Path) -> None:
    plain, saving = Place(tmp_path / "plain", tiny), Place(tmp_path / "saving", tiny)
    plain.train(["training.epochs=1"])
    saving.train(["training.epochs=1", "training.gradient_checkpointing=true"])
    for before, after in zip(plain.log(), saving.log(), strict=True):
        assert float(after[2] or 0) == pytest.approx(float(before[2] or 0), abs=1e-5)


def test_chatter_of_libraries_is_left_out_but_for_verbose() -> None:
    def chatter() -> None:
        warnings.warn_explicit("told", FutureWarning, "trainer.py", 1, module="transformers.trainer")

    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        with hushed():
            chatter()
        assert not heard
        logger = logging.getLogger("llmrec")
        before = logger.level
        logger.setLevel(logging.DEBUG)
        try:
            with hushed():
                chatter()
        finally:
            logger.setLevel(before)
        assert len(heard) == 1


def test_the_log_of_a_run(tiny: Path, tmp_path: Path) -> None:
    place = Place(tmp_path / "place", tiny)
    place.train(["training.epochs=1", "training.log_every=2"])
    lines = place.log()
    assert [line[0] for line in lines] == ["1", "2", "4", "6", "6"]
    assert (place.run / "curves.png").read_bytes()[:4] == b"\x89PNG"
    metrics = json.loads((place.run / "adapter" / "metrics.json").read_text())
    trained = metrics["training"]
    assert (trained["steps"], trained["examples"], trained["epochs"], trained["best_step"]) == (6, 24, 1.0, 6)
    assert metrics["estimate"]["peak_bytes"]["by"] == "formula"
