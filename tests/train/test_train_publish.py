"""What a training leaves behind: peft alone loads it, no file names this machine; a bar while it ran."""

from __future__ import annotations

import io
import json
from pathlib import Path
from types import SimpleNamespace

import pytest
from tiny_trainings import Place

from llmrec.storage import read_manifest
from llmrec.train.compare import compared
from llmrec.train.log import Bar
from llmrec.train.task import Measured, Splits


def test_peft_alone_loads_the_adapter(tiny: Path, tmp_path: Path) -> None:
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from llmrec.recipes import load_recipe, parse_recipe
    from llmrec.train import finetune, run

    place = Place(tmp_path / "place", tiny)
    held = []
    inner = run.publish
    try:
        run.publish = lambda task, *rest: held.append(task.model) or inner(task, *rest)  # type: ignore[func-returns-value]
        folder = finetune(parse_recipe(place.text, ["training.epochs=1", "evaluation.base=true"])).folder
    finally:
        run.publish = inner
    assert folder is not None
    ids = torch.tensor([[257, 5, 6, 7, 8]])
    base = AutoModelForCausalLM.from_pretrained(tiny)
    with torch.no_grad():
        untrained = base(input_ids=ids).logits
        loaded = PeftModel.from_pretrained(base, folder).eval()(input_ids=ids).logits
        ours = held[0].eval()(input_ids=ids).logits
    assert torch.equal(loaded, ours)
    assert not torch.allclose(loaded, untrained, atol=1e-4)
    assert AutoTokenizer.from_pretrained(folder).chat_template
    manifest = read_manifest(folder, kind="adapter", format_version=1)
    assert manifest["method"] == "lora"
    assert load_recipe(folder / "recipe.yaml").training.epochs == 1
    metrics = json.loads((folder / "metrics.json").read_text())
    assert set(metrics["dev"]["rougeL"]) == {"base", "tuned", "difference", "p_value"}
    card = (folder / "README.md").read_text()
    assert "24 examples, 6 steps" in card and "| rougeL |" in card
    # the model and the data of this test lie in a folder of the test's; nothing else may be named
    for path in folder.iterdir():
        text = path.read_bytes().decode(errors="replace")
        for known in (str(tiny), str(place.run), str(place.run.parent)):
            text = text.replace(known, "")
        assert str(Path.home()) + "/" not in text and "/tmp/" not in text, path.name


def test_before_and_after_by_hand() -> None:
    base, tuned = Measured(values={"rougeL": [0.0, 0.2, 0.4, 0.2]}), Measured(values={"rougeL": [0.2, 0.4, 0.6, 0.4]})
    found = compared({"dev": base}, {"dev": tuned}, Splits([], [1, 2, 3, 4]))["dev"]
    assert found["examples"] == 4
    assert found["rougeL"]["base"]["value"] == pytest.approx(0.2)
    assert found["rougeL"]["tuned"]["value"] == pytest.approx(0.4)
    assert found["rougeL"]["difference"]["value"] == pytest.approx(0.2)
    assert found["rougeL"]["p_value"] == pytest.approx(2 / 2**4, abs=0.02)
    alone = compared({}, {"test": tuned}, Splits([], [], [1, 2, 3, 4]))["test"]
    assert set(alone["rougeL"]) == {"tuned"}


def test_pairs_before_and_after_by_hand() -> None:
    labels = [True, True, False, False] * 5
    tuned = Measured(scores=[0.9, 0.8, 0.1, 0.2] * 5, labels=labels, threshold=0.5)
    base = Measured(scores=[0.9, 0.1, 0.8, 0.2] * 5, labels=labels, threshold=0.5)
    found = compared({"dev": base}, {"dev": tuned}, Splits([], labels))["dev"]
    assert found["f1"]["tuned"]["value"] == 1.0
    assert found["f1"]["base"]["value"] == pytest.approx(0.5)
    assert found["f1"]["difference"]["value"] == pytest.approx(0.5)


def test_the_bar_tells_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    told = io.StringIO()
    told.isatty = lambda: True  # type: ignore[method-assign]
    monkeypatch.setattr("sys.stderr", told)
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "160")
    bar = Bar("rougeL")
    state = SimpleNamespace(max_steps=10, global_step=3)
    bar.on_train_begin(None, state, None)
    bar.on_log(None, state, None, logs={"loss": 1.25, "tokens_per_second": 42.0})
    bar.on_log(None, state, None, logs={"eval_rougeL": 0.5})
    bar.on_step_end(None, state, None)
    bar.close()
    bar.close()
    for part in ("3/10", "loss 1.2500", "tokens/s 42", "dev rougeL 0.5000"):
        assert part in told.getvalue()
