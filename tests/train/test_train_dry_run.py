"""A dry run: counts by hand, samples with what is trained marked, estimates that the run is held against."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from typer.testing import CliRunner

from llmrec.cli import app
from llmrec.recipes import Recipe, dump_recipe
from llmrec.train import finetune, prepare
from llmrec.train.cost import Estimate, by_formula
from llmrec.train.dry_run import Bar, histogram, look_ahead, percentiles, visible


def test_lengths_by_hand() -> None:
    lengths = [10, 12, 14, 29, 30]
    assert histogram(lengths, bars=3) == [Bar(10, 16, 3), Bar(17, 23, 0), Bar(24, 30, 2)]
    assert histogram([7, 7], bars=10) == [Bar(7, 7, 2)]
    assert percentiles(lengths) == {"5": 10, "25": 12, "50": 14, "75": 29, "95": 30, "99": 30}


def test_controls_are_made_visible() -> None:
    assert visible("a\x1b[31mb\u202ec\nd\tü⟦") == "a\\x1b[31mb\\u202ec\nd\\tü⟦"


def test_how_far_off() -> None:
    held = Estimate({"weights": 100, "activations": 100}, epoch_seconds=4.0).beside(250, 15.0, 3.0)
    assert held["peak_bytes"] == {"estimated": 200, "measured": 250, "off": 0.25, "by": "formula"}
    assert held["epoch_seconds"] == {"estimated": 4.0, "measured": 5.0, "off": 0.25}
    assert "epoch_seconds" not in Estimate({"weights": 1}).beside(None, 1.0, 1.0)


def test_memory_by_hand(tiny_recipe: Callable[..., Recipe]) -> None:
    """Two layers of 64 with 96 inside, 259 words; what an adapter reads is kept once, but for its own dropout."""

    def memory(*changes: str) -> tuple[int, dict[str, int]]:
        task = prepare(tiny_recipe("training.micro_batch_size=2", *changes))
        task.load()
        return task.at_once(), by_formula(task, 7).memory

    tokens, plain = memory()
    assert plain["before"] == 7
    assert plain["activations"] == tokens * (12 * 64 + 3 * 96) * 4 * 2
    assert "logits" not in plain  # our own step holds those of a few positions
    assert memory("method.dropout=0.1")[1]["activations"] - plain["activations"] == tokens * (6 * 64 + 96) * 4 * 2
    assert memory("training.compile=true")[1]["logits"] == 2 * tokens * 259 * 4
    kept = memory("training.gradient_checkpointing=true")[1]["activations"]
    assert kept == tokens * 64 * 4 * 2 + plain["activations"] // 2
    # rank 4 on q, o (64 to 64), k, v (64 to 32), gate, up, down (64 and 96), in two layers: gradient and two moments
    assert plain["gradients and optimizer"] == 2 * 4 * (2 * 128 + 2 * 96 + 3 * 160) * (4 + 8)


def test_a_dry_run_and_the_run_that_follows(
    tiny_recipe: Callable[..., Recipe], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [
        {"prompt": "ab", "completion": "yes\x1b[2J"},
        {"prompt": "abcd", "completion": "no"},
        {"prompt": "x" * 300, "completion": "never"},
    ]
    (tmp_path / "train.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    recipe = tiny_recipe("data.too_long=drop", "training.epochs=2", "training.batch_size=2")
    path = tmp_path / "recipe.yaml"
    path.write_text(dump_recipe(recipe))
    told = CliRunner().invoke(app, ["finetune", str(path), "--dry-run", "--json"])
    assert told.exit_code == 0, told.output
    found = json.loads(told.stdout)
    # a byte is a token: start 1, "user\n" 5, the prompt, end 1, "\n" 1, start 1, "assistant\n" 10, the answer, end 1
    assert (found["tokens"], found["longest"]) == (19 + 2 + 7 + 1 + 19 + 4 + 2 + 1, 29)
    assert found["examples"] == {"train": 2, "dev": 4, "test": 0}
    assert (found["cut"], found["dropped"], found["steps_an_epoch"], found["steps"]) == (0, 1, 1, 2)
    assert found["trained_share"] == pytest.approx((8 + 3) / found["tokens"])
    assert found["padding_share"] == pytest.approx(2 * found["longest"] / found["tokens"] - 1)
    assert found["chosen"]["micro_batch_size"] == 2
    assert found["shown"][0].endswith("<|im_start|>assistant\n⟦yes\\x1b[2J<|im_end|>⟧")
    assert found["memory"]["weights"] > 4 * found["all_weights"] * 0.99
    assert found["peak_bytes"] > found["memory"]["weights"]
    assert not (tmp_path / "run" / "run.json").exists()

    text = look_ahead(recipe).text()
    assert "examples: 2 to learn from, 4 dev, 0 test" in text
    assert "too long: 0 cut (0.0%), 1 dropped (33.3%)" in text
    assert "steps: 2 in 2 epochs of 1" in text
    assert "\x1b" not in text

    held = finetune(recipe).metrics["estimate"]
    assert held["peak_bytes"]["by"] == "dry run"
    assert held["epoch_seconds"]["measured"] == pytest.approx(
        held["epoch_seconds"]["estimated"] * (1 + held["epoch_seconds"]["off"]), rel=0.01
    )
