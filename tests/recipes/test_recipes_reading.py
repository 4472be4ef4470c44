"""A recipe: every fault at once, with its line and the nearest key; what is written out reads back the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrec.errors import InputError
from llmrec.recipes import dump_recipe, load_recipe, parse_recipe, shipped_recipes

GOOD = "task: embed\nmodel: m\ndata: {train: a.jsonl}\n"
BAD = """task: sumarize
model: starter:smollm2-135m
lerning_rate: 1e-4
learning_rate: 2e-4
method:
  name: lora
  rank: 0
  ranks: 8
training:
  batch_size: 16
  epochs: many
  epochs: 2
  packing: "no"
data:
  trian: x.jsonl
"""


def faults(text: str, changes: tuple[str, ...] = ()) -> str:
    with pytest.raises(InputError) as caught:
        parse_recipe(text, changes)
    return caught.value.message


def test_every_fault_is_told_at_once_with_its_line() -> None:
    told = faults(BAD, ("a=1", "x"))
    assert told.splitlines()[0] == "recipe: 11 faults in the recipe"
    for line in (
        "line 1: task: 'sumarize' is not one of 'summarize', 'embed', 'rerank' or 'prefer' (did you mean 'summarize'?)",
        "line 3: lerning_rate: unknown key; did you mean training.learning_rate?",
        "line 4: learning_rate: unknown key; it belongs under training",
        "line 7: method.rank: 0: input should be greater than or equal to 1",
        "line 8: method.ranks: unknown key; did you mean 'rank'?",
        "line 12: training.epochs: stands twice (first in line 11)",
        "line 13: training.packing: 'no': input should be a valid boolean",
        "line 14: data.train: is missing",
        "line 15: data.trian: unknown key; did you mean 'train'?",
        "--set: 'x' is not of the form key.of.section=value",
    ):
        assert f"  {line}" in told
    assert told.splitlines()[-1].startswith("  --set: a: unknown key")


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("method: {name: prompt, rank: 8}", "method.rank: means nothing with the method prompt"),
        ("method: {name: prefix}", "method.name: prefix puts tokens before the text"),
        ("training: {batch_size: 16, micro_batch_size: 5}", "5 does not divide batch_size (16)"),
        ("rerank: {hints: true}", "rerank: means nothing for the task embed"),
        ("evaluation: {metric: rougeL}", "rougeL is not measured for embed"),
        ("precision: nf4\nmethod: {name: full}", "precision: nf4 weights are frozen"),
        ("precision: int8\nmethod: {init: pissa}", "pissa needs the weights that int8 has rounded away"),
        ("embed: {mine_from: 9, mine_to: 3}", "embed.mine_to: 3 is below mine_from (9)"),
        ("training: {packing: true}", "only summarize packs"),
        ("embed: {temperature: .nan}", "embed.temperature"),
        ("training: {epochs: true}", "training.epochs: True: not a number"),
        ("training: {seed: -1}", "training.seed: -1"),
    ],
)
def test_keys_that_do_not_go_together(text: str, told: str) -> None:
    assert told in faults(GOOD + text)


def test_a_rate_in_yaml_1_1_is_a_number() -> None:
    assert parse_recipe(f"{GOOD}training: {{learning_rate: 2e-4}}").training.learning_rate == 2e-4


def test_changes_come_after_the_file() -> None:
    changes = ["training.epochs=1", "method.targets=[q_proj, v_proj]", "data.train=b.jsonl"]
    recipe = parse_recipe(f"{GOOD}training: {{epochs: 9}}", changes)
    assert recipe.training.epochs == 1
    assert recipe.method.targets == ("q_proj", "v_proj")
    assert recipe.data.train == ("b.jsonl",)
    assert "--set: training.epochs" in faults(GOOD, ("training.epochs=-1",))
    assert "task is a value, not a section" in faults(GOOD, ("task.x=1",))


@pytest.mark.parametrize("text", ["", "- 1", "a: [", "a: &x 1\nb: *x", "\x00", "? [a]\n: 1\n"])
def test_what_is_no_recipe(text: str) -> None:
    faults(text)


@given(st.text(max_size=60))
def test_any_text_is_a_recipe_or_told(text: str) -> None:
    try:
        parse_recipe(text)
    except InputError as error:
        assert error.next_step


@pytest.mark.parametrize("task", ["summarize", "embed", "rerank", "prefer"])
def test_what_is_written_out_reads_back(task: str) -> None:
    recipe = parse_recipe(f"task: {task}\nmodel: m\ndata: {{train: [a, b]}}\n")
    assert parse_recipe(dump_recipe(recipe)) == recipe


def test_files(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="no such recipe") as caught:
        load_recipe("summarize-lora-cpi")
    assert "summarize-lora-cpu" in caught.value.next_step
    big = tmp_path / "big.yaml"
    big.write_bytes(b"a: 1\n" * 300_000)
    with pytest.raises(InputError, match="larger than a recipe"):
        load_recipe(big)
    binary = tmp_path / "binary.yaml"
    binary.write_bytes(b"\xff\xfe\x00")
    with pytest.raises(InputError, match="not UTF-8"):
        load_recipe(binary)


@pytest.mark.parametrize("name", sorted(shipped_recipes()))
def test_shipped_recipes_are_right(name: str) -> None:
    recipe = load_recipe(name)
    assert recipe.about
    assert parse_recipe(dump_recipe(recipe)) == recipe
